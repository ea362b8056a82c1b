"""Accuracy, macro-F1, calibration error and Brier score of decisions, weighted, so that a bootstrap is one call.

Every score takes `weights` (..., N): how often each of N decisions counts. Leading axes are resamples; scores have
their shape.
"""

from collections.abc import Callable

import numpy as np


BINS = 10


def accuracy(right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of right decisions: right (N,) of 0 or 1."""
    return weights @ right / weights.sum(-1)


def macro_f1(predicted: np.ndarray, gold: np.ndarray, classes: int, weights: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur, in gold or as predicted, of F1 = 2 TP / (2 TP + FP + FN)."""
    names = np.arange(classes)[:, None]
    hits = weights @ ((predicted == names) & (gold == names)).T.astype(float)  # (..., C)
    both = weights @ ((predicted == names).astype(float) + (gold == names)).T  # TP + FP + TP + FN
    occurs = both > 0
    scores = np.where(occurs, 2 * hits / np.where(occurs, both, 1), 0)
    return scores.sum(-1) / np.maximum(occurs.sum(-1), 1)


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Mean distance of confidence and accuracy over equal bins of confidence, weighted by their decisions.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    inside = bin_of(confidence, bins)[:, None] == np.arange(bins)  # (N, bins)
    gaps = weights @ (inside * (confidence - right)[:, None])  # (..., bins)
    return np.abs(gaps).sum(-1) / weights.sum(-1)


def bin_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each confidence: (0, 1/bins], (1/bins, 2/bins], ..."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def brier(probabilities: np.ndarray, gold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance of probabilities (N, C) from the truth, summed over classes (Brier 1950): 0 to 2."""
    truth = np.eye(probabilities.shape[-1])[gold]
    return weights @ ((probabilities - truth) ** 2).sum(-1) / weights.sum(-1)


def resample(groups: int, items: int, times: int, seed: int) -> np.ndarray:
    """Weights (times, groups * items) of a two-way bootstrap: groups and items are drawn anew, with replacement.

    A decision counts as often as its group times its item was drawn. One group is always there.
    """
    rng = np.random.default_rng(seed)
    by_item = rng.multinomial(items, np.full(items, 1 / items), size=times)
    by_group = rng.multinomial(groups, np.full(groups, 1 / groups), size=times)
    return (by_group[:, :, None] * by_item[:, None, :]).reshape(times, -1).astype(float)


def interval(
    score: Callable[[np.ndarray], np.ndarray], resamples: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """A score of all decisions, and the two ends of its percentile interval over resamples (R, N)."""
    value = float(score(np.ones(resamples.shape[-1])))
    low, high = np.quantile(score(resamples), [(1 - level) / 2, (1 + level) / 2])
    return value, float(low), float(high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` decisions (Wilson 1927): it is not empty even at 0 or 1."""
    z2 = 1.959964**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))
