"""recipes/rlhf.py: its table, and what it refuses; what holds for every recipe is in test_contract_*.py."""

import json
import shutil

import pytest
from contract import assert_refused, log, read
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel


SMALL = {
    "base": "runs/pretrain/small",
    "sft": "runs/sft/small",
    "reward_model": "runs/reward/small",
    "ppo": "runs/ppo/small",
    "ppo_no_kl": "runs/ppo/small",
    "dataset_name": "runs/world/prompts",
    "conduct": "runs/world/conduct.jsonl",
    "max_eval_samples": 12,
    "max_completion_length": 8,
    "draws": 2,
    "best_of": 3,
    "batch_size": 50,
}
CONDUCT = ("helpful", "truthful", "harmless")
MEASURES = (*CONDUCT, "reward", "kl", "length", "ece")
METRICS = {f"{stage}_{name}" for stage in ("base", "sft", "ppo", "ppo_no_kl", "best_of_n") for name in MEASURES}
METRICS |= {"best_of_n_answers"}


def samples(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_table_is_that_of_the_answers_written_down(finished):
    folder = finished("rlhf").folder
    metrics, rows = read(folder / "results.json")["metrics"], samples(folder)
    for stage, draws in (("base", 2), ("sft", 3), ("ppo", 2), ("ppo_no_kl", 2)):
        own = [row for row in rows if row["stage"] == stage]
        assert len(own) == 12 * draws
        for name in ("reward", "length", *CONDUCT):
            known = [row[name] for row in own if name in row]
            assert metrics[f"{stage}_{name}"] == pytest.approx(sum(known) / len(known))
        kl = sum(row["logprob"] - row["sft_logprob"] for row in own) / len(own)
        assert metrics[f"{stage}_kl"] == pytest.approx(kl)
    assert metrics["sft_kl"] == 0 and metrics["best_of_n_kl"] <= max(metrics["ppo_kl"], 0)
    same = {name: metrics[f"ppo_{name}"] for name in MEASURES}
    assert same == {name: metrics[f"ppo_no_kl_{name}"] for name in MEASURES}, "it is the same checkpoint"


def test_training_is_drawn_from_the_logs_and_the_terminal_shows_a_row_for_each_stage(finished):
    small = finished("rlhf")
    lines = log(small.folder)
    assert [line["step"] for line in lines if line["stage"] == "ppo" and "step" in line] == [0, 6, 12]
    assert [line["answers"] for line in lines if line["stage"] == "best_of_n" and "ece" not in line] == [1, 2, 3]
    for stage in ("base", "sft", "ppo", "ppo_no_kl", "best of"):
        assert f"│ {stage}" in small.outcome.out


def test_stages_may_be_left_out_and_texts_have_no_conduct(finished, runner, rows, tmp_path):
    finished("rlhf")
    reader = tmp_path / "reward"
    shutil.copytree(runner.folder / "runs/reward/small", reader)
    texts = rows(*({"text": f"The capital of the country number {i} is"} for i in range(10)))
    command = ["--sft", "runs/sft/small", "--ppo", "runs/ppo/small", "--reward_model", str(reader)]
    command += ["--dataset_name", texts, "--eval_share", "0.5", "--draws", "1", "--best_of", "2"]
    outcome = runner.run("rlhf", *command, "--max_completion_length", "4", "--output_dir", str(tmp_path / "run"))
    assert outcome.code == 0, outcome.err
    metrics = read(tmp_path / "run/results.json")["metrics"]
    left = {f"{stage}_{name}" for stage in ("sft", "ppo", "best_of_n") for name in ("reward", "kl", "length")}
    assert set(metrics) == left | {"best_of_n_answers"}


def test_bad_input_is_one_sentence(finished, runner, config, tmp_path):
    finished("rlhf")
    other = tmp_path / "other"
    tokenizer = AutoTokenizer.from_pretrained(runner.folder / "runs/sft/small")
    tokenizer.add_tokens(["more"])
    tokenizer.save_pretrained(other)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_layer=1, n_embd=8, n_head=1)).save_pretrained(other)
    exam = tmp_path / "exam.jsonl"
    first = json.loads((runner.folder / "runs/world/conduct.jsonl").read_text(encoding="utf-8").split("\n")[1])
    exam.write_text(json.dumps(first | {"right": "Atlantis"}) + "\n", encoding="utf-8")
    given = ["--config", config("rlhf"), "--output_dir"]
    runs = {
        ("--ppo is missing: a checkpoint folder, a Hub id, or id@revision",): ["--ppo", ""],
        ("model folder runs/none does not exist",): ["--base", "runs/none"],
        (f"--base {other} has other tokens than --sft runs/sft/small",): ["--base", str(other)],
        ("is no checkpoint of AutoModelForSequenceClassification",): ["--reward_model", "runs/sft/small"],
        ("at least 1 answer to a prompt and in a batch, not 0",): ["--draws", "0"],
        ("expected an answer for each object, and the right one in them",): ["--conduct", str(exam)],
        ("exam nowhere.jsonl does not exist",): ["--conduct", "nowhere.jsonl"],
        ("leave room for an answer",): ["--max_completion_length", "505"],
    }
    started = {
        said: runner.start("rlhf", *given, str(tmp_path / f"run-{i}"), *more)
        for i, (said, more) in enumerate(runs.items())
    }
    for said, run in started.items():
        assert_refused(run.wait(), *said)
