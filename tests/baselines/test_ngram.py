"""Kneser-Ney on arrays against the equations written out over dictionaries, and against a corpus counted by hand."""

import math
from collections import defaultdict

from hfcourse.baselines.ngram import FALLBACK, Counts, KneserNey, discounts

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


V = 5
ROW = st.lists(st.integers(0, V - 1), min_size=1, max_size=12).map(lambda tokens: [0, *tokens])
ROWS = st.lists(ROW, min_size=1, max_size=6)


class Dictionaries:
    """The same model as the equations have it: counts of tuples, one probability at a time."""

    def __init__(self, rows: list[list[int]], order: int):
        self.order, found = order, [defaultdict(int) for _ in range(order + 1)]
        for row in rows:
            padded = [row[0]] * (order - 1) + row
            for place in range(order, len(padded)):
                for k in range(1, order + 1):
                    found[k][tuple(padded[place - k + 1 : place + 1])] += 1
        self.counts = [found[order]]
        for k in range(order - 1, 0, -1):
            before = defaultdict(set)
            for gram in found[k + 1]:
                before[gram[1:]].add(gram[0])
            self.counts.insert(0, {gram: len(words) for gram, words in before.items()})
        self.discounts = [discounts(np.array(list(counts.values()))) for counts in self.counts]

    def p(self, word: int, context: tuple[int, ...]) -> float:
        k = len(context) + 1
        following = {gram[-1]: c for gram, c in self.counts[k - 1].items() if gram[:-1] == context}
        lower = self.p(word, context[1:]) if context else 1 / V
        if not following:
            return lower
        discount, total = self.discounts[k - 1], sum(following.values())
        count = following.get(word, 0)
        given = sum(discount[min(c, 3)] for c in following.values()) / total
        return max(count - discount[min(count, 3)], 0) / total + given * lower


def context_of(tokens: list[int], order: int) -> tuple[int, ...]:
    return tuple(([tokens[0]] * order + tokens)[-(order - 1) :]) if order > 1 else ()


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, st.integers(1, 5))
def test_every_probability_is_that_of_the_equations_and_all_sum_to_one(rows, others, order) -> None:
    model, plain = KneserNey(Counts(rows, 5, V), order), Dictionaries(rows, order)
    expected = []
    for row in [*rows, *others]:
        for place in range(1, len(row)):
            context = context_of(row[:place], order)
            whole = [plain.p(word, context) for word in range(V)]
            assert sum(whole) == pytest.approx(1)
            assert model.distribution(row[:place]) == pytest.approx(np.array(whole))
            expected.append(whole[row[place]])
    assert model.probabilities([*rows, *others]) == pytest.approx(np.array(expected))
    assert model.size == sum(map(len, plain.counts))


def test_a_corpus_counted_by_hand() -> None:
    """a b a and the end: each bigram once, so D_1 = .5 (too few to estimate); below it 2, 1 and 1 words stand before.

    There D_1 = 1 - 2 Y / 2 = .5 and D_2 = 2 with Y = 2 / (2 + 2), so a has (2 - 2) / 4 + 3/4 x 1/3.
    """
    end, a, b = 0, 1, 2
    row = [end, a, b, a, end]
    model = KneserNey(Counts([row], 2, 3), 2)
    assert model.distribution([end, a]) == pytest.approx(np.array([0.4375, 0.125, 0.4375]))
    assert model.distribution([end]) == pytest.approx(np.array([0.1875, 0.625, 0.1875]))
    p = model.probabilities([row])
    assert p == pytest.approx(np.array([0.625, 0.4375, 0.625, 0.4375]))
    assert math.exp(-np.log(p).mean()) == pytest.approx(1.912366)
    unigram = KneserNey(Counts([row], 2, 3), 1)  # 1, 2, 1 times: the same D; (2 - 2) / 4 + 3/4 x 1/3
    assert unigram.distribution([end]) == pytest.approx(np.array([0.375, 0.25, 0.375]))


def test_discounts_are_equation_26_or_those_of_kenlm_where_there_is_too_little_to_count() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 3])  # Y = 8 / (8 + 2 x 4) = 1/2
    assert discounts(counts) == pytest.approx(np.array([0, 1 - 2 * 0.5 * 4 / 8, 2 - 3 * 0.5 * 2 / 4, 3 - 4 * 0.5 / 2]))
    assert discounts(np.array([1, 1, 1])).tolist() == [0, *FALLBACK]
    assert discounts(np.repeat([1, 2, 3], [1, 5, 1])).tolist()[1] == 1 - 2 / 11 * 5
    assert discounts(np.repeat([1, 2, 3], [1, 1, 9])).tolist()[2] == FALLBACK[1]  # 2 - 3 x 9 / 3 is below 0


def test_a_higher_order_knows_more_of_what_it_has_seen() -> None:
    random = np.random.default_rng(0)
    rows = [[0, *random.integers(1, 40, 50).tolist()] for _ in range(40)]
    counts = Counts(rows, 4, 40)
    perplexity = [np.exp(-np.log(KneserNey(counts, n).probabilities(rows)).mean()) for n in range(1, 5)]
    assert perplexity == sorted(perplexity, reverse=True) and perplexity[-1] < perplexity[0] / 2
    assert KneserNey(counts, 1).probabilities([[0], [0, 7]]).shape == (1,)


def test_what_is_written_has_the_frequencies_of_the_distribution() -> None:
    model = KneserNey(Counts([[0, 1, 2, 1, 0], [0, 1, 1, 2, 0]], 3, 3), 3)
    random = np.random.default_rng(0)
    drawn = np.bincount([model.write([0, 1], 1, random)[0] for _ in range(4000)], minlength=3) / 4000
    assert drawn == pytest.approx(model.distribution([0, 1]), abs=0.03)
    assert model.write([0], 12, np.random.default_rng(1)) == model.write([0], 12, np.random.default_rng(1))
    together, row, random = model.write([0], 12, np.random.default_rng(2)), [0], np.random.default_rng(2)
    for _ in range(12):
        row += model.write(row, 1, random)
    assert row[1:] == together
