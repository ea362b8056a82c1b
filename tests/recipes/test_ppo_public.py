"""The public configs of recipes/ppo.py, as far as a machine without their checkpoints goes: a dry run of stand-ins."""

from hfcourse.data.tokenizer import train_tokenizer

import pytest
import torch
import yaml
from contract import assert_refused
from runner import ROOT
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from trl.import_utils import is_vllm_available


TINY = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 64,
}  # fmt: skip
STORIES = [f"The river number {i} of the country runs by a city on a hill." for i in range(300)]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """Writes a checkpoint of a kind that a config names, with random weights, and returns its folder."""
    folder = tmp_path_factory.mktemp("stand-ins")
    tokenizer = train_tokenizer(STORIES, 300, "causal")

    def write(kind, classes=None):
        torch.manual_seed(0)
        named = {} if classes is None else {"num_labels": len(classes), "id2label": dict(enumerate(classes))}
        sizes = TINY if kind != "distilbert" else {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}
        ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **sizes, **ends, **named)
        loader = AutoModelForCausalLM if classes is None else AutoModelForSequenceClassification
        path = folder / f"{kind}-{'policy' if classes is None else len(classes)}"
        loader.from_config(config).save_pretrained(path)
        tokenizer.save_pretrained(path)
        return str(path)

    return write


def test_a_dry_run_of_each_public_config_with_stand_ins(runner, stand_in, rows, tmp_path):
    configs = {
        "gpt2-imdb": ("gpt2", "distilbert", ["NEGATIVE", "POSITIVE"]),
        "pythia-tldr": ("gpt_neox", "gpt_neox", ["score"]),
        "qwen2.5-1.5b-lora": ("qwen2", "qwen2", ["score"]),
        "stories": ("llama", "llama", ["score"]),
    }
    found = {path.stem for path in ROOT.glob("configs/ppo/*.yaml") if not path.stem.startswith("tiny")}
    assert found == set(configs), "a public config without a stand-in"
    texts = rows(*({"text": text} for text in STORIES[30:]))
    held_out = rows(*({"text": text} for text in STORIES[:30]), name="held_out.jsonl")
    started = {}
    for name, (kind, reward, classes) in configs.items():
        models = ["--model_name_or_path", stand_in(kind), "--reward_model", stand_in(reward, classes)]
        data = ["--dataset_name", texts, "--eval_dataset_name", held_out]
        rest = ["--prompt_tokens", "8", "--bf16", "false", "--dry_run", "--output_dir", f"runs/ppo/{name}"]
        local = yaml.safe_load((ROOT / "configs" / "ppo" / f"{name}.yaml").read_text(encoding="utf-8"))
        for key in ("model_revision", "dataset_revision", "dataset_test_split"):  # which no folder or file has
            local.pop(key, None)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(local), encoding="utf-8")
        started[name] = runner.start("ppo", "--config", str(path), *models, *data, *rest)
    for name, run in started.items():
        outcome = run.wait()
        assert outcome.code == 0, f"{name}: {outcome.err}"
        assert "Paid for: reward_model." in outcome.out and "batch 2:" in outcome.out, name


@pytest.mark.skipif(is_vllm_available(), reason="vLLM is installed")
def test_vllm_that_is_not_installed_is_one_sentence(config, runner):
    more = ["--use_vllm", "--vllm_mode", "colocate", "--vllm_gpu_memory_utilization", "0.3"]
    outcome = runner.run("ppo", "--config", config("ppo"), "--output_dir", "runs/ppo/vllm", *more)
    assert_refused(outcome, "use_vllm draws answers with vLLM, which is not installed: pip install trl[vllm]")
