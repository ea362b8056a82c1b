"""Plain documents for pre-training, and the blocks of tokens that they are packed into."""

from __future__ import annotations

from itertools import chain
from typing import Any

from hfcourse.data.load import Split
from hfcourse.errors import InputError

from datasets import Features, IterableDataset, List, Value


DOCUMENTS = 10_000


class Texts:
    """A normaliser: the column `text` of each row, one document."""

    columns = ("text",)
    features = Features({"text": Value("string")})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if "text" not in row:
            raise InputError(f"no column 'text': found {', '.join(row)}; documents are rows with one column text")
        if not isinstance(row["text"], str) or not row["text"].strip():
            raise InputError("empty text: expected a document in the column text")
        return {"text": row["text"]}


def to_blocks(split: Split, tokenizer: Any, block_size: int) -> Split:
    """Tokenise the documents of a split, join them with the tokenizer's separator, and cut blocks of `block_size`.

    Of each 10,000 documents the tail that fills no block is left out.
    Columns: input_ids, a list of exactly `block_size` token ids. Raises InputError where there is not one whole block.
    """
    separator = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id

    def pack(texts: list[str]) -> dict[str, list[list[int]]]:
        documents = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        stream = list(chain.from_iterable([*document, separator] for document in documents))
        whole = len(stream) - len(stream) % block_size
        return {"input_ids": [stream[i : i + block_size] for i in range(0, whole, block_size)]}

    streamed = isinstance(split.dataset, IterableDataset)
    blocks = split.dataset.map(
        pack,
        batched=True,
        batch_size=DOCUMENTS,
        input_columns="text",
        remove_columns=[*Texts.columns, "row"],
        features=Features({"input_ids": List(Value("int32"))}),
        **({} if streamed else {"desc": "Packing"}),
    )
    if streamed:
        return Split(blocks, None, split.dropped, split.place)
    if len(blocks) == 0:
        raise InputError(f"{split.place}: its documents together have fewer than {block_size} tokens, not one block.")
    return Split(blocks, split.rows_read, split.dropped, split.place, tokens=len(blocks) * block_size)
