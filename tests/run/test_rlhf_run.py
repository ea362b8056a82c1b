"""The table of stages: means, calibration, best-of-n at the KL of PPO, and the training that is drawn beside it."""

import json
import math

from hfcourse.run.rlhf import calibration, collect_answers, compare, named, quality, read_training, side_by_side
from hfcourse.run.show import stages_table

import numpy as np
import pytest


PROMPTS = ["a", "b"]


def judge(prompts, completions):
    """Applies to the prompt "a" alone: whether the answer is "yes"."""
    texts = [completion[-1]["content"] for completion in completions]
    return [float(t == "yes") if p == "a" else None for p, t in zip(prompts, texts, strict=True)]


judge.__name__ = "helpful"


def line(rows, answers, scores):
    return {"rows": rows, "answers": answers, "lengths": [len(text) for text in answers], "scores": scores}


@pytest.fixture
def lines():
    """sft says yes and no to each prompt, and the reward prefers yes; ppo says yes."""
    half = math.log(0.5)
    sft, ppo = [half, half], [math.log(0.99), half]
    return {
        "sft/0/0": line([0, 1], ["yes", "no"], [[*sft, 1.0], [*sft, -1.0]]),
        "sft/1/0": line([0], ["no"], [[*sft, -1.0]]),
        "sft/1/1": line([1], ["yes"], [[*sft, 3.0]]),
        "ppo/0/0": line([0, 1], ["yes", "yes"], [[*ppo, 1.0], [*ppo, 3.0]]),
        "choices/sft/0": {"rows": [0], "scores": [[math.log(0.2), math.log(0.2)]]},
        "choices/ppo/0": {"rows": [0], "scores": [[math.log(0.3), math.log(0.1)]]},
        "choices/reward/0": {"rows": [0], "scores": [[1.0, -1.0]]},
    }


def test_means_kl_calibration_and_best_of_n(lines):
    answers = {stage: collect_answers(lines, stage, PROMPTS, [judge]) for stage in ("sft", "ppo")}
    assert answers["sft"].texts == [["yes", "no"], ["no", "yes"]]
    table, by_n = compare(lines, answers, {0: 0})
    kl = math.log(0.99 / 0.5)
    assert table["sft"] == pytest.approx({"helpful": 0.5, "reward": 0.5, "length": 2.5, "kl": 0, "ece": 0.5})
    assert table["ppo"] == pytest.approx({"helpful": 1, "reward": 2, "length": 3, "kl": kl, "ece": 0.25})
    assert by_n[1] == pytest.approx({"helpful": 0.5, "reward": 0.5, "length": 2.5, "kl": 0})
    # Best of both draws: yes, which comes with 1 - (1/2)^2.
    best = {"helpful": 1, "reward": 2, "length": 3, "kl": math.log(0.75 / 0.5), "ece": 0.25, "answers": 2}
    assert table["best_of_n"] == pytest.approx(best)
    head, rows = stages_table(named(table))
    assert head == ["", "helpful", "reward", "kl", "length", "ece"]
    assert rows[-1] == ["best of 2", "1.00", "2.00", "0.41", "3.00", "0.25"] and [r[0] for r in rows[:-1]] == [
        "sft",
        "ppo",
    ]
    assert side_by_side(answers, PROMPTS, 2, 2)[1] == {"prompt": "b", "sft": "no", "ppo": "yes", "best of 2": "yes"}


def test_best_of_n_takes_no_more_kl_than_ppo(lines):
    for row in lines["ppo/0/0"]["scores"]:
        row[0] = row[1] + 0.1
    answers = {stage: collect_answers(lines, stage, PROMPTS, []) for stage in ("sft", "ppo")}
    table, by_n = compare(lines, answers, {})
    assert table["best_of_n"]["answers"] == 1 and by_n[2]["kl"] > 0.1
    assert "helpful" not in table["sft"]


def test_calibration_is_of_the_choice_among_the_answers():
    logprobs = {3: np.log([0.03, 0.01]), 5: np.log([0.2, 0.6])}
    # Confident of .75 in both, right in one.
    assert calibration(logprobs, {3: 0, 5: 0}) == {"ece": pytest.approx(0.25)}
    assert calibration({}, {}) == {}


def test_quality_is_the_mean_of_what_was_measured():
    assert quality({"helpful": 0.5, "harmless": 1.0, "reward": 9.0}) == 0.75 and quality({"reward": 1.0}) is None


def test_the_evaluations_of_a_run_are_read(tmp_path):
    rows = [{"step": 0, "eval_reward": -1.0, "eval_kl": 0.0, "eval_rewards/helpful": 0.5}, {"step": 4, "loss": 1.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_training(str(tmp_path)) == [{"step": 0, "kl": 0.0, "reward": -1.0, "helpful": 0.5}]
    assert read_training("someone/model") == []
