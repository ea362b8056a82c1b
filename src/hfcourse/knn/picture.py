"""The pictures of a kNN-LM: what size, lambda and temperature do, and what a token costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfcourse.knn.mixture import DEFAULTS, Grid
from hfcourse.knn.report import Way, whole

import numpy as np


# Besides the curve of exact search: marker and name of each way.
POINTS = {
    "ivfpq": ("s", "IVF-PQ, distances from keys"),
    "codes": ("v", "IVF-PQ, distances from codes"),
    "foreign": ("x", "store of the other text"),
    "defaults": ("d", f"T = {DEFAULTS['temperature']:g}, lambda = {DEFAULTS['lambda']:g}"),
}


def plot(path: Path, ways: Sequence[Way], grid: Grid) -> None:
    """Perplexity over the size of the store, for each domain; over lambda, by temperature, for the last one."""
    domains = {way.domain.prefix: {w.name: w for w in ways if w.domain is way.domain} for way in ways}
    figure, axes = _axes(len(domains) + 1)
    for ax, mine in zip(axes, domains.values(), strict=False):
        sizes = [way for name, way in mine.items() if name.startswith("exact")]
        if sizes:
            ax.plot(
                [way.entries for way in sizes], [way.perplexity("test") for way in sizes], "o-", label="exact search"
            )
        for name, (marker, label) in POINTS.items():
            if name in mine:
                ax.plot([mine[name].entries], [mine[name].perplexity("test")], marker, label=label)
        ax.axhline(mine["plain"].perplexity("test"), color="k", linestyle="--", label="the model alone")
        ax.set(title=mine["plain"].domain.name, xscale="log", xlabel="entries in the store")
        ax.set_ylabel("perplexity, test part")
        if mine["plain"].perplexity("test") > 5 * whole(mine).perplexity("test"):
            ax.set_yscale("log")
    last = whole(mine)
    assert last.choice is not None
    for t, temperature in enumerate(grid.temperatures):
        means = -last.sums["validation"][last.choice[0], t] / last.tokens["validation"]
        shown = np.isfinite(means)
        axes[-1].plot(np.array(grid.lambdas)[shown], np.exp(means[shown]), ".-", label=f"T = {temperature:g}")
    axes[-1].set(title=f"{last.domain.name}, k = {grid.ks[last.choice[0]]}", xlabel="lambda", yscale="log")
    axes[-1].set_ylabel("perplexity, validation part")
    _save(path, figure, axes)


def plot_speed(path: Path, milliseconds: dict[str, float], texts: int) -> None:
    """What a token takes with each way; a picture of its own, as no two runs take as long."""
    figure, axes = _axes(1)
    axes[0].barh(list(milliseconds), list(milliseconds.values()), height=0.5)
    axes[0].invert_yaxis()
    axes[0].set(title="generation, greedy", xlabel=f"ms a token, {texts} texts at once")
    _save(path, figure, axes)


def _axes(panels: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, panels, figsize=(4.8 * panels, 4.2), squeeze=False)
    return figure, axes[0]


def _save(path: Path, figure: Any, axes: Any) -> None:
    from matplotlib import pyplot

    for ax in axes:
        ax.grid(alpha=0.3)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
