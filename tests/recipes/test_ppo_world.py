"""The claims at full size: a reward model judges truth on facts that no pair mentions; what people prefer is learnt
and truth rises, in three seeds, on unseen prompts; without the penalty on KL the score ends higher and truth lower."""

import json
from functools import partial
from pathlib import Path

import pytest
from runner import ROOT, run_program


SCORES = ("helpful", "truthful", "harmless")


@pytest.mark.slow
def test_paid_answers_become_helpful_harmless_and_true(tmp_path: Path) -> None:
    """The sum of the three scores rises in each seed, by at least .30 on average, at a KL near its target of 2."""

    run = partial(run_program, tmp_path)

    def recipe(name: str, config: str, *more: str) -> dict:
        path = ROOT / "configs" / name / config
        run(str(ROOT / "recipes" / f"{name}.py"), "--config", str(path), *more)
        folder = more[more.index("--output_dir") + 1] if "--output_dir" in more else f"runs/{name}/{path.stem}"
        return json.loads((tmp_path / folder / "results.json").read_text())["metrics"]

    run("-m", "hfcourse.world", "--output", "runs/world")
    recipe("pretrain", "gpt2-tiny.yaml")
    for config in ("tiny.yaml", "people.yaml"):
        recipe("sft", config)
    assert recipe("reward", "tiny.yaml")["accuracy_truthful"] > 0.9
    assert recipe("reward", "people.yaml")["accuracy_truthful"] > 0.85
    gains, paid = [], []
    for seed in ("0", "1", "2"):
        metrics = recipe("ppo", "tiny.yaml", "--seed", seed, "--output_dir", f"runs/ppo/{seed}")
        paid.append(metrics)
        gains.append(sum(metrics[name] - metrics[f"{name}_before"] for name in SCORES))
        assert metrics["truthful"] > metrics["truthful_before"]
        assert metrics["reward"] > metrics["reward_before"] + 1 and 1.3 < metrics["kl"] < 3
    assert min(gains) > 0 and sum(gains) / 3 >= 0.30
    free = recipe("ppo", "tiny-no-kl.yaml")
    assert free["kl"] > paid[0]["kl"] + 1
    assert free["reward"] > paid[0]["reward"] and free["truthful"] < paid[0]["truthful"]

    table = recipe("rlhf", "tiny.yaml", "--ppo", "runs/ppo/0")
    assert max(table[f"base_{name}"] for name in SCORES) < 0.15, "it was never asked"
    sums = {s: sum(table[f"{s}_{name}"] for name in SCORES) for s in ("sft", "ppo", "ppo_no_kl", "best_of_n")}
    assert sums["ppo"] > sums["sft"] + 0.3 and table["ppo_reward"] > table["sft_reward"] + 1
    assert table["ppo_no_kl_truthful"] < table["ppo_truthful"] and table["ppo_no_kl_reward"] > table["ppo_reward"]
    assert table["best_of_n_kl"] <= table["ppo_kl"] and sums["best_of_n"] > sums["sft"] + 0.3
    assert table["best_of_n_reward"] > table["ppo_reward"] + 0.5, "a much higher score"
    assert sums["best_of_n"] < sums["ppo"] + 0.1, "for which it is no better"
