"""Scores to numbers: rules and metrics by hand and against scikit-learn, intervals against brute force."""

from hfcourse.errors import InputError
from hfcourse.icl.report import Cell, Scores, reliability, report
from hfcourse.icl.scoring import label_scores, log_softmax, read_rules
from hfcourse.metrics.classification import (
    accuracy,
    brier,
    expected_calibration_error,
    macro_f1,
    resample,
    wilson,
)

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score


RNG = np.random.default_rng(0)


def test_rules_by_hand():
    logprobs, tokens = np.log([[0.2, 0.1]]), np.array([[1, 2]])
    assert label_scores("direct", logprobs, tokens).argmax() == 0
    assert label_scores("normalised", logprobs, tokens) == pytest.approx(np.array([[np.log(0.2), np.log(0.1) / 2]]))
    # Without an input the first label has .9 and .7 of the two, on average .8: .2 / .8 < .1 / .2.
    free = np.log([[0.09, 0.01], [0.35, 0.15]])
    found = label_scores("calibrated", logprobs, tokens, free)
    assert np.exp(found) == pytest.approx(np.array([[0.25, 0.5]])) and found.argmax() == 1
    assert np.exp(log_softmax(found)) == pytest.approx(np.array([[1 / 3, 2 / 3]]))


def test_rules_are_read():
    assert read_rules("direct, channel,direct") == ["direct", "channel"]
    with pytest.raises(InputError, match="--scoring takes .*, not 'dircet'"):
        read_rules("dircet")


def test_macro_f1_is_that_of_scikit_learn_weighted_or_not():
    gold, predicted = RNG.integers(0, 4, 50), RNG.integers(0, 3, 50)
    weights = RNG.integers(0, 3, (6, 50)).astype(float)
    found = macro_f1(predicted, gold, 5, weights)
    for row, value in zip(weights, found, strict=True):
        expected = f1_score(np.repeat(gold, row.astype(int)), np.repeat(predicted, row.astype(int)), average="macro")
        assert value == pytest.approx(expected)


def test_calibration_error_and_brier_by_hand():
    confidence, right = np.array([0.55, 0.58, 0.95, 1.0]), np.array([1.0, 0.0, 1.0, 1.0])
    # Bins (.5, .6] with gap |.565 - .5| and (.9, 1] with |.975 - 1|, two decisions each.
    assert expected_calibration_error(confidence, right, np.ones(4)) == pytest.approx((0.065 + 0.025) / 2)
    assert expected_calibration_error(confidence, right, np.array([0.0, 1, 0, 0])) == pytest.approx(0.58)
    probabilities, gold = RNG.dirichlet([1, 1], 30), RNG.integers(0, 2, 30)
    expected = 2 * brier_score_loss(gold, probabilities[:, 1])
    assert brier(probabilities, gold, np.ones(30)) == pytest.approx(expected)


def test_the_bootstrap_draws_items_and_seeds():
    weights = resample(3, 40, 400, seed=1)
    assert weights.shape == (400, 120) and (weights.sum(-1) == 120).all()
    one = weights.reshape(400, 3, 40)
    assert np.allclose(one * one.sum((1, 2), keepdims=True), one.sum(1, keepdims=True) * one.sum(2, keepdims=True))
    assert (resample(1, 40, 5, seed=1).max(-1) > 1).all()
    # All seeds agree on half of the items: the standard error is that of 40 items, not of 120.
    right = np.tile(np.arange(40) < 20, 3).astype(float)
    assert accuracy(right, weights).std() == pytest.approx(np.sqrt(0.25 / 40), rel=0.15)


def test_wilson_is_never_empty():
    assert wilson(1.0, 20) == pytest.approx((0.839, 1.0), abs=1e-3)
    assert wilson(0.5, 100) == pytest.approx((0.404, 0.596), abs=1e-3)


def scores(kind: str = "classification", seeds: int = 2, items: int = 30) -> Scores:
    logprobs = np.log(RNG.dirichlet([1, 1, 1], (seeds, items)))
    tokens = np.broadcast_to([1, 2, 3], logprobs.shape)
    free = np.log(RNG.dirichlet([1, 1, 1], (seeds, items, 2)))
    return Scores(logprobs, tokens, RNG.random((seeds, items)) < 0.4, RNG.integers(0, 3, items), kind, free)


def test_a_report_names_and_bounds_everything():
    cells = {Cell("a", "gold", 4): scores(), Cell("b_en", "gold", 4): scores("choice")}
    cells[Cell("c", "gold", 4)] = scores()
    cells[Cell("a", "random", 4)] = scores()
    metrics = report(cells, ["direct", "calibrated"], 4, seed=0)
    for name in [name for name in metrics if not name.endswith(("_low", "_high"))]:
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"], name
    own = cells[Cell("a", "gold", 4)]
    assert metrics["a_gold_k4_accuracy"] == pytest.approx((own.logprobs.argmax(-1) == own.gold).mean(), abs=1e-6)
    assert metrics["a_gold_k4_exact_match"] == pytest.approx(own.greedy.mean(), abs=1e-6)
    assert "a_gold_k4_calibrated_accuracy" in metrics and "a_random_k4_calibrated_accuracy" not in metrics
    assert "b_en_gold_k4_macro_f1" not in metrics
    mean = (metrics["a_gold_k4_accuracy"] + metrics["c_gold_k4_accuracy"]) / 2
    assert metrics["mean_gold_k4_accuracy"] == pytest.approx(mean, abs=1e-6), "of the tasks that all measures suit"
    choices = {Cell(task, "gold", 4): scores("choice") for task in "ab"}
    assert "mean_gold_k4_accuracy" in report(choices, ["direct"], 4, seed=0)
    assert report({Cell("g", "gold", 4): scores("generation")}, ["direct"], 4, 0).keys() == {
        f"g_gold_k4_exact_match{end}" for end in ("", "_low", "_high")
    }


def test_reliability_adds_up_to_the_calibration_error():
    own = scores()
    confidence, right, share = reliability([own], "direct", 10)
    probabilities = np.exp(own.logprobs).reshape(-1, 3)
    gold = np.tile(own.gold, 2)
    expected = expected_calibration_error(
        probabilities.max(-1), (probabilities.argmax(-1) == gold).astype(float), np.ones(60)
    )
    assert np.nansum(share * np.abs(confidence - right)) == pytest.approx(expected)
