"""Equations 2 and 3 by hand and by brute force; the processor in `generate`."""

import math
from functools import partial

from hfcourse.errors import InputError
from hfcourse.knn.capture import Capture
from hfcourse.knn.mixture import Grid, KNNLogitsProcessor, interpolate, knn_log_probs, target_log_probs
from hfcourse.knn.search import exact, search, tokens_of
from hfcourse.knn.store import Store

import numpy as np
import pytest
import torch
from knn_models import MODELS, make_model, make_store


def test_duplicates_of_a_token_add_up_and_the_rest_has_nothing():
    """d = 0, ln 2, ln 4 at T = 1 weigh 1, 1/2, 1/4: of 7/4 token 3 has 5/4 and token 1 has 1/2."""
    distances = torch.tensor([[0.0, math.log(2), math.log(4)]])
    found = knn_log_probs(distances, torch.tensor([[3, 1, 3]]), 5, 1.0).exp()
    assert found[0].tolist() == pytest.approx([0, 2 / 7, 0, 5 / 7, 0])
    # At T = 2 the weights are their square roots.
    weights = [1, 2**-0.5, 0.5]
    found = knn_log_probs(distances, torch.tensor([[3, 1, 3]]), 5, 2.0).exp()
    assert found[0, 1].item() == pytest.approx(weights[1] / sum(weights))


def brute_force(store: Store, query: np.ndarray, k: int, temperature: float, vocabulary: int) -> np.ndarray:
    """Equation 2 as it stands in the paper, in float64, entry by entry."""
    keys, tokens = (np.concatenate(arrays) for arrays in (store.keys, store.tokens))
    distances = [float(((query.astype(np.float64) - key.astype(np.float64)) ** 2).sum()) for key in keys]
    nearest = sorted(range(len(keys)), key=lambda i: distances[i])[:k]
    weights = np.zeros(vocabulary)
    for i in nearest:
        weights[tokens[i]] += math.exp(-distances[i] / temperature)
    return weights / weights.sum()


@pytest.mark.parametrize(("k", "temperature"), [(1, 1.0), (5, 0.7), (16, 3.0), (40, 10.0)])
def test_the_memory_is_the_formula(k, temperature):
    store, queries = make_store(40, 6, shards=3), torch.randn(9, 6)
    distances, entries = search(store, queries, k)
    tokens = tokens_of(store, entries)
    whole = knn_log_probs(distances, tokens, 7, temperature).exp()
    assert whole.sum(1) == pytest.approx(torch.ones(9))
    for query, row in zip(queries, whole, strict=True):
        assert row.numpy() == pytest.approx(brute_force(store, query.numpy(), k, temperature, 7), abs=1e-5)
    # What the evaluation sums is the same probability, for every k up to this one.
    ks = sorted({1, k})
    for token in range(7):
        found = target_log_probs(distances, tokens == token, ks, temperature).exp()
        assert found[:, -1] == pytest.approx(whole[:, token], abs=1e-6)
        nearest = knn_log_probs(distances[:, :1], tokens[:, :1], 7, temperature).exp()
        assert found[:, 0] == pytest.approx(nearest[:, token])


def test_the_mixture_has_the_model_at_0_the_memory_at_1_and_sums_to_one():
    lm = torch.randn(4, 7).log_softmax(1)
    knn = knn_log_probs(torch.rand(4, 3), torch.randint(7, (4, 3)), 7, 1.0)
    assert torch.equal(interpolate(lm, knn, 0.0), lm)
    assert torch.equal(interpolate(lm, knn, 1.0), knn)
    mixed = interpolate(lm, knn, 0.3).exp()
    assert mixed == pytest.approx(0.3 * knn.exp() + 0.7 * lm.exp()) and mixed.sum(1) == pytest.approx(torch.ones(4))


def test_what_was_not_found_weighs_nothing():
    distances, tokens = torch.tensor([[1.0, torch.inf], [torch.inf, torch.inf]]), torch.tensor([[2, 0], [0, 0]])
    found = knn_log_probs(distances, tokens, 3, 1.0).exp()
    assert found.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert target_log_probs(distances, tokens == 0, [2], 1.0).exp().tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (([0], [1.0], [0.5]), "--k 0"),
        (([1], [0.0], [0.5]), "--temperatures 0.0"),
        (([1], [1.0], [0.5, 1.5]), "--lambdas 0.5 1.5"),
        (([], [1.0], [0.5]), "--k"),
    ],
)
def test_values_that_no_mixture_has_are_refused(values, said):
    with pytest.raises(InputError, match=said):
        Grid(*values)


def test_defaults_are_a_place_in_the_grid_or_none():
    grid = Grid([4, 8], [1.0, 10.0], [0.25, 0.5])
    assert grid.at(grid.defaults()) == {"k": 8, "temperature": 1.0, "lambda": 0.25}
    assert Grid([4], [10.0], [0.25]).defaults() is None


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_generate_with_lambda_0_is_plain_and_with_1_writes_what_the_memory_says(name):
    model = make_model(name)
    prompt = torch.randint(2, 60, (3, 6))
    settings = {"attention_mask": torch.ones_like(prompt), "do_sample": False, "max_new_tokens": 8, "pad_token_id": 0}
    plain = model.generate(prompt, **settings)
    store = make_store(50, 32, vocabulary=60)
    with Capture(model, "ffn_input", name) as capture:
        for share in (0.0, 1.0):
            grid = Grid([3], [5.0], [share])
            find = partial(search, store)
            processor = KNNLogitsProcessor(capture, find, partial(tokens_of, store), grid, (0, 0, 0))
            written = model.generate(prompt, logits_processor=[processor], **settings)
            if share == 0:
                assert torch.equal(written, plain)
                continue
            for at in range(6, written.shape[1]):  # the whole text read again, without a cache
                if (written[:, 6:at] == 1).any():  # a text has ended
                    break
                distances, entries = search(store, capture.of(written[:, :at])[:, -1], 3)
                best = knn_log_probs(distances, tokens_of(store, entries), 61, 5.0).argmax(1)
                assert torch.equal(written[:, at], best)
    assert torch.equal(model.generate(prompt, **settings), plain)  # nothing is left in the model


def test_distances_may_be_rooted():
    store = make_store(10, 4)
    squared, entries = search(store, torch.randn(2, 4), 3)
    assert Grid([1], [1.0], [0.5], "root").measured(squared) == pytest.approx(squared.sqrt())
    assert torch.equal(exact(store, torch.zeros(2, 4), entries)[1].sort(1).values, entries.sort(1).values)
