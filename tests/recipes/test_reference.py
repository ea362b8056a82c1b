"""Every recipe runs on checkpoints of the reference Transformer: converted ones and new ones."""

from pathlib import Path

from hfcourse.run.convert import convert

import pytest
from contract import assert_same_run, losses, read, run_with_kills
from test_pretrain import GPT2


SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}
BERT = {"model_type": "hfcourse", "family": "bert", "intermediate_size": 64, "dropout": 0.0} | SIZES
# The small run that a reference GPT-2 or BERT is made from, and the recipes that take its checkpoint.
RECIPES = {"sft": "runs/pretrain/small", "mlm": "runs/encoder", "ner": "runs/encoder"}


@pytest.fixture(scope="module")
def reference(finished, runner):
    """The folder of the converted checkpoint, by the folder of the one that it is made from."""
    finished("pretrain")

    def folder(name: str) -> str:
        path = Path("runs", "reference", *Path(name).parts[1:])
        if not (runner.folder / path).exists():
            convert(str(runner.folder / name), None, runner.folder / path, back=False)
        return str(path)

    return folder


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_learns_on_it_what_it_learns_on_transformers_model(recipe, runner, config, finished, reference):
    path = config(recipe, "reference", model_name_or_path=reference(RECIPES[recipe]))
    outcome = runner.run(recipe, "--config", path)
    assert outcome.code == 0, outcome.err
    assert f"model      {reference(RECIPES[recipe])}: TransformerFor" in outcome.out
    found = losses(runner.folder / "runs" / recipe / "reference")
    expected = losses(finished(recipe).folder)
    assert len(found) == 12 and found[-1] < found[0]
    # The same weights and batches; a head that is new is drawn in another order.
    assert found == pytest.approx(expected, rel=1e-4 if recipe == "sft" else 0.2)
    metrics, before = (
        read(runner.folder / "runs" / recipe / name / "results.json") for name in ("reference", "small")
    )
    assert metrics["metrics"].keys() == before["metrics"].keys()


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
