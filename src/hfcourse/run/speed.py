"""How fast the reference Transformer is beside transformers' own model of its family, and how much memory each takes.

A step is forward, backward and a fused AdamW update. Both models take their steps in turn, in one process, so that
whatever else the machine does meets both; peak memory is that of a process which holds one model alone.

MFU is the share of the card's peak that a step's arithmetic makes up: tokens a second x FLOPs a token / peak, with
6 N + 12 L D T FLOPs a token (Chowdhery et al. 2022, appendix B): 2 for each of the N weights in forward and twice as
many in backward, and 12 D for each of the T positions that attention looks at in each of L layers. N is without the
table of positions, which is looked up. An encoder-decoder has no such formula: its tokens pass different weights.

`python -m hfcourse.run.speed` reads a JSON list of cases from stdin and prints one JSON object a case.
"""

import contextlib
import json
import multiprocessing
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from hfcourse.run.convert import from_hf
from hfcourse.run.models import HEADS
from hfcourse.run.record import peak_memory

import torch
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import logging


SIDES = ("reference", "transformers")
OBJECTIVES = {"bert": "masked", "gpt2": "causal", "t5": "span"}
# Dense bf16 FLOPs a second with fp32 accumulation, as the makers' data sheets give them, by a part of the card's name.
PEAKS = {
    "B200": 2250e12,  # NVIDIA Blackwell architecture brief, 2024
    "H200": 989e12,  # NVIDIA H200 data sheet, 2024: 1,979 with sparsity
    "H100 NVL": 835e12,  # NVIDIA H100 data sheet, 2023: 1,671 with sparsity
    "H100 PCIe": 756e12,  # the same: 1,513 with sparsity
    "H100": 989e12,  # the same, SXM: 1,979 with sparsity
    "A100": 312e12,  # NVIDIA A100 data sheet, 2021
    "L40S": 362e12,  # NVIDIA L40S data sheet, 2023: 733 with sparsity
    "L4": 121e12,  # NVIDIA L4 data sheet, 2023: 242 with sparsity
    "RTX 4090": 165e12,  # NVIDIA Ada GPU architecture white paper, 2022
    "RTX 3090": 71e12,  # NVIDIA GA102 GPU architecture white paper, 2020
    "MI300X": 1307e12,  # AMD Instinct MI300X data sheet, 2023
}


@dataclass
class Case:
    """One family at one size: transformers' config, random batches (B, T), and how the models are run.

    An encoder-decoder writes T / 4 tokens; a generator continues T / 4 tokens. `variant` is an attention, sdpa or
    eager, or "compiled": sdpa through torch.compile.
    """

    config: dict[str, Any]
    batch_size: int
    length: int
    generated: int
    rounds: int
    variant: str = "sdpa"
    bf16: bool = False
    device: str = "cpu"

    @property
    def family(self) -> str:
        return self.config["model_type"]

    def build(self) -> PreTrainedModel:
        """transformers' model, with random weights."""
        torch.manual_seed(0)
        config = AutoConfig.for_model(**self.config)
        attention = "eager" if self.variant == "eager" else "sdpa"
        model = HEADS[OBJECTIVES[self.family]].from_config(config, attn_implementation=attention)
        return model.to(self.device)

    def sides(self) -> dict[str, PreTrainedModel]:
        """Both models, with equal weights."""
        theirs = self.build()
        return dict(zip(SIDES, (follow(from_hf(theirs), theirs), theirs), strict=True))

    def batch(self) -> dict[str, torch.Tensor]:
        """Random tokens, those of a masked model 15 % labelled."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(5, self.config["vocab_size"], (self.batch_size, self.length), generator=generator)
        masked = torch.rand(ids.shape, generator=generator) < 0.15
        labels = {"bert": torch.where(masked, ids, -100), "gpt2": ids, "t5": ids[:, : self.length // 4].clone()}[
            self.family
        ]
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        return {name: value.to(self.device) for name, value in batch.items()}


def follow(ours: Any, theirs: PreTrainedModel) -> Any:
    """The reference, where `theirs` is and with its attention."""
    ours.set_attn_implementation(theirs.config._attn_implementation)
    return ours.to(theirs.device)


def count_tokens(family: str, batch: dict[str, torch.Tensor]) -> int:
    """Tokens that go through the model: an encoder-decoder's labels do as well."""
    return batch["input_ids"].numel() + (batch["labels"].numel() if family == "t5" else 0)


def flops_per_token(model: Any, length: int) -> float:
    """6 N + 12 L D T, see above."""
    config = model.config
    positions = config.max_position_embeddings * config.hidden_size
    width = config.num_hidden_layers * config.hidden_size
    return 6 * (model.num_parameters() - positions) + 12 * width * length


