"""What the tests of all recipes ask of a run."""

import json
import random
import signal
from pathlib import Path
from typing import Any

import torch
from runner import Outcome, Runner


# What stands in the folder of a finished run, besides checkpoints, weights and tokenizer.
RECORDS = {
    "config.yaml",
    "environment.json",
    "metrics.jsonl",
    "before.json",
    "results.json",
    "curves.png",
    "README.md",
}
# And of one that trains nothing.
EVALUATION_RECORDS = RECORDS - {"before.json"}
MODEL = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
TENSORS = ("optimizer.pt", "scheduler.pt")
# What the small run of each recipe that trains does, and `run_with_kills` counts on: a log line for every step, two
# evaluations, three checkpoints.
TWELVE_STEPS = {
    "max_steps": 12,
    "optim": "adamw_torch_fused",
    "logging_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 6,
    "save_steps": 4,
}


def assert_refused(outcome: Outcome, *said: str) -> None:
    """Exit code 2 and one sentence on stderr that holds all of `said`."""
    assert "Traceback" not in outcome.err, outcome.err
    lines = outcome.err.splitlines()
    assert outcome.code == 2 and len(lines) == 1 and lines[0].startswith("hfcourse: "), (outcome.code, outcome.err)
    for part in said:
        assert part in lines[0], lines[0]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def log(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a run that is being written may not have one yet."""
    path = folder / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in log(folder) if "loss" in line]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def assert_same_run(one: Path, other: Path, weights: str = "model.safetensors") -> None:
    """Equal weights, logs and optimiser states, bit for bit, and equal results but for the clock."""
    for name in (weights, "metrics.jsonl", "before.json", "tokenizer.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), f"{name} differs"
    assert read(one / "results.json")["metrics"] == read(other / "results.json")["metrics"]
    steps = read(one / "results.json")["steps"]
    assert steps == read(other / "results.json")["steps"] > 1
    for name in TENSORS:
        states = [torch.load(folder / f"checkpoint-{steps}" / name, weights_only=True) for folder in (one, other)]
        compared = assert_equal(*states)
        assert compared > 1, f"{name} holds nothing to compare"


def assert_equal(one: Any, other: Any) -> int:
    """Equal values, tensors bit for bit, in nested dicts and lists; returns how many were compared."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
        return 1
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return sum(assert_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return sum(map(assert_equal, one, other))
    assert one == other
    return 1


def run_with_kills(runner: Runner, recipe: str, folder: Path, *arguments: str, seed: int = 0, kills: int = 1) -> None:
    """Run a recipe in `folder` to its end, killed `kills` times by SIGKILL just after a step that `seed` draws.

    It trains for 12 steps with a log line for each; a later kill comes at a later step.
    """
    done = len(losses(folder))
    for step in sorted(random.Random(seed).sample(range(done + 1, 12), kills)):
        run = runner.start(recipe, *arguments, "--output_dir", str(folder))
        assert run.when(lambda step=step: len(losses(folder)) >= step, signal.SIGKILL), run.wait().err
        assert run.wait().code == -signal.SIGKILL
        assert not (folder / "results.json").exists()
    outcome = runner.run(recipe, *arguments, "--output_dir", str(folder))
    assert outcome.code == 0, outcome.err
