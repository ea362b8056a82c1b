"""What ways to generate are compared on: the models that write and judge, the prompts, the openings of an exam."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.answers import read_exam
from hfcourse.run.fill_mask import COLUMNS, GAP
from hfcourse.run.models import load_for_scoring, load_named, longest_input

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from trl import ModelConfig


# Han characters and the punctuation that stands between them: no space does.
HAN = "\u3000-\u303f\u3400-\u9fff\uff00-\uffef\u00b7"
MORE = 2  # tokens in which an answer may be written than it has


@dataclass(frozen=True)
class Prompt:
    """Ids (T,) to continue, their text, and what comes next itself (N,); of an exam also its answer and language."""

    ids: list[int]
    text: str
    own: list[int]
    answer: str = ""
    lang: str = ""


@dataclass(frozen=True)
class Reader:
    """A model that writes or judges, and its tokenizer."""

    name: str
    model: Any
    tokenizer: Any


def load_readers(
    args: ModelConfig, judge: str | None, infiller: str | None, device: torch.device
) -> tuple[tuple[Reader, Reader | None, Reader | None], str]:
    """The causal model, the judge and the infiller, None where none is named; and a note on its weights."""
    model, tokenizer, note = load_for_scoring(args, device)
    name = str(args.model_name_or_path)
    if model.config.is_encoder_decoder:
        raise InputError(f"{name} is an encoder-decoder: decode compares ways to continue a text, with a causal model")
    return (
        Reader(name, model, tokenizer),
        load_reader(judge, AutoModelForCausalLM, device) if judge else None,
        load_reader(infiller, AutoModelForMaskedLM, device) if infiller else None,
    ), note


def load_reader(name: str, auto_class: Any, device: torch.device) -> Reader:
    """A second checkpoint, given as a folder, or as name@revision on the Hub."""
    model, tokenizer = load_named(auto_class, name)
    if auto_class is AutoModelForMaskedLM and tokenizer.mask_token_id is None:
        raise InputError(f"--infiller {name}: its tokenizer has no mask token")
    return Reader(name, model.to(device).eval(), tokenizer)


def read_prompts(texts: Sequence[str], reader: Reader, length: int, new: int, behind: int = 0) -> list[Prompt]:
    """The first `length` tokens of each document that has `new` more, with these; InputError where none has.

    Raises InputError too where prompt, text and what comes `behind` it are more tokens than the model takes.
    """
    tokenizer = reader.tokenizer
    longest = longest_input(reader.model, tokenizer)
    if length < 1 or new < 1 or length + new + behind > longest:
        raise InputError(
            f"--prompt_tokens {length} and --max_new_tokens {new}: each is 1 or more, and together at most the "
            f"{longest - behind} that {reader.name} takes"
        )
    prompts, head = [], head_ids(tokenizer)
    for text in texts:
        ids = head + tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= length + new:
            opening = tokenizer.decode(ids[:length], skip_special_tokens=True)
            prompts.append(Prompt(ids[:length], opening, ids[length : length + new]))
    if not prompts:
        raise InputError(f"none of the {len(texts):,} documents has {length + new} tokens or more in {reader.name}")
    return prompts


def read_openings(path: str | None, tokenizer: Any, longest: int) -> tuple[list[Prompt], int]:
    """What comes before the gap of each row of a fill-mask exam, where that tells the answer; and how many rows don't.

    A row doesn't that begins with its gap, or with what other answers have in common ("X has"). Raises InputError with
    file and line, and for an opening that leaves no room for its answer in `longest` tokens.
    """

    def parse(row: dict[str, Any]) -> Prompt:
        text, answer = row["text"], row["answer"]
        if not isinstance(text, str) or text.count(GAP) != 1 or not isinstance(answer, str) or not answer.strip():
            raise InputError(f"expected a text with one {GAP} in it and an answer, found {text!r:.80}, {answer!r:.40}")
        opening = text[: text.index(GAP)].rstrip()
        ids, told = (
            head_ids(tokenizer) + tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (opening, f"{opening} {answer}")
        )
        if len(told) + MORE > longest:
            raise InputError(
                f"the text has {len(told)} tokens before the end of its answer, the model takes {longest}"
            )
        return Prompt(ids, opening, told[len(ids) :], answer.strip(), str(row["lang"]))

    rows = read_exam(path, COLUMNS, parse)
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(row.text, set()).add(row.answer)
    told = [row for row in rows if row.text and len(answers[row.text]) == 1]
    if rows and not told:
        raise InputError(f"{path}: no text tells before its gap what is to come")
    return told, len(rows) - len(told)


def names(text: str, answer: str) -> bool:
    """Whether the answer stands in a text, as whole words."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.ASCII) is not None


def join_pieces(text: str) -> str:
    """A text of BERT's pieces as it is written: no space between Han characters or before punctuation."""
    return re.sub(r" (?=[.,:;?!'])", "", re.sub(f"(?<=[{HAN}]) (?=[{HAN}])", "", text))


def read_all_prompts(
    texts: Sequence[str], readers: Sequence[Reader | None], exam: str | None, length: int, new: int
) -> tuple[dict[str, list[Prompt]], list[str]]:
    """The prompts of each part of the work: texts, truth (with an exam) and passes (with an infiller); and notes."""
    model, _, infiller = readers
    assert model is not None
    prompts = {"texts": read_prompts(texts, model, length, new)}
    notes = [f"{len(prompts['texts']):,} of {len(texts):,} documents have the {length + new} tokens to be used"]
    openings, without = read_openings(exam, model.tokenizer, longest_input(model.model, model.tokenizer))
    if openings:
        prompts["truth"] = openings
        notes.append(
            f"exam: {len(openings):,} openings to continue; {without:,} that don't tell what comes are left out"
        )
    if infiller is not None:
        prompts["passes"] = read_prompts(texts, infiller, length, new, behind=1)  # [SEP]
        notes.append(f"all at once: {len(prompts['passes']):,} documents by the infiller's tokens, {new} masks each")
    return prompts, notes


def head_ids(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before any text: Llama's <s>, BERT's [CLS], nothing for GPT-2."""
    known = (tokenizer.bos_token_id, tokenizer.cls_token_id)
    return [token for token in tokenizer("")["input_ids"][:1] if token in known]


def pad_id(tokenizer: Any) -> int:
    """The id that fills rows up, behind an attention mask."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