def peak_flops(name: str) -> float | None:
    """Of the card with this name, None for one that PEAKS does not know."""
    words = set(re.split(r"[\s-]", name))
    return next((peak for part, peak in PEAKS.items() if words >= set(part.split())), None)


class Steps:
    """Takes timed steps of one model: seconds of forward, of backward, and of the whole with AdamW's update."""

    def __init__(self, case: Case, model: Any):
        self.case, self.model, self.batch = case, model, case.batch()
        self.called = torch.compile(model) if case.variant == "compiled" else model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def clock(self) -> float:
        if self.case.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    def step(self) -> dict[str, float]:
        self.model.train()
        start = self.clock()
        with torch.autocast(self.case.device, torch.bfloat16, enabled=self.case.bf16):
            loss = self.called(**self.batch).loss
        forward = self.clock()
        loss.backward()
        backward = self.clock()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"forward": forward - start, "backward": backward - forward, "step": self.clock() - start}

    @torch.no_grad()
    def generate(self) -> dict[str, float]:
        """Seconds of a greedy continuation with a cache; nothing where the model does not generate."""
        if self.case.family == "bert" or not self.case.generated or self.case.variant == "compiled":
            return {}
        self.model.eval()
        ids, number, start = self.batch["input_ids"][:, : self.case.length // 4], self.case.generated, self.clock()
        with torch.autocast(self.case.device, torch.bfloat16, enabled=self.case.bf16):
            out = self.model.generate(ids, max_new_tokens=number, min_new_tokens=number, do_sample=False)
        assert out.shape[1] == number + (1 if self.case.family == "t5" else ids.shape[1])
        return {"generation": self.clock() - start}


def compare(case: Case) -> dict[str, dict[str, Any]]:
    """Tokens a second of both sides, by part, and how many times as fast the reference is: median, least, most.

    On a known card a step also has the `mfu` of both sides.
    """
    steps = {side: Steps(case, model) for side, model in case.sides().items()}
    seconds: dict[str, dict[str, list[float]]] = {}
    for turn in range(case.rounds + 1):
        for side in SIDES if turn % 2 else SIDES[::-1]:
            for part, value in (steps[side].step() | steps[side].generate()).items():
                if turn > 0:  # the first is for warming up
                    seconds.setdefault(part, {side: [] for side in SIDES})[side].append(value)
    reference = steps["reference"]
    tokens = dict.fromkeys(seconds, count_tokens(case.family, reference.batch))
    tokens["generation"] = case.batch_size * case.generated
    found: dict[str, dict[str, Any]] = {}
    for part, both in seconds.items():
        ratios = [theirs / ours for ours, theirs in zip(*both.values(), strict=True)]
        found[part] = {side: tokens[part] / statistics.median(both[side]) for side in SIDES}
        found[part] |= {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    peak = peak_flops(torch.cuda.get_device_name()) if case.device != "cpu" else None
    if peak and case.family != "t5":
        needed = flops_per_token(reference.model, case.length)
        found["mfu"] = {side: found["step"][side] * needed / peak for side in SIDES}
    return found


def memory(case: Case, side: str) -> float:
    """Peak memory in MB of a process that takes two steps of one side and does nothing else."""
    model = case.build()
    if side == "reference":
        model = follow(from_hf(model), model)
    steps = Steps(case, model)
    for _ in range(2):
        steps.step()
    return peak_memory()


def measure(cases: list[Case]) -> Iterator[dict[str, dict[str, Any]]]:
    """What `compare` finds of each case and, as `memory_mb`, what `memory` finds, from processes of their own."""
    command = [sys.executable, "-m", "hfcourse.run.speed"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps([asdict(case) for case in cases]))
            process.stdin.close()
            yield from map(json.loads, process.stdout)
        finally:
            if process.poll() is None:
                process.terminate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")


def main() -> None:
    logging.set_verbosity_error()
    for case in (Case(**given) for given in json.load(sys.stdin)):
        # A fork costs no imports, but CUDA does not survive one.
        context = multiprocessing.get_context("fork" if case.device == "cpu" else "spawn")

        def apart(function: Callable, *arguments: Any, context: Any = context) -> Any:
            with context.Pool(1) as pool:
                return pool.apply(function, arguments)

        sizes = {side: apart(memory, case, side) for side in SIDES}
        sizes["ratio"] = sizes["transformers"] / sizes["reference"]
        print(json.dumps(apart(compare, case) | {"memory_mb": sizes}), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
