"""Prompts for training on answers that the model draws itself: conversations that wait for an answer, or texts."""

from typing import Any

from hfcourse.data.conversations import Messages, Text
from hfcourse.data.load import Split
from hfcourse.data.rows import Normaliser
from hfcourse.errors import InputError

from datasets import Dataset, Features, List, Value


TOO_LONG = "too long for the context"


class Prompts:
    """The normaliser for prompts: `detect` chooses by the first row. A column `prompt` (messages or a text), or
    whatever fine-tuning takes: of a conversation the last answer is left out, a text is a prompt as it stands.
    """

    def detect(self, row: dict[str, Any]) -> Normaliser:
        """Raises InputError when neither fits the columns."""
        if isinstance(row.get("prompt"), str):
            return TextPrompt("prompt")
        if isinstance(row.get("text"), str):
            return TextPrompt("text")
        if any(row.get(name) is not None for name in ("prompt", "messages", "conversations", "instruction")):
            return ConversationPrompt()
        raise InputError(
            f"unknown columns: found {', '.join(map(str, row)) or 'none'}, expected prompt (a text or messages), "
            "messages, conversations, instruction and output, or text"
        )


class TextPrompt:
    """`prompt`: a text to be continued."""

    features = Features({"prompt": Value("string")})

    def __init__(self, column: str):
        self._read = Text(column)
        self.columns = frozenset({column})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"prompt": self._read(row)["text"]}


class ConversationPrompt:
    """`prompt`: messages, of which the last is not the assistant's."""

    features = Features({"prompt": List({"role": Value("string"), "content": Value("string")})})
    columns = Messages.columns - {"tools", "completion"}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        row = {name: value for name, value in row.items() if value is not None}
        # What is asked needs no answer; `Messages` wants one.
        if isinstance(row.get("prompt"), list) and row["prompt"]:
            row = row | {"completion": [{"role": "assistant", "content": "-"}]}
        elif "prompt" in row:
            raise InputError("no prompt: expected messages or a text")
        messages = Messages()(row)["messages"]
        while messages[-1]["role"] == "assistant":
            messages.pop()
        return {"prompt": messages}


def fit_prompts(split: Split, tokenizer: Any, longest: int, first: int | None = None) -> Split:
    """Drop and count the prompts of more than `longest` tokens; with `first`, texts are cut to their first tokens.

    Raises InputError where none is left.
    """
    rows = split.dataset["prompt"][:]  # type: ignore[index]
    if first is not None and isinstance(rows[0], str):
        rows = [tokenizer.decode(ids[:first], skip_special_tokens=True) for ids in tokenizer(rows)["input_ids"]]
        split.dataset = Dataset.from_dict(split.dataset.to_dict() | {"prompt": rows})  # type: ignore[union-attr]
    if isinstance(rows[0], str):
        encoded = tokenizer(rows)["input_ids"]
    else:
        encoded = tokenizer.apply_chat_template(rows, add_generation_prompt=True, tokenize=True, return_dict=True)
        encoded = encoded["input_ids"]
    kept = [i for i, ids in enumerate(encoded) if len(ids) <= longest]
    if not kept:
        raise InputError(f"{split.place}: no prompt has at most the {longest} tokens that leave room for an answer")
    if len(kept) < len(rows):
        split.dataset = split.dataset.select(kept)
        split.dropped = split.dropped | {TOO_LONG: len(rows) - len(kept)}
    split.tokens = sum(len(encoded[i]) for i in kept)
    return split
