"""The picture of an in-context evaluation."""

from pathlib import Path

from hfcourse.icl.demonstrations import NONE
from hfcourse.icl.report import MEAN, Cell, Scores, reliability
from hfcourse.metrics.classification import BINS

import numpy as np


def plot(path: Path, cells: dict[Cell, Scores], metrics: dict[str, float], rule: str) -> None:
    """Accuracy over k with one line a condition, accuracy by condition, and reliability, over all tasks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    several = len({cell.task for cell in cells}) > 1
    stem = MEAN if several else next(iter(cells)).task
    measure = "accuracy" if any(name.endswith("_accuracy") for name in metrics) else "exact_match"
    points: dict[str, list[tuple[int, float, float, float]]] = {}
    for condition, k in dict.fromkeys((cell.condition, cell.k) for cell in cells):
        name = f"{stem}_{condition}_k{k}_{measure}"
        if name in metrics:
            value, low, high = (metrics[name + end] for end in ("", "_low", "_high"))
            points.setdefault(condition, []).append((k, value, value - low, high - value))
    none = points.pop(NONE, [])
    figure, (curve, bars, reliable) = pyplot.subplots(1, 3, figsize=(16, 4.4))
    for condition, found in points.items():
        places, values, lows, highs = zip(*sorted(none + found), strict=True)
        curve.errorbar(places, values, yerr=(lows, highs), label=condition, marker="o", markersize=4, capsize=2)
    curve.set(title=f"{measure.replace('_', ' ')}, {stem} of tasks" if several else stem, xlabel="demonstrations k")
    shown = {NONE: none, **points} if none else points
    most = {condition: max(found) for condition, found in shown.items()}
    bars.bar(
        [f"{condition}\nk={found[0]}" for condition, found in most.items()],
        [found[1] for found in most.values()],
        yerr=np.array([found[2:] for found in most.values()]).T,
        capsize=3,
        color=[f"C{i}" for i in range(len(most))],
    )
    bars.set(title="by condition, 95 % intervals")
    bars.tick_params(axis="x", labelsize=7)
    for condition in [c for c in (NONE, "gold", "random") if c in shown]:
        own = [s for cell, s in cells.items() if (cell.condition, cell.k) == (condition, most[condition][0])]
        confidence, right, _ = reliability(own, rule, BINS)
        reliable.plot(confidence, right, marker="o", label=f"{condition}, k={most[condition][0]}")
    reliable.plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
    reliable.set(title="reliability", xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    for ax in (curve, bars, reliable):
        ax.grid(alpha=0.3)
    for ax in (curve, reliable):
        ax.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
