"""Answers to one prompt in order of preference: pairs and rankings in many formats, brought into two schemas."""

import math
import re
from collections.abc import Mapping
from typing import Any

from hfcourse.data.conversations import read_alpaca, read_text, read_turns
from hfcourse.data.rows import Normaliser
from hfcourse.errors import InputError

from datasets import Features, List, Value


FORMATS = (
    "chosen and rejected (texts, messages or whole dialogues), with or without a prompt, conversations or an "
    "instruction; or a prompt and answers with ranks (1 is the best) or scores (more is better)"
)
ANSWERS = ("answers", "completions", "responses")
RANKING = {"ranks": 1, "rank": 1, "scores": -1, "score": -1, "overall_score": -1}
TEXTS = ("answer", "response", "text")
DIALOGUE = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
Message = dict[str, str]


class Preferences:
    """The normaliser for preference data: `detect` chooses by a row's columns and by what kind its answers are.

    `by_prompt`: two rows are the same to the overlap check, and held out together, if their prompts are; without it,
    if all of them is. `aspect`: a column whose value names what a row's order is about, "" where there is none.
    """

    def __init__(self, by_prompt: bool = True, aspect: str = "aspect"):
        self.by_prompt, self.aspect = by_prompt, aspect

    def detect(self, row: dict[str, Any]) -> Normaliser:
        """Choose `RankedChats` or `RankedTexts`; raises InputError when no format fits the columns."""
        answers, _ = _answers(row)
        if _holds_messages(row) or any(map(_is_conversation, answers)):
            return RankedChats(self.by_prompt, self.aspect)
        return RankedTexts(self.by_prompt and row.get("prompt") is not None, self.aspect)


class RankedChats:
    """Conversations: `prompt` and each of `answers` are messages, and `ranks` says which answer is better (1: best).

    Two answers with equal ranks are tied. Where no prompt is named, it is what the answers begin with in common.
    """

    features = Features(
        {
            "prompt": List({"role": Value("string"), "content": Value("string")}),
            "answers": List(List({"role": Value("string"), "content": Value("string")})),
            "ranks": List(Value("int64")),
            "aspect": Value("string"),
        }
    )

    def __init__(self, by_prompt: bool, aspect: str):
        self.compared = ("prompt",) if by_prompt else ("prompt", "answers")
        self.columns = _columns(aspect) | {"conversations", "messages", "instruction", "input", "system", "history"}
        self._aspect = aspect

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        row = {name: value for name, value in row.items() if value is not None}
        raw, ranks = _answers(row)
        answers = [_messages(answer) for answer in raw]
        if all(answer and answer[0]["role"] != "assistant" for answer in answers):  # whole conversations
            shared = min(len(answer) for answer in answers) - 1
            count = next((i for i in range(shared) if any(a[i] != answers[0][i] for a in answers)), shared)
            prompt, answers = answers[0][:count], [answer[count:] for answer in answers]
        else:
            prompt = _prompt(row)
        if not prompt:
            raise InputError("no prompt: expected one, or conversations that begin with the same message")
        for place, answer in enumerate(answers, 1):
            if not answer or answer[-1]["role"] != "assistant" or not answer[-1]["content"].strip():
                raise InputError(f"empty answer: {_named(row, place)} ends without words of the assistant")
        texts = ["\n".join(m["content"].strip() for m in answer) for answer in answers]
        return {"prompt": prompt, "answers": answers, "ranks": _order(row, texts, ranks)} | _aspect(row, self._aspect)


class RankedTexts:
    """Plain strings: each answer continues `prompt`, which is "" where the answers are whole texts."""

    features = Features(
        {
            "prompt": Value("string"),
            "answers": List(Value("string")),
            "ranks": List(Value("int64")),
            "aspect": Value("string"),
        }
    )

    def __init__(self, by_prompt: bool, aspect: str):
        self.compared = ("prompt",) if by_prompt else ("prompt", "answers")
        self.columns = _columns(aspect)
        self._aspect = aspect

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        raw, ranks = _answers(row)
        prompt = row.get("prompt")
        if self.compared == ("prompt",) and prompt is None:
            raise InputError("no prompt: the first row has one")
        answers = [read_text(answer, _named(row, place)) for place, answer in enumerate(raw, 1)]
        for place, answer in enumerate(answers, 1):
            if not answer.strip():
                raise InputError(f"empty answer: {_named(row, place)} has no words")
        order = _order(row, [answer.strip() for answer in answers], ranks)
        text = "" if prompt is None else read_text(prompt, "prompt")
        return {"prompt": text, "answers": answers, "ranks": order} | _aspect(row, self._aspect)


def _columns(aspect: str) -> frozenset[str]:
    return frozenset(("prompt", "chosen", "rejected", *ANSWERS, "ranks", "scores", aspect))


