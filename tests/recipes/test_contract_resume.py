"""Every recipe: killed and stopped anywhere, continued by the same command, it ends where it would have ended."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from contract import assert_refused, assert_same_run, log, losses, read, run_with_kills
from runner import ROOT, TRAININGS


trainings = pytest.mark.parametrize("recipe", TRAININGS)


@trainings
def test_killed_while_it_writes_a_checkpoint_and_at_a_drawn_step(small, runner, recipe):
    folder, command = small.folder.with_name("killed"), ["--config", f"configs/{recipe}/small.yaml"]
    run = runner.start(recipe, *command, "--output_dir", f"runs/{recipe}/killed")
    half = ".writing-checkpoint-[48]/*/model.safetensors"
    assert run.when(lambda: any(folder.glob(half)), signal.SIGKILL) and run.wait().code == -signal.SIGKILL
    (weights,) = folder.glob(half)
    assert not (folder / weights.parent.name).exists()
    run_with_kills(runner, recipe, folder, *command, seed=8, kills=1)
    assert_same_run(small.folder, folder)
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in small.folder.iterdir())
    assert len(read(folder / "environment.json")["resumed"]) == 2


@trainings
def test_signals_write_a_checkpoint_first(small, runner, recipe):
    folder, command = small.folder.with_name("stopped"), ["--config", f"configs/{recipe}/small.yaml"]
    command += ["--output_dir", f"runs/{recipe}/stopped"]
    for steps, signum, code in ((0, signal.SIGTERM, 143), (2, signal.SIGTERM, 143), (7, signal.SIGINT, 130)):
        run = runner.start(recipe, *command)
        there = (folder / "config.yaml").exists if steps == 0 else lambda steps=steps: len(losses(folder)) >= steps
        assert run.when(there, signum)
        outcome = run.wait()
        said = [line for line in outcome.err.splitlines() if line.startswith("hfcourse:")]
        name = signal.Signals(signum).name
        assert said == [f"hfcourse: stopped by {name}; the same command continues from the last checkpoint"]
        assert outcome.code == code and "Traceback" not in outcome.err
        written = [int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*")]
        assert max(written, default=0) == max((line["step"] for line in log(folder)), default=0) >= steps
        assert not (folder / "results.json").exists()
    outcome = runner.run(recipe, *command)
    assert outcome.code == 0 and f"  resume     from runs/{recipe}/stopped/checkpoint-" in outcome.out
    assert_same_run(small.folder, folder)


@trainings
def test_stopped_behind_its_last_checkpoint_it_takes_no_step_more(small, runner, recipe):
    folder = small.folder.with_name("last")
    shutil.copytree(small.folder, folder)
    (folder / "results.json").unlink()
    outcome = runner.run(recipe, "--config", f"configs/{recipe}/small.yaml", "--output_dir", f"runs/{recipe}/last")
    assert outcome.code == 0, outcome.err
    assert_same_run(small.folder, folder)
    assert sorted(p.name for p in folder.rglob("*")) == sorted(p.name for p in small.folder.rglob("*"))


def test_a_folder_in_use_is_refused(small, runner, recipe):
    folder, command = small.folder.with_name("used"), ["--config", f"configs/{recipe}/small.yaml"]
    command += ["--output_dir", f"runs/{recipe}/used"]
    run = runner.start(recipe, *command)
    assert run.when((folder / "config.yaml").exists, signal.SIGSTOP)
    said = f"runs/{recipe}/used is in use by process {run.process.pid}; give this run another --output_dir"
    assert_refused(runner.run(recipe, *command), said)
    run.process.kill()


@pytest.mark.slow
@trainings
def test_killed_as_a_program_of_its_own(small, runner, recipe, public):
    """Without the fork server: another hash seed, other addresses, nothing shared with the first run."""
    folder = small.folder.with_name("program")
    command = [sys.executable, str(ROOT / "recipes" / f"{recipe}.py"), "--config", f"configs/{recipe}/small.yaml"]
    environment = os.environ | public.settings(runner.folder / "other_home")
    environment |= {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    options = {"cwd": runner.folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = subprocess.Popen([*command, "--output_dir", str(folder)], **options)
    while len(losses(folder)) < 6 and run.poll() is None:
        time.sleep(0.001)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert subprocess.run([*command, "--output_dir", str(folder)], **options).returncode == 0
    assert_same_run(small.folder, folder)
