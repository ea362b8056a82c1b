"""The formats that supervised fine-tuning data comes in, brought into three schemas: messages, prompts, texts."""

import json
from typing import Any

from hfcourse.data.rows import Normaliser
from hfcourse.errors import InputError

from datasets import Features, List, Value


ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
FORMATS = (
    "messages (role, content), conversations (from, value), prompt and completion, "
    "instruction (input, system, history) and output, or {text_field}"
)


class Conversations:
    """The normaliser for supervised fine-tuning: `detect` chooses by a row's columns, the richest format first.

    A data set is of one kind; within the kind of conversations the formats may be mixed.
    """

    def __init__(self, text_field: str = "text"):
        self.text_field = text_field

    def detect(self, row: dict[str, Any]) -> Normaliser:
        """Choose `Messages`, `PromptCompletion` or `Text`; raises InputError when no format fits the columns."""
        filled = {name: value for name, value in row.items() if value is not None}
        for columns in (filled, row):  # a column that is there but empty is a row's fault, not the file's
            if _is_conversation(columns):
                return Messages()
            if {"prompt", "completion"} <= columns.keys():
                return PromptCompletion()
            if self.text_field in columns:
                return Text(self.text_field)
        expected = FORMATS.format(text_field=self.text_field)
        raise InputError(f"unknown columns: found {', '.join(map(str, row)) or 'none'}, expected {expected}")


class Messages:
    """Conversations: ChatML messages, ShareGPT, Alpaca, self-instruct seed tasks, conversational prompt/completion.

    The first `prompt_turns` messages are context that never counts for the loss. `tools` is a JSON list of function
    schemas as chat templates take it, or "". A call of a tool is the text of an assistant message, as JSON.
    """

    features = Features(
        {
            "messages": List({"role": Value("string"), "content": Value("string")}),
            "prompt_turns": Value("int64"),
            "tools": Value("string"),
        }
    )
    columns = frozenset(
        ("messages", "conversations", "prompt", "completion", "instruction", "input", "output", "instances")
        + ("system", "history", "tools")
    )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        row = {name: value for name, value in row.items() if value is not None}
        if not (_is_conversation(row) or "instruction" in row):
            raise InputError(f"not a conversation like the first row: found the columns {', '.join(map(str, row))}")
        prompt_turns = 0
        if "messages" in row:
            messages = read_turns(row["messages"])
        elif "conversations" in row:
            messages = read_turns(row["conversations"])
        elif "prompt" in row and isinstance(row["prompt"], list):
            prompt = read_turns(row["prompt"])
            prompt_turns, messages = len(prompt), prompt + read_turns(row.get("completion") or [])
        else:
            messages = read_alpaca(row)
        if row.get("system") and messages and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": read_text(row["system"], "system")})
            prompt_turns += bool(prompt_turns)
        if messages and messages[0]["role"] not in ("system", "user"):
            raise InputError(f"wrong start: the first message is the {messages[0]['role']}'s, expected system or user")
        if not any(m["role"] == "assistant" and m["content"].strip() for m in messages[prompt_turns:]):
            raise InputError("no answer: expected a message of the assistant that is not empty")
        return {"messages": messages, "prompt_turns": prompt_turns, "tools": _tools(row.get("tools"))}


class PromptCompletion:
    """Plain strings: what the model reads and what it should write next."""

    features = Features({"prompt": Value("string"), "completion": Value("string")})
    columns = frozenset({"prompt", "completion"})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if row.get("prompt") is None:
            raise InputError(f"no prompt: found the columns {', '.join(map(str, row))}")
        prompt, completion = read_text(row["prompt"], "prompt"), read_text(row.get("completion") or "", "completion")
        if not completion.strip():
            raise InputError("no answer: expected a completion that is not empty")
        return {"prompt": prompt, "completion": completion}


class Text:
    """Plain documents in one column, which comes out as `text`; all of it counts for the loss."""

    features = Features({"text": Value("string")})

    def __init__(self, text_field: str = "text"):
        self.columns = frozenset({text_field})
        self._field = text_field

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        text = read_text(row.get(self._field) or "", self._field)
        if not text.strip():
            raise InputError(f"no text: expected a column {self._field} that is not empty")
        return {"text": text}


def _is_conversation(row: dict[str, Any]) -> bool:
    return (
        "messages" in row
        or "conversations" in row
        or isinstance(row.get("prompt"), list)
        or ("instruction" in row and ("output" in row or "instances" in row))
    )


def read_text(value: Any, name: str) -> str:
    """`value`, the content of column `name`, if it is a string; raises InputError."""
    if not isinstance(value, str):
        raise InputError(f"no text: {name} is {type(value).__name__}, expected a string")
    return value


def read_turns(value: Any) -> list[dict[str, str]]:
    """Messages with role/content or from/value keys, in the field's four roles; a JSON string is read first."""
    value = _json(value, "messages")
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise InputError("no messages: expected a list of objects with role and content, or from and value")
    return [{"role": _role(turn), "content": _content(turn)} for turn in value]


def _role(turn: dict[str, Any]) -> str:
    name = turn.get("role", turn.get("from"))
    if not isinstance(name, str) or name not in ROLES:
        raise InputError(f"unknown role: found {name!r}, expected one of {', '.join(ROLES)}")
    return ROLES[name]


def _content(turn: dict[str, Any]) -> str:
    value = turn.get("content", turn.get("value"))
    if isinstance(value, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        value = "".join(read_text(part.get("text"), "content") for part in value)
    calls = [call.get("function", call) for call in turn.get("tool_calls") or []]
    lines = [json.dumps({key: call.get(key) for key in ("name", "arguments")}, ensure_ascii=False) for call in calls]
    if value is None and not lines:
        raise InputError("no content: a message has neither content nor value")
    return "\n".join(([read_text(value, "content")] if value else []) + lines)


def read_alpaca(row: dict[str, Any]) -> list[dict[str, str]]:
    """Messages of a row with instruction, input, history and output, or of a seed task; raises InputError."""
    if row.get("instances"):  # self-instruct seed tasks: the first worked example stands for the task
        instances = row["instances"]
        if not isinstance(instances, list) or not isinstance(instances[0], dict):
            raise InputError("no messages: expected instances to be a list of objects with input and output")
        row = row | instances[0]
    messages = []
    for pair in row.get("history") or []:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise InputError("no messages: expected history to be a list of [instruction, output] pairs")
        messages += _exchange(pair[0], pair[1])
    parts = [read_text(row.get(name) or "", name) for name in ("instruction", "input")]
    return messages + _exchange("\n".join(filter(None, parts)), row.get("output") or "")


def _exchange(question: Any, answer: Any) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": read_text(question, "instruction")},
        {"role": "assistant", "content": read_text(answer, "output")},
    ]


def _tools(value: Any) -> str:
    tools = _json(value, "tools")
    if not tools:
        return ""
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InputError("unknown tools: expected a list of function schemas")
    # Chat templates expect the wrapped form that transformers documents; ShareGPT sets hold the bare function.
    wrapped = [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]
    return json.dumps(wrapped, ensure_ascii=False)


def _json(value: Any, name: str) -> Any:
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"broken {name}: {error}, expected a JSON list") from None
