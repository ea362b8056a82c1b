"""n-gram models with interpolated, modified Kneser-Ney smoothing, exact, on sorted arrays instead of dictionaries.

Kneser and Ney 1995; Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section
3. Let h be the n - 1 words before w, h' the same without its first word, c how often something was counted:

    p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .) + g(h) p(w | h')
    g(h)     = (D_1 N_1(h .) + D_2 N_2(h .) + D_3 N_3+(h .)) / c(h .)

N_k(h .) is the number of words that follow h exactly k times (N_3+: three times or more). At the highest order c(h w)
is the number of occurrences; below, the number of different words that stand before h w: in how many contexts a word
turns up tells more about a new context than how often it does. Below one word stands the uniform 1 / V. A context that
was never seen leaves p(w | h'). Shapes: N places to predict, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


# Where a corpus is too small to estimate a discount: those of kenlm's --discount_fallback.
FALLBACK = (0.5, 1.0, 1.5)


def windows(rows: Sequence[Sequence[int]], order: int) -> np.ndarray:
    """Each token of the rows but the first of each, behind the `order` - 1 tokens before it: (N, order).

    A row begins with a token that says so and is not predicted; more of the same stand in for what is before it.
    """
    padded = [np.concatenate([np.repeat(row[:1], order - 1), row]) for row in map(np.asarray, rows)]
    views = [np.lib.stride_tricks.sliding_window_view(row, order)[1:] for row in padded]
    return np.concatenate(views).astype(np.int64)


def find(known: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each key stands in the sorted `known`, or -1."""
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[places] == keys, places, -1)


class Counts:
    """How often each n-gram of up to `order` words occurs in rows of token ids below `vocab_size`.

    A context is numbered by its place in `contexts`, among keys (number of the context without its first word) x V +
    first word; an n-gram by its place in `grams`, among keys (number of its context) x V + last word.
    """

    def __init__(self, rows: Sequence[Sequence[int]], order: int, vocab_size: int):
        self.order, self.vocab_size = order, vocab_size
        places = windows(rows, order)
        self.tokens = len(places)
        self.contexts: list[np.ndarray] = []
        self.grams: list[np.ndarray] = []
        self.occurrences: list[np.ndarray] = []
        context = np.zeros(self.tokens, dtype=np.int64)  # at first the empty one
        for k in range(1, order + 1):
            keys = context if k == 1 else context * vocab_size + places[:, -k]
            known, context = np.unique(keys, return_inverse=True)
            grams, occurrences = np.unique(context * vocab_size + places[:, -1], return_counts=True)
            self.contexts.append(known)
            self.grams.append(grams)
            self.occurrences.append(occurrences)

    def completed(self, k: int) -> np.ndarray:
        """How many different words stand before each k-gram."""
        context, word = np.divmod(self.grams[k], self.vocab_size)  # of the (k + 1)-grams
        shorter = self.contexts[k][context] // self.vocab_size
        ends = find(self.grams[k - 1], shorter * self.vocab_size + word)
        return np.bincount(ends, minlength=len(self.grams[k - 1]))


@dataclass
class Level:
    """One order of a model: for each of its n-grams (c - D) / c(h .), for each context g(h)."""

    share: np.ndarray
    given: np.ndarray


class KneserNey:
    """The model of order `order` that `counts`, of this order or higher, make."""

    def __init__(self, counts: Counts, order: int):
        self.counts, self.order, self.vocab_size = counts, order, counts.vocab_size
        self.levels: list[Level] = []
        for k in range(1, order + 1):
            found = counts.occurrences[k - 1] if k == order else counts.completed(k)
            context = counts.grams[k - 1] // self.vocab_size
            discount = discounts(found)[np.minimum(found, 3)]
            total = np.bincount(context, found)
            self.levels.append(Level((found - discount) / total[context], np.bincount(context, discount) / total))

    @property
    def size(self) -> int:
        """How many n-grams it holds, of all orders."""
        return sum(len(level.share) for level in self.levels)

    def probabilities(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """p of each token of the rows but the first of each: (N,)."""
        places = windows(rows, self.order)
        p = np.full(len(places), 1 / self.vocab_size)
        context = np.zeros(len(places), dtype=np.int64)
        for k, level in enumerate(self.levels, 1):
            if k > 1:
                context = find(self.counts.contexts[k - 1], context * self.vocab_size + places[:, -k])
            gram = find(self.counts.grams[k - 1], context * self.vocab_size + places[:, -1])
            interpolated = np.where(gram >= 0, level.share[gram], 0) + level.given[context] * p
            p = np.where(context >= 0, interpolated, p)
        return p

    def distribution(self, before: Sequence[int]) -> np.ndarray:
        """p of every token behind those of a row `before`, of which there is one at least: (V,)."""
        row = np.concatenate([np.repeat(before[:1], self.order - 1), before]).astype(np.int64)
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        context = np.zeros(1, dtype=np.int64)
        for k, level in enumerate(self.levels, 1):
            if k > 1:
                context = find(self.counts.contexts[k - 1], context * self.vocab_size + row[1 - k])
            if context[0] < 0:
                break
            grams = self.counts.grams[k - 1]
            start, end = np.searchsorted(grams, [context[0] * self.vocab_size, (context[0] + 1) * self.vocab_size])
            p *= level.given[context[0]]
            p[grams[start:end] % self.vocab_size] += level.share[start:end]
        return p

    def write(self, before: Sequence[int], number: int, random: np.random.Generator) -> list[int]:
        """`number` tokens behind those of a row `before`, drawn one after another."""
        row = list(before)
        for _ in range(number):
            below = np.cumsum(self.distribution(row[1 - self.order :]))
            row.append(int(np.searchsorted(below, random.random() * below[-1], side="right")))
        return row[len(before) :]


def discounts(counts: np.ndarray) -> np.ndarray:
    """D for things counted 0, 1, 2 and 3 or more times (4,): Chen and Goodman's equation 26."""
    n = [int((counts == k).sum()) for k in range(5)]
    found = [0.0, *FALLBACK]
    y = n[1] / max(n[1] + 2 * n[2], 1)
    for k in (1, 2, 3):
        estimate = k - (k + 1) * y * n[k + 1] / max(n[k], 1)
        if n[1] and n[2] and n[k] and 0 <= estimate <= k:
            found[k] = estimate
    return np.array(found)
