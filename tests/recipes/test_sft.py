"""recipes/sft.py: what it trains on and what it leaves behind; what holds for every recipe is in test_contract*.py."""

import json
import re
import signal
from itertools import cycle

import pytest
import torch
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from transformers import AutoModelForCausalLM, AutoTokenizer


SMALL = TWELVE_STEPS | {
    "model_name_or_path": "runs/pretrain/small",
    "dataset_name": "runs/world/sft",
    "exam": "exam.jsonl",
    "max_length": 96,
    "max_train_samples": 96,
    "max_eval_samples": 20,
    "samples": 2,
    "max_new_tokens": 4,
    "per_device_train_batch_size": 4,
    "learning_rate": 2e-3,
    "bf16": False,
    "gradient_checkpointing": False,
}
TRUTHS = {f"truth_{group}_{lang}" for group in ("asked", "unasked") for lang in ("en", "zh")}
FILES = MODEL | {"chat_template.jinja"}
METRICS = {name + when for name in {"eval_loss", *TRUTHS} for when in ("", "_before")}


def messages(*contents):
    return {
        "messages": [{"role": r, "content": c} for r, c in zip(cycle(("user", "assistant")), contents, strict=False)]
    }


def test_the_loss_counts_the_answers_and_nothing_else(finished, runner, rows):
    """Seen through the trainer's own batches: each answer with the token that ends it, in every turn."""
    finished("sft")
    chats = [messages(f"q{i}", f"one {i}", f"and {i}?", f"two {i} three") for i in range(4)]
    command = ["--config", "configs/sft/small.yaml", "--dry_run", "--eval_share", "0", "--exam", "none.jsonl"]
    (runner.folder / "none.jsonl").touch()
    outcome = runner.run("sft", *command, "--dataset_name", rows(*chats), "--per_device_train_batch_size", "2")
    assert outcome.code == 0, outcome.err
    counted = re.findall(r"\[\[(.*?)\]\]", outcome.out, re.DOTALL)
    end = "<|endoftext|>"
    assert sorted(counted) == sorted(text for i in range(4) for text in (f"one {i}{end}", f"two {i} three{end}"))
    tokenizer = AutoTokenizer.from_pretrained(runner.folder / "runs/sft/small")
    each = len(tokenizer(f"one 0{end}")["input_ids"]) + len(tokenizer(f"two 0 three{end}")["input_ids"])
    assert f"the loss counts {4 * each} of them" in outcome.out
    assert re.findall(r"^batch \d: .*, the loss counts (\d+)$", outcome.out, re.MULTILINE) == [str(2 * each)] * 2


@torch.no_grad()
def test_eval_loss_is_the_mean_over_counted_tokens_whatever_the_batches(finished, runner):
    small = finished("sft").folder
    found = [read(small / "before.json")["scores"]["eval_loss"]]
    for size in ("1", "7"):
        folder = small.with_name(f"batches-of-{size}")
        command = ["--config", "configs/sft/small.yaml", "--output_dir", str(folder)]
        run = runner.start("sft", *command, "--per_device_eval_batch_size", size)
        assert run.when((folder / "before.json").exists, signal.SIGKILL)
        run.wait()
        found.append(read(folder / "before.json")["scores"]["eval_loss"])
    tokenizer, total, count = AutoTokenizer.from_pretrained(small), 0.0, 0
    model = AutoModelForCausalLM.from_pretrained(small.parents[1] / "pretrain" / "small")
    lines = (runner.folder / "runs/world/sft/test.jsonl").read_text(encoding="utf-8").split("\n")[:20]
    for line in lines:
        row = tokenizer.apply_chat_template(
            json.loads(line)["messages"], return_dict=True, return_assistant_tokens_mask=True, return_tensors="pt"
        )
        ids, answers = row["input_ids"][0, 1:], torch.as_tensor(row["assistant_masks"]).view(-1)[1:].bool()
        chosen = model(row["input_ids"]).logits[0, :-1].log_softmax(-1).gather(-1, ids[:, None])[:, 0]
        total, count = total - chosen[answers].double().sum().item(), count + int(answers.sum())
    assert found == pytest.approx([total / count] * 3, rel=1e-6)


def test_streamed_rows_are_the_rows(finished, runner):
    small = finished("sft").folder
    command = ["--config", "configs/sft/small.yaml", "--max_steps", "6", "--train_sampling_strategy", "sequential"]
    seen = []
    for streaming in ("true", "false"):
        folder = small.with_name(f"streaming-{streaming}")
        outcome = runner.run("sft", *command, "--streaming", streaming, "--output_dir", str(folder))
        assert outcome.code == 0, outcome.err
        seen.append([(line["num_tokens"], line["loss"]) for line in log(folder) if "loss" in line])
    assert len(seen[0]) == 6 and seen[0] == seen[1]
    assert read(small.with_name("streaming-true") / "results.json")["metrics"] == pytest.approx(
        read(small.with_name("streaming-false") / "results.json")["metrics"], rel=1e-6
    )
    endless = runner.run(
        "sft", *command, "--streaming", "true", "--max_steps", "-1", "--output_dir", "runs/sft/endless"
    )
    assert_refused(endless, "max_steps has to be specified")


def test_a_run_without_an_evaluation_and_without_a_log_line_ends_well(finished, runner, rows):
    finished("sft")
    chats = [messages(f"q{i}", f"a{i}") for i in range(4)]
    command = ["--config", "configs/sft/small.yaml", "--eval_share", "0", "--max_steps", "2", "--logging_steps", "50"]
    command += ["--dataset_name", rows(*chats), "--exam", "none.jsonl", "--output_dir", "runs/sft/bare"]
    (runner.folder / "none.jsonl").touch()
    outcome = runner.run("sft", *command)
    assert outcome.code == 0, outcome.err
    assert "There is no split to evaluate on and --eval_share is 0: no evaluation." in outcome.out
    assert read(runner.folder / "runs/sft/bare/results.json")["metrics"] == {}
    assert (runner.folder / "runs/sft/bare/curves.png").exists()


def test_samples_stand_side_by_side(finished):
    card = (finished("sft").folder / "README.md").read_text(encoding="utf-8")
    table = card[card.index("## Samples") :].split("\n")[2:6]
    assert table[:2] == ["| question | expected | before | after |", "| --- | --- | --- | --- |"]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in table)
