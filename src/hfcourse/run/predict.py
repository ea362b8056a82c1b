"""`python -m hfcourse.run.predict --run runs/ner/tiny "a sentence"`: entities, the word for [MASK], a translation.

A reward model scores answers: `--run runs/reward/tiny --question "a question" "an answer" "another"`. What a run does
with a text is told by the architecture that it saved. Without a text, each line of stdin is one.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.chat import check_run
from hfcourse.run.show import leave


MASK = "[MASK]"
HAN = re.compile("[\u3400-\u9fff]")
CHINESE = re.compile("translation_(zh|[A-Za-z-]+_to_zh)")
TOP = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hfcourse.run.predict", allow_abbrev=False)
    parser.add_argument("--run", required=True, help="a run folder, a checkpoint folder, or a model on the Hub")
    parser.add_argument("--task", help="which of a sequence-to-sequence run's tasks, if it has several")
    parser.add_argument("--question", help="what the texts are answers to, for a reward model")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="without one, the lines of stdin")
    options = parser.parse_args()
    try:
        predict = load_predictor(options.run, options.task, options.question)
        for text in options.texts or lines():
            print("\n".join([text, *(f"  {line}" for line in predict(text))]), flush=True)
    except InputError as e:
        leave(str(e), 2)
    except (KeyboardInterrupt, EOFError):
        print()


def lines() -> Iterator[str]:
    """The lines of stdin that are not blank; asked for one by one where somebody types them."""
    if not sys.stdin.isatty():
        yield from filter(None, map(str.strip, sys.stdin))
    else:
        while True:
            yield from filter(None, [input("\ntext> ").strip()])


def load_predictor(name: str, task: str | None = None, question: str | None = None) -> Callable[[str], list[str]]:
    """What a run answers to a text, as lines; raises InputError for a run that can do nothing of this."""
    # Imported here so that --help and a missing folder answer at once.
    check_run(name)
    from hfcourse.run.models import load

    from transformers import (
        AutoConfig,
        AutoModelForMaskedLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
    )
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    config = load(AutoConfig, name, None)
    architecture = (config.architectures or ["a model without a name"])[0]
    for ending, auto_class, make in (
        ("ForTokenClassification", AutoModelForTokenClassification, tagger),
        ("ForMaskedLM", AutoModelForMaskedLM, mask_filler),
        ("ForSequenceClassification", AutoModelForSequenceClassification, partial(judge, question)),
        ("", AutoModelForSeq2SeqLM if config.is_encoder_decoder else None, writer),
    ):
        if architecture.endswith(ending) and auto_class is not None:
            tokenizer = load(AutoTokenizer, name, None)
            return make(load(auto_class, name, None, use_safetensors=True).eval(), tokenizer, task)
    raise InputError(
        f"{name} is {architecture}: predict knows taggers, masked language models, reward models and encoder-decoders "
        "(make chat talks to an sft run)"
    )


def tagger(model: Any, tokenizer: Any, task: str | None) -> Callable[[str], list[str]]:
    from hfcourse.run.entities import find_entities

    find = find_entities(model, tokenizer)
    return lambda text: [f"{e['text']}  {e['type']}  {e['score']:.2f}" for e in find(text)] or ["(no entity)"]


def mask_filler(model: Any, tokenizer: Any, task: str | None) -> Callable[[str], list[str]]:
    """The five likeliest tokens for each [MASK], with their probabilities."""
    from hfcourse.run.ner import window_size

    import torch

    most, _ = window_size(model, tokenizer)

    @torch.no_grad()
    def fill(text: str) -> list[str]:
        ids = tokenizer(text.replace(MASK, tokenizer.mask_token), return_tensors="pt")["input_ids"]  # (1, T)
        places = (ids[0] == tokenizer.mask_token_id).nonzero()[:, 0]
        if not len(places):
            raise InputError(f"nothing to fill in {text!r}: write {MASK} where a token is missing")
        if ids.shape[1] > most:
            raise InputError(f"the text has {ids.shape[1]} tokens, and this model takes {most}")
        best = model(input_ids=ids).logits[0, places].softmax(-1).topk(TOP)  # (M, TOP)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [
            "  ".join(f"{tokenizer.decode([i]).strip()} {p:.2f}" for i, p in zip(*row, strict=True)) for row in pairs
        ]

    return fill


def judge(question: str | None, model: Any, tokenizer: Any, task: str | None) -> Callable[[str], list[str]]:
    """The score of each text as an answer to the question, by a reward model; more is better."""
    from hfcourse.run.scoring import Scorer

    scorer = Scorer(model, tokenizer)
    if question is None and tokenizer.chat_template is not None:
        raise InputError("a reward model scores answers: give --question what they are answers to")
    return lambda text: [f"{scorer(question or '', [text])[0]:+.3f}"]


def writer(model: Any, tokenizer: Any, task: str | None) -> Callable[[str], list[str]]:
    """What an encoder-decoder writes for each of its tasks, or for `task`; a text may begin with a task's prefix.

    Of translations from and into Chinese a text gets the one that its characters ask for.
    """
    import torch

    tasks = {name: of["prefix"] for name, of in (model.config.task_specific_params or {}).items() if "prefix" in of}
    if task is not None and task not in tasks:
        raise InputError(f"no task {task}: this model has {', '.join(tasks) or 'one task only'}")
    tasks = {task: tasks[task]} if task else tasks or {"": ""}
    most = tokenizer.model_max_length

    @torch.no_grad()
    def answer(text: str) -> str:
        ids = tokenizer(text, return_tensors="pt", verbose=False)["input_ids"]  # (1, S)
        if ids.shape[1] > most:
            raise InputError(f"the text has {ids.shape[1]} tokens with its prefix, and this model reads {most}")
        return tokenizer.decode(model.generate(input_ids=ids)[0], skip_special_tokens=True).strip()

    def write(text: str) -> list[str]:
        if any(prefix and text.startswith(prefix) for prefix in tasks.values()):
            return [answer(text)]
        chinese = bool(HAN.search(text))
        fit = [name for name in tasks if not CHINESE.match(name) or name.startswith("translation_zh") == chinese]
        names = [name for name in tasks if name in fit or not fit]
        return [(f"{name}  " if len(tasks) > 1 else "") + answer(tasks[name] + text) for name in names]

    return write


if __name__ == "__main__":
    main()
