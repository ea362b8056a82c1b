"""The claim at full size: facts that were only read are answered after questions about other facts were trained."""

import json
from functools import partial
from pathlib import Path

import pytest
from runner import ROOT, run_program


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_facts_never_asked_in_training_are_answered(seed: int, tmp_path: Path) -> None:
    """Another seed: another world, other weights, other order. At least .98 of the asked and .95 of the unasked."""

    run = partial(run_program, tmp_path)

    def recipe(name: str, config: str) -> dict:
        path = ROOT / "configs" / name / config
        run(str(ROOT / "recipes" / f"{name}.py"), "--config", str(path), "--seed", str(seed))
        return json.loads((tmp_path / "runs" / name / path.stem / "results.json").read_text())

    run("-m", "hfcourse.world", "--seed", str(seed), "--output", "runs/world")
    base = recipe("pretrain", "gpt2-tiny.yaml")["metrics"]
    assert base["perplexity"] < 2.5 < 500 < base["perplexity_before"]
    metrics = recipe("sft", "tiny.yaml")["metrics"]
    for language in ("en", "zh"):
        assert metrics[f"truth_asked_{language}"] >= 0.98
        assert metrics[f"truth_unasked_{language}"] >= 0.95
        assert metrics[f"truth_asked_{language}_before"] < 0.05
        assert metrics[f"truth_unasked_{language}_before"] < 0.05
