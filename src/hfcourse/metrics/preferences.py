"""How well scores order answers as people did: pairs, their accuracy, the calibration of margins, the pull of length.

The score of an answer is a reward r; the margin of a pair is r(better) - r(worse). Under the Bradley-Terry model the
better answer wins with probability sigmoid(margin).
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np


class Pair(NamedTuple):
    """Places of the better and the worse answer of row `row`."""

    row: int
    better: int
    worse: int


class Bin(NamedTuple):
    """Pairs of similar confidence: how many, their mean confidence, and the share that is right."""

    pairs: int
    confidence: float
    accuracy: float


def ranked_pairs(ranks: Sequence[Sequence[int]]) -> list[Pair]:
    """All pairs of answers to one prompt whose ranks differ (1 is the best), row by row."""
    return [
        Pair(row, *((i, j) if values[i] < values[j] else (j, i)))
        for row, values in enumerate(ranks)
        for i, j in combinations(range(len(values)), 2)
        if values[i] != values[j]
    ]


def wins(margins: np.ndarray) -> np.ndarray:
    """1 where the better answer scores higher, 0 where lower, a half where both score the same; (P,)."""
    return (np.sign(margins) + 1) / 2


def reliability(margins: np.ndarray, bins: int = 10) -> list[Bin]:
    """Pairs by the confidence sigmoid(|margin|) of what the scores prefer, in `bins` bins from .5 to 1.

    Bins without a pair are left out. Calibrated scores have accuracy = confidence in each (Guo et al. 2017).
    """
    confidence = 1 / (1 + np.exp(-np.abs(margins)))
    places = np.minimum(((confidence - 0.5) * 2 * bins).astype(int), bins - 1)
    right = wins(margins)
    return [
        Bin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in (places == place for place in range(bins))
        if inside.any()
    ]


def calibration_error(table: Sequence[Bin]) -> float:
    """Expected calibration error: mean of |accuracy - confidence| over the bins, weighted by their pairs; 0 to .5."""
    return sum(b.pairs * abs(b.accuracy - b.confidence) for b in table) / max(sum(b.pairs for b in table), 1)


def length_correlation(margins: np.ndarray, differences: np.ndarray) -> float:
    """Correlation of reward and length among answers to the same prompt, -1 to 1; 0 where one of them never differs.

    For a pair, scores and lengths are told from their means by half of the margin m and half of the difference d of
    the lengths: the sum of m d over the root of the sum of m^2 times the sum of d^2.
    """
    scale = float(np.sqrt((margins**2).sum() * (differences.astype(float) ** 2).sum()))
    return float((margins * differences).sum()) / scale if scale > 0 else 0.0
