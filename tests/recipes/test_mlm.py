"""recipes/mlm.py: fixed masks, what is measured of them, the exam; what every recipe does is in test_contract_*.py."""

import math

import pytest
import torch
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from transformers import AutoModelForMaskedLM, AutoTokenizer


SMALL = TWELVE_STEPS | {
    "model_name_or_path": "runs/encoder",
    "dataset_name": "runs/world/corpus",
    "exam": "runs/world/cloze.jsonl",
    "max_train_samples": 150,
    "max_eval_samples": 30,
    "block_size": 32,
    "packing": False,
    "whole_word_masking": True,
    "rarity": 1.0,
    "short_rows": 0.5,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
}
FILES = MODEL - {"generation_config.json"}
MEASURED = {"perplexity", "fact_accuracy_en", "fact_accuracy_zh", "masked_accuracy"}
MEASURED |= {f"masked_accuracy_{kind}" for kind in ("mask", "random", "kept")}
METRICS = MEASURED | {f"{name}_before" for name in MEASURED}


def test_two_evaluations_of_one_model_agree_to_the_last_digit(finished):
    """The last evaluation of training and the one after it are of the same weights."""
    folder = finished("mlm").folder
    last = [line for line in log(folder) if "eval_loss" in line][-1]
    metrics = read(folder / "results.json")["metrics"]
    assert last["step"] == 12 and metrics["perplexity"] == math.exp(last["eval_loss"])
    assert metrics["perplexity"] < metrics["perplexity_before"]


@torch.no_grad()
def test_the_saved_model_fills_a_mask_with_plain_transformers(finished):
    folder = finished("mlm").folder
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    ids = tokenizer(f"The capital of {tokenizer.mask_token}", return_tensors="pt")
    assert model(**ids).logits.shape == (1, ids["input_ids"].shape[1], len(tokenizer))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--probability", "0"], "--probability is a share of the tokens, above 0 and below 1, not 0"),
        (["--probability", "1.5"], "--probability is a share of the tokens, above 0 and below 1, not 1.5"),
        (["--short_rows", "2"], "--short_rows is a share of the rows, from 0 to 1, not 2"),
        (["--rarity", "-1"], "--rarity is an exponent of 0 or more, not -1"),
        (["--whole_word_masking", "false"], "--rarity weighs words: it belongs to --whole_word_masking"),
        (["--block_size", "100000"], "--block_size 100000: this model takes at most"),
        (["--exam", "nothing.jsonl"], "nothing.jsonl"),
        (["--model_name_or_path", "runs/pretrain/small"], "runs/pretrain/small"),
        (["--dataset_name", "runs/world/translation"], "no column 'text'"),
    ],
)
def test_refusals(finished, runner, config, tmp_path, arguments, said):
    finished("pretrain")
    given = ["--config", config("mlm"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("mlm", *given), said)
