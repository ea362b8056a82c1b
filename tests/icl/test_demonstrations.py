"""Which demonstrations are drawn and what is shown of them; that no item is ever among its own."""

import random
from collections import Counter

from hfcourse.errors import InputError
from hfcourse.icl.demonstrations import (
    CONDITIONS,
    SEEDS,
    Draw,
    Unrelated,
    choose,
    count_leaks,
    draw_order,
    find_words,
    group_items,
    key,
    show,
)
from hfcourse.icl.task import Example, Task

import pytest
from hypothesis import given
from hypothesis import strategies as st


LABELS = ("good", "bad", "fair")
POOL = [Example(f"train {i}", (f"text {i}",), LABELS, i % 3 if i < 20 else 0) for i in range(30)]
TASK = Task("mood", "data", "{text} {label}", "label", labels={label: label for label in LABELS})
UNRELATED = Unrelated(["it rains", "a boat"], ["boat", "good", "rains", "tea"])


def shown(condition: str, seed: int = 13, k: int = 12):
    examples = draw_order(POOL, seed, balanced=True)[:k]
    return examples, show(condition, examples, TASK, seed, POOL, UNRELATED)


def test_five_seeds_of_the_paper():
    assert SEEDS == (100, 13, 21, 42, 87)


def test_fewer_demonstrations_are_the_first_of_more_and_balance_holds_as_long_as_labels_last():
    order = draw_order(POOL, 13, balanced=True)
    assert sorted(order) == sorted(POOL)
    for rounds in range(1, 6):
        assert Counter(e.gold for e in order[: 3 * rounds]) == dict.fromkeys(range(3), rounds)
    assert len({tuple(e.gold for e in order[i : i + 3]) for i in range(0, 15, 3)}) > 1, "the order differs by round"
    assert Counter(e.gold for e in order[-8:]) == {0: 8}
    assert order == draw_order(POOL, 13, balanced=True) != draw_order(POOL, 21, balanced=True)
    assert sorted(draw_order(POOL, 13, balanced=False)) == sorted(POOL)


def test_conditions_change_what_they_name_and_nothing_else():
    for condition in CONDITIONS:
        examples, found = shown(condition)
        assert len(found) == 12
        gold = [e.choices[e.gold] for e in examples]
        labels, fields = [d.label for d in found], [d.fields for d in found]
        same_inputs = [e.fields for e in examples] == fields
        assert same_inputs == (condition not in ("ood", "labels")), condition
        if condition in ("gold", "ood", "labels"):
            assert labels == gold
        if condition == "random":
            assert set(labels) <= set(LABELS) and 0 < sum(map(str.__eq__, labels, gold)) < 12
        if condition == "wrong":
            assert set(labels) <= set(LABELS) and not any(map(str.__eq__, labels, gold))
        if condition == "permuted":
            assert Counter(labels) == Counter(gold) and labels != gold
        if condition == "ood":
            assert set(fields) <= {(text,) for text in UNRELATED.texts}
        if condition == "words":
            names = dict(zip(gold, labels, strict=True))
            assert [names[label] for label in gold] == labels and set(labels) == {"boat", "rains", "tea"}
        if condition == "inputs":
            assert labels == [None] * 12
        if condition == "labels":
            assert fields == [None] * 12


def test_random_labels_are_right_as_often_as_chance_says():
    draw = Draw(LABELS, random.Random(0), UNRELATED)
    examples = POOL * 100
    found = CONDITIONS["random"](examples, draw)
    right = sum(d.label == e.choices[e.gold] for d, e in zip(found, examples, strict=True)) / len(found)
    assert right == pytest.approx(1 / 3, abs=0.03)


def test_too_few_words_are_said():
    with pytest.raises(InputError, match="has 1 words, fewer than the 3 labels"):
        show("words", POOL[:6], TASK, 1, POOL, Unrelated(["a"], ["tea", "good"]))


@given(st.integers(0, 40), st.integers(0, 99), st.booleans())
def test_an_item_is_never_among_its_own_demonstrations(k, seed, ordered):
    """Not as the row itself, nor as another row with its letters and digits."""
    items = [*POOL[::4], Example("test 1", ("TEXT, 5!",), LABELS, 1), Example("test 2", ("other",), LABELS, 0)]
    order = draw_order(POOL, seed, balanced=True)
    groups = group_items(order, k, items, ordered)
    assert sorted(n for _, members in groups for n in members) == list(range(len(items)))
    for chosen, members in groups:
        for number in members:
            assert items[number].place not in {e.place for e in chosen}
            assert key(items[number].fields) not in {key(e.fields) for e in chosen}
            spare = sum(key(e.fields) != key(items[number].fields) for e in POOL)
            assert len(chosen) == min(k, spare)
            assert set(chosen) == set(choose(order, k, items[number]))
        assert not ordered or [e.gold for e in chosen] == sorted(e.gold for e in chosen)
    pairs, leaks = count_leaks((chosen, [items[n] for n in members]) for chosen, members in groups)
    assert leaks == 0 and pairs == sum(len(chosen) * len(members) for chosen, members in groups)


def test_the_check_sees_a_leak():
    item = Example("test 1", ("Text 5.",), LABELS, 0)
    assert count_leaks([(POOL[:8], [item])]) == (8, 1)
    assert count_leaks([(POOL[:4], [item, POOL[2]])]) == (8, 1)


def test_words_of_texts():
    assert find_words(["It rains, 12 I", "茶很好喝"]) == ["It", "rains", "好喝", "茶很"]
