"""The picture of an in-context evaluation."""

from pathlib import Path

from hfcourse.icl.demonstrations import NONE
from hfcourse.icl.report import MEAN, Cell, Scores, reliability
from hfcourse.metrics.classification import BINS

import numpy as np


MEASURES = {"exact_match": "exact match in the whole vocabulary", "accuracy": "accuracy among the labels"}


def plot(path: Path, cells: dict[Cell, Scores], metrics: dict[str, float], rule: str, shots: int) -> None:
    """Exact match and accuracy over k, a line a condition, of the mean over tasks or of the first; reliability."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    task = MEAN if any(name.startswith(f"{MEAN}_") for name in metrics) else next(iter(cells)).task
    cuts = list(dict.fromkeys((cell.condition, cell.k) for cell in cells))
    places = {k: place for place, k in enumerate(sorted({k for _, k in cuts}))}
    measures = [name for name in MEASURES if any(f"{task}_{c}_k{k}_{name}" in metrics for c, k in cuts)]
    figure, axes = pyplot.subplots(1, len(measures) + 1, figsize=(5.4 * (len(measures) + 1), 5))
    conditions = list(dict.fromkeys(c for c, _ in cuts if c != NONE)) or [NONE]
    for ax, measure in zip(axes, measures, strict=False):
        for number, condition in enumerate(conditions):
            names = {k: f"{task}_{c}_k{k}_{measure}" for c, k in cuts if c in (NONE, condition)}
            value, low, high = ([metrics[names[k] + end] for k in sorted(names)] for end in ("", "_low", "_high"))
            # Side by side, so that intervals of lines that lie on one another can be told apart.
            at = [places[k] + (0.06 * (number - (len(conditions) - 1) / 2) if k else 0) for k in sorted(names)]
            error = np.abs(np.array([low, high]) - value)
            ax.errorbar(at, value, yerr=error, label=condition, marker="o", markersize=4, linewidth=1, elinewidth=0.6)
        ax.set_xticks(list(places.values()), list(map(str, places)))
        ax.set(title=f"{MEASURES[measure]}: {task}", xlabel="demonstrations k; 95 % intervals")
        ax.legend(fontsize=8, loc="lower right", ncols=2)
        ax.sharey(axes[0])
    for condition in [c for c in (NONE, "gold", "random") if c == NONE or c in conditions]:
        k = 0 if condition == NONE else shots
        confidence, right, share = reliability(
            [s for cell, s in cells.items() if cell[1:] == (condition, k)], rule, BINS
        )
        (line,) = axes[-1].plot(confidence, right, label=f"{condition}, k = {k}", linewidth=1)
        axes[-1].scatter(confidence, right, 8 + 300 * share, color=line.get_color(), alpha=0.7)
    axes[-1].plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
    limits = {"xlim": (0, 1.03), "ylim": (0, 1.03)}
    axes[-1].set(title="reliability; area: share of answers", xlabel="confidence", ylabel="accuracy", **limits)
    axes[-1].legend(fontsize=8, loc="upper left")
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
