"""Batches of similar length: each row once, less padding, the same for any number of processes."""

from hfcourse.run.sampling import SimilarLengths

import numpy as np
import pytest


@pytest.mark.parametrize(("rows", "batch"), [(1000, 8), (1003, 8), (5, 8), (430, 4), (8, 8)])
def test_every_row_once_in_an_order_of_seed_and_epoch(rows, batch):
    lengths = np.random.default_rng(0).integers(1, 100, rows)
    sampler, same = (SimilarLengths(lengths, batch, 7) for _ in range(2))
    first = list(sampler)
    assert sorted(first) == list(range(rows)) and len(sampler) == rows
    assert list(sampler) == first == list(same)
    same.set_epoch(1)
    assert (list(same) != first and list(SimilarLengths(lengths, batch, 8)) != first) or rows <= batch
    assert sorted(same) == list(range(rows))


def test_batches_have_little_padding_and_no_order_of_their_own():
    lengths = np.random.default_rng(1).integers(1, 100, 4000)
    order = np.array(list(SimilarLengths(lengths, 16, 0)))
    widths = lengths[order].reshape(-1, 16).max(1)
    assert 16 * widths.sum() < 1.05 * lengths.sum() < 1.05 / 1.5 * 16 * lengths.reshape(-1, 16).max(1).sum()
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.15


def test_the_incomplete_batch_stays_the_last():
    lengths = np.arange(1000)
    order = list(SimilarLengths(lengths, 16, 0))
    assert all(max(b) - min(b) < 160 for b in np.array(order[:992]).reshape(-1, 16))


def test_two_processes_that_take_turns_see_what_one_sees():
    """accelerate deals batches in turn: two processes with 4 rows take the 8 rows of one that accumulates two."""
    lengths = np.random.default_rng(2).integers(1, 50, 64)
    order = list(SimilarLengths(lengths, 8, 3))
    micro = [order[i : i + 4] for i in range(0, 64, 4)]
    ranks = micro[0::2], micro[1::2]
    together = [sorted(a + b) for a, b in zip(*ranks, strict=True)]
    assert together == [sorted(order[i : i + 8]) for i in range(0, 64, 8)]
