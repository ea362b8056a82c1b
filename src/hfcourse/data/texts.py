"""Plain documents for pre-training, and the blocks of tokens that they are packed into or cut up in."""

from __future__ import annotations

from typing import Any

from hfcourse.data.load import Split
from hfcourse.data.words import Words
from hfcourse.errors import InputError

import numpy as np
import pyarrow.compute as pc
from datasets import Features, IterableDataset, List, Value


DOCUMENTS = 10_000
# The word of a token that belongs to none.
NO_WORD = -1


class Texts:
    """A normaliser: the column `text` of each row, one document."""

    columns: tuple[str, ...] = ("text",)
    features = Features({"text": Value("string")})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if "text" not in row:
            raise InputError(f"no column 'text': found {', '.join(row)}; documents are rows with one column text")
        if not isinstance(row["text"], str) or not row["text"].strip():
            raise InputError("empty text: expected a document in the column text")
        return {"text": row["text"]}


def to_blocks(
    split: Split,
    tokenizer: Any,
    block_size: int,
    framed: bool = False,
    words: Words | None = None,
    packing: bool = True,
) -> Split:
    """Tokenise the documents of a split, join them with the tokenizer's separator, and cut blocks of `block_size`.

    Without `packing` nothing is joined: each document makes blocks of its own, the last one as long as what is left
    (DOC-SENTENCES in RoBERTa, Liu et al. 2019, section 4.2; packed, FULL-SENTENCES).

    Framed, each block begins with the tokenizer's [CLS] and ends with its [SEP], as whatever a BERT is given later
    does. Of each 10,000 packed documents the tail that fills no block is left out. Columns: input_ids, a list of
    `block_size` token ids, or at most as many; with `words` also word_ids, a number for each token, the same for the
    tokens of one word, -1 for separators and frame. Raises InputError where there is not one block.
    """
    separator = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    head, tail = ([tokenizer.cls_token_id], [tokenizer.sep_token_id]) if framed else ([], [])
    inner = block_size - len(head) - len(tail)
    if inner < 1:
        raise InputError(f"--block_size must be at least {block_size - inner + 1}, not {block_size}")

    def cut(texts: list[str]) -> dict[str, list[list[int]]]:
        documents = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        streams: list[tuple[list[int], list[int]]] = []
        for index, ids in enumerate(documents["input_ids"]):
            if not (packing and streams):
                streams.append(([], []))
            stream, numbers = streams[-1]
            if words is not None:
                numbers += [len(stream) + number for number in words.number(texts[index], documents.encodings[index])]
            stream += ids
            if packing:
                stream.append(separator)
                numbers.append(NO_WORD)
        shortest = inner if packing else 1
        places = [(row, i) for row in streams for i in range(0, len(row[0]) - shortest + 1, inner)]
        blocks = {"input_ids": [head + ids[i : i + inner] + tail for (ids, _), i in places]}
        if words is not None:
            before, behind = [NO_WORD] * len(head), [NO_WORD] * len(tail)
            blocks["word_ids"] = [before + numbers[i : i + inner] + behind for (_, numbers), i in places]
        return blocks

    columns = ["input_ids", "word_ids"] if words is not None else ["input_ids"]
    streamed = isinstance(split.dataset, IterableDataset)
    blocks = split.dataset.map(
        cut,
        batched=True,
        batch_size=DOCUMENTS,
        input_columns="text",
        remove_columns=[*Texts.columns, "row"],
        features=Features({column: List(Value("int32")) for column in columns}),
        **({} if streamed else {"desc": "Packing" if packing else "Tokenising"}),
    )
    if streamed:
        return Split(blocks, None, split.dropped, split.place)
    if len(blocks) == 0:
        raise InputError(f"{split.place}: its documents together have fewer than {block_size} tokens, not one block.")
    tokens = pc.sum(pc.list_value_length(blocks.data.column("input_ids"))).as_py()
    return Split(blocks, split.rows_read, split.dropped, split.place, tokens=tokens)


def to_stream(split: Split, tokenizer: Any, separated: bool = True) -> np.ndarray:
    """The tokens (T,), int32, of all documents of a split one after another; fills in `split.tokens`.

    The tokenizer's separator stands behind each document, as in `to_blocks`, unless they are not `separated`: then
    the rows are lines of one text, and their line ends say all that there is to say. Raises InputError for a stream.
    """
    if isinstance(split.dataset, IterableDataset):
        raise InputError("--streaming: the whole text has to be there")
    separator = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    behind = [separator] if separated else []

    def encode(texts: list[str]) -> dict[str, list[list[int]]]:
        documents = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        return {"input_ids": [ids + behind for ids in documents["input_ids"]]}

    encoded = split.dataset.map(
        encode,
        batched=True,
        input_columns="text",
        remove_columns=[*Texts.columns, "row"],
        features=Features({"input_ids": List(Value("int32"))}),
        desc="Tokenising",
    )
    stream = pc.list_flatten(encoded.data.column("input_ids")).to_numpy()
    split.tokens = len(stream)
    return stream
