"""Texts that a model goes on predicting while it is trained for something else, so that it keeps what it knows."""

from dataclasses import replace
from typing import Any

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import Split, load_data
from hfcourse.data.texts import Texts


def bring_texts(rows: Split, name: str, tokenizer: Any, longest: int, notes: list[str]) -> Split:
    """Encoded rows with the column `kept`, token ids of a text that each brings along; says so in `notes`.

    Row i brings text i of the data set `name`, and the first again after the last. A text ends with the
    end-of-sequence token, as in pre-training, and is cut at `longest`. Raises InputError for texts that can't be read.
    """
    source = DataArguments(name, eval_share=0, max_train_samples=len(rows.dataset))
    texts = load_data(source, Texts(), seed=0).train
    found = tokenizer(texts.dataset["text"][:], add_special_tokens=False, verbose=False)["input_ids"]
    ids = [[*text, tokenizer.eos_token_id][:longest] for text in found]
    kept = [ids[i % len(ids)] for i in range(len(rows.dataset))]
    notes.append(
        f"Each row brings along a text of {name} to predict: {len(ids):,} texts, {sum(map(len, kept)):,} tokens."
    )
    return replace(rows, dataset=rows.dataset.add_column("kept", kept))
