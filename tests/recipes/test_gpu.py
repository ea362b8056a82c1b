"""On accelerators: every recipe runs and continues there as on a CPU, bf16 learns, FSDP2 and ZeRO-3 train as one does.

`make test-gpu`; ARGS="-n 8" on a machine with as many cores, since the small models leave a GPU idle.
"""

from pathlib import Path

from hfcourse.world import World, write

import pytest
import torch
from contract import losses, read, run_with_kills
from runner import ROOT, TRAININGS, run_program


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
    run_program(folder, *launcher, ROOT / recipe, *arguments)


def sft(folder: Path, name: str) -> list[float]:
    return losses(folder / "runs/sft" / name)


@pytest.mark.gpu
def test_every_recipe_runs_there(small, recipe):
    assert read(small.folder / "environment.json")["devices"] == [torch.cuda.get_device_name(0)]
    if recipe != "clean_data":  # its own models are too small to gain by it
        assert " cuda (" in small.outcome.out or " on cuda" in small.outcome.out, small.outcome.out


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", TRAININGS)
def test_killed_twice_it_ends_where_it_would_have_ended(small, runner, recipe, record_property):
    """Sums over threads have no fixed order on a GPU: losses are equal to rounding, and often bit for bit."""
    folder = small.folder.with_name("killed")
    run_with_kills(runner, recipe, folder, "--config", f"configs/{recipe}/small.yaml", seed=3, kills=2)
    whole, continued = losses(small.folder), losses(folder)
    record_property("same_bits", whole == continued)
    assert continued == pytest.approx(whole, rel=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", TRAININGS)
def test_fp32_trains_as_on_a_cpu(small, runner, recipe, record_property):
    folder, cpu = small.folder.with_name("cpu"), {"CUDA_VISIBLE_DEVICES": ""}
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir", str(folder)]
    outcome = runner.run(recipe, *command, env=cpu)
    assert outcome.code == 0 and " cpu (" in outcome.out, outcome.err
    there, here = losses(small.folder), losses(folder)
    record_property("losses", [there, here])
    assert there == pytest.approx(here, rel=1e-3)
    assert sum(there) == pytest.approx(sum(here), rel=1e-4), "the differences lean to one side"


@pytest.mark.gpu
def test_bf16_learns_what_fp32_learns(course: Path) -> None:
    assert torch.cuda.is_available(), "make test-gpu needs an accelerator"
    for name, bf16 in (("fp32", "false"), ("bf16", "true")):
        run(course, "recipes/sft.py", "--config", TINY, *STEPS, "--bf16", bf16, "--output_dir", f"runs/sft/{name}")
    full, half = sft(course, "fp32"), sft(course, "bf16")
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
    assert sft(course, launch) == pytest.approx(sft(course, f"alone-{launch}"), rel=0.05)
