"""Each format that fine-tuning data comes in, by hand, and the sentence for each row that can't be used."""

import json

from hfcourse.data.conversations import Conversations, Messages, PromptCompletion, Text
from hfcourse.errors import InputError

import pytest


def turns(text):
    """'user: a | assistant: b' -> messages"""
    pairs = (part.split(": ", 1) for part in text.split(" | "))
    return [{"role": role, "content": content} for role, content in pairs]


CALL = {"name": "add", "arguments": {"a": 1}}
CASES = {
    "messages": (
        {"messages": turns("system: s | user: a | assistant: b"), "id": 7},
        ("system: s | user: a | assistant: b", 0),
    ),
    "messages as JSON": ({"messages": json.dumps(turns("user: a | assistant: b"))}, ("user: a | assistant: b", 0)),
    "messages in parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, *turns("assistant: b")]},
        ("user: a | assistant: b", 0),
    ),
    "tool calls": (
        {
            "messages": [
                *turns("user: a"),
                {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": CALL}]},
                *turns("tool: 1 | assistant: b"),
            ]
        },
        ('user: a | assistant: {"name": "add", "arguments": {"a": 1}} | tool: 1 | assistant: b', 0),
    ),
    "sharegpt": (
        {
            "conversations": [
                {"from": "human", "value": "a"},
                {"from": "function_call", "value": "c"},
                {"from": "observation", "value": "o"},
                {"from": "gpt", "value": "b"},
            ],
            "system": "s",
        },
        ("system: s | user: a | assistant: c | tool: o | assistant: b", 0),
    ),
    "conversational prompt": (
        {"prompt": turns("user: a | assistant: b | user: c"), "completion": turns("assistant: d")},
        ("user: a | assistant: b | user: c | assistant: d", 3),
    ),
    "alpaca": ({"instruction": "a", "input": "x", "output": "b"}, ("user: a\nx | assistant: b", 0)),
    "alpaca without input": ({"instruction": "a", "input": None, "output": "b"}, ("user: a | assistant: b", 0)),
    "alpaca with text": ({"instruction": "a", "output": "b", "text": "t"}, ("user: a | assistant: b", 0)),
    "alpaca with history": (
        {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "s"},
        ("system: s | user: a | assistant: b | user: c | assistant: d", 0),
    ),
    "self-instruct": (
        {"instruction": "a", "instances": [{"input": "x", "output": "b"}, {"input": "y", "output": "c"}]},
        ("user: a\nx | assistant: b", 0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_conversations(name):
    row, (expected, prompt_turns) = CASES[name]
    normalise = Conversations().detect(row)
    assert isinstance(normalise, Messages)
    assert normalise(row) == {"messages": turns(expected), "prompt_turns": prompt_turns, "tools": ""}


@pytest.mark.parametrize("wrap", [json.dumps, list])
def test_tools_are_wrapped_as_chat_templates_expect_them(wrap):
    row = {"messages": turns("user: a | assistant: b"), "tools": wrap([{"name": "add"}])}
    assert json.loads(Messages()(row)["tools"]) == [{"type": "function", "function": {"name": "add"}}]


def test_plain_formats():
    prompts = Conversations().detect({"prompt": "a", "completion": "b"})
    assert isinstance(prompts, PromptCompletion)
    assert prompts({"prompt": "a", "completion": " b"}) == {"prompt": "a", "completion": " b"}
    texts = Conversations("story").detect({"story": "once"})
    assert isinstance(texts, Text)
    assert texts({"story": "once", "id": 3}) == {"text": "once"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"chosen": "a", "rejected": "b"}, "unknown columns: found chosen, rejected, expected messages"),
        ({}, "unknown columns: found none, expected"),
        ({"messages": turns("user: a")}, "no answer: "),
        ({"messages": turns("user: a | assistant: \n ")}, "no answer: "),
        ({"messages": []}, "no answer: "),
        ({"instruction": "a", "output": ""}, "no answer: "),
        ({"instruction": "a", "output": None}, "no answer: "),
        ({"prompt": turns("user: a | assistant: b"), "completion": turns("user: c")}, "no answer: "),
        ({"prompt": "a", "completion": " "}, "no answer: "),
        ({"prompt": "a", "completion": None}, "no answer: "),
        ({"text": None}, "no text: "),
        ({"text": 3}, "no text: text is int, expected a string"),
        ({"messages": turns("assistant: a | user: b | assistant: c")}, "wrong start: the first message is"),
        ({"messages": turns("user: a | narrator: b")}, "unknown role: found 'narrator', expected one of system, "),
        ({"messages": [{"content": "a"}]}, "unknown role: found None"),
        ({"messages": [{"role": "user"}]}, "no content: "),
        ({"messages": [{"role": "user", "content": 3}]}, "no text: content is int"),
        ({"messages": ["hello"]}, "no messages: "),
        ({"messages": "[{"}, "broken messages: "),
        ({"instruction": "a", "output": "b", "history": ["c"]}, "no messages: expected history"),
        ({"messages": turns("user: a | assistant: b"), "tools": "{]"}, "broken tools: "),
        ({"messages": turns("user: a | assistant: b"), "tools": "{}{"}, "broken tools: "),
        ({"messages": turns("user: a | assistant: b"), "tools": ["x"]}, "unknown tools: "),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used(row, says):
    with pytest.raises(InputError) as error:
        Conversations().detect(row)(row)
    assert str(error.value).startswith(says)


def test_a_row_of_another_kind_is_told_from_the_first():
    with pytest.raises(InputError, match="^not a conversation like the first row: found the columns text$"):
        Messages()({"text": "a", "messages": None})
