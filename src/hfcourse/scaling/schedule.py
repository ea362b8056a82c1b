"""Which runs the budgets pay for: each size at each budget, its steps and its learning rate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hfcourse.errors import InputError
from hfcourse.scaling.flops import Decoder, training_flops


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


@dataclass(frozen=True)
class Schedule:
    """Sizes by name, smallest first, budgets (FLOPs), too, and all runs over sequences of `length` tokens."""

    decoders: dict[str, Decoder]
    length: int
    budgets: list[float]
    runs: list[Training]

    @property
    def steps(self) -> int:
        """Of the longest run."""
        return max(run.steps for run in self.runs)

    def at(self, budget: int) -> dict[str, Training]:
        """The runs that are compared at a budget, by size: without those that check the rates."""
        return {run.size: run for run in self.runs if run.budget == budget and run.probe == 1}

    def error(self) -> float:
        """The largest relative difference between what a run takes and its budget: steps are whole."""
        return max(abs(run.flops / self.budgets[run.budget - 1] - 1) for run in self.runs)

    def describe(self) -> list[str]:
        """A line a budget: the steps that it pays for, by size."""
        lines = []
        for number, budget in enumerate(self.budgets, 1):
            steps = ", ".join(f"{size} {run.steps:,}" for size, run in self.at(number).items())
            lines.append(f"c{number}, {budget:.3g} FLOPs a run: steps of {steps}")
        probes = sum(run.probe != 1 for run in self.runs)
        return [
            *lines,
            f"{len(self.runs)} runs, {probes} of them to check the rates; budgets kept to {self.error():.2%}",
        ]


def rate_by_width(rate: float, power: float, decoders: Mapping[str, Decoder]) -> Callable[[int], float]:
    """The rule: `rate` for the first of the sizes, for others that times (width / first width) ** -power."""
    first = next(iter(decoders.values())).width if decoders else 1
    return lambda width: rate * (width / first) ** -power


def make_schedule(
    decoders: Mapping[str, Decoder],
    length: int,
    rows: int,
    budgets: Sequence[float],
    max_steps: int,
    rate: Callable[[int], float],
    probes: Sequence[float] = (),
) -> Schedule:
    """Every size at every budget, in whole steps; at the smallest budget with each of `probes` times its rate as well.

    Args:
        length: T, tokens of a sequence; rows: sequences of a step.
        budgets: FLOPs, or proportions where max_steps is above 0: then the longest run takes so many.
        rate: the peak learning rate of a width.

    Raises:
        InputError: fewer than three sizes, which leave no parabola, or a budget that does not pay for one step.
    """
    if len(decoders) < 3:
        raise InputError(
            f"--sizes: {len(decoders)} are too few: a parabola needs three, and a fourth to be doubted by"
        )
    if not budgets or min(budgets) <= 0 or len(set(budgets)) < len(budgets):
        raise InputError(f"--budgets: expected different numbers of FLOPs above 0, not {list(budgets)}")
    if min(probes, default=2) <= 0 or len({1.0, *probes}) <= len(probes):
        raise InputError(f"--rate_probes are different factors above 0 other than 1, not {list(probes)}")
    decoders = dict(sorted(decoders.items(), key=lambda item: item[1].parameters))
    costs = {size: training_flops(decoder, length) * rows * length for size, decoder in decoders.items()}
    paid = sorted(budgets)
    if max_steps > 0:
        paid = [budget / paid[-1] * min(costs.values()) * max_steps for budget in paid]
    runs = []
    for number, budget in enumerate(paid, 1):
        for size, cost in costs.items():
            steps = round(budget / cost)
            if steps < 1:
                raise InputError(
                    f"--budgets: {budget:.3g} FLOPs do not pay for one step of {size}, which takes {cost:.3g}"
                )
            for probe in (1.0, *probes) if number == 1 else (1.0,):
                peak = rate(decoders[size].width) * probe
                runs.append(Training(size, number, steps, steps * cost, steps * rows * length, peak, probe))
    return Schedule(decoders, length, paid, runs)


def rate_regret(losses: Mapping[str, float], schedule: Schedule) -> float:
    """How much higher the loss of the rule's rate is than that of the best rate tried, relative, of the worst size.

    losses: by the name of the run. 0 where the rule's is the best for each size, or no other was tried.
    """
    regrets = [
        losses[chosen.name] / min(losses[run.name] for run in schedule.runs if (run.size, run.budget) == (size, 1)) - 1
        for size, chosen in schedule.at(1).items()
    ]
    return max(regrets)
