"""From neighbours to a probability, and its mixture with the model's own (equations 2 and 3).

Q queries, k neighbours each, V tokens of the vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hfcourse.errors import InputError
from hfcourse.knn.capture import Capture

import torch
from torch import Tensor
from transformers import LogitsProcessor


DISTANCES = ("squared", "root")
# (distances, entries), each (Q, k), of queries (Q, D) and k.
Search = Callable[[Tensor, int], tuple[Tensor, Tensor]]
NextTokens = Callable[[Tensor], Tensor]


# What knn-transformers takes where nothing is said (run_clm.py), besides k = 1,024.
DEFAULTS = {"temperature": 1.0, "lambda": 0.25}


@dataclass(frozen=True)
class Grid:
    """What is chosen from: K numbers of neighbours, T temperatures, L lambdas; `distance` is one of DISTANCES.

    Raises InputError for values that no mixture can have.
    """

    ks: list[int]
    temperatures: list[float]
    lambdas: list[float]
    distance: str = "squared"

    def __post_init__(self) -> None:
        if not (self.ks and min(self.ks) >= 1):
            raise InputError(f"--k {_listed(self.ks)}: expected numbers of neighbours, 1 or more")
        if not (self.temperatures and min(self.temperatures) > 0):
            raise InputError(f"--temperatures {_listed(self.temperatures)}: expected numbers above 0")
        if not (self.lambdas and 0 <= min(self.lambdas) <= max(self.lambdas) <= 1):
            raise InputError(f"--lambdas {_listed(self.lambdas)}: expected shares, from 0 to 1")

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.ks), len(self.temperatures), len(self.lambdas)

    def measured(self, squared: Tensor) -> Tensor:
        """Distances as `distance` says, of squared ones."""
        return squared.sqrt() if self.distance == "root" else squared

    def at(self, choice: tuple[int, int, int]) -> dict[str, float]:
        """{"k", "temperature", "lambda"} at a place in the lists."""
        k, temperature, share = choice
        return {"k": self.ks[k], "temperature": self.temperatures[temperature], "lambda": self.lambdas[share]}

    def defaults(self) -> tuple[int, int, int] | None:
        """The place of the largest k with DEFAULTS, None where they are not among the choices."""
        if DEFAULTS["temperature"] not in self.temperatures or DEFAULTS["lambda"] not in self.lambdas:
            return None
        temperature, share = self.temperatures.index(DEFAULTS["temperature"]), self.lambdas.index(DEFAULTS["lambda"])
        return self.ks.index(max(self.ks)), temperature, share


def _listed(numbers: Sequence[float]) -> str:
    return " ".join(map(str, numbers))


def neighbour_weights(distances: Tensor, temperature: float) -> Tensor:
    """exp(-(d - d of the nearest) / T), (Q, k): eq. 2 before it is normalised. An infinite distance weighs nothing."""
    nearest = distances.amin(1, keepdim=True).nan_to_num(posinf=0.0)
    return (-(distances - nearest) / temperature).exp()


def knn_log_probs(distances: Tensor, tokens: Tensor, vocabulary: int, temperature: float) -> Tensor:
    """log p_kNN (Q, V): p_kNN(y) ~ the sum of exp(-d / T) over neighbours whose token (Q, k) is y (equation 2)."""
    weights = neighbour_weights(distances, temperature)
    sums = weights.new_zeros(len(weights), vocabulary).scatter_add_(1, tokens, weights)
    return (sums / weights.sum(1, keepdim=True)).nan_to_num(0.0).log()


def target_log_probs(distances: Tensor, right: Tensor, ks: Sequence[int], temperature: float) -> Tensor:
    """log p_kNN of the token that came (Q, len(ks)), by the first k of distances (Q, K), nearest first.

    `right` (Q, K): whether a neighbour's token is that one.
    """
    weights = neighbour_weights(distances, temperature)
    last = torch.tensor(ks, device=weights.device) - 1
    whole, ours = (w.cumsum(1)[:, last] for w in (weights, weights * right))
    return (ours / whole).nan_to_num(0.0).log()


def interpolate(log_lm: Tensor, log_knn: Tensor, share: float) -> Tensor:
    """log(lambda p_kNN + (1 - lambda) p_LM), of log-probabilities of one shape; lambda = `share` (equation 3)."""
    return torch.logaddexp(log_lm + _log(1 - share), log_knn + _log(share))


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf


class KNNLogitsProcessor(LogitsProcessor):
    """Puts a memory into `model.generate`: scores (B, V) become the log-probabilities of the mixture.

    Use it in the block of the `capture` of the same model: its last keys are those of the tokens just read.
    `next_tokens` gives the tokens of entries (Q, k); `choice` is a place in the grid.
    """

    def __init__(
        self, capture: Capture, search: Search, next_tokens: NextTokens, grid: Grid, choice: tuple[int, int, int]
    ):
        self.capture, self.search, self.next_tokens = capture, search, next_tokens
        self.grid, self.choice = grid, choice

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        chosen = self.grid.at(self.choice)
        squared, entries = self.search(self.capture.keys[:, -1], int(chosen["k"]))
        distances, tokens = self.grid.measured(squared), self.next_tokens(entries)
        log_knn = knn_log_probs(distances, tokens, scores.shape[1], chosen["temperature"])
        return interpolate(scores.float().log_softmax(-1), log_knn, chosen["lambda"])
