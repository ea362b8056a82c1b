"""Texts that a model goes on reading while it is trained for something else, so that it keeps what it knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import Split, load_data
from hfcourse.data.texts import Texts

import numpy as np


def bring_texts(
    rows: Split, name: str, tokenizer: Any, longest: int, notes: list[str], rivals_seed: int | None = None
) -> Split:
    """Encoded rows with the column `kept`, token ids of a text that each brings along; says so in `notes`.

    Row i brings text i of the data set `name`, and the first again after the last. A text ends with the
    end-of-sequence token, as in pre-training, and is cut at `longest`. With a seed each token has a rival in the
    column `rivals`. Raises InputError for texts that can't be read.
    """
    source = DataArguments(name, eval_share=0, max_train_samples=len(rows.dataset))
    texts = load_data(source, Texts(), seed=0).train
    found = tokenizer(texts.dataset["text"][:], add_special_tokens=False, verbose=False)["input_ids"]
    ids = [[*text, tokenizer.eos_token_id][:longest] for text in found]
    kept = [ids[i % len(ids)] for i in range(len(rows.dataset))]
    notes.append(
        f"Each row brings along a text of {name} to predict: {len(ids):,} texts, {sum(map(len, kept)):,} tokens."
    )
    dataset = rows.dataset.add_column("kept", kept)
    if rivals_seed is not None:
        dataset = dataset.add_column("rivals", draw_rivals(kept, rivals_seed))
    return replace(rows, dataset=dataset)


def draw_rivals(texts: Sequence[Sequence[int]], seed: int) -> list[list[int]]:
    """For each token one that could stand there: drawn among those that follow the token before it in the texts.

    It is the small generator of Clark et al. 2020 ("ELECTRA") at its smallest, a bigram model. The first token of a
    text follows nothing and is its own rival, and others may be: where they are equal, there is nothing to tell.
    """
    flat = np.concatenate([np.asarray(text, dtype=np.int64) for text in texts])
    ends = np.cumsum([len(text) for text in texts])
    after = np.setdiff1d(np.arange(len(flat)), [0, *ends[:-1]])  # places with a token before them
    before = flat[after - 1]
    order = np.argsort(before, kind="stable")
    followers, before_them = flat[after[order]], before[order]
    first, end = (np.searchsorted(before_them, before, side=side) for side in ("left", "right"))
    rivals = flat.copy()
    rivals[after] = followers[np.random.default_rng(seed).integers(first, end)]
    return [part.tolist() for part in np.split(rivals, ends[:-1])]
