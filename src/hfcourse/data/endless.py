"""As many blocks of tokens as a run takes that sees none twice: of a corpus, or of documents made by number."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

from hfcourse.data.load import Split
from hfcourse.data.texts import to_blocks
from hfcourse.errors import InputError

from datasets import Dataset, IterableDataset


# How many documents tell how long one is, and what is made beyond what that says.
MEASURED, MORE = 1000, 1.02
PLACE = "documents by number"


def fill_blocks(
    documents: Callable[[int, int], Iterator[dict[str, Any]]], tokenizer: Any, block_size: int, number: int
) -> Split:
    """`number` packed blocks of the first documents that fill them; see `to_blocks`.

    `documents(first, last)` gives rows with the column text: the same for the same numbers, whenever it is asked.
    """
    lengths = tokenizer([row["text"] for row in documents(0, MEASURED)], return_length=True)["length"]
    # Of each 10,000 documents the tail that fills no block is left out.
    wanted = ceil(number * block_size / (sum(lengths) / MEASURED + 1) * MORE) + 10
    while True:
        texts = [row["text"] for row in documents(0, wanted)]
        rows = Dataset.from_dict({"text": texts, "row": list(range(wanted))})
        blocks = to_blocks(Split(rows, wanted, {}, PLACE), tokenizer, block_size)
        if len(blocks.dataset) >= number:
            return Split(blocks.dataset.select(range(number)), wanted, {}, PLACE, tokens=number * block_size)
        wanted = ceil(wanted * MORE)


def first_blocks(split: Split, tokenizer: Any, block_size: int, number: int) -> Split:
    """`number` packed blocks of a corpus; raises InputError where it has fewer. A stream's end is seen as it comes."""
    blocks = to_blocks(split, tokenizer, block_size)
    if isinstance(blocks.dataset, IterableDataset):
        return blocks
    if len(blocks.dataset) < number:
        raise InputError(
            f"{split.place}: the longest run takes {number * block_size:,} tokens and there are "
            f"{len(blocks.dataset) * block_size:,}, of which none may be seen twice: more documents, smaller --budgets"
        )
    return Split(
        blocks.dataset.select(range(number)), split.rows_read, split.dropped, split.place, tokens=number * block_size
    )
