"""Batches of rows of similar length, the same ones in any number of processes and after any interruption."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


BATCHES = 50
SHOWN = 8


def epoch_order(sampler: Sampler[int], epoch: int) -> list[int]:
    """The rows in the order in which an epoch reads them, of a sampler that draws it from its seed and the epoch."""
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)
    return list(sampler)


def listed(numbers: Sequence[int]) -> str:
    """ "3, 17, 20", and of many the first of them and how many more there are."""
    more = len(numbers) - SHOWN
    return ", ".join(map(str, numbers[:SHOWN])) + (f" and {more} more" if more > 0 else "")


class SimilarLengths(Sampler[int]):
    """Every row once an epoch, so that each `batch` rows in a row have similar lengths; the batches come in any order.

    `batch` counts the rows of an optimiser step over all processes. Seed and epoch alone decide the order:
    transformers' LengthGroupedSampler draws it from the state of the process, takes the rows of one process for the
    batch, and sorts the batches themselves by length, fifty at a time.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int):
        self.lengths, self.batch, self.seed = np.asarray(lengths), batch, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Another order than in the epoch before."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths))
        pool = self.batch * BATCHES
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        order = np.concatenate([rows[np.argsort(self.lengths[rows], kind="stable")] for rows in pools])
        whole = len(order) - len(order) % self.batch
        batches = random.permutation(order[:whole].reshape(-1, self.batch))  # the incomplete one stays the last
        return iter([*batches.ravel().tolist(), *order[whole:].tolist()])
