"""Our SFT recipe beside stock `trl sft`: same model, data, batches, optimiser steps and precision, in turn.

    python bench/sft.py                                                   # the embedded base and questions
    python bench/sft.py --model DIR --dataset FILE_OR_FOLDER --max_length 512 --batch_size 16 --steps 40

fp32 on a CPU, gradient checkpointing off on both sides, evaluation and checkpoints left out of the seconds on both. A
useful token is one that is no padding. The loss of both final models is measured by the same code, per counted token.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.encode import Encoder, encode_split
from hfcourse.data.load import load_data
from hfcourse.data.template import ensure_chat_template

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/pretrain/gpt2-tiny")
    parser.add_argument("--dataset", default="runs/world/sft")
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder))


def compare(options: argparse.Namespace, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    ensure_chat_template(tokenizer)
    AutoModelForCausalLM.from_pretrained(options.model).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    data = load_data(DataArguments(dataset_name=options.dataset), Conversations(), 0)
    (folder / "data").mkdir()
    for name, split in (("train", data.train), ("test", data.test)):
        lines = (json.dumps({"messages": row["messages"]}, ensure_ascii=False) for row in split.dataset)
        (folder / "data" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    test = encode_split(data.test, Encoder(tokenizer, options.max_length), "").dataset

    rows: dict[str, list[dict[str, float]]] = {"ours": [], "trl": []}
    for round_ in range(options.rounds):
        for side, command in (("ours", ours), ("trl", stock)):
            out = folder / f"{side}-{round_}"
            rows[side].append(timed(command(options, folder, out, options.steps), side, options.steps))
            rows[side][-1]["loss"] = loss_of(out, test)
            rows[side][-1]["first"] = first_step(command(options, folder, folder / f"{side}-first-{round_}", 2))
            print(side, {k: round(v, 4) for k, v in rows[side][-1].items()}, flush=True)
    names = {
        "speed": "useful tokens/s",
        "memory": "peak memory MB",
        "first": "s to first step",
        "loss": "final eval loss",
    }
    print(
        f"\n{options.model} on {options.dataset}, {options.steps} steps of {options.batch_size} rows; medians of",
        end=" ",
    )
    print(f"{options.rounds} rounds; torch {torch.__version__}, {os.cpu_count()} cores")
    for key, name in names.items():
        mine, theirs = ([row[key] for row in rows[side]] for side in ("ours", "trl"))
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        print(
            f"{name:<16} ours {statistics.median(mine):>10.4g}   trl {statistics.median(theirs):>10.4g}   "
            f"ours/trl {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


def shared(options: argparse.Namespace, folder: Path, out: Path, steps: int) -> list[str]:
    arguments = {
        "model_name_or_path": folder / "model",
        "dataset_name": folder / "data",
        "output_dir": out,
        "max_length": options.max_length,
        "max_steps": steps,
        "per_device_train_batch_size": options.batch_size,
        "per_device_eval_batch_size": options.batch_size,
        "learning_rate": 5e-4,
        "optim": "adamw_torch_fused",
        "bf16": "false",
        "gradient_checkpointing": "false",
        "logging_steps": 1 if steps == 2 else 10,
        "seed": 0,
    }
    return [part for key, value in arguments.items() for part in (f"--{key}", str(value))]


def ours(options: argparse.Namespace, folder: Path, out: Path, steps: int) -> list[str]:
    return [sys.executable, str(ROOT / "recipes/sft.py"), *shared(options, folder, out, steps), "--samples", "0"]


def stock(options: argparse.Namespace, folder: Path, out: Path, steps: int) -> list[str]:
    extra = ["--assistant_only_loss", "true", "--save_strategy", "no", "--eval_strategy", "no", "--report_to", "none"]
    return [sys.executable, "-m", "trl.scripts.sft", *shared(options, folder, out, steps), *extra]


def timed(command: list[str], side: str, steps: int) -> dict[str, float]:
    """Useful tokens a second of training, and the peak memory of the process in MB."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"CI": "1"})
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        text = output.read()
    if status != 0:
        sys.exit(f"{' '.join(command)}\n{text}")
    out = Path(command[command.index("--output_dir") + 1])
    if side == "ours":
        results = json.loads((out / "results.json").read_text())
        speed = results["tokens_per_second"]
    else:
        speed = last(text, "num_tokens") / last(text, "train_runtime")
    return {"speed": speed, "memory": usage.ru_maxrss / 1024}


def last(text: str, name: str) -> float:
    return float(re.findall(rf"'{name}': '?([0-9.e+]+)", text)[-1])


def first_step(command: list[str]) -> float:
    """Seconds from the start of the process to its first logged optimiser step; the process is then ended."""
    started = time.perf_counter()
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "CI": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"step 1/|'loss':", line):
            break
    seconds = time.perf_counter() - started
    process.kill()
    process.wait()
    return seconds


@torch.no_grad()
def loss_of(folder: Path, test) -> float:
    """Mean loss per counted token of a saved model, row by row."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    total, count = 0.0, 0
    for row in test.select(range(min(len(test), 100))):
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        counted = int((labels[:, 1:] != -100).sum())
        total += model(input_ids=ids, labels=labels).loss.item() * counted
        count += counted
    return total / count


if __name__ == "__main__":
    main()
