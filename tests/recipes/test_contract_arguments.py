"""Every recipe, before it trains: its arguments, its plan, and what it refuses."""

import importlib
import re

import pytest
from contract import assert_refused, files, read
from runner import RECIPES, TRAININGS


WRONG = {
    "unknown key": (["--learning_rat", "1"], "'--learning_rat'; did you mean 'learning_rate'?"),
    "abbreviation": (["--max_step", "3"], "'--max_step'; did you mean 'max_steps'?"),
    "unknown with dashes and =": (["--max-step=3"], "'--max-step'; did you mean 'max_steps'?"),
    "nothing like it": (["--qqqq", "3"], "unknown argument '--qqqq'"),
    "value without key": (["tiny.yaml"], "'tiny.yaml': a value without a key"),
    "wrong type": (["--max_steps", "many"], "--max_steps", "invalid int value: 'many'"),
    "wrong choice": (["--lr_scheduler_type", "lineal"], "lineal"),
    "no value": (["--max_steps"], "--max_steps", "expected one argument"),
    "no config": (["--config", "configs/smal.yaml"], "config configs/smal.yaml does not exist"),
    "no name of a config": (["--config"], "--config needs the path of a YAML file"),
}
WRONG_FILES = {
    "learning_rat: 1": "unknown key 'learning_rat'; did you mean 'learning_rate'?",
    "max_steps: many": "invalid int value: 'many'",
    "max_steps: 1.5": "invalid int value: '1.5'",
    "- a": "must be a mapping of argument: value",
    "a: [": "is not valid YAML",
    "config: other.yaml": "unknown key 'config'",
}


def test_every_recipe_has_its_small_run():
    assert len(RECIPES) > 1
    for recipe in RECIPES:
        assert importlib.import_module(f"test_{recipe}").SMALL


@pytest.mark.parametrize("recipe", RECIPES)
def test_wrong_arguments_are_one_sentence(runner, recipe):
    # On a CPU some libraries' defaults are refused as well (bf16): the user's own mistake is what is named.
    runs = {name: runner.start(recipe, *arguments) for name, (arguments, *_) in WRONG.items()}
    for name, (_, *said) in WRONG.items():
        assert_refused(runs[name].wait(), *said)


@pytest.mark.parametrize("recipe", RECIPES)
def test_wrong_configs_are_one_sentence(runner, config, recipe, tmp_path):
    runs = {}
    for number, (content, said) in enumerate(WRONG_FILES.items()):
        path = tmp_path / f"{number}.yaml"
        path.write_text(content)
        runs[said] = runner.start(recipe, "--config", str(path))
    near = config(recipe)
    runs[f"did you mean {near}?"] = runner.start(recipe, "--config", near.replace("small", "smal"))
    for said, run in runs.items():
        assert_refused(run.wait(), said)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_stands_in_the_way_is_one_sentence(runner, config, finished, recipe, tmp_path):
    finished(recipe)
    (tmp_path / "file").write_text("mine")
    given = ["--config", config(recipe)]
    runs = {
        str(tmp_path / "file"): runner.start(recipe, *given, "--output_dir", str(tmp_path / "file")),
        str(tmp_path / "file/run"): runner.start(recipe, *given, "--output_dir", str(tmp_path / "file/run")),
        "2 processes but each of them sees 1, so they would train apart": runner.start(
            recipe, *given, "--output_dir", str(tmp_path / "run"), env={"WORLD_SIZE": "2"}
        ),
    }
    for said, run in runs.items():
        assert_refused(run.wait(), said)
    assert files(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("recipe", TRAININGS)
def test_a_dry_run_shows_the_plan_and_two_batches_and_writes_nothing(runner, config, finished, recipe):
    small = finished(recipe)
    before = files(runner.folder / "runs"), files(runner.folder / "configs")
    outcome = runner.run(recipe, "--config", config(recipe), "--dry_run")
    assert (outcome.code, outcome.err) == (0, "")
    assert (files(runner.folder / "runs"), files(runner.folder / "configs")) == before
    plan, batches = re.split(r"(?=^batch 1)", outcome.out, maxsplit=1, flags=re.MULTILINE)
    assert small.outcome.out.startswith(plan), "the plan of a run is the plan of its dry run"
    for fact in (
        rf"^{recipe} -> runs/{recipe}/small\n",
        r"^  model +\S.*: \w+, [\d,]+ parameters, all trained, float32\n",
        r"^  train +[\d,]+ rows read, 0 dropped.*, [\d,]+ tokens",
        r"^  eval +[\d,]+ rows read, 0 dropped.*, [\d,]+ tokens",
        r"^  steps +12 steps of 4 rows \(1 process x 4 x 1 accumulated\) = [\d.]+ epochs of \d+ rows\n",
        r"^  device +1 process on cpu \(1 threads\), fp32\n",
    ):
        assert re.search(fact, plan, re.MULTILINE), (fact, plan)
    texts = 4 * getattr(importlib.import_module(f"test_{recipe}"), "TEXTS", 1)
    shown = rf"^batch (\d): \({texts}, \d+\) tokens, the loss counts [1-9]\d*$"
    assert re.findall(shown, batches, re.MULTILINE) == ["1", "2"]
    assert batches.count("[[") == batches.count("]]") >= 4


@pytest.mark.parametrize("recipe", RECIPES)
def test_help_names_every_argument_of_its_small_run(runner, config, recipe):
    config(recipe)
    outcome = runner.run(recipe, "--help")
    assert outcome.code == 0
    small = importlib.import_module(f"test_{recipe}").SMALL
    assert [key for key in [*small, "dry_run", "fresh"] if f"--{key}" not in outcome.out] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_metrics_are_those_that_it_promises(finished, recipe):
    metrics = read(finished(recipe).folder / "results.json")["metrics"]
    assert set(metrics) == importlib.import_module(f"test_{recipe}").METRICS
