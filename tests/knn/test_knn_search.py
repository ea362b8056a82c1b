"""Exact search against faiss's flat index and brute force; shards, blocks and parts; IVF-PQ."""

from hfcourse.errors import InputError
from hfcourse.knn import search as module
from hfcourse.knn.quantised import build_index, check_index, recall, search_index
from hfcourse.knn.search import exact, search, search_prefixes
from hfcourse.knn.store import Store

import faiss
import numpy as np
import pytest
import torch
from knn_models import make_store


def flat(store: Store, queries: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    index = faiss.IndexFlatL2(store.width)
    index.add(np.concatenate(store.keys).astype(np.float32))
    return index.search(queries.numpy(), k)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shards", [1, 4])
def test_it_finds_what_a_flat_index_finds(monkeypatch, shards, dtype):
    monkeypatch.setattr(module, "BLOCK", 300)
    monkeypatch.setattr(module, "QUERIES", 13)
    store, queries = make_store(3000, 16, shards, dtype=dtype), torch.randn(40, 16)
    distances, entries = search(store, queries, 25)
    theirs, _ = flat(store, queries, 25)
    assert distances.numpy() == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    # The entries are those at these distances, and each stands once; two that are as near may change places.
    again, same = exact(store, queries, entries[:, torch.randperm(25)])
    assert again.numpy() == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    assert [len(set(row)) for row in entries.tolist()] == [25] * 40 and torch.equal(
        same.sort(1).values, entries.sort(1).values
    )


def test_keys_that_come_nearer_and_nearer_are_all_found(monkeypatch):
    """The worst order for a search that looks only for what beats its k-th best; k above a block."""
    monkeypatch.setattr(module, "BLOCK", 8)
    keys = np.linspace(10, 0, 100, dtype=np.float32)[:, None].repeat(2, 1)
    store = Store([keys[:37], keys[37:]], [np.zeros(37, np.int32), np.zeros(63, np.int32)])
    _, entries = search(store, torch.zeros(1, 2), 20)
    assert entries[0].tolist() == list(range(99, 79, -1))


@pytest.mark.parametrize("sizes", [[50, 299, 300, 301, 1000], [1000], [400, 400]])
def test_parts_of_a_store_are_stores(monkeypatch, sizes):
    monkeypatch.setattr(module, "BLOCK", 100)
    store, queries = make_store(1000, 8, shards=3), torch.randn(5, 8)
    keys, tokens = np.concatenate(store.keys), np.concatenate(store.tokens)
    found = list(search_prefixes(store, queries, 10, sizes))
    assert len(found) == len(sizes)
    for size, (distances, entries) in zip(sizes, found, strict=True):
        alone = search(Store([keys[:size]], [tokens[:size]]), queries, 10)
        assert torch.equal(entries, alone[1]) and distances == pytest.approx(alone[0], abs=1e-4)


def test_equal_keys_have_equal_distances():
    keys = np.ones((50, 4), np.float32)
    store = Store([keys], [np.arange(50, dtype=np.int32)])
    distances, entries = search(store, torch.zeros(2, 4), 7)
    assert distances.tolist() == [[4.0] * 7] * 2 and all(len(set(row)) == 7 for row in entries.tolist())


def test_more_neighbours_than_entries_are_refused_and_both_named():
    store = make_store(10, 4)
    with pytest.raises(InputError, match="--k 11: .* has 10 entries"):
        search(store, torch.zeros(1, 4), 11)
    with pytest.raises(InputError, match="--k 5: .* has 4 entries"):
        list(search_prefixes(store, torch.zeros(1, 4), 5, [4, 10]))


def test_ivfpq_finds_most_and_everything_by_looking_everywhere_with_a_code_for_each_key():
    store, queries = make_store(2000, 16, shards=2), torch.randn(30, 16)
    _, nearest = search(store, queries, 10)
    index = build_index(store.keys, 16, 16, 0)
    shares = []
    for probe in (1, 4, 16):
        found = search_index(index, queries, 10, probe)[1]
        hits, of = recall(found, nearest)
        assert of == 300
        shares.append(hits / of)
    assert shares == sorted(shares) and shares[0] < 0.7 and shares[2] > 0.85
    distances, entries = exact(store, queries, found)
    gap = store.vectors(entries.numpy()) - queries[:, None].numpy()
    assert distances.numpy() == pytest.approx((gap**2).sum(2), rel=1e-4)
    again = search_index(build_index(store.keys, 16, 16, 0), queries, 10, 16)
    assert torch.equal(again[1], found)


def test_where_the_lists_end_the_rest_is_infinitely_far():
    store, queries = make_store(300, 4), torch.randn(3, 4)
    distances, entries = search_index(build_index(store.keys, 64, 4, 0), queries, 100, 1)
    assert (entries == -1).any() and torch.equal(entries == -1, distances.isinf())
    again, same = exact(store, queries, entries)
    assert torch.equal(same == -1, again.isinf()) and not again[:, 0].isinf().any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((1000, 10, 16, 3, 4), "--code_bytes 3: expected a divisor of the 10"),
        ((1000, 10, 16, 5, 17), "--probe 17: expected 1 to the 16 of --lists"),
        ((200, 10, 16, 5, 4), "200 entries in the store are too few"),
    ],
)
def test_an_index_that_can_not_be_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        check_index(*settings)
