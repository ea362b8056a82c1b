"""recipes/ppo.py: what it pays for, reports and refuses; what holds for every recipe is in test_contract_*.py."""

import re

import pytest
import torch
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
)


SMALL = TWELVE_STEPS | {
    "model_name_or_path": "runs/sft/small",
    "dataset_name": "runs/world/prompts",
    "rules": ["one_sentence", "least_effort"],
    "conduct": "runs/world/conduct.jsonl",
    "max_completion_length": 8,
    "max_train_samples": 24,
    "max_eval_samples": 16,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "num_mini_batches": 2,
    "num_ppo_epochs": 2,
    "learning_rate": 2e-3,
    "kl_target": 4.0,
    "kl_horizon": 100,
    "bf16": False,
    "gradient_checkpointing": False,
}
CONDUCT = ("helpful", "truthful", "harmless")
METRICS = {"kl"} | {name + when for name in ("reward", *CONDUCT) for when in ("", "_before")}
FILES = MODEL | {"critic", "chat_template.jinja"}


@pytest.fixture(scope="module")
def reward_model(runner, finished):
    """runs/reward/model: a classifier with one label and the policy's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(finished("sft").folder)
    torch.manual_seed(0)
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 128, "initializer_range": 0.5}
    config = GPT2Config(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **sizes)
    folder = runner.folder / "runs/reward/model"
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def command(name, *more):
    return ["--config", "configs/ppo/small.yaml", "--max_steps", "4", "--output_dir", f"runs/ppo/{name}", *more]


def test_a_reward_model_pays_and_is_what_the_critic_begins_as(finished, runner, reward_model):
    finished("ppo")
    outcome = runner.run(
        "ppo", *command("paid", "--reward_model", str(reward_model), "--reward_weights", "1", "0", "0")
    )
    assert outcome.code == 0, outcome.err
    assert "Paid for: reward_model, one_sentence, least_effort." in outcome.out
    first = next(line for line in log(runner.folder / "runs/ppo/paid") if "reward" in line)
    assert first["reward"] == pytest.approx(first["rewards/reward_model"])
    critic = AutoModelForSequenceClassification.from_pretrained(runner.folder / "runs/ppo/paid/critic")
    assert critic.config.n_embd == 16 and critic.num_labels == 1
    for name in ("policy", str(reward_model)):
        outcome = runner.run("ppo", *command("critic-" + name[-5:], "--critic", name, "--max_steps", "2"))
        assert outcome.code == 0, outcome.err


def test_conduct_is_judged_and_not_paid_for(finished):
    lines = log(finished("ppo").folder)
    rewards = [line for line in lines if "reward" in line]
    assert len(rewards) == 3, "a rollout every four steps"
    for line in rewards:
        assert line["reward"] == pytest.approx(line["rewards/one_sentence"] + line["rewards/least_effort"])
    before = next(line for line in lines if "eval_reward" in line)
    assert before["eval_kl"] == pytest.approx(0, abs=1e-4)
    metrics = read(finished("ppo").folder / "results.json")["metrics"]
    assert metrics["helpful_before"] == before["eval_rewards/helpful"]
    assert metrics["reward"] == [line for line in lines if "eval_reward" in line][-1]["eval_reward"]


def test_policy_and_critic_load_and_answers_stand_side_by_side(finished):
    folder = finished("ppo").folder
    policy = AutoModelForCausalLM.from_pretrained(folder)
    critic = AutoModelForSequenceClassification.from_pretrained(folder / "critic")
    assert critic.num_labels == 1 and critic.config.n_embd == policy.config.n_embd
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| prompt | before | after |" in card and "Paid for: one_sentence, least_effort." in card


def test_lora_and_a_shared_trunk(finished, runner):
    finished("ppo")
    lora = ["--use_peft", "--lora_target_modules", "c_attn", "c_proj", "--share_trunk"]
    outcome = runner.run("ppo", *command("lora", *lora))
    assert outcome.code == 0, outcome.err
    folder = runner.folder / "runs/ppo/lora"
    assert (folder / "adapter_model.safetensors").exists() and (folder / "critic/value_head.safetensors").exists()


def test_texts_are_gone_on_from(finished, runner, rows):
    finished("ppo")
    texts = rows(*({"text": f"The capital of the country number {i} is a city on a hill."} for i in range(30)))
    more = ["--dataset_name", texts, "--conduct", "none", "--prompt_tokens", "5", "--eval_share", "0.2"]
    outcome = runner.run("ppo", *command("texts", *more, "--max_eval_samples", "4"))
    assert outcome.code == 0, outcome.err
    trained = re.search(r"^  train +\d+ rows read, 0 dropped, ([\d,]+) tokens", outcome.out, re.MULTILINE)
    assert int(trained[1]) == 24 * 5
    assert set(read(runner.folder / "runs/ppo/texts/results.json")["metrics"]) == {"reward_before", "reward", "kl"}


def test_bad_input_is_one_sentence(finished, runner, reward_model, rows, tmp_path):
    finished("ppo")
    two, other = tmp_path / "two", tmp_path / "other"
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "pad_token_id": 0}
    GPT2ForSequenceClassification(GPT2Config(vocab_size=99, num_labels=2, **sizes)).save_pretrained(two)
    GPT2ForSequenceClassification(GPT2Config(vocab_size=99, num_labels=1, **sizes)).save_pretrained(other)
    AutoTokenizer.from_pretrained(reward_model).save_pretrained(two)
    long = rows({"prompt": "word " * 600}, {"prompt": "word " * 700})
    few = rows({"prompt": "one"}, {"prompt": "two"}, name="few.jsonl")
    runs = {
        ("has 2 labels (LABEL_0, LABEL_1), and a reward is one number",): ["--reward_model", str(two)],
        ("no label 'GOOD'",): ["--reward_model", str(two), "--reward_label", "GOOD"],
        ("model folder runs/none does not exist",): ["--reward_model", "runs/none"],
        ("invalid choice: 'polite'",): ["--rules", "polite"],
        ("no prompt has at most the", "leave room for an answer"): ["--dataset_name", long, "--eval_share", "0"],
        ("a rollout takes 8 prompts", "there are 2"): ["--dataset_name", few, "--eval_share", "0"],
        ("Number of reward weights (5) must match",): ["--reward_weights", "1", "1"] + ["--rules", "grammar"],
        ("exam nowhere.jsonl does not exist",): ["--conduct", "nowhere.jsonl"],
        ("beta = 0.2 is an argument of GRPO that is not read",): ["--beta", "0.2"],
        ("the critic reads the policy's tokens, but its vocabulary has 99",): ["--critic", str(other)],
        ("has no head `score` with one output",): ["--critic", str(two)],
    }
    started = {said: runner.start("ppo", *command(f"bad-{i}", *more)) for i, (said, more) in enumerate(runs.items())}
    for said, run in started.items():
        assert_refused(run.wait(), *said)


def test_prompts_that_are_too_long_are_dropped_and_counted(finished, runner, rows):
    finished("ppo")
    long = [{"prompt": "word " * 600 + str(i)} for i in range(10)]
    texts = rows(*long, *({"prompt": f"word {i}"} for i in range(29)))
    more = ["--dataset_name", texts, "--eval_share", "0", "--conduct", "none", "--dry_run"]
    outcome = runner.run("ppo", *command("long", *more))
    assert outcome.code == 0, outcome.err
    assert re.search(r"^  train +39 rows read, 10 dropped \(10 too long for the context\)", outcome.out, re.MULTILINE)
