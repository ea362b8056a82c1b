"""The launcher: one process, a world of several on a CPU, and a finished run shown before anything is imported."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest


SOURCE = Path(__file__).parents[2] / "src"
# A recipe that says what it was started with.
RECIPE = """
import json, os, sys
names = ("RANK", "WORLD_SIZE", "ACCELERATE_USE_CPU", "OMP_NUM_THREADS")
with open(f"said-{os.environ.get('RANK', 'alone')}.json", "w") as file:
    json.dump({"argv": sys.argv, **{name: os.environ.get(name) for name in names}}, file)
"""
RESULTS = {
    "recipe": "stub", "config": "tiny", "metrics": {"eval_loss_before": 2.0, "eval_loss": 1.0}, "steps": 3,
    "seconds": 1.0, "tokens_per_second": 10.0, "peak_memory_mb": 5.0, "finished": True,
}  # fmt: skip


@pytest.fixture
def launch(tmp_path):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "stub.py").write_text(RECIPE)
    (tmp_path / "tiny.yaml").write_text("a: 1")

    def launch(*arguments):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        command = [sys.executable, "-m", "hfcourse.run.launch", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True
        )

    return launch


def said(folder):
    return {path.stem.removeprefix("said-"): json.loads(path.read_text()) for path in folder.glob("said-*.json")}


def test_one_process_is_started_as_it_is(launch, tmp_path):
    assert launch("recipes/stub.py", "--config", "tiny.yaml", "--a", "--nproc").returncode == 0
    (alone,) = said(tmp_path).values()
    assert alone["argv"] == ["recipes/stub.py", "--config", "tiny.yaml", "--a", "--nproc"]
    assert (alone["RANK"], alone["WORLD_SIZE"], alone["ACCELERATE_USE_CPU"]) == (None, None, None)


def test_several_on_a_cpu_are_one_world(launch, tmp_path):
    done = launch("--nproc", "2", "recipes/stub.py", "--config", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    ranks = said(tmp_path)
    assert ranks.keys() == {"0", "1"}
    for rank in ranks.values():
        assert rank["argv"] == ["recipes/stub.py", "--config", "tiny.yaml"]
        assert (rank["WORLD_SIZE"], rank["ACCELERATE_USE_CPU"]) == ("2", "true")
        assert rank["OMP_NUM_THREADS"] == str(max((os.cpu_count() or 1) // 2, 1))


def test_a_launcher_that_is_not_there(launch):
    done = launch("--launcher", "none.yaml", "recipes/stub.py")
    assert done.returncode == 2 and done.stderr.startswith("hfcourse: none.yaml does not exist")


def test_a_finished_run_is_shown_at_once_and_only_for_its_own_command(launch, tmp_path):
    folder = tmp_path / "runs" / "stub" / "tiny"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(RESULTS))
    (folder / "environment.json").write_text(json.dumps({"command": ["stub.py", "--config", "tiny.yaml"]}))
    (folder / "config.yaml").write_text("a: 1")
    started = time.monotonic()
    shown = launch("recipes/stub.py", "--config", "tiny.yaml")
    assert time.monotonic() - started < 5 and not said(tmp_path)
    assert "│ eval_loss │      2 │     1 │".replace(" ", "") in shown.stdout.replace(" ", "")
    assert "3 steps in 1.0 s, 10 tokens per second, 5 MB; all of it in runs/stub/tiny" in shown.stdout
    launch("recipes/stub.py", "--config", "tiny.yaml", "--seed", "1")
    assert said(tmp_path).popitem()[1]["argv"][-1] == "1"
    (tmp_path / "said-alone.json").unlink()
    fresh = ["stub.py", "--config", "tiny.yaml", "--fresh"]
    (folder / "environment.json").write_text(json.dumps({"command": fresh}))
    launch("recipes/stub.py", *fresh[1:])  # asks for another run each time
    assert said(tmp_path).popitem()[1]["argv"][-1] == "--fresh"
    (tmp_path / "said-alone.json").unlink()
    (folder / "environment.json").write_text(json.dumps({"command": fresh[:-1]}))
    os.utime(tmp_path / "tiny.yaml", (time.time() + 9, time.time() + 9))  # edited since
    launch("recipes/stub.py", "--config", "tiny.yaml")
    assert said(tmp_path)
