"""Decontamination: which texts hold rows of an evaluation set, told by n-grams of words."""

from collections import Counter
from collections.abc import Sequence

from hfcourse.clean.words import grams, normalised


class Leaks:
    """Finds the rows of an evaluation set that a text holds, whatever its case, spaces and punctuation.

    A row is leaked where at least `share` of its n-grams stand in one text (PaLM: 70 % of the 8-grams; Chowdhery et
    al. 2022, section 8). A row of fewer than n words is one n-gram. One n-gram alone, GPT-3's rule, would take all
    rows of a template for leaked where one is.
    """

    def __init__(self, rows: Sequence[str], n: int = 8, share: float = 0.7):
        self.n, self.share = n, share
        self.rows: dict[str, set[int]] = {}  # the rows that have an n-gram
        self.sizes: list[int] = []
        self.short: set[int] = set()  # lengths of rows that are shorter than n
        for number, row in enumerate(rows):
            items = normalised(row)
            found = set(grams(items, n))
            self.sizes.append(len(found))
            if 0 < len(items) < n:
                self.short.add(len(items))
            for gram in found:
                self.rows.setdefault(gram, set()).add(number)

    def __call__(self, text: str) -> list[int]:
        """Numbers of the rows that the text holds, in their order."""
        items = normalised(text)
        counts: Counter[int] = Counter()
        for size in (self.n, *self.short):
            for gram in set(grams(items, size)):
                counts.update(self.rows.get(gram, ()))
        return sorted(row for row, count in counts.items() if count >= self.share * self.sizes[row])
