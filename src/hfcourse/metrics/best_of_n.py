"""Best-of-n: draw n answers, keep the one that scores highest. What comes of it, and how far it is from drawing one.

Shapes: P prompts, N draws of one policy to each, C choices. Hilton and Gao 2022, "Measuring Goodhart's law".
"""

from math import comb

import numpy as np


def best_of_n_weights(scores: np.ndarray, n: int) -> np.ndarray:
    """How likely each of N draws is the best of n of them, (P, N) from scores (P, N); rows sum to 1.

    Without replacement the i-th lowest score wins with (i-1 choose n-1) / (N choose n), so that the weighted mean of
    anything is an unbiased estimate of its mean over best-of-n. Equal scores stand in the order of their draws.
    """
    draws = scores.shape[1]
    by_rank = np.array([comb(i, n - 1) / comb(draws, n) for i in range(draws)])
    ranks = scores.argsort(1, kind="stable").argsort(1, kind="stable")
    return by_rank[ranks]


def best_of_n_kl(scores: np.ndarray, logprobs: np.ndarray, n: int) -> float:
    """KL(best-of-n, policy) in nats an answer, mean over prompts: from scores and log-probabilities (P, N) of draws.

    An answer of probability p that F of the policy's answers score below is the best of n with (F + p)^n - F^n; F is
    told by the other draws. Where no answer comes twice this is log n - (n-1)/n, and otherwise less (Beirami et al.
    2024, "Theoretical guarantees on the best-of-n alignment policy").
    """
    below = (scores[:, None, :] < scores[:, :, None]).mean(2)  # (P, N)
    ratio = _log_best(below, logprobs, n) - logprobs
    return float((best_of_n_weights(scores, n) * ratio).sum(1).mean())


def best_of_n_choice(scores: np.ndarray, logprobs: np.ndarray, n: int) -> np.ndarray:
    """Log-probabilities (P, C) with which best-of-n makes each of C choices, from their scores and the policy's."""
    p = np.exp(logprobs)
    below = ((scores[:, None, :] < scores[:, :, None]) * p[:, None, :]).sum(2)
    return _log_best(below, logprobs, n)


def _log_best(below: np.ndarray, logprobs: np.ndarray, n: int) -> np.ndarray:
    """log((F + p)^n - F^n), without a difference of near numbers where p is small."""
    below = np.minimum(below, -np.expm1(logprobs))  # F + p is at most 1, whatever the draws say
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        grown = n * np.log1p(np.exp(logprobs) / below)
        # log expm1(x) is x where x is large.
        found = n * np.log(below) + np.where(grown > 30, grown, np.log(np.expm1(np.minimum(grown, 30))))
    return np.where(below > 0, found, n * logprobs)
