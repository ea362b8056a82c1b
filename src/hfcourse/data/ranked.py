"""Rows of `hfcourse.data.preferences` -> token ids of each answer with its prompt, and batches of whole rankings."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hfcourse.data.kept import KeptTexts
from hfcourse.data.load import OVERLAP, Data, Split
from hfcourse.data.rows import code_version, content
from hfcourse.errors import InputError

import numpy as np
import pyarrow.compute as pc
import torch
from datasets import Features, IterableDataset, List, Value
from torch.nn.utils.rnn import pad_sequence


ABSENT = -100
SHARED = ("refuse", "drop", "allow")
_FEATURES = Features(
    {
        "input_ids": List(List(Value("int32"))),
        "ranks": List(Value("int64")),
        "aspect": Value("string"),
        "length": Value("int64"),
        "row": Value("int64"),
        "problem": Value("string"),
    }
)
Read = Callable[[Any, Any], list[int]]


def check_prompts(data: Data, shared: str) -> None:
    """Refuse prompts that are on both sides, or with "allow" say in the notes how many there are.

    Training rows that `load_data` took out for it, with "drop", are counted by it. Raises InputError.
    """
    if data.test is None:
        return
    number = data.train.dropped.get(OVERLAP, 0)
    if shared == "refuse" and number:
        raise InputError(
            f"{number} training rows have the prompt of an evaluation row, so that accuracy would be measured on what "
            "was trained: --shared_prompts drop takes them out, --shared_prompts allow keeps them"
        )
    if shared == "allow":
        prompts = set(map(content, data.test.dataset["prompt"]))
        number = sum(content(prompt) in prompts for prompt in data.train.dataset["prompt"])
        data.notes.append(f"Prompts: {number} training rows have the prompt of an evaluation row (allowed).")


def is_plain(split: Split) -> bool:
    """Whether the rows are strings, not messages."""
    return split.dataset.features["prompt"] == Value("string")


def encode_answers(
    split: Split,
    desc: str,
    read: Read,
    longest: int,
    skip_bad_rows: bool = False,
    num_proc: int | None = None,
    shortest_first: bool = False,
) -> Split:
    """The split with the columns `input_ids` (K, T), `ranks` (K,), `aspect`, `length` and `row`, and its tokens.

    Args:
        read: token ids of a prompt with one of its answers; may raise InputError.
        longest: a row with an answer of more tokens than this is dropped and counted: cut, it would be another text.
        shortest_first: in the order of `length`, for an evaluation with little padding.

    Raises:
        InputError: a row that `read` refuses, with its place (dropped and counted with `skip_bad_rows`), no row left.
    """
    if isinstance(split.dataset, IterableDataset):
        raise InputError("--streaming does not go with preferences: long rows and shared prompts are counted first")
    encoded = split.dataset.map(
        _encode_row,
        fn_kwargs={
            "read": read,
            "longest": longest,
            "place": split.place,
            "skip_bad_rows": skip_bad_rows,
            "code": code_version(read),
        },
        remove_columns=split.dataset.column_names,
        features=_FEATURES,
        num_proc=num_proc,
        desc=desc,
    )
    problems = encoded.data.column("problem").to_pylist()
    dropped = Counter(problem for problem in problems if problem is not None)
    kept = [i for i, problem in enumerate(problems) if problem is None]
    if not kept:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in dropped.items())
        raise InputError(f"{split.place.rsplit(',', 1)[0]} has no row that can be used: {reasons}.")
    if shortest_first:
        kept.sort(key=encoded.data.column("length").to_pylist().__getitem__)
    rows = encoded.select(kept).remove_columns("problem")
    tokens = sum(pc.sum(pc.list_value_length(pc.list_flatten(chunk))).as_py() for chunk in _chunks(rows))
    return replace(split, dataset=rows, dropped=dict(Counter(split.dropped) + dropped), tokens=tokens)


def _chunks(rows: Any) -> list[Any]:
    return rows.with_format("arrow")["input_ids"][:].chunks


def _encode_row(
    row: dict[str, Any], read: Read, longest: int, place: str, skip_bad_rows: bool, code: str
) -> dict[str, Any]:
    """For `map`; `code` is there for its cache, as in `hfcourse.data.rows`."""
    ids: list[list[int]] = []
    problem = None
    try:
        ids = [read(row["prompt"], answer) for answer in row["answers"]]
    except InputError as error:
        if not skip_bad_rows:
            raise InputError(f"{place} {row['row']}: {error}.") from None
        problem = str(error).split(":")[0]
    length = max(map(len, ids), default=0)
    if length > longest:
        problem = f"longer than {longest} tokens"
    kept = {name: row[name] for name in ("ranks", "aspect", "row")}
    return kept | {"input_ids": ids, "length": length, "problem": problem}


def describe_rankings(split: Split | None) -> str:
    """How many answers and pairs the rows of an encoded split hold, as the end of its line in the plan."""
    if split is None:
        return ""
    ranks = [np.array(row) for row in split.dataset["ranks"]]
    pairs = sum(int((row[:, None] < row[None, :]).sum()) for row in ranks)
    tied = sum(len(row) * (len(row) - 1) // 2 for row in ranks) - pairs
    return f", {sum(map(len, ranks)):,} answers in {pairs:,} pairs" + (f", {tied:,} more are tied" if tied else "")


class RankedCollator:
    """Whole rankings, padded on the right: input_ids and attention_mask (B, K, T), labels (B, K) the ranks.

    Texts that rows bring along (`hfcourse.data.kept`) come as kept_ids and kept_mask (B, T), and kept_rivals (B, T).
    Rows with fewer than K answers are filled up with ABSENT ranks. A ranking is never spread over batches: its pairs
    are not independent, and as rows of their own they would be over-fitted in one epoch (Ouyang et al. 2022, 3.5).
    """

    def __init__(self, pad_token_id: int, kept: KeptTexts | None = None):
        self.pad_token_id, self.kept, self.epoch = pad_token_id, kept, 0

    def set_epoch(self, epoch: int) -> None:
        """Bring other texts than in the epoch before."""
        self.epoch = epoch

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        most = max(len(row["ranks"]) for row in rows)
        width = max(len(ids) for row in rows for ids in row["input_ids"])
        ids = torch.full((len(rows), most, width), self.pad_token_id)
        mask, labels = torch.zeros_like(ids), torch.full((len(rows), most), ABSENT)
        for b, row in enumerate(rows):
            labels[b, : len(row["ranks"])] = torch.tensor(row["ranks"])
            for k, answer in enumerate(row["input_ids"]):
                ids[b, k, : len(answer)] = torch.tensor(answer)
                mask[b, k, : len(answer)] = 1
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if self.kept is not None and "place" in rows[0]:  # the rows of an evaluation bring none
            texts, rivals = zip(*(self.kept.bring(row["place"], self.epoch) for row in rows), strict=True)
            batch["kept_ids"] = self._pad(texts, self.pad_token_id)
            batch["kept_mask"] = self._pad([np.ones_like(text) for text in texts], 0)
            if self.kept.seed is not None:
                batch["kept_rivals"] = self._pad(rivals, self.pad_token_id)
        return batch

    def _pad(self, texts: Sequence[np.ndarray], value: int) -> torch.Tensor:
        return pad_sequence([torch.from_numpy(text) for text in texts], True, value)
