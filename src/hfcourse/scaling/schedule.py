"""Which runs the budgets pay for: each size at each budget, its steps and its learning rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hfcourse.errors import InputError


@dataclass(frozen=True)
class Training:
    """One run: a size, trained for `steps` with a peak rate of `rate`; `budget` counts from 1, smallest first.

    `flops` and `tokens` are what it takes altogether; `probe` is what the rule's rate was multiplied by, 1 but where
    the rule is checked.
    """

    size: str
    budget: int
    steps: int
    flops: float
    tokens: int
    rate: float
    probe: float = 1.0

    @property
    def name(self) -> str:
        probe = "" if self.probe == 1 else f"_rate_{self.probe:g}".replace(".", "_")
        return f"{self.size}_c{self.budget}{probe}"


def learning_rate(width: int, rate: float, at: int, power: float) -> float:
    """The rule: `rate` at the width `at`, and elsewhere in proportion to width ** -power."""
    return rate * (width / at) ** -power


def stretch(budgets: Sequence[float], cheapest: float, steps: int) -> list[float]:
    """The budgets in the same proportions, but so that the longest run, of the cheapest size, takes `steps`.

    cheapest: FLOPs of a step of that size.
    """
    return [budget / max(budgets) * cheapest * steps for budget in budgets]


def make_schedule(
    budgets: Sequence[float],
    costs: Mapping[str, float],
    tokens: int,
    rates: Mapping[str, float],
    probes: Sequence[float] = (),
) -> list[Training]:
    """Every size at every budget, in whole steps; at the smallest budget with each of `probes` times its rate as well.

    Args:
        budgets: FLOPs.
        costs: FLOPs of a step, by size.
        tokens: of a step.
        rates: peak learning rates, by size.

    Raises:
        InputError: fewer than three sizes, which leave no parabola, or a budget that does not pay for one step.
    """
    if len(costs) < 3:
        raise InputError(f"--sizes: {len(costs)} are too few: a parabola needs three, and a fourth to be doubted by")
    if not budgets or min(budgets) <= 0 or len(set(budgets)) < len(budgets):
        raise InputError(f"--budgets: expected different numbers of FLOPs above 0, not {list(budgets)}")
    if wrong := [probe for probe in probes if probe <= 0 or probe == 1]:
        raise InputError(f"--rate_probes are factors above 0 other than 1, not {wrong[0]:g}")
    schedule = []
    for number, budget in enumerate(sorted(budgets), 1):
        for size, cost in costs.items():
            steps = round(budget / cost)
            if steps < 1:
                raise InputError(
                    f"--budgets: {budget:.3g} FLOPs do not pay for one step of {size}, which takes {cost:.3g}"
                )
            for probe in (1.0, *probes) if number == 1 else (1.0,):
                rate = rates[size] * probe
                schedule.append(Training(size, number, steps, steps * cost, steps * tokens, rate, probe))
    return schedule


def budget_error(schedule: Sequence[Training], budgets: Sequence[float]) -> float:
    """The largest relative difference between what a run takes and its budget: steps are whole."""
    return max(abs(run.flops / sorted(budgets)[run.budget - 1] - 1) for run in schedule)


def rate_regret(losses: Mapping[str, float], schedule: Sequence[Training]) -> float:
    """How much higher the loss of the rule's rate is than that of the best rate tried, relative, of the worst size.

    losses: by the name of the run. 0 where the rule's is the best for each size, or no other was tried.
    """
    probed = {run.size for run in schedule if run.probe != 1}
    tried = {size: [run for run in schedule if run.size == size and run.budget == 1] for size in probed}
    regrets = [
        losses[next(run.name for run in runs if run.probe == 1)] / min(losses[run.name] for run in runs) - 1
        for runs in tried.values()
    ]
    return max(regrets, default=0.0)
