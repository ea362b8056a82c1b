"""recipes/reward.py: what it reports is what its checkpoint does; what holds for all is in test_contract_*.py."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch
from contract import MODEL, RECORDS, TWELVE_STEPS, losses, read
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, AutoTokenizer


SMALL = TWELVE_STEPS | {
    "model_name_or_path": "runs/pretrain/small",
    "dataset_name": "runs/world/preferences",
    "new_blocks": 1,
    "keep_texts": "runs/world/corpus",
    "rival_coef": 1.0,
    "max_length": 160,
    "max_train_samples": 96,
    "max_eval_samples": 24,
    "samples": 4,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 16,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "constant",
    "bf16": False,
    "gradient_checkpointing": False,
}
# Texts that a row of the data brings into a batch: the better and the worse answer.
TEXTS = 2
ASPECTS = ("truthful", "helpful", "harmless", "style")
SCORES = {"eval_loss", "accuracy", "ece", "length_correlation", *(f"accuracy_{aspect}" for aspect in ASPECTS)}
METRICS = {name + when for name in SCORES for when in ("", "_before")} | {"longer_wins"}
# It generates nothing.
FILES = MODEL - {"generation_config.json"} | {"chat_template.jinja", "reliability.png"}


def evaluation(runner):
    lines = (runner.folder / "runs/world/preferences/test.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[: SMALL["max_eval_samples"]]]


@torch.no_grad()
def margins(folder, rows):
    """From the checkpoint by transformers alone, one text at a time, each as its chat template writes it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = [
        tokenizer.apply_chat_template(row["prompt"] + row[side], return_tensors="pt", return_dict=True)["input_ids"]
        for row in rows
        for side in ("chosen", "rejected")
    ]
    scores = torch.cat([model(text).logits for text in texts]).view(-1, 2)
    return scores[:, 0] - scores[:, 1]


def assert_reported(folder, rows):
    found, metrics = margins(folder, rows), read(folder / "results.json")["metrics"]
    assert metrics["eval_loss"] == pytest.approx(-F.logsigmoid(found).mean().item(), rel=1e-4)
    right = (found > 0).double()
    assert metrics["accuracy"] == pytest.approx(right.mean().item())
    for aspect in ASPECTS:
        mine = torch.tensor([row["aspect"] == aspect for row in rows])
        assert metrics[f"accuracy_{aspect}"] == pytest.approx(right[mine].mean().item())


def test_the_checkpoint_scores_as_the_run_reports(finished, runner):
    folder = finished("reward").folder
    assert_reported(folder, evaluation(runner))
    assert (AutoModelForSequenceClassification.from_pretrained(folder).config.num_labels) == 1


def test_a_lora_run_ends_in_a_whole_checkpoint(finished, runner):
    """Reloaded by transformers alone it scores as the run did, head and adapters and all."""
    finished("reward")
    command = ["--config", "configs/reward/small.yaml", "--use_peft", "true", "--lora_r", "4", "--seed", "3"]
    command += ["--new_blocks", "0"]
    outcome = runner.run("reward", *command, "--output_dir", "runs/reward/lora")
    assert outcome.code == 0, outcome.err
    folder = runner.folder / "runs/reward/lora"
    assert {path.name for path in folder.iterdir() if not path.name.startswith((".", "checkpoint"))} == (
        RECORDS | FILES | {"adapter"}
    )
    assert sorted(path.name for path in (folder / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert_reported(folder, evaluation(runner))
    trained = losses(folder)
    assert trained[-1] < trained[0]


@torch.no_grad()
def test_a_ranking_stays_in_one_batch_and_counts_once(finished, runner, rows):
    """Three answers and two: the loss is the mean over prompts of the mean over their pairs."""
    finished("reward")
    one, other = evaluation(runner)[:2]
    answers = [row[side][0]["content"] for row in (one, other) for side in ("chosen", "rejected")]
    ranked = [
        {"messages": one["prompt"], "answers": answers[:3], "ranks": [2, 3, 1]},
        {"messages": other["prompt"], "answers": answers[2:], "scores": [1.5, 7.0]},
    ]
    others = [{**row, "messages": [{"role": "user", "content": f"{i}?"}]} for i, row in enumerate(ranked * 3)]
    folder = runner.folder / "runs/reward/ranked"
    command = ["--config", "configs/reward/small.yaml", "--max_steps", "1", "--output_dir", str(folder)]
    command += ["--dataset_name", rows(*others), "--eval_dataset_name", rows(*ranked, name="eval.jsonl")]
    outcome = runner.run("reward", *command)
    assert outcome.code == 0, outcome.err
    assert "6 rows read, 0 dropped" in outcome.out and ", 15 answers in 12 pairs" in outcome.out
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    losses = []
    for row, best_first in zip(ranked, ([2, 0, 1], [1, 0]), strict=True):
        texts = [row["messages"] + [{"role": "assistant", "content": row["answers"][i]}] for i in best_first]
        ids = [tokenizer.apply_chat_template(text, return_tensors="pt", return_dict=True) for text in texts]
        scores = [model(x["input_ids"]).logits[0, 0] for x in ids]
        losses.append(
            np.mean([-F.logsigmoid(scores[i] - scores[j]).item() for i, j in combinations(range(len(ids)), 2)])
        )
    metrics = read(folder / "results.json")["metrics"]
    assert metrics["eval_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert not [name for name in metrics if name.startswith("accuracy_") and name != "accuracy_before"], (
        "no row says what it is about"
    )
