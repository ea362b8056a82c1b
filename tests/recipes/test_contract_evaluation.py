"""Every recipe that trains nothing: what of the contract applies to it, asked of its small run."""

import importlib
import json
import math
import re
import shutil
import signal

import pytest
from contract import EVALUATION_RECORDS, assert_refused, files, log, read
from PIL import Image
from runner import EVALUATIONS


pytestmark = pytest.mark.parametrize("recipe", EVALUATIONS)
# What a run leaves that holds no clock and no name of its own.
SAME = ("metrics.jsonl", "samples.jsonl", "curves.png")


def scored(folder) -> int:
    """How many lines the journals of a run have that has not finished."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("scored-*.jsonl"))


def assert_same(one, other) -> None:
    assert read(one / "results.json")["metrics"] == read(other / "results.json")["metrics"]
    for name in SAME:
        assert (one / name).read_bytes() == (other / name).read_bytes(), f"{name} differs"


def test_a_dry_run_shows_the_plan_and_two_whole_texts_and_writes_nothing(runner, config, finished, recipe):
    small = finished(recipe)
    before = files(runner.folder / "runs"), files(runner.folder / "configs")
    outcome = runner.run(recipe, "--config", config(recipe), "--dry_run")
    assert (outcome.code, outcome.err) == (0, "")
    assert (files(runner.folder / "runs"), files(runner.folder / "configs")) == before
    plan, prompts = re.split(r"(?=^prompt 1)", outcome.out, maxsplit=1, flags=re.MULTILINE)
    assert small.outcome.out.startswith(plan), "the plan of a run is the plan of its dry run"
    for fact in (
        rf"^{recipe} -> runs/{recipe}/small\n",
        r"^  model +\S.*: \w+, [\d,]+ parameters, float32\n",
        r"[\d,]+ rows read, 0 dropped",
        r"^  device +1 process on cpu \(1 threads\)",
    ):
        assert re.search(fact, plan, re.MULTILINE), (fact, plan)
    assert re.findall(r"^prompt (\d): ", prompts, re.MULTILINE) == ["1", "2"]


def test_the_folder_holds_what_it_should_and_nothing_else(small, recipe):
    own = getattr(importlib.import_module(f"test_{recipe}"), "FILES", set())
    assert {path.name for path in small.folder.iterdir()} == EVALUATION_RECORDS | own | {".lock", "samples.jsonl"}
    with Image.open(small.folder / "curves.png") as picture:
        assert picture.width > 500 and len(set(picture.convert("L").getdata())) > 10


def test_results_are_flat_and_whole(small, recipe):
    results = read(small.folder / "results.json")
    (speed,) = (key for key in results if key.endswith("_per_second"))
    counted = speed.removesuffix("_per_second")
    keys = {"recipe", "config", "metrics", "seconds", counted, speed, "peak_memory_mb", "finished"}
    assert results.keys() == keys
    assert (results["recipe"], results["config"], results["finished"]) == (recipe, "small", True)
    assert all(math.isfinite(value) for value in results["metrics"].values())
    assert min(results["seconds"], results[counted], results[speed], results["peak_memory_mb"]) > 0


def test_metrics_jsonl_holds_no_clock(small, recipe):
    lines = log(small.folder)
    assert len(lines) > 1
    assert not [key for line in lines for key in line if "runtime" in key or "second" in key]


def test_progress_with_the_time_left_is_shown(small, recipe):
    last = small.outcome.err.splitlines()[-1]
    done, total = map(int, re.fullmatch(r"\w+ (\d+)/(\d+)  .*  \d+:\d\d left", last).groups())
    assert done == total > 1


def test_the_same_command_shows_the_finished_run(small, runner, recipe):
    before = files(small.folder)
    again = runner.run(recipe, "--config", f"configs/{recipe}/small.yaml")
    assert (again.code, again.err) == (0, "")
    assert again.out == small.outcome.out[small.outcome.out.index(f"{recipe} small") :]
    assert files(small.folder) == before


def test_other_arguments_are_refused_and_nothing_is_lost(small, runner, recipe):
    before, command = files(small.folder), ["--config", f"configs/{recipe}/small.yaml"]
    said = f"runs/{recipe}/small holds a run with seed = the default, not 5: give another --output_dir, or --fresh"
    assert_refused(runner.run(recipe, *command, "--seed", "5"), said)
    assert_refused(
        runner.run(recipe, *command, "--learning_rate", "0.5"), "holds a run with learning_rate = the default, not 0.5"
    )
    assert files(small.folder) == before


def test_what_only_training_reads_is_refused(runner, config, recipe, tmp_path):
    command = ["--config", config(recipe), "--output_dir", str(tmp_path / "run")]
    for argument in ("learning_rate", "max_steps", "per_device_eval_batch_size"):
        said = f"--{argument} has no effect here: {recipe} trains nothing"
        assert_refused(runner.run(recipe, *command, f"--{argument}", "3"), said)


def test_fresh_moves_the_earlier_run_aside(small, runner, recipe):
    folder = small.folder.with_name("again")
    shutil.copytree(small.folder, folder)
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir", f"runs/{recipe}/again", "--fresh"]
    outcome = runner.run(recipe, *command)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"the earlier run was moved to runs/{recipe}/again.old-1\n")
    assert files(folder.with_name("again.old-1")) == files(small.folder)
    assert_same(folder, small.folder)


def test_killed_and_stopped_it_goes_on_from_what_is_scored(small, runner, recipe):
    """Killed once, stopped once; between the two a line that was cut short is dropped, and so is nothing else."""
    folder, command = small.folder.with_name("killed"), ["--config", f"configs/{recipe}/small.yaml"]
    command += ["--output_dir", f"runs/{recipe}/killed"]
    run = runner.start(recipe, *command)
    assert run.when(lambda: scored(folder) >= 2, signal.SIGKILL) and run.wait().code == -signal.SIGKILL
    (journal,) = folder.glob("scored-*.jsonl")
    whole = journal.read_bytes()
    whole = whole[: whole.rindex(b"\n") + 1]
    journal.write_bytes(whole + b'{"group": "half a li')
    lines = whole.count(b"\n")
    run = runner.start(recipe, *command)
    assert run.when(lambda: scored(folder) > lines, signal.SIGTERM)
    outcome = run.wait()
    said = "hfcourse: stopped by SIGTERM; the same command continues from what is scored"
    assert outcome.code == 143 and outcome.err.splitlines()[-1] == said
    assert journal.read_bytes().startswith(whole)
    for line in journal.read_bytes().split(b"\n")[:-1]:
        json.loads(line)
    assert runner.run(recipe, *command).code == 0
    assert_same(folder, small.folder)
    assert not list(folder.glob("scored-*"))


def test_two_processes_share_the_work_and_find_the_same(finished, runner, two, recipe):
    folder = finished(recipe).folder
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir", f"runs/{recipe}/two"]
    main, other = (rank.wait() for rank in two(recipe, *command))
    assert (main.code, other.code) == (0, 0), main.err + other.err
    assert other.out == "" and "2 processes on cpu" in main.out
    both = folder.with_name("two")
    assert read(both / "environment.json")["processes"] == 2
    assert_same(both, folder)
