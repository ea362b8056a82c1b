"""Every recipe: the folder of a finished run, the same command again, and other commands on the same folder."""

import importlib
import json
import math
import re
import shutil

import pytest
import yaml
from contract import MODEL, RECORDS, assert_refused, files, log, losses, read
from huggingface_hub import ModelCard
from PIL import Image
from runner import TRAININGS


trainings = pytest.mark.parametrize("recipe", TRAININGS)


@trainings
def test_the_folder_holds_what_it_should_and_nothing_else(small, recipe):
    names = {path.name for path in small.folder.iterdir()}
    own = getattr(importlib.import_module(f"test_{recipe}"), "FILES", MODEL)
    checkpoints = {"checkpoint-4", "checkpoint-8", "checkpoint-12"}
    assert names == RECORDS | own | checkpoints | {".lock"}
    assert not list(small.folder.rglob(".writing*"))
    with Image.open(small.folder / "curves.png") as picture:
        assert picture.width > 500 and len(set(picture.convert("L").getdata())) > 10


@trainings
def test_results_are_flat_and_whole(small, recipe):
    results = read(small.folder / "results.json")
    keys = {"recipe", "config", "metrics", "seconds", "steps", "tokens_per_second", "peak_memory_mb", "finished"}
    assert results.keys() == keys
    assert (results["recipe"], results["config"], results["steps"]) == (recipe, "small", 12)
    assert results["finished"] is True
    assert all(math.isfinite(value) for value in results["metrics"].values())
    assert min(results["seconds"], results["tokens_per_second"], results["peak_memory_mb"]) > 0
    assert 50 < results["peak_memory_mb"] < 4000


@trainings
def test_metrics_jsonl_has_a_line_for_each_step_and_evaluation_and_no_clock(small, recipe):
    lines = log(small.folder)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 13))
    assert [line["step"] for line in lines if "eval_loss" in line] == [0, 6, 12]
    assert all({"step", "epoch"} <= line.keys() for line in lines)
    assert not [key for line in lines for key in line if "runtime" in key or "second" in key]
    trained, judged = losses(small.folder), [line["eval_loss"] for line in lines if "eval_loss" in line]
    # Batches of similar length differ in their number of words, and PPO's loss on new answers is no measure of it.
    assert judged[-1] < judged[0] or trained[-1] < trained[0]


def test_config_and_environment_tell_how_to_make_it_again(small, runner, recipe):
    given = yaml.safe_load((small.folder / "config.yaml").read_text())
    wanted = importlib.import_module(f"test_{recipe}").SMALL
    # What is a library's default anyway is not listed.
    assert {key: value for key, value in given.items() if wanted.get(key) != value} == {}
    if recipe in TRAININGS:
        assert given.keys() >= {"max_steps", "dataset_name", "eval_steps"}
    environment = read(small.folder / "environment.json")
    assert environment["command"] == [f"{recipe}.py", "--config", f"configs/{recipe}/small.yaml"]
    assert (environment["processes"], environment["seed"], environment["devices"]) == (1, 42, ["cpu"])
    assert {"torch", "transformers", "trl", "datasets"} <= environment["libraries"].keys()
    assert re.fullmatch(r"[0-9a-f]{40}\+?", environment["git_commit"])


def test_the_card_holds_the_metrics_and_no_place_of_this_machine(small, runner, recipe):
    card = ModelCard.load(small.folder / "README.md")
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    metrics = read(small.folder / "results.json")["metrics"]
    # What is told of hundreds of metrics is a choice, but never another value.
    assert measured == metrics if recipe in TRAININGS else len(measured) > 0 and measured.items() <= metrics.items()
    assert card.data.library_name == "transformers" and recipe in card.data.tags
    assert card.data.base_model is None and card.data.datasets is None  # local paths are no names on the Hub
    text = str(card)
    assert f"python recipes/{recipe}.py --config configs/{recipe}/small.yaml" in text
    for place in (str(runner.folder), str(runner.folder.parent), "/root", "/home", "/tmp"):
        assert place not in text
    assert "-> " not in text and "rows read" in text and "](curves.png)" in text


@trainings
def test_progress_with_the_time_left_is_shown(small, recipe):
    shown = re.findall(r"^step (\d+)/12  .*loss [\d.]+.* \d+:\d\d left$", small.outcome.err, re.MULTILINE)
    assert [int(step) for step in shown if step != "12"] == [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11]


def test_nothing_asked_the_network(small):
    assert small.requests == 0


@trainings
def test_the_same_command_shows_the_finished_run(small, runner, recipe):
    before = files(small.folder)
    again = runner.run(recipe, "--config", f"configs/{recipe}/small.yaml")
    assert (again.code, again.err) == (0, "")
    assert again.out == small.outcome.out[small.outcome.out.index(f"{recipe} small") :]
    # A table with a column for each of several measures has a row for what was measured.
    metrics = read(small.folder / "results.json")["metrics"]
    for name in getattr(importlib.import_module(f"test_{recipe}"), "ROWS", metrics):
        assert re.search(rf"^│ {name.removesuffix('_before')} ", again.out, re.MULTILINE)
    assert files(small.folder) == before


@trainings
def test_other_arguments_are_refused_and_nothing_is_lost(small, runner, recipe):
    before = files(small.folder)
    command = ["--config", f"configs/{recipe}/small.yaml"]
    said = (
        f"runs/{recipe}/small holds a run with learning_rate = 0.002, not 0.5: give another --output_dir, or --fresh"
    )
    assert_refused(runner.run(recipe, *command, "--learning_rate", "0.5"), said)
    assert files(small.folder) == before


@trainings
def test_fresh_moves_the_earlier_run_aside(small, runner, recipe):
    folder = small.folder.with_name("again")
    shutil.copytree(small.folder, folder)
    (folder.with_name("again.old-1")).mkdir()
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir", f"runs/{recipe}/again", "--max_steps", "2"]
    outcome = runner.run(recipe, *command, "--fresh")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"the earlier run was moved to runs/{recipe}/again.old-2\n")
    assert files(folder.with_name("again.old-2")) == files(small.folder)
    assert read(folder / "results.json")["steps"] == 2
    assert json.loads((folder / "environment.json").read_text())["command"][-1] == "--fresh"
