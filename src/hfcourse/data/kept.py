"""Texts that a model goes on reading while it is trained for something else, so that it keeps what it knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import Split, load_data
from hfcourse.data.texts import Texts

import numpy as np


class KeptTexts:
    """The texts (token ids) that rows bring along: row i of epoch e brings text e R + i of R rows, and round again.

    With a seed each token has a rival, another that could stand there: one of those that follow the token before it
    in the texts, drawn as often as it does, anew in each epoch. It is the small generator of Clark et al. 2020
    ("ELECTRA") at its smallest, a bigram model. The first token of a text follows nothing and is its own rival, and
    others may be: where the two are equal, there is nothing to tell.
    """

    def __init__(self, texts: Sequence[Sequence[int]], rows: int, seed: int | None = None):
        self.texts = [np.asarray(text, dtype=np.int64) for text in texts]
        self.rows, self.seed = rows, seed
        before = np.concatenate([text[:-1] for text in self.texts])
        order = np.argsort(before, kind="stable")
        self.before = before[order]
        self.followers = np.concatenate([text[1:] for text in self.texts])[order]

    def bring(self, row: int, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The text (T,) and its rivals (T,), None without a seed."""
        number = epoch * self.rows + row
        text = self.texts[number % len(self.texts)]
        if self.seed is None:
            return text, None
        first, end = (np.searchsorted(self.before, text[:-1], side=side) for side in ("left", "right"))
        drawn = np.random.default_rng([self.seed, number]).integers(first, end)
        return text, np.concatenate([text[:1], self.followers[drawn]])


def bring_texts(
    rows: Split, name: str, tokenizer: Any, longest: int, notes: list[str], rivals_seed: int | None = None
) -> tuple[Split, KeptTexts]:
    """Encoded rows with their places in the column `place`, and the texts of the data set `name` that they bring.

    A text ends with the end-of-sequence token, as in pre-training, and is cut at `longest`. `notes` get a sentence.
    Raises InputError for texts that can't be read.
    """
    texts = load_data(DataArguments(name, eval_share=0), Texts(), seed=0).train
    found = tokenizer(texts.dataset["text"][:], add_special_tokens=False, verbose=False)["input_ids"]
    ids = [[*text, tokenizer.eos_token_id][:longest] for text in found]
    notes.append(f"Each row brings along a text of {name}: {len(ids):,} texts, {sum(map(len, ids)):,} tokens.")
    count = len(rows.dataset)
    placed = replace(rows, dataset=rows.dataset.add_column("place", list(range(count))))
    return placed, KeptTexts(ids, count, rivals_seed)
