"""Best-of-n: weights by brute force, KL and choices by hand."""

from itertools import combinations

from hfcourse.metrics.best_of_n import best_of_n_choice, best_of_n_kl, best_of_n_weights

import numpy as np
import pytest


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_weights_are_the_shares_of_subsets_that_a_draw_wins(n):
    scores = np.array([[0.3, -1.0, 2.0, 0.5, 1.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    found = best_of_n_weights(scores, n)
    for row, own in zip(scores, found, strict=True):
        winners = [max(subset, key=row.__getitem__) for subset in combinations(range(5), n)]
        assert own == pytest.approx([winners.count(i) / len(winners) for i in range(5)])


def test_equal_scores_share_one_place_each():
    weights = best_of_n_weights(np.zeros((1, 4)), 2)
    assert weights.sum() == pytest.approx(1) and sorted(weights[0] * 6) == pytest.approx([0, 1, 2, 3])


@pytest.mark.parametrize("n", [1, 2, 4])
def test_kl_is_the_known_one_where_no_answer_comes_twice(n):
    """log n - (n-1)/n, also where p is far too small for (F + p)^n - F^n to differ from 0."""
    rng = np.random.default_rng(0)
    scores, logprobs = rng.random((50, 64)), np.full((50, 64), -60.0)
    assert best_of_n_kl(scores, logprobs, n) == pytest.approx(np.log(n) - (n - 1) / n, abs=0.03)


def test_kl_between_two_answers_by_hand():
    """Of 3/4 and 1/4, the rarer one scoring higher: best of 2 takes it with 1 - (3/4)^2 = 7/16."""
    draws = np.array([[0.0, 0.0, 0.0, 1.0]] * 2)
    logprobs = np.log(np.where(draws == 1, 0.25, 0.75))
    # Of the 6 pairs of draws 3 hold the better one, so the draws weigh 1/2 and 1/2.
    exact = 0.5 * np.log((7 / 16) / (1 / 4)) + 0.5 * np.log((9 / 16) / (3 / 4))
    assert best_of_n_kl(draws, logprobs, 2) == pytest.approx(exact)
    assert best_of_n_kl(draws, logprobs, 1) == pytest.approx(0)
    assert best_of_n_kl(np.zeros((1, 4)), np.zeros((1, 4)), 4) == 0, "a policy that has one answer"


def test_choices_by_hand_and_by_drawing():
    p = np.array([[0.5, 0.3, 0.2]])
    found = np.exp(best_of_n_choice(np.array([[1.0, 3.0, 2.0]]), np.log(p), 2))
    assert found == pytest.approx(np.array([[0.25, 1 - 0.7**2, 0.7**2 - 0.25]]))
    assert np.exp(best_of_n_choice(np.array([[1.0, 3.0, 2.0]]), np.log(p), 1)) == pytest.approx(p)
    assert np.exp(best_of_n_choice(np.array([[0.0, 1.0]]), np.log([[1e-9, 1 - 1e-9]]), 50)).sum() == pytest.approx(1)
