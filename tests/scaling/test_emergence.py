"""Exact matches of several tokens, and what p ** L says of them."""

from hfcourse.scaling.emergence import count_exact, effective_length, late_share, runs_of

import numpy as np
import pytest
import torch


def test_runs_of_tokens_by_hand():
    right = torch.tensor([1, 1, 0, 1, 1, 1], dtype=torch.bool)
    assert runs_of(right, 1).tolist() == right.tolist()
    assert runs_of(right, 2).tolist() == [True, False, False, True, True]
    assert runs_of(right, 3).tolist() == [False, False, False, True]
    assert runs_of(right, 7).numel() == 0


def test_what_does_not_count_is_in_no_row():
    right = torch.ones(2, 1, 6, dtype=torch.bool)
    right[1, 0, 0] = False
    there = torch.tensor([[1, 1, 1, 1, 0, 0]], dtype=torch.bool)
    hits, counts = count_exact(right, there, (1, 2, 4, 8))
    assert counts.tolist() == [4, 3, 1, 0] and hits.tolist() == [[4, 3, 1, 0], [3, 2, 0, 0]]


def test_independent_tokens_follow_the_power_and_bound_ones_a_lower_one():
    generator, shares = torch.Generator().manual_seed(0), np.linspace(0.5, 0.95, 8)
    drawn = torch.rand(8, 200, 100, generator=generator)
    there = torch.ones(200, 100, dtype=torch.bool)
    alone = drawn < torch.tensor(shares)[:, None, None]
    together = drawn[..., ::2].repeat_interleave(2, -1) < torch.tensor(shares)[:, None, None]  # two at a time
    lengths = {}
    for name, right in (("alone", alone), ("together", together)):
        hits, counts = count_exact(right, there, (1, 8))
        exact = (hits / counts).double().numpy()
        lengths[name], explained = effective_length(exact[:, 0], exact[:, 1], 16)
        assert explained > 0.99
    assert lengths["alone"] == pytest.approx(8, abs=0.3)
    assert lengths["together"] == pytest.approx(4.5, abs=0.3)  # 4 pairs, or 3 and two halves


def test_how_late_a_gain_comes():
    losses = np.linspace(3, 0, 31)  # in no order that matters
    assert late_share(losses, 1 - losses / 3) == pytest.approx(1 / 3)
    assert late_share(losses[::-1], (1 - losses[::-1] / 3) ** 8) == pytest.approx(1 - (2 / 3) ** 8)
    assert late_share(losses, np.zeros(31)) == 0
