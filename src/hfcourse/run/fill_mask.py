"""Fill-mask questions with known answers, asked of a masked language model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.exact_match import grouped_accuracy
from hfcourse.run.answers import read_exam, share_out

import torch


GAP = "[MASK]"
COLUMNS = ("text", "answer", "lang")


@dataclass(frozen=True)
class Cloze:
    """A text with one gap: token ids (T) with a mask token for each piece of the answer, and these pieces (N)."""

    text: str
    answer: str
    lang: str
    ids: list[int]
    pieces: list[int]


def read_cloze(path: str | None, tokenizer: Any, longest: int) -> list[Cloze]:
    """The rows of an exam in JSONL: `text` with one [MASK] that stands for the `answer`, and `lang`; [] without one.

    The whole sentence is tokenised, framed as the tokenizer frames any text, and then the answer's pieces are masked:
    so a gap has as many mask tokens as its answer has pieces where it stands. Raises InputError with file and line.
    """
    return read_exam(path, COLUMNS, _parser(tokenizer, longest))


def _parser(tokenizer: Any, longest: int) -> Callable[[dict[str, Any]], Cloze]:
    def parse(row: dict[str, Any]) -> Cloze:
        text, answer = row["text"], row["answer"]
        if not isinstance(text, str) or text.count(GAP) != 1:
            raise InputError(f"expected a text with one {GAP} in it, found {text!r:.80}")
        if not isinstance(answer, str) or not answer.strip():
            raise InputError(f"expected the answer as a text, found {answer!r:.80}")
        if not tokenizer.is_fast:
            raise InputError(
                f"{type(tokenizer).__name__} doesn't tell where its tokens stand: --exam none goes without"
            )
        start = text.index(GAP)
        encoded = tokenizer(text.replace(GAP, answer), return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        if len(ids) > longest:
            raise InputError(f"the text has {len(ids)} tokens, and the model takes {longest}")
        places = [i for i, (a, b) in enumerate(offsets) if a < b and a < start + len(answer) and b > start]
        masked = [tokenizer.mask_token_id if i in places else token for i, token in enumerate(ids)]
        return Cloze(text, answer, str(row["lang"]), masked, [ids[i] for i in places])

    return parse


@torch.no_grad()
def fill(model: Any, tokenizer: Any, questions: list[Cloze], batch_size: int = 128) -> list[list[int]]:
    """The likeliest token for each mask token of each question, all masks filled at once; the processes share them."""
    device, pad, mask = next(model.parameters()).device, tokenizer.pad_token_id, tokenizer.mask_token_id

    def guess(batch: list[int]) -> list[list[int]]:
        rows = [questions[i].ids for i in batch]
        width = max(map(len, rows))
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows]).to(device)  # (B, T)
        attention = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]).to(device)
        guesses = model(input_ids=ids, attention_mask=attention).logits.argmax(-1)  # (B, T)
        return [row[tokens == mask].tolist() for row, tokens in zip(guesses, ids, strict=True)]

    return share_out(model, [len(question.ids) for question in questions], guess, batch_size)


def fact_accuracy(questions: list[Cloze], guesses: list[list[int]]) -> dict[str, float]:
    """`fact_accuracy_<lang>`: the share of questions filled right.

    A question is right only if, with all N mask tokens in the text, the likeliest token at the i-th of them is the
    i-th piece of the answer, for every i: no piece is told, and none is guessed after another.
    """
    pairs = zip(questions, guesses, strict=True)
    return grouped_accuracy((f"fact_accuracy_{question.lang}", guess == question.pieces) for question, guess in pairs)
