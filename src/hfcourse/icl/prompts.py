"""Prompts as text, and as the tokens that lm-evaluation-harness would take for them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hfcourse.errors import InputError
from hfcourse.icl.demonstrations import Shown
from hfcourse.icl.engine import Query
from hfcourse.icl.task import LABEL, Example, Task


# Inputs that say nothing (Zhao et al. 2021, section 4).
CONTENT_FREE = ("N/A", "", "[MASK]")
# Tokens at a seam that may differ from those of the whole text: a tokenizer's start of text.
SEAM = 3


class Pair(NamedTuple):
    """Text to read and text to score after it."""

    context: str
    target: str


def write_demonstrations(task: Task, shown: Sequence[Shown], channel: bool = False) -> list[str]:
    """Each demonstration with the separator after it."""
    template = (task.channel if channel else task.template) or ""
    return [_demonstration(task, one, template) + task.separator for one in shown]


def _demonstration(task: Task, shown: Shown, template: str) -> str:
    if shown.fields is None:
        return shown.label or ""
    values = dict(zip(task.fields, shown.fields, strict=True))
    if shown.label is None:
        return template.replace(LABEL, "").format(**values).strip()
    return template.format(**values, label=shown.label)


def ask(task: Task, fields: Sequence[str], choices: Sequence[str], channel: bool = False) -> list[Pair]:
    """The question of an item, once for each choice: P(choice | input), or with `channel` P(input | choice)."""
    values = dict(zip(task.fields, fields, strict=True))
    if not channel:
        context = task.template.removesuffix(LABEL).format(**values)
        end = task.separator if task.kind == "generation" else ""  # an answer has to end to be one
        return [Pair(context, choice + end) for choice in choices]
    head, tail = (task.channel or "").split(LABEL)
    first = tail.index("{")  # the text before the first column is the same for every input
    return [
        Pair((head + "{label}" + tail[:first]).format(label=choice), tail[first:].format(**values))
        for choice in choices
    ]


def content_free(task: Task) -> list[list[Pair]]:
    """The questions about inputs that say nothing; [] where the choices are the item's own."""
    if task.kind != "classification":
        return []
    return [ask(task, [text] * len(task.fields), task.words) for text in CONTENT_FREE]


class Encoded(NamedTuple):
    """Tokens of one group: `head` begins every context; each item's contexts go on with the tails."""

    head: tuple[int, ...]
    items: list[list[Query]]

    def queries(self, item: int) -> list[Query]:
        return [Query(self.head + query.context, query.target) for query in self.items[item]]

    def longest(self) -> int:
        return len(self.head) + max(len(q.context) + len(q.target) for item in self.items for q in item)


class Encoder:
    """Prompts to tokens, as lm-evaluation-harness 0.4 makes them (`TemplateLM._encode_pair`).

    White space at the end of a context belongs to the target. A causal model's target is what the tokens of the whole
    text have after as many as the context has; an encoder-decoder's target is tokenised apart, without special tokens.
    Contexts have the special tokens that the tokenizer adds by itself (Llama's <s>, T5's </s>; GPT-2 has none).
    """

    def __init__(self, tokenizer: Any, encoder_decoder: bool):
        self.tokenizer, self.encoder_decoder = tokenizer, encoder_decoder

    def encode(self, demonstrations: Sequence[str], items: Sequence[Sequence[Pair]]) -> Encoded:
        """Tokens of items behind their demonstrations.

        Only the last demonstration is tokenised again with each item, if that gives the tokens of the whole text for
        the first item and the last one.
        """
        start, last = "".join(demonstrations[:-1]), "".join(demonstrations[-1:])
        head, skipped = self._head(start, last, [items[0][0].context, items[-1][-1].context]) if start else ((), 0)
        before = last if head else start + last
        texts = [Pair(*self._move_space(before + pair.context, pair.target)) for item in items for pair in item]
        contexts = self._ids([text.context for text in texts], special=not head or self.encoder_decoder)
        if self.encoder_decoder:
            targets = self._ids([text.target for text in texts], special=False)
        else:
            whole = self._ids([text.context + text.target for text in texts], special=not head)
            targets = [ids[len(context) :] for context, ids in zip(contexts, whole, strict=True)]
        for text, context, target in zip(texts, contexts, targets, strict=True):
            if not target:
                raise InputError(f"{text.target.strip()!r} tokenises to nothing: give that label other words")
            if not context:
                raise InputError(f"{text.context!r} tokenises to nothing, and there is nothing else to read")
        pairs = iter(zip(contexts, targets, strict=True))
        encoded = []
        for item in items:
            own = [next(pairs) for _ in item]
            encoded.append([Query(tuple(context[skipped:]), tuple(target)) for context, target in own])
        return Encoded(head, encoded)

    def _head(self, start: str, last: str, tails: list[str]) -> tuple[tuple[int, ...], int]:
        """Tokens that `start` has before `last` + tail, and how many first tokens of the latter alone are to be left.

        Empty where the tokens of the parts are not those of the whole.
        """
        found = set()
        for tail in tails:
            (whole,) = self._ids([start + last + tail])
            (part,) = self._ids([last + tail], special=self.encoder_decoder)
            same = next(
                (i for i, (a, b) in enumerate(zip(whole[::-1], part[::-1], strict=False)) if a != b), len(part)
            )
            if len(part) - same > SEAM:
                return (), 0
            found.add((tuple(whole[: len(whole) - same]), len(part) - same))
        return found.pop() if len(found) == 1 else ((), 0)

    def _move_space(self, context: str, target: str) -> tuple[str, str]:
        stripped = context.rstrip()
        return stripped, context[len(stripped) :] + target

    def _ids(self, texts: list[str], special: bool = True) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=special, return_attention_mask=False)["input_ids"]


def check_labels(encoded: Encoded, task: Task) -> None:
    """Refuse labels of which one's tokens begin another's: the longer one could never be the likelier."""
    if task.kind != "classification":
        return
    targets = [query.target for query in encoded.items[0]]
    for a, word in zip(targets, task.words, strict=True):
        for b, other in zip(targets, task.words, strict=True):
            if a != b and b[: len(a)] == a:
                raise InputError(
                    f"task {task.name}: the tokens of the label {word!r} begin those of {other!r}, which could then "
                    "never be the likelier one: give them other words"
                )
            if a == b and word != other:
                raise InputError(f"task {task.name}: {word!r} and {other!r} are the same tokens to this model")


def describe_leaks(pairs: int, leaks: int, replaced: int) -> str:
    """The check of `count_leaks` as a line of the plan."""
    return (
        f"{pairs:,} pairs of an item and its demonstration compared, by row and by letters and digits: {leaks} equal"
        + (f" ({replaced:,} items stood among the drawn ones and got another)" if replaced else "")
    )


def whole_prompt(demonstrations: Sequence[str], pair: Pair) -> tuple[str, str]:
    """The text that a model reads and the text that is scored."""
    return "".join(demonstrations) + pair.context, pair.target


def of(example: Example, task: Task, channel: bool) -> list[Pair]:
    """`ask` about an example."""
    return ask(task, example.fields, example.choices, channel)
