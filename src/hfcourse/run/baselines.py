"""One language model for each step of history on the same rows: trained in lock-step, scored place by place, timed."""

import copy
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.arguments import read_mapping
from hfcourse.run.lockstep import LockstepTrainer
from hfcourse.run.models import from_scratch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import set_seed


Row = Sequence[int]


def read_architectures(value: Any) -> dict[str, dict[str, Any]]:
    """--architectures as a mapping of names to sizes, from a config or, as YAML or JSON, from the command line.

    Raises InputError for anything else, and for a name that no metric could have.
    """
    found = read_mapping(value, "architectures")
    if not found:
        raise InputError("--architectures is missing or no mapping of names to sizes: see configs/baselines")
    for name, architecture in found.items():
        if not re.fullmatch("[a-z][a-z0-9]*", str(name)) or name.startswith("ngram"):
            raise InputError(f"--architectures: a name is of small letters and digits, and not ngram, unlike '{name}'")
        if not isinstance(architecture, dict) or "model_type" not in architecture:
            raise InputError(f"--architectures: {name} needs a mapping with a model_type and sizes")
    return found


class Cohort(nn.Module):
    """M causal models by name, with random weights, of the sizes in `architectures`, and the rate of each.

    Beside its sizes an architecture may have a `learning_rate`: a rate that is right for one is wrong for another.
    Weights are drawn with the seed, the same whatever other models are there. Raises InputError for a size that is no
    such, and for a model with fewer than `length` positions.
    """

    # The Trainer asks for it where a checkpoint lacks a weight, as it lacks the second name of a tied one.
    _keys_to_ignore_on_save = None

    def __init__(
        self, architectures: dict[str, dict[str, Any]], tokenizer: Any, seed: int, length: int, learning_rate: float
    ):
        super().__init__()
        self.models = nn.ModuleDict()
        self.rates: dict[str, float] = {}
        for name, architecture in architectures.items():
            sizes = {key: value for key, value in architecture.items() if key != "learning_rate"}
            set_seed(seed)
            model = from_scratch("causal", sizes, tokenizer)
            most = getattr(model.config, "max_position_embeddings", None)
            if most is not None and length > most:
                raise InputError(
                    f"--architectures: {name} has {most} positions, but --block_size or --generated_tokens behind a "
                    f"text take {length}"
                )
            self.models[name] = model
            self.rates[name] = float(architecture.get("learning_rate", learning_rate))

    def forward(self, input_ids: Tensor, labels: Tensor, **_: Any) -> Tensor:
        """The mean losses (M,) of the next token; padding stands behind the tokens, where no causal model looks."""
        return torch.stack([model(input_ids=input_ids, labels=labels).loss for model in self.models.values()])


class CohortTrainer(LockstepTrainer):
    """Trains a Cohort; each model's rate is its own and follows the schedule that all have."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.cohort: Cohort = kwargs["model"]
        super().__init__(*args, named=dict(self.cohort.models), **kwargs)

    def own_rates(self) -> list[tuple[nn.Module, float]]:
        return [(model, self.cohort.rates[name]) for name, model in self.named.items()]


def batches(rows: Sequence[Row], size: int) -> Iterator[tuple[list[int], Tensor]]:
    """The places of up to `size` rows of similar length, and their tokens (B, T)."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        tensors = [torch.tensor(rows[place]) for place in places]
        yield places, nn.utils.rnn.pad_sequence(tensors, batch_first=True)


@torch.no_grad()
def log_probabilities(model: Any, rows: Sequence[Row], size: int) -> np.ndarray:
    """ln p of each token of the rows but the first of each, row after row: (N,)."""
    model.eval()
    found: list[np.ndarray] = [np.empty(0)] * len(rows)
    for places, ids in batches(rows, size):
        ids = ids.to(model.device)
        logits = model(input_ids=ids).logits[:, :-1].float()
        own = -F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)
        for place, values in zip(places, own.double().cpu().numpy(), strict=True):
            found[place] = values[: len(rows[place]) - 1]
    return np.concatenate(found)


@torch.no_grad()
def write(model: Any, before: Row, number: int, random: np.random.Generator) -> list[int]:
    """`number` tokens behind those of a row `before`, drawn one after another.

    Each token is read once: what has been read stays in an RNN's state, in a Transformer's cache.
    """
    model.eval()
    ids, state, written = torch.tensor([list(before)], device=model.device), None, []
    for _ in range(number):
        output = model(input_ids=ids, past_key_values=state, use_cache=True)
        below = output.logits[0, -1].double().softmax(-1).cumsum(0).cpu().numpy()
        written.append(int(np.searchsorted(below, random.random() * below[-1], side="right")))
        ids, state = torch.tensor([written[-1:]], device=model.device), output.past_key_values
    return written


Act = Callable[[], int]  # returns how many tokens it worked off


def cohort_acts(cohort: Cohort, rows: Sequence[Row], size: int, generated: int) -> dict[str, dict[str, Act]]:
    """{model: what is timed of it}: a step of training on the `size` longest rows, one on the longest, and writing.

    A step is forward, backward and AdamW's update, of copies: the models stay as they are.
    """
    rows = sorted(rows, key=len)[-size:]
    (_, ids), *_ = batches(rows, size)
    found: dict[str, dict[str, Act]] = {}
    for name, module in cohort.models.items():
        model: Any = copy.deepcopy(module)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-5, fused=True)

        def train(ids: Tensor, model: Any = model, optimizer: Any = optimizer) -> int:
            model.train()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return ids.numel()

        def generate(model: Any = model) -> int:
            return len(write(model, rows[0][:1], generated, np.random.default_rng(0)))

        own = ids.to(model.device)
        found[name] = {
            "training": partial(train, own),
            "training_one_row": partial(train, own[-1:]),
            "generation": generate,
        }
    return found


def measure_speeds(acts: dict[str, dict[str, Act]], rounds: int) -> dict[str, dict[str, float]]:
    """Tokens a second of each model's acts, medians of `rounds`.

    They take turns, so that whatever else the machine does meets all of them; a first round is for warming up.
    """
    found: dict[str, dict[str, list[float]]] = {name: {part: [] for part in parts} for name, parts in acts.items()}
    for turn in range(rounds + 1):
        for name, parts in acts.items():
            for part, act in parts.items():
                began = time.perf_counter()
                tokens = act()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                if turn > 0:
                    found[name][part].append(tokens / (time.perf_counter() - began))
    return {name: {part: statistics.median(values) for part, values in parts.items()} for name, parts in found.items()}
