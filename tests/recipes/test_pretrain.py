"""recipes/pretrain.py: its three objectives and its tokenizer; what every recipe does is in test_contract_*.py."""

import json
import math

import pytest
import torch
from contract import TWELVE_STEPS, assert_refused, assert_same_run, read, run_with_kills
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer


GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 512}
GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
BERT = {"model_type": "bert", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}
BERT |= {"intermediate_size": 64}
T5 = {"model_type": "t5", "num_layers": 1, "num_heads": 2, "d_model": 32, "d_kv": 16, "d_ff": 64}

SMALL = TWELVE_STEPS | {
    "dataset_name": "runs/world/corpus",
    "max_train_samples": 150,
    "max_eval_samples": 30,
    "vocab_size": 400,
    "block_size": 32,
    "architecture": GPT2,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
}
METRICS = {"perplexity_before", "perplexity"}


@torch.no_grad()
def test_perplexity_is_that_of_the_held_out_documents(finished, runner):
    folder = finished("pretrain").folder
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    lines = (runner.folder / "runs/world/corpus/test.jsonl").read_text(encoding="utf-8").split("\n")[:30]
    documents = [tokenizer(json.loads(line)["text"], add_special_tokens=False)["input_ids"] for line in lines]
    stream = [token for document in documents for token in [*document, tokenizer.eos_token_id]]
    blocks = torch.tensor(stream[: len(stream) // 32 * 32]).view(-1, 32)
    chosen = model(blocks).logits[:, :-1].log_softmax(-1).gather(-1, blocks[:, 1:, None])
    perplexity = math.exp(-chosen.double().mean())
    metrics = read(folder / "results.json")["metrics"]
    assert metrics["perplexity"] == pytest.approx(perplexity, rel=1e-5)
    assert metrics["perplexity"] < metrics["perplexity_before"] == pytest.approx(400, rel=0.05)
    assert len(tokenizer) == 400 == model.config.vocab_size
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == model.config.eos_token_id


@pytest.mark.parametrize(
    ("objective", "architecture", "head", "shown"),
    [
        ("masked", BERT, AutoModelForMaskedLM, r"[MASK]"),
        ("span", T5, AutoModelForSeq2SeqLM, "<extra_id_0>"),
    ],
)
def test_the_other_objectives_are_trained_and_continued(runner, config, objective, architecture, head, shown):
    # BERT and T5 drop out by default, so that a resumed run must also draw the same random numbers.
    path = config("pretrain", objective, objective=objective, architecture=architecture, eval_steps=12)
    plan = runner.run("pretrain", "--config", path, "--dry_run")
    assert plan.code == 0 and shown in plan.out, plan.err
    whole = runner.run("pretrain", "--config", path)
    assert whole.code == 0, whole.err
    folder = runner.folder / "runs" / "pretrain" / objective
    run_with_kills(runner, "pretrain", folder.with_name(f"{objective}-killed"), "--config", path, seed=1)
    assert_same_run(folder, folder.with_name(f"{objective}-killed"))
    metrics = read(folder / "results.json")["metrics"]
    assert metrics["perplexity"] < metrics["perplexity_before"]
    model, tokenizer = head.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) and model.config.pad_token_id == tokenizer.pad_token_id


def test_a_tokenizer_that_is_there_is_used(finished, runner):
    small = finished("pretrain").folder
    command = ["--config", "configs/pretrain/small.yaml", "--tokenizer_name_or_path", "runs/pretrain/small"]
    outcome = runner.run("pretrain", *command, "--max_steps", "1", "--output_dir", "runs/pretrain/given")
    assert outcome.code == 0, outcome.err
    given = small.with_name("given") / "tokenizer.json"
    assert read(given)["model"] == read(small / "tokenizer.json")["model"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--architecture", "{}"], "--architecture {}: expected a mapping with a model_type"),
        (["--architecture", "{broken"], "--architecture {broken: expected a mapping, as YAML or JSON"),
        (["--architecture", "null"], "--architecture is missing"),
        (["--architecture", '{"model_type": "gpt9"}'], "gpt9"),
        (["--architecture", '{"model_type": "gpt2", "n_head": 5, "n_embd": 32}'], "5"),
        (["--objective", "next"], "--objective: invalid choice: 'next' (choose from 'causal', 'masked', 'span')"),
        (["--block_size", "100000"], "fewer than 100000 tokens, not one block"),
        (["--tokenizer_name_or_path", "runs/nothing/here"], "runs/nothing/here does not exist"),
        (["--dataset_name", "runs/world/translation"], "no column 'text'"),
    ],
)
def test_refusals(runner, config, tmp_path, arguments, said):
    folder = tmp_path / "run"
    given = ["--config", config("pretrain"), "--output_dir", str(folder), *arguments]
    assert_refused(runner.run("pretrain", *given), said)
