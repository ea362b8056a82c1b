"""Pairs of texts -> token ids of what is read and of what is to be written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hfcourse.data.load import Split
from hfcourse.data.pairs import Task

import numpy as np
from datasets import Features, List, Value


_FEATURES = Features(
    {
        "input_ids": List(Value("int32")),
        "labels": List(Value("int64")),
        "length": Value("int32"),
        "cut": Value("int32"),
    }
)


@dataclass(frozen=True)
class Sequences:
    """Tokenises rows of `source`, `target` and `task`: input_ids (S) of prefix and source, labels (T) of the target.

    Both are cut at their end, and `cut` says which were: 1 the source, 2 the target, 3 both. A target always ends with
    one of `ends`, so that a model learns to stop. `length` is S + T.
    """

    tokenizer: Any
    tasks: list[Task]
    max_source_length: int
    max_target_length: int
    ends: Sequence[int]

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        prefixes = [self.tasks[number].prefix for number in rows["task"]]
        sources = [prefix + source for prefix, source in zip(prefixes, rows["source"], strict=True)]
        read, cut_sources = self._ids(sources, self.max_source_length, target=False)
        written, cut_targets = self._ids(rows["target"], self.max_target_length, target=True)
        return {
            "input_ids": read,
            "labels": written,
            "length": [len(source) + len(target) for source, target in zip(read, written, strict=True)],
            "cut": [source + 2 * target for source, target in zip(cut_sources, cut_targets, strict=True)],
        }

    def _ids(self, texts: list[str], most: int, target: bool) -> tuple[list[list[int]], list[bool]]:
        """Token ids of each text, at most `most`, and whether it had more."""
        ids = self._tokenised(texts, target)
        cut = [len(row) > most for row in ids]
        if any(cut):
            # The tokenizer knows what has to stay at the end of a text that is cut.
            short = self._tokenised(texts, target, truncation=True, max_length=most)
            ids = [s if c else row for row, s, c in zip(ids, short, cut, strict=True)]
        return ids, cut

    def _tokenised(self, texts: list[str], target: bool, **options: Any) -> list[list[int]]:
        given = {"text_target": texts} if target else {"text": texts}
        ids = self.tokenizer(**given, return_attention_mask=False, verbose=False, **options)["input_ids"]
        if not target or all(row and row[-1] in self.ends for row in ids):
            return ids
        most = options.get("max_length")
        return [row if row and row[-1] in self.ends else [*row[: most and most - 1], self.ends[0]] for row in ids]


def all_texts(split: Split, tasks: list[Task]) -> Iterator[str]:
    """What a tokenizer for these rows has to spell: each source with its prefix, and each target."""
    for row in split.dataset:
        yield tasks[row["task"]].prefix + row["source"]
        yield row["target"]


def to_sequences(split: Split, sequences: Sequences, notes: list[str], shortest_first: bool = False) -> Split:
    """The split with the columns of `Sequences` beside its texts, and its counts of tokens; notes what was cut."""
    dataset = split.dataset.map(
        sequences, batched=True, features=Features({**split.dataset.features, **_FEATURES}), desc="Tokenising"
    )
    numbers = dataset.with_format("numpy")
    lengths, cut = numbers["length"][:], numbers["cut"][:]
    for bit, kind, most in ((1, "sources", sequences.max_source_length), (2, "targets", sequences.max_target_length)):
        if count := int((cut & bit > 0).sum()):
            place = split.place.rsplit(",", 1)[0]
            option = f"--max_{kind[:-1]}_length"
            notes.append(f"{count:,} of {len(cut):,} {kind} of {place} were cut at {most} tokens ({option}).")
    ordered = dataset.select(np.argsort(lengths, kind="stable")) if shortest_first else dataset
    return replace(
        split,
        dataset=ordered.remove_columns("cut"),
        rows_truncated=int((cut > 0).sum()),
        tokens=int(lengths.sum()),
        counted_tokens=sum(map(len, dataset["labels"])),
    )
