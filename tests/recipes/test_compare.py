"""recipes/compare.py: both sides in lock-step; what every recipe does is in test_contract_*.py."""

import json

from hfcourse.run.convert import to_hf

import pytest
import torch
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from transformers import AutoModelForCausalLM, AutoTokenizer


BERT = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
BERT |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
GPT2 = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64}
GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
T5 = {"num_layers": 1, "num_heads": 2, "d_model": 32, "d_kv": 16, "d_ff": 64, "dropout_rate": 0.0}

SMALL = TWELVE_STEPS | {
    "dataset_name": "runs/world/corpus",
    "max_train_samples": 150,
    "max_eval_samples": 30,
    "vocab_size": 400,
    "block_size": 32,
    "architectures": {"bert": BERT, "gpt2": GPT2, "t5": T5},
    "speed_rounds": 0,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
}
FAMILIES = ("bert", "gpt2", "t5")
FILES = MODEL - {"config.json", "generation_config.json"} | {*FAMILIES, "comparison.json"}
LOSSES = {f"loss_{family}{side}" for family in FAMILIES for side in ("", "_transformers")}
METRICS = LOSSES | {f"{name}_before" for name in LOSSES} | {"lines_reference"}
METRICS |= {f"{name}_{family}" for family in FAMILIES for name in ("loss_difference", "parameters")}
METRICS |= {f"lines_{family}_transformers" for family in FAMILIES}


def test_both_sides_lie_on_one_another(finished):
    folder = finished("compare").folder
    lines, compared = log(folder), 0
    for line in lines:
        for family in FAMILIES:
            for name in (f"loss_{family}", f"eval_loss_{family}"):
                if name in line:
                    assert line[name] == pytest.approx(line[f"{name}_transformers"], abs=1e-4)
                    compared += 1
        if "loss" in line:  # what is trained on is the sum of all
            assert sum(line[name] for name in LOSSES) == pytest.approx(line["loss"], rel=1e-5)
    assert compared == 3 * (12 + 3)
    metrics = read(folder / "results.json")["metrics"]
    found = read(folder / "comparison.json")["families"]
    for family in FAMILIES:
        assert metrics[f"loss_{family}"] < metrics[f"loss_{family}_before"] - 0.1
        assert 0 <= found[family]["difference"] < 1e-4
        assert metrics[f"loss_difference_{family}"] == pytest.approx(found[family]["difference"], rel=0.05)
        assert metrics[f"parameters_{family}"] == found[family]["parameters"]["transformers"]
        assert 300 < metrics["lines_reference"] <= 500 < metrics[f"lines_{family}_transformers"]
    both = [f"loss_{family}_transformers" for family in FAMILIES]
    assert [metrics[name] for name in both] == pytest.approx([metrics[name[:-13]] for name in both], abs=1e-4)


@torch.no_grad()
def test_the_trained_references_are_checkpoints_like_any(finished):
    """Their losses on the held-out documents, by the library's own loss, are those that were measured."""
    folder = finished("compare").folder
    metrics = read(folder / "results.json")["metrics"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder / "gpt2"), AutoTokenizer.from_pretrained(folder)
    assert type(model).__module__ == "hfcourse.transformer.model"
    texts = (folder.parents[1] / "world/corpus/test.jsonl").read_text(encoding="utf-8").split("\n")[:30]
    documents = [tokenizer(json.loads(text)["text"], add_special_tokens=False)["input_ids"] for text in texts]
    stream = [token for document in documents for token in [*document, tokenizer.eos_token_id]]
    blocks = torch.tensor(stream[: len(stream) // 32 * 32]).view(-1, 32)
    assert model(blocks, labels=blocks).loss.item() == pytest.approx(metrics["loss_gpt2"], rel=1e-5)
    theirs = to_hf(model)
    assert theirs(blocks, labels=blocks).loss.item() == pytest.approx(metrics["loss_gpt2_transformers"], rel=1e-4)
    assert {p.name for p in (folder / "t5").iterdir()} >= MODEL and (folder / "bert" / "tokenizer.json").is_file()


def test_one_family_is_trained_as_it_is_alone(finished, runner, config):
    """That others are trained in the same run, and their gradients clipped, moves nothing."""
    path = config("compare", "alone", architectures={"gpt2": GPT2})
    outcome = runner.run("compare", "--config", path)
    assert outcome.code == 0, outcome.err
    together = [line["loss_gpt2"] for line in log(finished("compare").folder) if "loss" in line]
    alone = [line["loss_gpt2"] for line in log(runner.folder / "runs/compare/alone") if "loss" in line]
    assert len(alone) == 12 and alone == pytest.approx(together, rel=1e-3)


def test_speed_is_in_the_table_and_in_the_card(runner, config):
    path = config("compare", "timed", architectures={"gpt2": GPT2}, speed_rounds=1, max_steps=1, generated_tokens=4)
    done = runner.run("compare", "--config", path, env={"COLUMNS": "200"})
    assert done.code == 0, done.err
    folder = runner.folder / "runs/compare/timed"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Side by side" in card
    for part in (
        "forward, tokens/s",
        "backward, tokens/s",
        "step, tokens/s",
        "generation, tokens/s",
        "peak memory, MB",
    ):
        assert f"│ {part} (sdpa)" in done.out and f"| {part} (sdpa) |" in card
    assert read(folder / "comparison.json")["families"]["gpt2"]["sdpa"]["step"]["ratio"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--architectures", "{}"], "--architectures is missing"),
        (["--architectures", "{broken"], "Expecting property name"),
        (["--architectures", '{"gpt9": {}}'], "no family 'gpt9', but bert, gpt2, t5"),
        (["--architectures", '{"gpt2": {"n_head": 5, "n_embd": 32}}'], "5"),
        (["--speed_rounds", "1"], "gpt2 has 64 positions, but --block_size 32 and --generated_tokens 64 take 72"),
        (["--block_size", "65"], "gpt2 has 64 positions, but --block_size 65 and --generated_tokens 0 take 65"),
        (["--speed_variants", "flash"], "invalid choice: 'flash' (choose from 'sdpa', 'eager', 'compiled')"),
        (["--block_size", "100000"], "fewer than 100000 tokens, not one block"),
    ],
)
def test_refusals(runner, config, tmp_path, arguments, said):
    given = ["--config", config("compare"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("compare", *given), said)
