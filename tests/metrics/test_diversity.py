"""hfcourse.metrics.diversity, counted by hand and against NLTK's definition of BLEU written out."""

import math
from collections import Counter

from hfcourse.metrics.diversity import distinct, doubled, repetition, self_bleu

import pytest


def test_repetition_by_hand() -> None:
    assert repetition([[1, 2, 3, 4, 5, 6]]) == 0
    # 1212, 2121, 1212, 2121, 1212: two of five are new
    assert repetition([[1, 2, 1, 2, 1, 2, 1, 2]]) == pytest.approx(3 / 5)
    assert repetition([[1, 2, 1, 2, 1, 2, 1, 2], [1, 2]]) == pytest.approx(3 / 10)
    assert repetition([[7] * 10], n=1) == pytest.approx(9 / 10)


def test_distinct_by_hand() -> None:
    assert distinct([[1, 2, 3], [1, 2]], 1) == pytest.approx(3 / 5)
    assert distinct([[1, 2, 3], [1, 2]], 2) == pytest.approx(2 / 3)
    assert distinct([[1], []], 2) == 0


def test_doubled_by_hand() -> None:
    assert doubled([[1, 1, 1, 2], [2, 1, 2]]) == pytest.approx(2 / 5)
    assert doubled([[1], []]) == 0


def test_self_bleu_of_equal_and_of_unrelated_texts() -> None:
    assert self_bleu([[1, 2, 3, 4, 5]] * 3) == pytest.approx(1)
    assert self_bleu([[1, 2, 3, 4], [5, 6, 7, 8]]) < 0.1
    assert self_bleu([[1, 2, 3]]) == self_bleu([[], [1]]) == 0


def test_self_bleu_is_bleu_against_the_others() -> None:
    texts = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 9, 9, 9], [1, 2, 3, 4, 5, 6, 7]]

    def bleu(text: list[int], others: list[list[int]]) -> float:
        """Papineni et al. 2002 with every precision above 0: the geometric mean of four, times the brevity penalty."""
        logs = []
        for n in range(1, 5):

            def count(t, n=n):
                return Counter(tuple(t[i : i + n]) for i in range(len(t) - n + 1))

            most = Counter()
            for other in others:
                most |= count(other)
            mine = count(text)
            logs.append(math.log(sum((mine & most).values()) / sum(mine.values())))
        closest = min((len(o) for o in others), key=lambda length: (abs(length - len(text)), length))
        return math.exp(sum(logs) / 4 + min(0, 1 - closest / len(text)))

    expected = [bleu(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(sum(expected) / 3)
