"""Packing: examples in one row do not see one another, through the trainer's own batches; where they would, none."""

import shutil

from hfcourse.run.models import packing_note, packs_apart

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer


SIZES = {
    "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64},
    "llama": {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64},
    "bloom": {"n_layer": 2, "n_head": 2, "hidden_size": 32},
}


def tiny(kind, attention=None, **more):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=400, **SIZES[kind], **more)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)


@torch.no_grad()
def packed_losses(model, tokenizer, examples, folder):
    """Loss of each counted token, by the example's first token, from the trainer's first packed batch."""
    rows = Dataset.from_list([{"input_ids": ids, "labels": ids} for ids in examples])
    training = SFTConfig(
        str(folder), packing=True, max_length=32, per_device_train_batch_size=2, bf16=False, report_to="none"
    )
    trainer = SFTTrainer(model=model, args=training, train_dataset=rows, processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    model.eval()
    logits = model(**{k: v for k, v in batch.items() if k != "labels"}, use_cache=False).logits
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    found = cross_entropy(logits[0, :-1], labels[1:], reduction="none")
    starts = [i for i, position in enumerate(batch["position_ids"][0].tolist()) if position == 0]
    assert ids.shape[0] == sum(map(len, examples)), "all examples lie in one row"
    ends = [*starts[1:], len(ids)]
    return {ids[a].item(): found[a : b - 1] for a, b in zip(starts, ends, strict=True)}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_packed_examples_do_not_see_one_another(finished, tmp_path, kind, attention):
    tokenizer, model = AutoTokenizer.from_pretrained(finished("sft").folder), tiny(kind, attention)
    examples = [[i, *range(10 * i, 10 * i + 4 + i)] for i in range(3, 8)]
    before = packed_losses(model, tokenizer, examples, tmp_path)
    changed = [ids if ids[0] != 5 else [5, *range(300, 300 + len(ids) - 1)] for ids in examples]
    after = packed_losses(model, tokenizer, changed, tmp_path)
    assert before.keys() == after.keys() == {3, 4, 5, 6, 7}
    for first in before:
        assert torch.equal(before[first], after[first]) == (first != 5)
        alone = torch.tensor([next(ids for ids in examples if ids[0] == first)])
        with torch.no_grad():
            logits = model(alone).logits[0, :-1]
        assert torch.allclose(before[first], cross_entropy(logits, alone[0, 1:], reduction="none"), atol=1e-5)


@pytest.mark.parametrize(("kind", "apart"), [("gpt2", True), ("llama", True), ("bloom", False)])
def test_a_model_is_tried_before_it_is_packed(kind, apart):
    model, training = tiny(kind), SFTConfig("none", packing=True, bf16=False)
    model.train()
    assert packs_apart(model) is apart and model.training
    assert ("NOT packed" in packing_note(model, training)) is not apart
    assert training.packing is apart


def test_the_plan_says_that_bloom_is_not_packed(finished, runner):
    small, folder = finished("sft").folder, runner.folder / "runs/bloom"
    tiny("bloom", pad_token_id=1).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(small / name, folder / name)
    command = ["--config", "configs/sft/small.yaml", "--model_name_or_path", "runs/bloom", "--packing", "true"]
    outcome = runner.run("sft", *command, "--dry_run")
    assert outcome.code == 0, outcome.err
    assert "Rows are NOT packed: in BloomForCausalLM with" in outcome.out
    packed = runner.run("sft", "--config", "configs/sft/small.yaml", "--packing", "true", "--dry_run")
    assert "Rows are packed; each attends to itself alone" in packed.out
