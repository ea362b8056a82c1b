"""Approximate search by faiss's IVF-PQ: keys in lists around centres, and each key a code of a few bytes.

Jégou et al. 2011, "Product quantization for nearest neighbor search"; the index of the paper (section 3).
"""

from collections.abc import Sequence

from hfcourse.errors import InputError
from hfcourse.knn.store import Store

import faiss
import numpy as np
import torch
from torch import Tensor


SAMPLE = 256  # entries for each list that its centre is trained on, as faiss itself takes at most
CODES = 256  # of one byte
ADDED = 100_000  # keys at a time


def check_index(entries: int, width: int, lists: int, code_bytes: int, probe: int) -> None:
    """Raise InputError for an index that can't be, over so many keys of this width."""
    if code_bytes < 1 or width % code_bytes:
        raise InputError(f"--code_bytes {code_bytes}: expected a divisor of the {width} numbers of a key")
    if not 1 <= probe <= lists:
        raise InputError(f"--probe {probe}: expected 1 to the {lists} of --lists")
    if entries < max(lists, CODES):
        raise InputError(f"--lists {lists}, with codes of {CODES} centres: {entries} entries in the store are too few")


def build_index(keys: Sequence[np.ndarray], lists: int, code_bytes: int, seed: int) -> faiss.IndexIVFPQ:
    """An index of all shards of keys (N, D), its centres trained on up to SAMPLE keys a list, drawn with the seed."""
    store = Store(keys, ())
    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexIVFPQ(faiss.IndexFlatL2(store.width), store.width, lists, code_bytes, 8)
    for clustering in (index.cp, index.pq.cp):
        clustering.seed, clustering.min_points_per_centroid = seed, 1  # a test's store is smaller than faiss wishes
    number = min(len(store), SAMPLE * max(lists, CODES))
    index.train(store.vectors(np.sort(np.random.default_rng(seed).choice(len(store), number, replace=False))))
    for shard in keys:
        for start in range(0, len(shard), ADDED):
            index.add(np.asarray(shard[start : start + ADDED], np.float32))
    return index


def search_index(index: faiss.IndexIVFPQ, queries: Tensor, k: int, probe: int) -> tuple[Tensor, Tensor]:
    """Distances (Q, k) by codes, and entries (Q, k), of `probe` lists; -1, infinitely far, where they end."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    index.nprobe = probe
    distances, entries = index.search(queries.float().cpu().numpy(), k)
    distances[entries < 0] = np.inf
    return torch.from_numpy(distances).to(queries.device), torch.from_numpy(entries).to(queries.device)


def recall(found: Tensor, exact: Tensor) -> tuple[int, int]:
    """How many of the nearest entries (Q, k) are among those found (Q, k), and how many there are."""
    both = [entries.cpu().numpy() for entries in (found, exact)]
    hits = sum(len(np.intersect1d(*pair)) for pair in zip(*both, strict=True))
    return hits, exact.numel()
