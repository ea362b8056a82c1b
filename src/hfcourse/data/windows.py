"""Tagged words -> token ids and labels; a sentence that is too long becomes several windows that overlap."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from hfcourse.data.load import Split
from hfcourse.errors import InputError

import numpy as np
from datasets import Features, List, Value


IGNORED = -100
_FEATURES = Features(
    {
        "input_ids": List(Value("int32")),
        "labels": List(Value("int64")),
        "length": Value("int32"),
        "sentence": Value("int32"),
        "words": List(Value("int32")),
        "cut": Value("int32"),
    }
)


class Windows:
    """Tokenises rows of `tokens` and `tags` into windows of at most `max_length` tokens that overlap by `stride`.

    A window begins and ends between words. Each word is predicted in one window, the one that shows most of what is
    around it, by its first token: `labels` (T,) hold -100 elsewhere, and `words` names the words that are predicted,
    in order. With `label_all_tokens` the other tokens of a word have the label of its inside. A word of which the
    tokenizer leaves nothing is in no window. A single word that fills more than a window is cut; `cut` counts these.
    """

    def __init__(
        self, tokenizer: Any, labels: Sequence[str], max_length: int, stride: int, label_all_tokens: bool = False
    ):
        if not tokenizer.is_fast:
            raise InputError(
                f"{type(tokenizer).__name__} does not say which word a token belongs to: it has no fast version "
                "(tokenizer.json), and tagging words needs one"
            )
        if tokenizer.pad_token_id is None:
            raise InputError(f"{type(tokenizer).__name__} has no padding token, which batches of sentences need")
        if not 0 <= stride < max_length - tokenizer.num_special_tokens_to_add():
            raise InputError(f"--max_length {max_length} is too short for windows that overlap by {stride} tokens")
        self.tokenizer, self.max_length, self.stride = tokenizer, max_length, stride
        self.label_all_tokens = label_all_tokens
        self.ids = {label: i for i, label in enumerate(labels)}
        self.inside = {i: self.ids[label.replace("B-", "I-", 1)] for label, i in self.ids.items()}

    def __call__(self, rows: dict[str, list], numbers: list[int]) -> dict[str, list]:
        encoded = self.tokenizer(rows["tokens"], is_split_into_words=True, verbose=False)
        out: dict[str, list] = {name: [] for name in _FEATURES}
        for i, (number, tags) in enumerate(zip(numbers, rows["tags"], strict=True)):
            labels = [self.ids[tag] for tag in tags]
            for window in self._windows(encoded["input_ids"][i], encoded.word_ids(i), labels):
                for name, value in ({"sentence": number} | window).items():
                    out[name].append(value)
        return out

    def _windows(self, ids: list[int], word_ids: list[int | None], labels: list[int]) -> list[dict[str, Any]]:
        inside = [i for i, word in enumerate(word_ids) if word is not None]
        if not inside:
            return []
        prefix, suffix = ids[: inside[0]], ids[inside[-1] + 1 :]
        ids, words = ids[inside[0] : inside[-1] + 1], [word for word in word_ids if word is not None]
        bounds, cut = window_bounds(words, self.max_length - len(prefix) - len(suffix), self.stride)
        owner = _owners(words, bounds)
        windows = []
        for number, (start, end) in enumerate(bounds):
            targets = []
            for i in range(start, end):
                first = i == 0 or words[i - 1] != words[i]
                label = labels[words[i]] if first or not self.label_all_tokens else self.inside[labels[words[i]]]
                counts = (first or self.label_all_tokens) and owner[words[i]] == number
                targets.append(label if counts else IGNORED)
            windows.append(
                {
                    "input_ids": [*prefix, *ids[start:end], *suffix],
                    "length": len(prefix) + end - start + len(suffix),
                    "labels": [*[IGNORED] * len(prefix), *targets, *[IGNORED] * len(suffix)],
                    "words": [word for word in dict.fromkeys(words[start:end]) if owner[word] == number],
                    "cut": cut if number == 0 else 0,
                }
            )
        return windows


def window_bounds(words: Sequence[int], size: int, stride: int) -> tuple[list[tuple[int, int]], int]:
    """[start, end) of windows of at most `size` tokens over the words of tokens (T,), and how many words were cut.

    Neighbours share at least `stride` tokens where words are short enough to allow it, and begin where a word does.
    """
    starts = [i for i in range(len(words)) if i == 0 or words[i - 1] != words[i]]
    ends = [*starts[1:], len(words)]
    bounds: list[tuple[int, int]] = []
    word = cut = 0
    while True:
        start = starts[word]
        last = word
        while last + 1 < len(starts) and ends[last + 1] - start <= size:
            last += 1
        cut += ends[last] - start > size
        bounds.append((start, min(ends[last], start + size)))
        if last + 1 == len(starts):
            return bounds, cut
        following = last + 1
        while following > word + 1 and ends[last] - starts[following] < stride:
            following -= 1
        word = following


def _owners(words: Sequence[int], bounds: list[tuple[int, int]]) -> dict[int, int]:
    """The window of each word: where the nearest cut is farthest from its first token."""
    owner: dict[int, int] = {}
    best: dict[int, int] = {}
    for number, (start, end) in enumerate(bounds):
        for i in range(start, end):
            if i == 0 or words[i - 1] != words[i]:
                left = i - start if start > 0 else len(words)
                right = end - 1 - i if end < len(words) else len(words)
                if min(left, right) > best.get(words[i], -1):
                    owner[words[i]], best[words[i]] = number, min(left, right)
    return owner


def to_windows(split: Split, windows: Windows, notes: list[str], shortest_first: bool = False) -> Split:
    """The split as windows with its counts of tokens; notes what became of long sentences.

    Columns: input_ids, labels, length, `sentence` (its number in `split`), `words` (see `Windows`). Evaluated with
    `shortest_first`, batches have next to no padding.
    """
    dataset = split.dataset.map(
        windows,
        batched=True,
        with_indices=True,
        remove_columns=split.dataset.column_names,
        features=_FEATURES,
        desc="Tokenising",
    )
    rows = dataset.with_format("numpy")
    lengths = rows["length"][:]
    several = int((np.bincount(rows["sentence"][:]) > 1).sum())
    if several:
        notes.append(
            f"{several} sentences of {split.place.rsplit(',', 1)[0]} have more than {windows.max_length} tokens: they "
            f"are read in windows that overlap by {windows.stride}, and each word counts once."
        )
    counted = sum(len(words) for words in dataset["words"])
    lost = sum(len(tokens) for tokens in split.dataset["tokens"]) - counted
    if lost:
        notes.append(f"{lost} words of {split.place.rsplit(',', 1)[0]} have no token in this vocabulary: they stay O.")
    labelled = sum(label != IGNORED for label in chain.from_iterable(dataset["labels"]))
    ordered = dataset.select(np.argsort(lengths, kind="stable")) if shortest_first else dataset
    return replace(
        split,
        dataset=ordered.remove_columns("cut"),
        rows_truncated=int((rows["cut"][:] > 0).sum()),
        tokens=int(lengths.sum()),
        counted_tokens=labelled,
    )
