"""The vocabulary projection on hidden tokens alone beside the whole one: one training step of BERT, in turn.

    python bench/mlm.py                                             # vocabulary 30,522, two sizes, batch 8 x 128
    python bench/mlm.py --vocab_size 21128 --batch_size 16 --sizes 6x384

A step is forward and backward, without the optimiser, whose work is the same on both sides; 15 % of the tokens are
hidden. Seconds are those of steps taken in turn in one process; peak memory is that of a process that takes one side's
steps alone.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import time

from hfcourse.run.masked_head import project_masked_only

import torch
from transformers import BertConfig, BertForMaskedLM, set_seed


SIDES = ("hidden", "whole")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab_size", type=int, default=30522)
    parser.add_argument("--sizes", nargs="+", default=["2x128", "4x256"], help="layers x width")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores; {vars(options)}")
    # First of all, because a process that is started counts its parent's memory at that moment as its own.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        cases = [(options, size, side) for size in options.sizes for side in SIDES]
        memory = {(size, side): pool.apply(peak_memory, (o, size, side)) for o, size, side in cases}
    for size in options.sizes:
        compare(options, size, [memory[size, side] for side in SIDES])


def compare(options: argparse.Namespace, size: str, memory: list[float]) -> None:
    models = {side: build(options, size, side) for side in SIDES}
    batch = inputs(options)
    losses = {side: step(model, batch)[0] for side, model in models.items()}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for round_ in range(options.rounds):
        for side in SIDES if round_ % 2 else SIDES[::-1]:
            seconds[side].append(step(models[side], batch)[1])
    ratios = [whole / hidden for hidden, whole in zip(seconds["hidden"], seconds["whole"], strict=True)]
    hidden, whole = (statistics.median(seconds[side]) for side in SIDES)
    print(
        f"{size}: loss {losses['hidden']:.6f} / {losses['whole']:.6f}; a step {hidden:.3f} s / {whole:.3f} s, "
        f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f}-{max(ratios):.2f}); "
        f"peak {memory[0]:.0f} MB / {memory[1]:.0f} MB (hidden tokens alone / whole)"
    )


def build(options: argparse.Namespace, size: str, side: str) -> BertForMaskedLM:
    layers, width = map(int, size.split("x"))
    set_seed(0)
    config = BertConfig(
        vocab_size=options.vocab_size,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=max(width // 64, 1),
        intermediate_size=4 * width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForMaskedLM(config)
    if side == "hidden":
        project_masked_only(model)
    return model


def inputs(options: argparse.Namespace) -> dict[str, torch.Tensor]:
    """One batch (B, T) of random tokens, 15 % of them labelled."""
    generator = torch.Generator().manual_seed(0)
    shape = (options.batch_size, options.length)
    ids = torch.randint(5, options.vocab_size, shape, generator=generator)
    labels = torch.where(torch.rand(shape, generator=generator) < 0.15, ids, -100)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def step(model: BertForMaskedLM, batch: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Loss and seconds of one forward and backward."""
    model.zero_grad(set_to_none=True)
    started = time.perf_counter()
    loss = model(**batch).loss
    loss.backward()
    return loss.item(), time.perf_counter() - started


def peak_memory(options: argparse.Namespace, size: str, side: str) -> float:
    """Peak memory in MB of a process that builds one side and takes three steps."""
    model, batch = build(options, size, side), inputs(options)
    for _ in range(3):
        step(model, batch)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
