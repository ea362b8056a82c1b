"""What a rollout is made of: the order of prompts and of minibatches, random numbers, tensors, running means."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import Sampler


Rollout = dict[str, Tensor]


class RolloutSampler(Sampler[int]):
    """Prompts in rollouts of `size`, each repeated for the `repeats` micro-batches that are trained on it.

    Seed and epoch alone decide the order, so that a run that goes on after an interruption meets the same prompts.
    What does not fill a rollout is left out of its epoch.
    """

    def __init__(self, prompts: int, size: int, repeats: int, seed: int, shuffle: bool = True):
        self.prompts, self.size, self.repeats, self.seed, self.shuffle = prompts, size, repeats, seed, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return self.prompts // self.size * self.size * self.repeats

    def set_epoch(self, epoch: int) -> None:
        """Another order than in the epoch before."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.prompts)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.prompts)
        for start in range(0, self.prompts - self.size + 1, self.size):
            for _ in range(self.repeats):
                yield from order[start : start + self.size].tolist()


def draws(seed: int, stream: int, rows: Sequence[int], length: int) -> Tensor:
    """Random numbers in [0, 1) to draw tokens by, (B, T): those of a row follow from seed, stream and row alone."""
    return torch.tensor(np.stack([np.random.default_rng([seed, stream, row]).random(length) for row in rows]))


def minibatch_order(seed: int, rollout: int, epochs: int, rows: int) -> Tensor:
    """An order of the rows (E, R) for each epoch over a rollout."""
    random = np.random.default_rng([seed, rollout])
    return torch.tensor(np.stack([random.permutation(rows) for _ in range(epochs)]))


def micro_batch(rows: Tensor, lengths: Tensor, parts: int, part: int) -> Tensor:
    """The `part`-th of `parts` micro-batches of a minibatch's rows (M,), rows of similar length together."""
    return rows[lengths[rows].argsort(stable=True)].chunk(parts)[part]


def take(rollout: Rollout, rows: Tensor) -> Rollout:
    """Some rows of a rollout, as wide as the longest of them."""
    part = {name: value[rows] for name, value in rollout.items()}
    width, longest = int(part["attention_mask"].sum(1).max()), int(part["answer_mask"].sum(1).max())
    wide = {"input_ids", "attention_mask", "answer_mask"}
    return {
        name: value if value.dim() == 1 else value[:, : width if name in wide else longest].contiguous()
        for name, value in part.items()
    }


def to_rows(prompts: list[list[int]], answers: list[list[int]], pad_id: int, device: torch.device) -> Rollout:
    """input_ids, attention_mask and answer_mask (B, W): prompt and answer from position 0, padding behind them."""
    width = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids = torch.full((len(prompts), width), pad_id)
    attention, answer = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for row, (p, a) in enumerate(zip(prompts, answers, strict=True)):
        ids[row, : len(p) + len(a)] = torch.tensor(p + a)
        attention[row, : len(p) + len(a)] = 1
        answer[row, len(p) : len(p) + len(a)] = True
    return {"input_ids": ids.to(device), "attention_mask": attention.to(device), "answer_mask": answer.to(device)}


def gather_rows(accelerator: Accelerator, own: Rollout) -> Rollout:
    """The rows of all processes, process by process, as wide as the widest of them has."""
    # accelerate pads a bool tensor to one of integers, and a process that need not pad leaves it as it is.
    plain = {name: value.byte() if value.dtype == torch.bool else value for name, value in own.items()}
    wide = accelerator.gather(accelerator.pad_across_processes(plain, dim=1))
    return {name: value.to(own[name].dtype) for name, value in wide.items()}


class Means:
    """Sums and counts of named quantities, so that a mean weighs each answer or token once, however they are split."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor, mask: Tensor | None = None) -> None:
        """Add values (B,) or (B, T), those on the mask where there is one."""
        mask = torch.ones_like(values) if mask is None else mask
        own = torch.stack([(values * mask).sum(), mask.sum()]).detach().double()
        self.sums[name] = self.sums.get(name, 0) + own

    def take(self, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """The means of what there was, after which this is empty; `reduce` sums a tensor over the processes."""
        sums, self.sums = self.sums, {}
        table = torch.stack(list(sums.values()))  # (names, 2)
        table = table if reduce is None else reduce(table)
        rows = zip(sums, table.tolist(), strict=True)
        return {name: total / count for name, (total, count) in rows if count > 0}


def collect(metrics: defaultdict[str, list[float]], values: dict[str, float]) -> None:
    """Append values to TRL's lists of metrics, which its `log` averages."""
    for name, value in values.items():
        metrics[name].append(value)
