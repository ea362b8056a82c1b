"""Which examples a prompt shows, and what of them: the conditions of Min et al. 2022, section 4 and 5.

"Rethinking the Role of Demonstrations": gold labels against random ones, inputs of another distribution, labels that
are random words, inputs or labels alone. An item is never among its own demonstrations, neither as the same row nor
as another row with the same letters and digits.
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hfcourse.errors import InputError
from hfcourse.icl.task import Example, Task


SEEDS = (100, 13, 21, 42, 87)
NONE = "none"


class Shown(NamedTuple):
    """A demonstration as a prompt shows it; None: this part is left out."""

    fields: tuple[str, ...] | None
    label: str | None


class Unrelated(NamedTuple):
    """Text that has nothing to do with a task, and words of it."""

    texts: Sequence[str]
    words: Sequence[str]


class Draw(NamedTuple):
    """What a condition may use besides the examples: every label, seeded draws, unrelated text."""

    labels: Sequence[str]
    random: random.Random
    unrelated: Unrelated


def key(fields: Iterable[str]) -> str:
    """Letters and digits of an input, lower case: what makes two inputs the same."""
    text = "\n".join(fields)
    return re.sub(r"[\W_]+", "", text.lower()) or text


def draw_order(pool: Sequence[Example], seed: int, balanced: bool) -> list[Example]:
    """The whole pool in a seeded order; the first k are the demonstrations, so that fewer are a part of more.

    Balanced: each label once in every round, in a new order each round, as long as it lasts.
    """
    rng = random.Random(seed)
    order = rng.sample(list(pool), len(pool))
    if not balanced:
        return order
    by_label: dict[int, list[Example]] = {}
    for example in reversed(order):
        by_label.setdefault(example.gold, []).append(example)
    rounds = []
    while any(by_label.values()):
        left = [label for label in sorted(by_label) if by_label[label]]
        rounds += [by_label[label].pop() for label in rng.sample(left, len(left))]
    return rounds


def choose(order: Sequence[Example], k: int, item: Example) -> tuple[Example, ...]:
    """The first k examples of the order that are not the item itself."""
    own = key(item.fields)
    found: list[Example] = []
    for example in order:
        if len(found) == k:
            break
        if example.place != item.place and key(example.fields) != own:
            found.append(example)
    return tuple(found)


def group_items(
    order: Sequence[Example], k: int, items: Sequence[Example], ordered: bool
) -> list[tuple[tuple[Example, ...], list[int]]]:
    """Numbers of the items that have the same demonstrations; all of them, but for items that stand in the order.

    Ordered: demonstrations of one label stand together.
    """
    groups: dict[tuple[Example, ...], list[int]] = {}
    for number, item in enumerate(items):
        chosen = choose(order, k, item)
        if ordered:
            chosen = tuple(sorted(chosen, key=lambda example: example.gold))
        groups.setdefault(chosen, []).append(number)
    return list(groups.items())


def count_leaks(groups: Iterable[tuple[Sequence[Example], Iterable[Example]]]) -> tuple[int, int]:
    """How many pairs of an item and one of its demonstrations there are, and how many of them are the same input."""
    pairs = leaks = 0
    for demonstrations, items in groups:
        places, keys = {d.place for d in demonstrations}, {key(d.fields) for d in demonstrations}
        for item in items:
            pairs += len(demonstrations)
            leaks += item.place in places or key(item.fields) in keys
    return pairs, leaks


def gold(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    return [Shown(e.fields, e.choices[e.gold]) for e in examples]


def random_labels(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    """Labels drawn from all labels, the right one among them."""
    return [Shown(e.fields, draw.random.choice(_space(e, draw))) for e in examples]


def wrong_labels(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    """Labels drawn from the others."""
    return [
        Shown(e.fields, draw.random.choice([label for label in _space(e, draw) if label != e.choices[e.gold]]))
        for e in examples
    ]


def permuted_labels(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    """The demonstrations' own labels, dealt out among them anew."""
    labels = [e.choices[e.gold] for e in examples]
    return [Shown(e.fields, label) for e, label in zip(examples, draw.random.sample(labels, len(labels)), strict=True)]


def unrelated_inputs(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    """Gold labels behind text that has nothing to do with the task."""
    texts = draw.unrelated.texts
    return [Shown(tuple(draw.random.choice(texts) for _ in e.fields), e.choices[e.gold]) for e in examples]


def random_words(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    """Gold labels, each under the name of one random word."""
    labels = list(dict.fromkeys(label for e in examples for label in [e.choices[e.gold]]))
    words = [word for word in draw.unrelated.words if word not in {*labels, *draw.labels}]
    if len(words) < len(labels):
        raise InputError(f"the unrelated text has {len(words)} words, fewer than the {len(labels)} labels to rename")
    names = dict(zip(labels, draw.random.sample(words, len(labels)), strict=True))
    return [Shown(e.fields, names[e.choices[e.gold]]) for e in examples]


def inputs_only(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    return [Shown(e.fields, None) for e in examples]


def labels_only(examples: Sequence[Example], draw: Draw) -> list[Shown]:
    return [Shown(None, e.choices[e.gold]) for e in examples]


def _space(example: Example, draw: Draw) -> Sequence[str]:
    return example.choices if len(example.choices) > 1 else draw.labels


CONDITIONS: dict[str, Callable[[Sequence[Example], Draw], list[Shown]]] = {
    "gold": gold,
    "random": random_labels,
    "wrong": wrong_labels,
    "permuted": permuted_labels,
    "ood": unrelated_inputs,
    "words": random_words,
    "inputs": inputs_only,
    "labels": labels_only,
}
NEEDS_TEXT = {"ood", "words"}


def show(
    condition: str, examples: Sequence[Example], task: Task, seed: int, pool: Sequence[Example], unrelated: Unrelated
) -> list[Shown]:
    """The demonstrations of a condition, in the order of the examples."""
    if condition == NONE:
        return []
    labels = task.words or tuple(dict.fromkeys(e.choices[e.gold] for e in pool))
    draw = Draw(labels, random.Random(f"{seed}/{task.name}/{condition}"), unrelated)
    return CONDITIONS[condition](examples, draw)


def find_words(texts: Iterable[str]) -> list[str]:
    """The words of texts, sorted; where Han characters are written without spaces, two of them are a word."""
    words = {word for text in texts for word in re.findall(r"[㐀-鿿]{2}|[^\W\d_㐀-鿿]+", text)}
    return sorted(word for word in words if len(word) > 1)
