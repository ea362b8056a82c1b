"""What label scores amount to: accuracy, macro-F1, calibration, exact match, with intervals over items and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hfcourse.icl.scoring import label_scores, log_softmax
from hfcourse.metrics.classification import (
    accuracy,
    bin_of,
    brier,
    expected_calibration_error,
    macro_f1,
    resample,
    wilson,
)

import numpy as np


RESAMPLES = 1000
MEAN = "mean"


class Cell(NamedTuple):
    """What is measured together: one task in one condition with k demonstrations."""

    task: str
    condition: str
    k: int

    @property
    def name(self) -> str:
        return f"{self.task}_{self.condition}_k{self.k}"


@dataclass
class Scores:
    """Of one cell: S seeds, N items, at most L choices; choices that an item has not are -inf.

    Attributes:
        logprobs, tokens: (S, N, L), of the choices given the input.
        greedy: (S, N), whether greedy decoding writes the right choice.
        gold: (N,).
        kind: of the task.
        content_free: (S, N, F, L) or None, logprobs of the labels behind the same demonstrations and no input.
        channel: (S, N, L) or None, log P(input | choice).
    """

    logprobs: np.ndarray
    tokens: np.ndarray
    greedy: np.ndarray
    gold: np.ndarray
    kind: str
    content_free: np.ndarray | None = None
    channel: np.ndarray | None = None

    def by(self, rule: str) -> np.ndarray | None:
        """Scores (S, N, L) by a rule, or None where the task has none by it."""
        if rule == "channel":
            return self.channel
        if rule == "calibrated":
            if self.content_free is None:
                return None
            seeds, items, _ = self.logprobs.shape
            found = np.empty_like(self.logprobs)
            for s in range(seeds):
                for n in range(items):
                    free = self.content_free[s, n]
                    found[s, n] = label_scores(rule, self.logprobs[s, n], self.tokens[s, n], free)
            return found
        return label_scores(rule, self.logprobs, self.tokens)


class Measured(NamedTuple):
    """A value, and its values over the resamples (R,)."""

    value: float
    resampled: np.ndarray


def measure(scores: Scores, rule: str, resamples: np.ndarray) -> dict[str, Measured]:
    """accuracy, macro_f1 (classification), ece, brier by a rule, and exact_match, which no rule changes.

    A generation has no labels to choose from: exact_match alone. `resamples`: (R, S * N), see `resample`.
    """
    everything = np.ones((1, resamples.shape[-1]))

    def both(score) -> Measured:  # type: ignore[no-untyped-def]
        return Measured(float(score(everything)[0]), score(resamples))

    greedy = scores.greedy.astype(float).ravel()
    found = {"exact_match": both(lambda w: accuracy(greedy, w))}
    table = None if scores.kind == "generation" else scores.by(rule)
    if table is None:
        return found if scores.kind == "generation" else {}
    probabilities = np.exp(log_softmax(table)).reshape(-1, table.shape[-1])  # (S * N, L)
    gold = np.tile(scores.gold, len(table))
    predicted, confidence = probabilities.argmax(-1), probabilities.max(-1)
    right = (predicted == gold).astype(float)
    found["accuracy"] = both(lambda w: accuracy(right, w))
    if scores.kind == "classification":
        found["macro_f1"] = both(lambda w: macro_f1(predicted, gold, table.shape[-1], w))
    found["ece"] = both(lambda w: expected_calibration_error(confidence, right, w))
    found["brier"] = both(lambda w: brier(probabilities, gold, w))
    return found


def is_main(condition: str, k: int, shots: int) -> bool:
    """Whether scoring rules are compared there: without demonstrations, and with gold ones."""
    return condition in ("none", "gold") and k in (0, shots)


def report(cells: dict[Cell, Scores], rules: Sequence[str], shots: int, seed: int) -> dict[str, float]:
    """Metrics `<task>_<condition>_k<k>_<measure>`, each also with _low and _high, the ends of its 95 % interval.

    Intervals are percentiles of a bootstrap over items and seeds; that of a share is never narrower than Wilson's for
    as many items. The task "mean" is the mean over the classification tasks, since every rule and measure applies to
    each of them; where there are none, over all. The first rule is the one of these names; the others are measured
    without demonstrations and with gold ones at `shots`, as `..._<rule>_<measure>`.
    """
    metrics: dict[str, float] = {}
    by_name: dict[str, list[Measured]] = {}
    labelled = {cell.task for cell, scores in cells.items() if scores.kind == "classification"}
    averaged = labelled or {cell.task for cell in cells}
    for cell, scores in cells.items():
        seeds, items = scores.greedy.shape
        resamples = resample(seeds, items, RESAMPLES, seed)
        for rule in rules if is_main(cell.condition, cell.k, shots) else rules[:1]:
            for name, measured in measure(scores, rule, resamples).items():
                if rule != rules[0]:
                    if name == "exact_match":
                        continue
                    name = f"{rule}_{name}"
                low, high = np.quantile(measured.resampled, [0.025, 0.975])
                if name.endswith(("accuracy", "exact_match")):
                    narrow = wilson(measured.value, items)
                    low, high = min(low, narrow[0]), max(high, narrow[1])
                metrics |= _named(f"{cell.name}_{name}", measured.value, low, high)
                if cell.task in averaged:
                    by_name.setdefault(f"{MEAN}_{cell.condition}_k{cell.k}_{name}", []).append(measured)
    if len(averaged) > 1:
        for name, all_measured in by_name.items():
            low, high = np.quantile(np.mean([m.resampled for m in all_measured], 0), [0.025, 0.975])
            metrics |= _named(name, float(np.mean([m.value for m in all_measured])), low, high)
    return metrics


def _named(name: str, value: float, low: float, high: float) -> dict[str, float]:
    numbers = {name: value, f"{name}_low": low, f"{name}_high": high}
    return {key: round(float(number), 6) for key, number in numbers.items()}


def reliability(scores: Sequence[Scores], rule: str, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(confidence, accuracy, share) of all decisions by bins of confidence; NaN where a bin is empty."""
    confidences, rights = [], []
    for one in scores:
        if (table := None if one.kind == "generation" else one.by(rule)) is not None:
            probabilities = np.exp(log_softmax(table)).reshape(-1, table.shape[-1])
            confidences.append(probabilities.max(-1))
            rights.append(probabilities.argmax(-1) == np.tile(one.gold, len(table)))
    if not confidences:
        return (np.full(bins, np.nan),) * 3
    confidence, right = np.concatenate(confidences), np.concatenate(rights)
    inside = (bin_of(confidence, bins) == np.arange(bins)[:, None]).astype(float)  # (bins, N)
    counts = inside.sum(-1)
    with np.errstate(invalid="ignore"):
        return inside @ confidence / counts, inside @ right / counts, counts / len(right)
