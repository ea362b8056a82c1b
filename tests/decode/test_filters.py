"""hfcourse.decode.filters on scores small enough to filter by hand, and against transformers' processors."""

import math

from hfcourse.decode.filters import min_p, no_repeat_ngram, repetition_penalty, temperature, top_k, top_p

import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


PROBABILITIES = [0.1, 0.4, 0.05, 0.2, 0.25]
SCORES = torch.tensor([PROBABILITIES]).log()
IDS = torch.tensor([[1, 2, 3, 1, 2]])


def kept(scores: torch.Tensor) -> list[int]:
    return scores[0].isfinite().nonzero()[:, 0].tolist()


@pytest.mark.parametrize(
    ("filtered", "left"),
    [
        (top_k(SCORES, IDS, 1), [1]),
        (top_k(SCORES, IDS, 3), [1, 3, 4]),
        (top_k(SCORES, IDS, 9), [0, 1, 2, 3, 4]),
        (top_k(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), IDS, 2), [0, 1, 2]),  # a tie with the last of them stays
        (top_p(SCORES, IDS, 0.3), [1]),
        (top_p(SCORES, IDS, 0.45), [1, 4]),
        (top_p(SCORES, IDS, 0.8), [1, 3, 4]),
        (top_p(SCORES, IDS, 0.94), [0, 1, 3, 4]),
        (top_p(SCORES, IDS, 1e-9), [1]),
        (min_p(SCORES, IDS, 0.49), [1, 3, 4]),
        (min_p(SCORES, IDS, 0.7), [1]),
        (no_repeat_ngram(SCORES, IDS, 3), [0, 1, 2, 4]),  # 1 2 3 was there, and 1 2 stands last
        (no_repeat_ngram(SCORES, IDS, 2), [0, 1, 2, 4]),
        (no_repeat_ngram(SCORES, IDS, 1), [0, 4]),
        (no_repeat_ngram(SCORES, IDS, 4), [0, 1, 2, 3, 4]),
        (no_repeat_ngram(SCORES, IDS, 9), [0, 1, 2, 3, 4]),
    ],
)
def test_what_is_left_to_choose_from(filtered: torch.Tensor, left: list[int]) -> None:
    assert kept(filtered) == left
    assert torch.equal(filtered[:, left], filtered[:, left].clone()) and SCORES.isfinite().all()  # not in place


def test_temperature_by_hand() -> None:
    half = temperature(SCORES, IDS, 0.5).softmax(-1)[0]
    assert half.tolist() == pytest.approx([p**2 / sum(q**2 for q in PROBABILITIES) for p in PROBABILITIES])
    entropies = [-(p * p.log()).sum() for t in (0.5, 1, 2, 1e4) for p in [temperature(SCORES, IDS, t).softmax(-1)]]
    assert entropies == sorted(entropies) and entropies[-1] == pytest.approx(math.log(5))


def test_a_penalty_counts_once_and_works_against_the_token_on_both_sides_of_zero() -> None:
    scores = torch.tensor([[3.0, 2.0, -1.0, 0.0]])
    seen = torch.tensor([[1, 1, 1, 2, 3]])
    assert repetition_penalty(scores, seen, 2.0).tolist() == [[3.0, 1.0, -2.0, 0.0]]


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_transformers_on_drawn_scores(seed: int) -> None:
    torch.manual_seed(seed)
    scores, ids = torch.randn(16, 50) * 4, torch.randint(50, (16, 60))
    for ours, theirs in (
        (top_k(scores, ids, 7), TopKLogitsWarper(7)),
        (top_p(scores, ids, 0.8), TopPLogitsWarper(0.8)),
        (min_p(scores, ids, 0.05), MinPLogitsWarper(0.05)),
        (repetition_penalty(scores, ids, 1.3), RepetitionPenaltyLogitsProcessor(1.3)),
        (no_repeat_ngram(scores, ids, 2), NoRepeatNGramLogitsProcessor(2)),
    ):
        assert torch.equal(ours, theirs(ids, scores.clone()))
        assert not torch.equal(ours, scores)
