"""What the runs of a schedule say together: optima, exponents, how sudden a measure is; as metrics and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hfcourse.scaling.emergence import LENGTHS, Array, effective_length, late_share
from hfcourse.scaling.fits import Valley, exponent, interval
from hfcourse.scaling.flops import rule_of_thumb, training_flops
from hfcourse.scaling.schedule import Schedule, rate_regret

import numpy as np


@dataclass(frozen=True)
class Law:
    """best = factor C ** exponent, with the exponent's interval where there is one."""

    exponent: float
    factor: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Found:
    """All that was measured and fitted.

    losses: final ones, by run. sizes, tokens: for each budget the valley over N and over D. laws: "size" and "data",
    of two budgets or more, all with their lowest point between the sizes: an end of these is no best. points: {L:
    (losses, shares of L tokens in a row that were all right)}, of every run at every evaluation. powers: {L:
    (effective length, variance explained)}. late: {L: late share}.
    """

    schedule: Schedule
    losses: dict[str, float]
    sizes: list[Valley]
    tokens: list[Valley]
    laws: dict[str, Law]
    points: dict[int, tuple[Array, Array]]
    powers: dict[int, tuple[float, float]]
    late: dict[int, float]


def find(schedule: Schedule, final: Mapping[str, float], history: Sequence[dict[str, Any]], seed: int) -> Found:
    """Fit all there is to fit.

    Args:
        final: eval_loss_<run> of each run at its end.
        history: log entries; those of evaluations have step, eval_loss_<run> and eval_exact_<L>_<run>.
        seed: of the bootstrap.
    """
    losses = {run.name: final[f"eval_loss_{run.name}"] for run in schedule.runs}
    sizes, tokens = [], []
    for number in range(1, len(schedule.budgets) + 1):
        there = schedule.at(number).values()
        measured = np.array([losses[run.name] for run in there])
        sizes.append(Valley(np.array([float(schedule.decoders[run.size].parameters) for run in there]), measured))
        tokens.append(Valley(np.array([float(run.tokens) for run in there]), measured))
    laws, compute = {}, np.array(schedule.budgets)
    for what, valleys in (("size", sizes), ("data", tokens)):
        if len(compute) > 1 and all(valley.curved for valley in valleys):
            value, factor = exponent(compute, np.array([valley.lowest[0] for valley in valleys]))
            laws[what] = Law(value, factor, interval(compute, valleys, seed))
    points = collect_points(schedule, history)
    accuracy = points[1][1]
    powers = {n: effective_length(accuracy, exact, 2.0 * n) for n, (_, exact) in points.items() if n > 1}
    late = {n: late_share(*values) for n, values in points.items()}
    return Found(schedule, losses, sizes, tokens, laws, points, powers, late)


def collect_points(schedule: Schedule, history: Sequence[dict[str, Any]]) -> dict[int, tuple[Array, Array]]:
    """Found.points: each run at each evaluation since its first step, until one finds it finished."""
    rows = []
    for run in schedule.runs:
        seen = {entry["step"]: entry for entry in history if f"eval_loss_{run.name}" in entry and entry["step"] > 0}
        end = min((step for step in seen if step >= run.steps), default=run.steps)
        names = [f"eval_loss_{run.name}", *(f"eval_exact_{length}_{run.name}" for length in LENGTHS)]
        rows += [[seen[step][name] for name in names] for step in seen if step <= end]
    table = np.array(rows)
    return {length: (table[:, 0], table[:, column]) for column, length in enumerate(LENGTHS, 1)}


def metrics(found: Found, counter_difference: float) -> dict[str, float]:
    """All metrics that recipes/scaling.py promises."""
    schedule = found.schedule
    named = {f"loss_{name}": loss for name, loss in found.losses.items()}
    for number, (size, tokens) in enumerate(zip(found.sizes, found.tokens, strict=True), 1):
        (best, loss), (data, _) = size.lowest, tokens.lowest
        named |= {f"best_parameters_c{number}": best, f"best_tokens_c{number}": data, f"best_loss_c{number}": loss}
        named[f"bracketed_c{number}"] = int(size.curved)
    for what, law in found.laws.items():
        named[f"{what}_exponent"] = law.exponent
        if law.interval is not None:
            named |= dict(zip((f"{what}_exponent_lower", f"{what}_exponent_upper"), law.interval, strict=True))
    for length, late in found.late.items():
        named[f"late_share_{length}"] = late
    for length, (effective, explained) in found.powers.items():
        named |= {f"effective_length_{length}": effective, f"explained_{length}": explained}
    named |= {"rate_regret": rate_regret(found.losses, schedule), "budget_error": schedule.error()}
    named["counter_difference"] = counter_difference
    thumbs = {name: rule_of_thumb(decoder, schedule.length) for name, decoder in schedule.decoders.items()}
    named |= {f"rule_of_thumb_{name}": relative for name, relative in thumbs.items()}
    return named


def table(found: Found) -> list[dict[str, str]]:
    """A row a size: N, and at each budget C the loss, a star at the best, and in brackets the tokens that it took."""
    schedule, rows = found.schedule, []
    for size, decoder in schedule.decoders.items():
        rate = schedule.at(1)[size].rate
        row = {"size": size, "N": short(decoder.parameters), "rate": f"{rate:.2g}"}
        row["FLOPs/token"] = f"{training_flops(decoder, schedule.length):.2g}"
        for number, budget in enumerate(schedule.budgets, 1):
            runs = schedule.at(number)
            loss = found.losses[runs[size].name]
            star = " *" if loss == min(found.losses[run.name] for run in runs.values()) else ""
            row[f"C {budget:.1e}"] = f"{loss:.3f}{star} ({short(runs[size].tokens)})"
        rows.append(row)
    return rows


def winners(found: Found) -> list[str]:
    """A sentence a budget: which size won, and by how much against the smallest and the largest."""
    schedule, lines = found.schedule, []
    for number, budget in enumerate(schedule.budgets, 1):
        runs = schedule.at(number)
        losses = {size: found.losses[run.name] for size, run in runs.items()}
        winner = min(losses, key=lambda name: losses[name])
        smallest, *_, largest = losses
        lines.append(
            f"At {budget:.2g} FLOPs {winner} won ({short(schedule.decoders[winner].parameters)} parameters, "
            f"{short(runs[winner].tokens)} tokens): {losses[winner]:.3f} nats a token, "
            f"{losses[smallest] - losses[winner]:.3f} below {smallest}, "
            f"{losses[largest] - losses[winner]:.3f} below {largest}."
        )
    if len(lines) > 1 and not found.laws:
        lines.append("No exponent is fitted: at some budget the best lies at an end of the sizes.")
    return lines


def short(number: float) -> str:
    """417k, 2.1M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
