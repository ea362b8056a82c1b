"""The two pictures of a schedule's runs."""

from pathlib import Path
from typing import Any

from hfcourse.scaling.report import Found

import numpy as np


def plot(path: Path, found: Found) -> None:
    """The valleys of the loss over N at each budget; the best N and D over C with their power laws."""
    schedule = found.schedule
    figure, (valleys, laws) = _panels()
    for number, (budget, valley) in enumerate(zip(schedule.budgets, found.sizes, strict=True)):
        color, grid = f"C{number}", np.geomspace(valley.x.min(), valley.x.max(), 100)
        valleys.plot(valley.x, valley.losses, "o", color=color, label=f"{budget:.2g} FLOPs")
        valleys.plot(grid, valley(grid), "-", color=color, alpha=0.5)
        valleys.plot(*valley.lowest, "*", color=color, markersize=13, markeredgecolor="k")
    probes = [run for run in schedule.runs if run.probe != 1]
    if probes:
        places = [schedule.decoders[run.size].parameters for run in probes]
        valleys.plot(places, [found.losses[run.name] for run in probes], "x", color="C0", label="other rates")
    valleys.set(title="equal compute", xlabel="parameters N", ylabel="held-out loss, nats a token", xscale="log")
    named = {"size": ("C3", "best N", found.sizes), "data": ("C4", "best D, tokens", found.tokens)}
    for what, (color, label, fits) in named.items():
        laws.plot(schedule.budgets, [fit.lowest[0] for fit in fits], "*", color=color, markersize=12, label=label)
        if what in found.laws:
            law = found.laws[what]
            bounds = "" if law.interval is None else f" ({law.interval[0]:.2f} to {law.interval[1]:.2f})"
            line = law.factor * np.array(schedule.budgets) ** law.exponent
            laws.plot(schedule.budgets, line, "-", color=color, alpha=0.5, label=f"C^{law.exponent:.2f}{bounds}")
    laws.set(title="best size and best data", xlabel="compute C, FLOPs", xscale="log", yscale="log")
    _save(path, figure, (valleys, laws))


def plot_emergence(path: Path, found: Found) -> None:
    """The same predictions by the token and by L tokens in a row, over the loss; and the latter over the former."""
    figure, (over_loss, powers) = _panels()
    accuracy, grid = found.points[1][1], np.linspace(0, 1, 200)
    for number, (length, (losses, exact)) in enumerate(found.points.items()):
        color, order = f"C{number}", np.argsort(losses)
        label = "a token" if length == 1 else f"{length} in a row"
        over_loss.plot(losses[order], exact[order], ".-", color=color, linewidth=0.6, label=label)
        if length > 1:
            effective, _ = found.powers[length]
            powers.plot(accuracy, exact, ".", color=color)
            powers.plot(
                grid, grid**effective, "-", color=color, alpha=0.6, label=f"{length} in a row, p^{effective:.1f}"
            )
            powers.plot(grid, grid**length, ":", color=color, alpha=0.6)
    over_loss.invert_xaxis()
    over_loss.set(title="sudden or smooth", xlabel="held-out loss, nats a token", ylabel="share that is right")
    powers.set(
        title="one is a power of the other (dotted: p^L)", xlabel="p: a token is right", ylabel="all L are right"
    )
    _save(path, figure, (over_loss, powers))


def _panels() -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(1, 2, figsize=(11, 4.3))


def _save(path: Path, figure: Any, panels: Any) -> None:
    from matplotlib import pyplot

    for panel in panels:
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
