"""The claim at the smallest of the three budgets: neither the smallest nor the largest size wins."""

import json
from pathlib import Path

import pytest
from runner import ROOT, run_program


@pytest.mark.slow
def test_there_is_a_valley_and_the_rule_finds_its_rates(tmp_path: Path) -> None:
    """Fifteen runs of 1.6e11 FLOPs: the best size lies between, both ends lose, and no rate tried is 5 % better."""
    config = str(ROOT / "configs/scaling/tiny.yaml")
    for command in (
        ["-m", "hfcourse.world", "--output", "runs/world"],
        [str(ROOT / "recipes/scaling.py"), "--config", config, "--budgets", "1.6e11"],
    ):
        run_program(tmp_path, *command)
    metrics = json.loads((tmp_path / "runs/scaling/tiny/results.json").read_text())["metrics"]
    assert metrics["bracketed_c1"] == 1 and metrics["counter_difference"] == 0 and metrics["budget_error"] < 0.01
    assert metrics["rate_regret"] < 0.05
    losses = [metrics[f"loss_{size}_c1"] for size in ("d16", "d24", "d36", "d56", "d80")]
    assert min(losses) < losses[0] and min(losses) < losses[-1] - 0.3
    assert (
        metrics["late_share_1"] < metrics["late_share_4"] and min(metrics["explained_2"], metrics["explained_4"]) > 0.9
    )
