"""Smooth or sudden? The same predictions, counted by the token and by rows of tokens that must all be right.

If tokens were right independently of one another, with probability p each, L in a row would be right with p ** L: flat
near 0 for small p and steep near 1, although p rises evenly (Schaeffer et al. 2023, "Are Emergent Abilities of Large
Language Models a Mirage?", section 3).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


Array = NDArray[np.floating]
LENGTHS = (1, 2, 4, 8, 16)


def runs_of(right: Tensor, length: int) -> Tensor:
    """Which rows of `length` tokens are right in all of them: (..., T) -> (..., T - length + 1), maybe empty."""
    if length > right.shape[-1]:
        return right[..., :0]
    return right.unfold(-1, length, 1).all(-1)


def count_exact(right: Tensor, there: Tensor, lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    """For each of the lengths (M), how many rows of tokens are right, of how many.

    right (R, B, T), of R models; there (B, T): tokens that count. Returns (R, M) and (M).
    """
    hits = [(runs_of(right, length) & runs_of(there, length)).sum((-2, -1)) for length in lengths]
    return torch.stack(hits, -1), torch.stack([runs_of(there, length).sum() for length in lengths])


def effective_length(accuracy: Array, exact: Array, most: float) -> tuple[float, float]:
    """k for which accuracy ** k is nearest to `exact` (both (P,), of P points), and the share of variance explained.

    k is below the number of tokens where being right at one makes being right at the next likelier, and above it where
    what nobody can tell, such as what the next sentence is about, comes at even distances: few rows are without it.
    """
    powers = np.linspace(0, most, 2001)
    errors = ((accuracy ** powers[:, None] - exact) ** 2).sum(1)
    spread = ((exact - exact.mean()) ** 2).sum()
    return float(powers[errors.argmin()]), float(1 - errors.min() / spread) if spread > 0 else 0.0


def late_share(losses: Array, values: Array) -> float:
    """Of what `values` gain from the highest loss to the lowest, the share gained in the last third of the fall.

    1/3: in proportion to the loss, so smooth; near 1: sudden. All (P,); 0 where nothing is gained.
    """
    order = np.argsort(losses)
    losses, values = losses[order], values[order]
    turn = losses[0] + (losses[-1] - losses[0]) / 3
    gained = values[0] - values[-1]
    return float((values[0] - np.interp(turn, losses, values)) / gained) if gained > 0 else 0.0
