"""Every recipe runs on checkpoints of the reference Transformer: converted ones and new ones."""

import importlib
from pathlib import Path

from hfcourse.run.convert import convert

import pytest
from contract import assert_same_run, losses, read, run_with_kills
from runner import RECIPES
from test_pretrain import GPT2


SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}
BERT = {"model_type": "hfcourse", "family": "bert", "intermediate_size": 64, "dropout": 0.0} | SIZES
# The checkpoint that the small run of each recipe takes, where it takes one of these runs.
SMALL = {recipe: importlib.import_module(f"test_{recipe}").SMALL for recipe in RECIPES}
TAKEN = {recipe: str(small.get("model_name_or_path", "")) for recipe, small in SMALL.items()}
TAKEN = {recipe: name for recipe, name in TAKEN.items() if name.startswith("runs/")}


@pytest.fixture(scope="module")
def reference(finished, runner):
    """The folder of the converted checkpoint, by the folder of the one that it is made from."""

    def folder(name: str) -> str:
        parts = Path(name).parts[1:]
        if parts[1:] == ("small",):
            finished(parts[0])
        path = Path("runs", "reference", *parts)
        if not (runner.folder / path).exists():
            convert(str(runner.folder / name), None, runner.folder / path, back=False)
        return str(path)

    return folder


@pytest.mark.parametrize("recipe", TAKEN)
def test_a_recipe_does_on_it_what_it_does_on_transformers_model(recipe, runner, config, finished, reference):
    path = config(recipe, "reference", model_name_or_path=reference(TAKEN[recipe]))
    outcome = runner.run(recipe, "--config", path)
    assert outcome.code == 0, outcome.err
    assert f"model      {reference(TAKEN[recipe])}: TransformerFor" in outcome.out
    folders = runner.folder / "runs" / recipe / "reference", finished(recipe).folder
    found, expected = (losses(folder) for folder in folders)
    assert len(found) == len(expected)
    # The same weights and batches; a head that is new is drawn in another order.
    assert found == pytest.approx(expected, rel=0.2 if recipe in ("mlm", "ner", "reward") else 1e-4)
    found, expected = (read(folder / "results.json")["metrics"] for folder in folders)
    assert found.keys() == expected.keys()
    if not losses(folders[0]):
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("objective", "architecture"),
    [
        ("causal", GPT2 | {"model_type": "hfcourse"}),
        ("masked", BERT),
        ("span", {"model_type": "hfcourse", "family": "t5"} | SIZES),
        ("span", {"model_type": "hfcourse", "family": "vaswani"} | SIZES),
    ],
    ids=["gpt2", "bert", "t5", "vaswani"],
)
def test_it_is_pre_trained_and_continued(objective, architecture, runner, config, request):
    """T5 and the 2017 model drop out by default: a continued run draws the same random numbers."""
    name = request.node.callspec.id
    path = config("pretrain", f"new-{name}", objective=objective, architecture=architecture, eval_steps=12)
    whole = runner.run("pretrain", "--config", path)
    assert whole.code == 0, whole.err
    folder = runner.folder / "runs/pretrain" / f"new-{name}"
    run_with_kills(runner, "pretrain", folder.with_name(f"killed-{name}"), "--config", path, seed=2)
    assert_same_run(folder, folder.with_name(f"killed-{name}"))
    metrics = read(folder / "results.json")["metrics"]
    assert metrics["perplexity"] < metrics["perplexity_before"]
    assert read(folder / "config.json")["model_type"] == "hfcourse"
