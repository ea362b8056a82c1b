"""The picture of an in-context evaluation."""

from collections import Counter
from pathlib import Path

from hfcourse.icl.demonstrations import NONE
from hfcourse.icl.report import MEAN, Cell, Scores, reliability
from hfcourse.metrics.classification import BINS

import numpy as np


MEASURES = {"accuracy": "-", "exact_match": "--"}


def plot(path: Path, cells: dict[Cell, Scores], metrics: dict[str, float], rule: str) -> None:
    """Accuracy and exact match over k and by condition, of the mean over tasks or of the first task; reliability."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    stem = MEAN if any(name.startswith(f"{MEAN}_") for name in metrics) else next(iter(cells)).task
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for condition, k in dict.fromkeys((cell.condition, cell.k) for cell in cells):
        for measure in MEASURES:
            name = f"{stem}_{condition}_k{k}_{measure}"
            if name in metrics:
                value, low, high = (metrics[name + end] for end in ("", "_low", "_high"))
                found.setdefault((condition, measure), {})[k] = [value, value - low, high - value]
    conditions = list(dict.fromkeys(condition for condition, _ in found))
    measures = [measure for measure in MEASURES if any((c, measure) in found for c in conditions)]
    # The number of demonstrations that most conditions have.
    counts = Counter(k for points in found.values() for k in points if k)
    shots = counts.most_common(1)[0][0] if counts else 0
    figure, (curve, bars, reliable) = pyplot.subplots(1, 3, figsize=(16, 4.6))
    for (condition, measure), points in found.items():
        if len(points) > 1:
            line = found.get((NONE, measure), {}) | points
            shape = np.array([line[k] for k in sorted(line)]).T  # value, distances to the ends of its interval
            label, color = f"{condition}, {measure.replace('_', ' ')}", f"C{conditions.index(condition)}"
            style = {"linestyle": MEASURES[measure], "marker": "o", "capsize": 2}
            curve.errorbar(sorted(line), shape[0], yerr=shape[1:], label=label, color=color, **style)
    curve.set(title=stem, xlabel="demonstrations k")
    width = 0.8 / max(len(measures), 1)
    for place, measure in enumerate(measures):
        own = [(i, found.get((c, measure), {}).get(0 if c == NONE else shots)) for i, c in enumerate(conditions)]
        heights = np.array([point for _, point in own if point]).T
        at = [i + place * width for i, point in own if point]
        bars.bar(at, heights[0], width, yerr=heights[1:], capsize=2, label=measure.replace("_", " "))
    bars.set_xticks(range(len(conditions)), conditions, fontsize=8)
    bars.set(title=f"by condition, k = {shots}; 95 % intervals")
    for condition in [c for c in (NONE, "gold", "random") if c in conditions]:
        own_cells = [s for cell, s in cells.items() if cell[1:] == (condition, 0 if condition == NONE else shots)]
        confidence, right, _ = reliability(own_cells, rule, BINS)
        reliable.plot(confidence, right, marker="o", label=condition)
    reliable.plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
    reliable.set(title="reliability", xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    for ax in (curve, bars, reliable):
        ax.grid(alpha=0.3)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
