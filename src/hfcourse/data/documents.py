"""Documents as rows of their own, with what is known of how far back the words that they need were said."""

from __future__ import annotations

from typing import Any

from hfcourse.data.load import Split
from hfcourse.data.texts import Texts
from hfcourse.errors import InputError

import pyarrow.compute as pc
from datasets import Features, IterableDataset, List, Value


# Where a marked word was last said: in the same sentence, in an earlier one, at the document's start alone.
DISTANCES = ("sentence", "earlier", "start")
MARK = {"start": Value("int32"), "end": Value("int32"), "distance": Value("string")}


class Documents(Texts):
    """A normaliser: the column `text`, one document, and, where there are any, its `marks`.

    A mark {"start", "end", "distance"} is a span of characters and the place, one of DISTANCES, that has to be
    remembered to tell it.
    """

    columns = ("text", "marks")
    compared = ("text",)
    features = Features({**Texts.features, "marks": List(MARK)})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        document = super().__call__(row)
        marks = row.get("marks") or []
        for mark in marks:
            if not (isinstance(mark, dict) and mark.keys() == MARK.keys() and mark["distance"] in DISTANCES):
                named = f"start, end and a distance ({', '.join(DISTANCES)})"
                raise InputError(f"wrong mark: expected {named}, found {mark}")
            if not 0 <= mark["start"] < mark["end"] <= len(document["text"]):
                raise InputError(f"wrong mark: {mark} is no span of {len(document['text'])} characters")
        return document | {"marks": marks}


def to_rows(split: Split, tokenizer: Any, length: int, notes: list[str]) -> Split:
    """Tokenise the documents of a split, each for itself, and cut those that are longer than `length` tokens.

    Every row begins with the tokenizer's end-of-text token, which says that nothing stands before and is not
    predicted; a document ends with it. Columns: input_ids (T), distances (T): 1 + the place in DISTANCES of a token
    inside a mark, 0 elsewhere. `notes` gets a sentence on what was cut. Raises InputError for a stream, a tokenizer
    without an end-of-text token, and a `length` of less than two.
    """
    if isinstance(split.dataset, IterableDataset):
        raise InputError("--streaming has no effect here: an n-gram model counts all of its data at once")
    if length < 2:
        raise InputError(f"--block_size must be at least 2, not {length}")
    if (end := tokenizer.eos_token_id) is None:
        raise InputError(f"{tokenizer.name_or_path or 'the tokenizer'} has no end-of-text token to begin a row with")

    def cut(texts: list[str], marks: list[list[dict[str, Any]]]) -> dict[str, list[list[int]]]:
        found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        rows: dict[str, list[list[int]]] = {"input_ids": [], "distances": []}
        for ids, spans, marked in zip(found["input_ids"], found["offset_mapping"], marks, strict=True):
            far = [0] * (len(ids) + 1)
            for mark in marked:
                for place, (first, last) in enumerate(spans):
                    if first < mark["end"] and last > mark["start"]:
                        far[place] = 1 + DISTANCES.index(mark["distance"])
            for i in range(0, len(far), length - 1):
                rows["input_ids"].append([end, *[*ids, end][i : i + length - 1]])
                rows["distances"].append([0, *far[i : i + length - 1]])
        return rows

    rows = split.dataset.map(
        cut,
        batched=True,
        input_columns=list(Documents.columns),
        remove_columns=[*Documents.columns, "row"],
        features=Features({"input_ids": List(Value("int32")), "distances": List(Value("int8"))}),
        desc="Tokenising",
    )
    tokens = pc.sum(pc.list_value_length(rows.data.column("input_ids"))).as_py()
    documents = len(split.dataset)
    if len(rows) > documents:
        notes.append(
            f"{documents:,} documents of {split.place.rsplit(',', 1)[0]} make {len(rows):,} rows of at most {length} "
            "tokens: of what stands before a cut, no model sees anything."
        )
    return Split(rows, split.rows_read, split.dropped, split.place, tokens=tokens, counted_tokens=tokens - len(rows))
