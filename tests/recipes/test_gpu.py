"""On accelerators: bf16 learns, and FSDP2 and ZeRO-3 train as one process does. `make test-gpu`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from hfcourse.world import World, write

import pytest
import torch


ROOT = Path(__file__).parents[2]
TINY = ROOT / "configs/sft/tiny.yaml"
STEPS = ["--max_steps", "20", "--logging_steps", "1", "--eval_steps", "20", "--save_steps", "20"]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a world and a base model that was trained on the accelerator."""
    folder = tmp_path_factory.mktemp("course")
    write(World.create(0), folder / "runs" / "world")
    run(folder, "recipes/pretrain.py", "--config", ROOT / "configs/pretrain/gpt2-tiny.yaml", "--max_steps", "200")
    return folder


def run(folder: Path, recipe: str, *arguments: object, launcher: tuple[str, ...] = ()) -> None:
    command = [sys.executable, *launcher, str(ROOT / recipe), *map(str, arguments)]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, check=True)


def losses(folder: Path, name: str) -> list[float]:
    lines = (folder / "runs/sft" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines if '"loss"' in line]


@pytest.mark.gpu
def test_bf16_learns_what_fp32_learns(course: Path) -> None:
    assert torch.cuda.is_available(), "make test-gpu needs an accelerator"
    for name, bf16 in (("fp32", "false"), ("bf16", "true")):
        run(course, "recipes/sft.py", "--config", TINY, *STEPS, "--bf16", bf16, "--output_dir", f"runs/sft/{name}")
    full, half = losses(course, "fp32"), losses(course, "bf16")
    assert half[-1] < 0.5 * half[0]
    assert half == pytest.approx(full, rel=0.05)


@pytest.mark.gpu
@pytest.mark.parametrize("launch", ["ddp", "fsdp2", "zero3"])
def test_sharded_training_is_the_same_training(course: Path, launch: str) -> None:
    """Each GPU takes its share of the rows, so that the optimiser's batches are those of one process."""
    gpus = torch.cuda.device_count()
    assert gpus > 0, "make test-gpu needs an accelerator"
    share = ["--per_device_train_batch_size", str(32 // gpus)]
    config = str(ROOT / f"configs/accelerate/{launch}.yaml")
    launcher = ("-m", "accelerate.commands.launch", "--config_file", config, "--num_processes", str(gpus))
    arguments = ["--config", TINY, *STEPS, "--bf16", "true"]
    run(course, "recipes/sft.py", *arguments, "--output_dir", f"runs/sft/alone-{launch}")
    run(course, "recipes/sft.py", *arguments, *share, "--output_dir", f"runs/sft/{launch}", launcher=launcher)
    assert losses(course, launch) == pytest.approx(losses(course, f"alone-{launch}"), rel=0.05)
