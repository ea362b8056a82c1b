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
# Characters: of what is tokenised again at least, and of the texts whose tokens are remembered at most.
SHORTEST, REMEMBERED = 12, 400


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

    def length(self, item: int) -> int:
        """Tokens of an item's longest query."""
        return len(self.head) + max(len(q.context) + len(q.target) for q in self.items[item])

    def longest(self) -> int:
        return max(map(self.length, range(len(self.items))))


class Encoder:
    """Prompts to tokens, as lm-evaluation-harness 0.4 makes them (`TemplateLM._encode_pair`).

    White space at the end of a context belongs to the target. A causal model's target is what the tokens of the whole
    text have after as many as the context has; an encoder-decoder's target is tokenised apart, without special tokens.
    Contexts have the special tokens that the tokenizer adds by itself (Llama's <s>, T5's </s>; GPT-2 has none).

    What texts have in common is not tokenised again: only the end of the demonstrations with each question, and the
    end of a question with each label. Whether that gives the tokens of the whole text is tried on the first item and
    on the last; where it does not, whole texts are tokenised.
    """

    def __init__(self, tokenizer: Any, encoder_decoder: bool):
        self.tokenizer, self.encoder_decoder = tokenizer, encoder_decoder
        self._known: dict[tuple[str, bool], list[int]] = {}

    def encode(self, demonstrations: Sequence[str], items: Sequence[Sequence[Pair]]) -> Encoded:
        """Tokens of items behind their demonstrations."""
        before = "".join(demonstrations)
        texts = [[_move_space(pair) for pair in item] for item in items]
        start, rest = _cut(before)
        head, skipped = self._head(start, rest, [texts[0][0].context, texts[-1][-1].context]) if start else ((), 0)
        rest, special = (rest, self.encoder_decoder) if head else (before, True)
        flat = [pair for item in texts for pair in item]
        contexts = dict(zip(flat, self._ids([rest + pair.context for pair in flat], special), strict=True))
        targets = dict(zip(flat, self._targets(before, texts), strict=True))
        for pair in flat:
            if not targets[pair]:
                raise InputError(f"{pair.target.strip()!r} tokenises to nothing: give that label other words")
            if not contexts[pair]:
                raise InputError(f"{pair.context!r} tokenises to nothing, and there is nothing else to read")
        encoded = [[Query(tuple(contexts[p][skipped:]), tuple(targets[p])) for p in item] for item in texts]
        return Encoded(head, encoded)

    def _head(self, start: str, rest: str, contexts: list[str]) -> tuple[tuple[int, ...], int]:
        """Tokens of `start` before `rest` + context, and how many first tokens of the latter alone are to be left.

        Empty where the tokens of the parts are not those of the whole.
        """
        found = set()
        for context in contexts:
            (whole,) = self._ids([start + rest + context])
            (part,) = self._ids([rest + context], special=self.encoder_decoder)
            backwards = enumerate(zip(whole[::-1], part[::-1], strict=False))
            same = next((i for i, (a, b) in backwards if a != b), min(len(whole), len(part)))
            if len(part) - same > SEAM:
                return (), 0
            found.add((tuple(whole[: len(whole) - same]), len(part) - same))
        return found.pop() if len(found) == 1 else ((), 0)

    def _targets(self, before: str, items: list[list[Pair]]) -> list[list[int]]:
        pairs = [pair for item in items for pair in item]
        if self.encoder_decoder:
            return self._ids([pair.target for pair in pairs], special=False)
        tried = {*items[0], *items[-1]}
        ends = [Pair(_cut(pair.context)[1], pair.target) for pair in pairs]
        quick = self._behind(ends, special=False)
        whole = self._behind([Pair(before + pair.context, pair.target) for pair in tried], special=True)
        if dict(zip(tried, whole, strict=True)).items() <= dict(zip(pairs, quick, strict=True)).items():
            return quick
        return self._behind([Pair(before + pair.context, pair.target) for pair in pairs], special=True)

    def _behind(self, pairs: list[Pair], special: bool) -> list[list[int]]:
        """The tokens of context and target that come after as many as the context has."""
        contexts = self._ids([pair.context for pair in pairs], special)
        whole = self._ids([pair.context + pair.target for pair in pairs], special)
        return [ids[len(context) :] for context, ids in zip(contexts, whole, strict=True)]

    def _ids(self, texts: list[str], special: bool = True) -> list[list[int]]:
        """Token ids of texts; short ones are remembered, since the same questions come again behind other examples."""
        new = [text for text in dict.fromkeys(texts) if (text, special) not in self._known]
        if new:
            encoded = self.tokenizer(new, add_special_tokens=special, return_attention_mask=False)["input_ids"]
            self._known |= {(text, special): ids for text, ids in zip(new, encoded, strict=True)}
        found = [self._known[text, special] for text in texts]
        for text in new:
            if len(text) > REMEMBERED:
                del self._known[text, special]
        return found


def _move_space(pair: Pair) -> Pair:
    """White space at the end of the context goes to the target."""
    context = pair.context.rstrip()
    return Pair(context, pair.context[len(context) :] + pair.target)


def _cut(text: str) -> tuple[str, str]:
    """A text in two at a white space, so that the second part, which has it, is short but not too short."""
    at = max(text.rfind(" ", 0, -SHORTEST), text.rfind("\n", 0, -SHORTEST))
    return (text[:at], text[at:]) if at > 0 else ("", text)


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
