"""A few prompts with their expected answers, for the samples that a recipe shows before and after training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from hfcourse.data.load import Split


OPENING = 12  # tokens of a plain text that its continuation is asked for


@dataclass
class Prompt:
    """Token ids of a question (T,), the question and the expected answer as text."""

    ids: list[int]
    text: str
    answer: str


def sample_prompts(split: Split, tokenizer: Any, exam: list[dict[str, Any]], count: int) -> list[Prompt]:
    """`count` prompts: spread evenly over the exam where there is one, else the first rows of the split."""
    if exam:
        rows = exam[:: max(len(exam) // max(count, 1), 1)][:count]
        return [_chat(tokenizer, row["prompt"], row["answer"]) for row in rows]
    return [_from_row(row, tokenizer) for row in islice(split.dataset, count)]


def _from_row(row: dict[str, Any], tokenizer: Any) -> Prompt:
    if "messages" in row:
        messages = row["messages"]
        turns = range(row["prompt_turns"], len(messages))
        answer = next(i for i in turns if messages[i]["role"] == "assistant")
        return _chat(tokenizer, messages[:answer], messages[answer]["content"])
    if "prompt" in row:
        return Prompt(tokenizer(row["prompt"])["input_ids"], row["prompt"], row["completion"])
    ids = tokenizer(row["text"], add_special_tokens=True)["input_ids"][:OPENING]
    return Prompt(ids, tokenizer.decode(ids, skip_special_tokens=True), row["text"][:200])


def _chat(tokenizer: Any, messages: list[dict[str, str]], answer: str) -> Prompt:
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    return Prompt(encoded["input_ids"], messages[-1]["content"], answer)