def _aspect(row: Mapping[str, Any], name: str) -> dict[str, str]:
    value = row.get(name)
    return {"aspect": "" if value is None else str(value)}


def _named(row: Mapping[str, Any], place: int) -> str:
    return ("chosen", "rejected")[place - 1] if "chosen" in row else f"answer {place}"


def _answers(row: Mapping[str, Any]) -> tuple[list[Any], list[float]]:
    """The raw answers of a row and a number for each: the lower, the better."""
    filled = {name: value for name, value in row.items() if value is not None}
    if "chosen" in filled or "rejected" in filled:
        if missing := {"chosen", "rejected"} - filled.keys():
            raise InputError(f"no pair: the column {missing.pop()} is missing or empty")
        return [filled["chosen"], filled["rejected"]], [1, 2]
    name = next((name for name in ANSWERS if name in filled), None)
    if name is None:
        raise InputError(f"unknown columns: found {', '.join(map(str, row)) or 'none'}, expected {FORMATS}")
    answers = filled[name]
    if not isinstance(answers, list) or len(answers) < 2:
        raise InputError(f"no ranking: expected {name} to be a list of at least two answers")
    source, values = next(((key, filled[key]) for key in ("ranks", "scores") if key in filled), ("", None))
    if values is None:
        source = next((key for key in RANKING if all(isinstance(a, Mapping) and key in a for a in answers)), "")
        values = [answer[source] for answer in answers] if source else None
    if values is None:
        raise InputError("no order: expected ranks (1 is the best) or scores (more is better) of the answers")
    if not isinstance(values, list) or len(values) != len(answers):
        raise InputError(f"no order: {len(answers)} answers, and {source} is no list of as many numbers")
    if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in values):
        raise InputError(f"no order: {source} holds what is no finite number")
    return answers, [RANKING[source] * float(value) for value in values]


def _order(row: Mapping[str, Any], texts: list[str], values: list[float]) -> list[int]:
    """Ranks from 1 without gaps; refuses equal answers in an order, and answers without any."""
    levels = sorted(set(values))
    if len(levels) == 1:
        raise InputError("no order: all answers are tied")
    ranks = [levels.index(value) + 1 for value in values]
    seen: dict[str, int] = {}
    for place, (text, rank) in enumerate(zip(texts, ranks, strict=True), 1):
        if seen.setdefault(text, rank) != rank:
            names = f"{_named(row, texts.index(text) + 1)} and {_named(row, place)}"
            raise InputError(f"identical answers: {names} are the same text")
    return ranks


def _holds_messages(row: Mapping[str, Any]) -> bool:
    names = ("conversations", "messages", "instruction")
    return any(row.get(name) is not None for name in names) or _is_conversation(row.get("prompt"))


def _is_conversation(value: Any) -> bool:
    if isinstance(value, str):
        return _is_dialogue(value)
    return isinstance(value, list) or (isinstance(value, Mapping) and not any(name in value for name in TEXTS))


def _is_dialogue(text: str) -> bool:
    """Whether a text is a dialogue in the form of Anthropic's hh-rlhf."""
    return DIALOGUE.match("\n\n" + text.lstrip()) is not None


def _prompt(row: Mapping[str, Any]) -> list[Message]:
    named = next((row[name] for name in ("conversations", "messages", "prompt") if name in row), None)
    if named is None:
        if "instruction" not in row:
            return []
        # The answer is another column's: only what stands before it is taken.
        messages = read_alpaca({**row, "output": "-"})[:-1]
    elif isinstance(named, str):
        messages = _dialogue(named) if _is_dialogue(named) else [{"role": "user", "content": named}]
    else:
        messages = read_turns(named)
    if messages and messages[-1] == {"role": "assistant", "content": ""}:  # the turn that the answers fill
        messages = messages[:-1]
    if row.get("system") and messages and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": read_text(row["system"], "system")}, *messages]
    return messages


def _messages(answer: Any) -> list[Message]:
    """An answer as messages: those of the assistant, or a whole conversation."""
    if isinstance(answer, str):
        return _dialogue(answer) if _is_dialogue(answer) else [{"role": "assistant", "content": answer}]
    if isinstance(answer, Mapping):
        name = next((name for name in TEXTS if name in answer), None)
        if name is not None:
            return [{"role": "assistant", "content": read_text(answer[name], name)}]
        answer = [answer]
    return read_turns(answer)


def _dialogue(text: str) -> list[Message]:
    """Messages of an hh-rlhf dialogue; several in a row of one speaker are one, as templates expect them."""
    parts = DIALOGUE.split("\n\n" + text.strip())
    messages: list[Message] = []
    for speaker, content in zip(parts[1::2], parts[2::2], strict=True):
        role, content = SPEAKERS[speaker], content.strip()
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n\n{content}"
        else:
            messages.append({"role": role, "content": content})
    return messages
