"""Training sentences once more with invented names: a tagger has to look at what is around a name.

Mention replacement (Dai and Adel 2020, "An analysis of simple data augmentation for named entity recognition") with
names of no list: a new name is made of pieces of the training words, so that it has the script of the old one.
"""

from collections.abc import Sequence
from dataclasses import replace

from hfcourse.data.load import Split

import numpy as np
from datasets import Dataset, concatenate_datasets


HAN = ("\u4e00", "\u9fa5")
# Of the Han characters of a new name, how many are drawn from all that there are: most real names have one that the
# training sentences have not.
ANY_CHARACTER = 0.25


def with_invented_names(split: Split, copies: int, seed: int, notes: list[str]) -> Split:
    """The split (tokens, BIO tags) followed by `copies` of it in which every entity has another name."""
    if not copies:
        return split
    rows = split.dataset.to_list()
    words = [token for row in rows for token in row["tokens"] if token.isalpha()]
    names = _Names([c for word in words for c in word if _is_han(c)], [w for w in words if not _is_han(w[0])])
    new = []
    for copy in range(copies):
        for number, row in enumerate(rows):
            names.random = np.random.default_rng([seed, copy, number])
            new.append(row | names.renamed(row["tokens"], row["tags"]))
    notes.append(f"{len(new)} training sentences more: each one {copies} times with invented names.")
    added = Dataset.from_list(new, split.dataset.features)
    return replace(split, dataset=concatenate_datasets([split.dataset, added]))


class _Names:
    """Draws names from the Han characters and the other words of the training sentences."""

    def __init__(self, characters: list[str], words: list[str]):
        self.characters, self.words = characters, words
        self.random = np.random.default_rng(0)

    def renamed(self, tokens: Sequence[str], tags: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"tokens": [], "tags": []}
        ends = [i for i in range(1, len(tags) + 1) if i == len(tags) or tags[i][0] != "I"]
        for start, end in zip([0, *ends], ends, strict=False):
            name = list(tokens[start:end]) if tags[start] == "O" else self.name(tokens[start:end])
            found["tokens"] += name
            found["tags"] += [tags[start], *[f"I{tags[start][1:]}"] * (len(name) - 1)]
        return found

    def name(self, old: Sequence[str]) -> list[str]:
        """As many words as before; of single Han characters two to four."""
        if all(len(token) == 1 and _is_han(token) for token in old):
            return [self.character() for _ in range(self.random.integers(2, 5))]
        return [self.word(token) for token in old]

    def word(self, old: str) -> str:
        """The beginning of one training word and the end of another, in large or small letters as `old` is."""
        if _is_han(old[0]):
            return "".join(self.character() for _ in old)
        if not (old.isalpha() and self.words):
            return old
        first, last = (self.words[i] for i in self.random.integers(len(self.words), size=2))
        name = first[: len(first) // 2 + 1] + last[len(last) // 2 :]
        return name.upper() if old.isupper() and len(old) > 1 else name.title() if old[0].isupper() else name.lower()

    def character(self) -> str:
        if self.random.random() < ANY_CHARACTER or not self.characters:
            return chr(self.random.integers(ord(HAN[0]), ord(HAN[1]) + 1))
        return self.characters[self.random.integers(len(self.characters))]


def _is_han(character: str) -> bool:
    return HAN[0] <= character <= HAN[1]
