"""Nearest neighbours by squared L2 distance, exactly, of Q queries among keys that need not fit into memory.

A matrix product in torch, on the model's device: on a CPU several times as fast as faiss's flat index
(docs/numbers.md), and on a GPU without another library. faiss is for approximate search: quantised.py.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hfcourse.errors import InputError
from hfcourse.knn.store import Store

import numpy as np
import torch
from torch import Tensor


BLOCK = 32768  # keys at a time
QUERIES = 1024  # and queries, so that their products take 128 MB
KEYS = 2**16  # that are taken out of a store at a time


def search(store: Store, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances (Q, k), in float32, and numbers (Q, k) of the nearest entries, nearest first.

    Raises InputError for k above the store.
    """
    (found,) = search_prefixes(store, queries, k, [len(store)])
    return found


def search_prefixes(store: Store, queries: Tensor, k: int, sizes: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """What `search` gives among the first n entries, for each n of `sizes`, which rise; the store is read once."""
    check_k(k, sizes[0])
    parts = [list(_search(store, part, k, sizes)) for part in queries.split(QUERIES)]
    for found in zip(*parts, strict=True):
        distances, entries = zip(*found, strict=True)
        yield torch.cat(distances), torch.cat(entries)


def check_k(k: int, entries: int) -> None:
    """Raise InputError for more neighbours than there are entries."""
    if not 1 <= k <= entries:
        raise InputError(f"--k {k}: the store, or the part of it that is to be searched, has {entries} entries")


def _search(store: Store, queries: Tensor, k: int, sizes: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    queries = queries.float()
    best: tuple[Tensor, Tensor] | None = None
    start = 0
    for block in _blocks(store.keys, sizes):
        keys = torch.from_numpy(block).to(queries.device).float()  # (n, D)
        # |q - x|^2 without |q|^2, which is the same for all keys of a query.
        scores = torch.addmm(keys.square().sum(1), queries, keys.T, alpha=-2)  # (Q, n)
        best = _merge(best, scores, start, k)
        start += len(block)
        for _ in range(sizes.count(start)):
            scores, order = best[0].sort(1)
            yield (scores + queries.square().sum(1, keepdim=True)).clamp(min=0), best[1].gather(1, order)


def _blocks(shards: Sequence[np.ndarray], sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """Pieces of at most BLOCK keys up to the last of `sizes`, none of them across a shard's end or one of these."""
    start = 0
    for shard in shards:
        end = min(len(shard), sizes[-1] - start)
        cuts = {*range(0, end, BLOCK), *(size - start for size in sizes if start < size <= start + end)}
        for first, last in pairwise(sorted({*cuts, max(end, 0)})):
            yield np.array(shard[first:last])  # a copy, since torch warns of arrays that it may not write
        start += len(shard)


def _merge(best: tuple[Tensor, Tensor] | None, scores: Tensor, start: int, k: int) -> tuple[Tensor, Tensor]:
    """The k lowest of the best so far (Q, <= k) and of new scores (Q, n), whose entries are numbered from `start`."""
    if best is None or best[0].shape[1] < k:
        entries = torch.arange(start, start + scores.shape[1], device=scores.device).expand_as(scores)
    else:
        # Behind the first blocks few keys are nearer than the k-th best: looking for those alone is quicker than topk.
        row, column = (scores < best[0].amax(1, keepdim=True)).nonzero(as_tuple=True)
        counts = row.bincount(minlength=len(scores))
        place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        nearer = scores.new_full((len(scores), int(counts.max())), torch.inf)
        entries = torch.zeros_like(nearer, dtype=torch.long)
        nearer[row, place], entries[row, place] = scores[row, column], column + start
        scores = nearer
    if best is not None:
        scores, entries = torch.cat([best[0], scores], 1), torch.cat([best[1], entries], 1)
    scores, order = scores.topk(min(k, scores.shape[1]), largest=False, sorted=False)
    return scores, entries.gather(1, order)


def exact(store: Store, queries: Tensor, entries: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances (Q, k) of some entries, from the keys themselves, and these entries, nearest first.

    For entries that were found by codes. Entry -1, which faiss gives where its lists end, is infinitely far.
    """
    distances = torch.full(entries.shape, torch.inf, device=queries.device)
    size = max(1, KEYS // entries.shape[1])
    for found, asked, part in zip(distances.split(size), queries.split(size), entries.split(size), strict=True):
        keys = torch.from_numpy(store.vectors(part.clamp(min=0).cpu().numpy())).to(queries.device)  # (<= size, k, D)
        found.copy_((asked[:, None].float() - keys).square().sum(2).masked_fill(part < 0, torch.inf))
    distances, order = distances.sort(1)
    return distances, entries.gather(1, order)


def tokens_of(store: Store, entries: Tensor) -> Tensor:
    """The tokens (Q, k) of entries; of an entry -1 any, since it is infinitely far."""
    return torch.from_numpy(store.next_tokens(entries.clamp(min=0).cpu().numpy())).to(entries.device)
