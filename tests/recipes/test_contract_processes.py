"""Every recipe: two processes train as one process does that accumulates twice as long."""

import os
import signal
import subprocess
import sys

import pytest
from contract import assert_same_run, losses, read
from runner import ROOT, TRAININGS


trainings = pytest.mark.parametrize("recipe", TRAININGS)


@trainings
def test_two_processes_and_twice_the_accumulation_give_the_same_losses(finished, runner, two, recipe):
    small = finished(recipe)
    command = ["--config", f"configs/{recipe}/small.yaml", "--max_steps", "20"]
    ranks = two(recipe, *command, "--output_dir", f"runs/{recipe}/two")
    main, other = (rank.wait() for rank in ranks)
    assert (main.code, other.code) == (0, 0), main.err + other.err
    assert other.out == "" and main.out.count("2 processes x 4 x 1 accumulated") == 1
    assert "2 processes on cpu" in main.out
    one = runner.run(recipe, *command, "--gradient_accumulation_steps", "2", "--output_dir", f"runs/{recipe}/one")
    assert one.code == 0, one.err
    folders = [small.folder.with_name(name) for name in ("two", "one")]
    assert [read(folder / "environment.json")["processes"] for folder in folders] == [2, 1]
    together, alone = map(losses, folders)
    assert_same_curve(together, alone, 20)
    metrics = [read(folder / "results.json")["metrics"] for folder in folders]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)


def assert_same_curve(one: list[float], other: list[float], steps: int) -> None:
    """Step by step within 1e-4 of the loss, and on the mean within 2e-5: rounding, which drifts to no side."""
    assert len(one) == len(other) == steps
    assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    scale = sum(map(abs, other)) / steps
    assert abs(sum(a - b for a, b in zip(one, other, strict=True))) / steps < 2e-5 * scale


@pytest.mark.slow
@trainings
def test_half_the_micro_batch_accumulated_twice_gives_the_same_losses(finished, runner, recipe):
    small = finished(recipe)
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir", f"runs/{recipe}/micro"]
    parts = ["--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "2"]
    outcome = runner.run(recipe, *command, *parts)
    assert outcome.code == 0, outcome.err
    assert_same_curve(losses(small.folder.with_name("micro")), losses(small.folder), 12)


@pytest.mark.slow
@trainings
@pytest.mark.parametrize("launched", ["stopped", "killed"])
def test_two_processes_continue(finished, two, recipe, launched):
    folder = finished(recipe).folder.with_name(f"two-{launched}")
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir"]
    assert [rank.wait().code for rank in two(recipe, *command, str(folder.with_name("two-whole")), "--fresh")] == [
        0,
        0,
    ]
    ranks = two(recipe, *command, str(folder))
    if launched == "stopped":  # one of them gets the signal, both stop after the same step
        assert ranks[1].when(lambda: len(losses(folder)) >= 5, signal.SIGTERM)
        assert [rank.wait().code for rank in ranks] == [143, 143]
    else:
        assert ranks[0].when(lambda: len(losses(folder)) >= 5, signal.SIGKILL)
        ranks[1].process.kill()
        assert [rank.wait().code for rank in ranks] == [-9, -9]
    outcomes = [rank.wait() for rank in two(recipe, *command, str(folder))]
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes[0].err
    assert_same_run(folder.with_name("two-whole"), folder)


@pytest.mark.slow
@trainings
def test_the_launcher_makes_a_world_of_two(finished, runner, recipe):
    folder = finished(recipe).folder.with_name("launched")
    command = [sys.executable, "-m", "hfcourse.run.launch", "--nproc", "2", str(ROOT / "recipes" / f"{recipe}.py")]
    command += ["--config", f"configs/{recipe}/small.yaml", "--max_steps", "2", "--output_dir", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=runner.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read(folder / "environment.json")["processes"] == 2
