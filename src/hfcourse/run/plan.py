"""The plan of a run, printed before it spends anything, and a dry run's batches with what the loss counts."""

import math
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from transformers import Trainer


def describe_model(model: Any, name: str) -> str:
    """Class, parameters (all, trained) and type of a model."""
    parameters = list(model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    dtype = str(parameters[0].dtype).removeprefix("torch.")
    share = "all trained" if trained == total else f"{trained:,} trained ({trained / total:.2%})"
    return f"{name}: {type(model).__name__}, {total:,} parameters, {share}, {dtype}"


def describe_rows(split: Any) -> str:
    """Rows read, dropped (why) and truncated, tokens, and tokens that the loss counts, of a `hfcourse.data` split."""
    if split is None:
        return "none"
    if split.rows_read is None:
        return f"streamed from {split.place.rsplit(',', 1)[0]}: rows are counted as they come"
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in split.dropped.items())
    parts = [
        f"{split.rows_read:,} rows read",
        f"{sum(split.dropped.values()):,} dropped" + (f" ({dropped})" if dropped else ""),
    ]
    if split.rows_truncated is not None:
        parts.append(f"{split.rows_truncated:,} truncated")
    if split.tokens is not None:
        parts.append(f"{split.tokens:,} tokens")
    if split.counted_tokens is not None:
        parts.append(f"the loss counts {split.counted_tokens:,} of them")
    return ", ".join(parts)


def describe_steps(trainer: Trainer) -> str:
    """Optimiser steps, and how one step's rows come together from processes, micro-batches and accumulation."""
    args = trainer.args
    rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    size, accumulated = args.per_device_train_batch_size, args.gradient_accumulation_steps
    parts = f"{describe_processes(args.world_size)} x {size} x {accumulated} accumulated"
    try:
        length = len(trainer.train_dataset)  # type: ignore[arg-type]
    except TypeError:
        return f"{args.max_steps:,} steps of {rows} rows ({parts}), streamed"
    # A trainer that draws answers trains on each of them `num_iterations` times.
    per_epoch = max(math.ceil(length / rows), 1) * getattr(trainer, "num_iterations", 1)
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    return f"{steps:,} steps of {rows} rows ({parts}) = {steps / per_epoch:.2f} epochs of {length:,} rows"


def describe_device(trainer: Trainer) -> str:
    """Processes, device and precision."""
    args = trainer.args
    precision = "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32"
    cuda = torch.cuda.is_available() and args.device.type == "cuda"
    name = torch.cuda.get_device_name(args.device) if cuda else f"{torch.get_num_threads()} threads"
    return f"{describe_processes(args.world_size)} on {args.device.type} ({name}), {precision}"


def describe_processes(number: int) -> str:
    """1 process, 2 processes."""
    return f"{number} process" + ("es" if number > 1 else "")


def show_plan(title: str, lines: dict[str, str | list[str]], console: Console) -> None:
    """Print the plan, one aligned line a fact."""
    console.print(f"[bold]{escape(title)}[/bold]", soft_wrap=True)
    for name, text in lines.items():
        for i, line in enumerate([text] if isinstance(text, str) else text):
            console.print(f"  {name if i == 0 else '':<10} {escape(line)}", soft_wrap=True, highlight=False)


def show_batches(trainer: Trainer, tokenizer: Any, console: Console, batches: int = 2, rows: int = 2) -> None:
    """Decode the first rows of the first batches; tokens that the loss counts stand in green and in [[ ]].

    labels (B, T) hold -100 where the loss does not look; a causal model predicts labels[:, t] from input_ids[:, :t].
    Sequence-to-sequence labels have a length of their own and are shown behind an arrow. A trainer whose batches are
    of another form brings them into this one by a method `shown(batch)`, which gives input_ids and labels.
    """
    apart = getattr(getattr(trainer.model, "config", None), "is_encoder_decoder", False)
    for index, batch in zip(range(batches), trainer.get_train_dataloader(), strict=False):
        ids, labels = trainer.shown(batch) if hasattr(trainer, "shown") else (batch["input_ids"], batch["labels"])
        counted = int((labels != -100).sum())
        console.print(f"batch {index + 1}: {tuple(ids.shape)} tokens, the loss counts {counted:,}")
        for row_ids, row_labels in list(zip(ids.tolist(), labels.tolist(), strict=True))[:rows]:
            text = Text("  ")
            if apart:
                read = [token for token in row_ids if token != tokenizer.pad_token_id]
                text.append(f"{tokenizer.decode(read)} -> ")
                row_ids = row_labels = [token for token in row_labels if token != -100]
            _append_marked(text, row_ids, row_labels, tokenizer)
            console.print(text, soft_wrap=True)


def _append_marked(text: Text, ids: list[int], labels: list[int], tokenizer: Any) -> None:
    pad = tokenizer.pad_token_id
    while ids and ids[-1] == pad and labels[-1] == -100:
        ids, labels = ids[:-1], labels[:-1]
    start = 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or (labels[end] == -100) != (labels[start] == -100):
            piece = tokenizer.decode(ids[start:end])
            text.append(
                piece if labels[start] == -100 else f"[[{piece}]]", style="" if labels[start] == -100 else "green"
            )
            start = end
