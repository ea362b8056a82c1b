"""The datastore: one entry for each token of a text, its context's key and the token itself (equation 1).

N entries, D width of a key. Keys and tokens lie in shards, arrays that may be mapped from files.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from hfcourse.errors import InputError

import numpy as np


TOKENS = np.int32


class Window(NamedTuple):
    """Tokens [begin, end) that the model reads together; those from `first` on are predicted and counted."""

    begin: int
    first: int
    end: int


def cut_windows(length: int, size: int, stride: int) -> list[Window]:
    """Windows of `size` tokens, each `stride` after the one before; each token counts in the first that reaches it.

    With stride = size they are the blocks of pre-training, whose first tokens have no context and do not count. With a
    smaller one, all but the first window count their last `stride` tokens, each of them behind size - stride or more.
    The tail that fills no window is left out. Raises InputError where there is not one window.
    """
    if not (size >= 2 and 1 <= stride <= size):
        raise InputError(
            f"--block_size {size} and --stride {stride}: expected a stride from 1 to a block of 2 or more"
        )
    begins = range(0, length - size + 1, stride)
    if not begins:
        raise InputError(f"the text has {length} tokens, fewer than the {size} of --block_size")
    return [Window(b, b + (1 if b == 0 or stride == size else size - stride), b + size) for b in begins]


@dataclass(frozen=True)
class Store:
    """Keys (N, D) in float16 or float32 and tokens (N,), in shards of any lengths."""

    keys: Sequence[np.ndarray]
    tokens: Sequence[np.ndarray]

    def __len__(self) -> int:
        return sum(map(len, self.keys))

    @property
    def width(self) -> int:
        return self.keys[0].shape[1]

    def vectors(self, entries: np.ndarray) -> np.ndarray:
        """Keys (..., D), in float32, of the entries of these numbers."""
        return self._take(self.keys, entries, (self.width,), np.dtype(np.float32))

    def next_tokens(self, entries: np.ndarray) -> np.ndarray:
        """Tokens (...), of the entries of these numbers."""
        return self._take(self.tokens, entries, (), np.dtype(np.int64))

    def _take(self, shards: Sequence[np.ndarray], entries: np.ndarray, shape: tuple, dtype: np.dtype) -> np.ndarray:
        found = np.empty((*entries.shape, *shape), dtype)
        bounds = np.cumsum([0, *map(len, shards)])
        for shard, (start, end) in zip(shards, pairwise(bounds), strict=True):
            here = (entries >= start) & (entries < end)
            found[here] = shard[entries[here] - start]
        return found


def count_entries(windows: Sequence[Window]) -> int:
    return sum(window.end - window.first for window in windows)


def digest(ids: np.ndarray) -> str:
    """Of a text's tokens."""
    return hashlib.blake2b(np.ascontiguousarray(ids, TOKENS).tobytes(), digest_size=8).hexdigest()
