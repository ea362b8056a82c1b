"""Pairs, calibration and the pull of length, worked by hand and against the plain definitions."""

from math import exp

from hfcourse.metrics.preferences import calibration_error, length_correlation, ranked_pairs, reliability, wins

import numpy as np
import pytest


def test_pairs_of_a_ranking_leave_out_ties():
    assert ranked_pairs([[1, 2], [3, 1, 1]]) == [(0, 0, 1), (1, 1, 0), (1, 2, 0)]
    assert len(ranked_pairs([list(range(9))])) == 36  # 9 choose 2, InstructGPT's largest


def test_a_tie_is_half_a_win():
    assert wins(np.array([2.0, -0.1, 0.0])).tolist() == [1, 0, 0.5]


def test_a_worked_calibration():
    """Margins of log 4 and log 1.5: confidence .8 and .6, of which .5 and 1 are right."""
    margins = np.log(np.array([4, 1 / 4, 1.5, 1.5, 1.5]))
    table = reliability(margins)
    assert [b.pairs for b in table] == [3, 2]
    assert [b.confidence for b in table] == pytest.approx([0.6, 0.8])
    assert [b.accuracy for b in table] == [1, 0.5]
    assert calibration_error(table) == pytest.approx(3 / 5 * 0.4 + 2 / 5 * 0.3)


def test_margins_that_are_the_odds_are_calibrated():
    """Right with probability sigmoid(|margin|), drawn 40,000 times: the error is that of the draw."""
    draw = np.random.default_rng(0)
    size = draw.uniform(0, 4, 40_000)
    margins = np.where(draw.uniform(size=size.size) < 1 / (1 + np.exp(-size)), size, -size)
    assert calibration_error(reliability(margins)) < 0.01
    assert calibration_error(reliability(5 * margins)) > 0.1


def test_extreme_and_equal_margins_have_their_bin():
    table = reliability(np.array([1000.0, 0.0]))
    assert [(b.pairs, b.accuracy) for b in table] == [(1, 0.5), (1, 1)]
    assert table[1].confidence == 1 and table[0].confidence == 0.5
    assert reliability(np.array([0.3]))[0].confidence == pytest.approx(1 / (1 + exp(-0.3)))


def test_length_correlation_is_that_of_answers_without_the_mean_of_their_prompt():
    draw = np.random.default_rng(1)
    rewards, lengths = draw.normal(size=(50, 2)), draw.integers(1, 40, size=(50, 2))
    centred = [(x - x.mean(1, keepdims=True)).ravel() for x in (rewards, lengths)]
    expected = np.corrcoef(*centred)[0, 1]
    assert length_correlation(np.diff(rewards)[:, 0], np.diff(lengths)[:, 0]) == pytest.approx(expected)
    assert length_correlation(np.array([1.0, 2.0]), np.array([0, 0])) == 0
    assert length_correlation(np.array([1.0, -2.0]), np.array([-3, 6])) == pytest.approx(-1)
