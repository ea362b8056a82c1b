"""From losses at equal compute to the best size, and to how it grows (Hoffmann et al. 2022, approach 2).

At each budget a parabola is laid through the loss as a function of log N; its lowest point is the best size, and a
straight line through the best sizes over log C gives the exponent of N ~ C ** a. The same over log D gives D ~ C ** b.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


Array = NDArray[np.floating]
DRAWS = 4000


@dataclass(frozen=True)
class Valley:
    """The parabola loss = a + b z + c z^2 in z = log x at one budget; x and losses are (S,), of S sizes."""

    x: Array
    losses: Array

    @property
    def coefficients(self) -> Array:
        """c, b, a of the least squares fit."""
        return np.polyfit(np.log(self.x), self.losses, 2)

    @property
    def curved(self) -> bool:
        """Whether there is a lowest point, and between the smallest and the largest x."""
        c, b, _ = self.coefficients
        return bool(c > 0 and np.log(self.x).min() < -b / (2 * c) < np.log(self.x).max())

    def __call__(self, x: Array) -> Array:
        return np.polyval(self.coefficients, np.log(x))

    @property
    def lowest(self) -> tuple[float, float]:
        """The best x, and the loss there: never beyond the sizes that were tried, where the parabola is a guess."""
        at = float(np.exp(bottoms(np.log(self.x), self.losses[None])[0]))
        return at, float(self(np.array(at)))


def bottoms(z: Array, losses: Array) -> Array:
    """Where each of the parabolas through losses (R, S) at z (S,) is lowest, between the ends of z: (R,)."""
    c, b, _ = np.polyfit(z, losses.T, 2)
    ends = z[[0, -1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.clip(-b / (2 * c), z.min(), z.max())
    values = np.stack([np.polyval([c, b, 0 * c], end) for end in ends])
    return np.where(c > 0, inside, ends[values.argmin(0)])


def exponent(compute: Array, best: Array) -> tuple[float, float]:
    """a and k of best = k compute ** a, least squares in logs."""
    a, log_k = np.polyfit(np.log(compute), np.log(best), 1)
    return float(a), float(np.exp(log_k))


def interval(compute: Array, valleys: list[Valley], seed: int = 0, level: float = 0.95) -> tuple[float, float] | None:
    """Ends of the exponent's interval by a parametric bootstrap of the losses.

    The losses lie off the parabolas by a noise whose variance is estimated from all K budgets together, with K (S - 3)
    degrees of freedom, and is itself drawn; losses drawn anew around the parabolas give DRAWS other exponents. What no
    noise shows is not in it: that the power law may bend. None where each parabola goes through all its points.
    """
    freedom = sum(len(valley.x) - 3 for valley in valleys)
    if freedom < 1:
        return None
    rng = np.random.default_rng(seed)
    squares = sum(float(((valley.losses - valley(valley.x)) ** 2).sum()) for valley in valleys)
    noise = np.sqrt(squares / rng.chisquare(freedom, DRAWS))[:, None]  # (R, 1)
    drawn = [
        bottoms(np.log(valley.x), valley(valley.x) + noise * rng.standard_normal((DRAWS, len(valley.x))))
        for valley in valleys
    ]
    slopes = np.polyfit(np.log(compute), np.stack(drawn), 1)[0]  # (R,)
    low, high = np.quantile(slopes, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
