"""A reward model that grew blocks, and the texts that it goes on predicting."""

from hfcourse.errors import InputError
from hfcourse.run.reward import load_reward
from hfcourse.run.reward_keep import predicting_head, predicting_loss

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from trl import ModelConfig


def arguments(base, **settings):
    return ModelConfig(model_name_or_path=str(base), dtype="float32", **settings)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_new_blocks_begin_as_the_identity(base, tmp_path, kind):
    folder = base
    if kind == "llama":
        folder = tmp_path / "llama"
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        LlamaForCausalLM(LlamaConfig(vocab_size=300, **sizes)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    plain, _, _ = load_reward(arguments(folder))
    grown, _, note = load_reward(arguments(folder), new_blocks=3)
    grown.score.weight.copy_(plain.score.weight)
    assert "New weights, drawn with the seed: score.weight." in note and "On top 3 more blocks" in note
    for model in (plain, grown):
        model.config.pad_token_id = 1
    ids = torch.randint(3, 250, (4, 9))
    scores = grown(input_ids=ids).logits
    torch.testing.assert_close(scores, plain(input_ids=ids).logits)
    assert all(p.requires_grad for p in grown.parameters())
    for parameter in grown.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    grown.save_pretrained(tmp_path / "grown")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "grown").eval()
    assert again.config.num_hidden_layers == 5
    assert torch.equal(again(input_ids=ids).logits, grown(input_ids=ids).logits)
    with pytest.raises(InputError, match="--new_blocks does not go with --use_peft"):
        load_reward(arguments(base, use_peft=True), new_blocks=1)


@torch.no_grad()
def test_texts_are_predicted_by_the_head_that_was_there(base):
    """The loss of transformers' causal model, text by text, from a classifier with a block more on top."""
    model, tokenizer, _ = load_reward(arguments(base), new_blocks=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    ids = torch.randint(3, 250, (3, 9))
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] + [0] * 8])
    hidden = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
    losses = predicting_loss(hidden, predicting_head(arguments(base)), ids, mask)
    causal = GPT2LMHeadModel.from_pretrained(base).eval()
    expected = [
        causal(input_ids=ids[i : i + 1, :n], labels=ids[i : i + 1, :n]).loss.item() for i, n in ((0, 9), (1, 5))
    ]
    assert losses.tolist() == pytest.approx([*expected, 0.0], rel=1e-5)  # a single token has nothing before it


def test_blocks_of_another_kind_are_not_added_to(base, tmp_path):
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="--new_blocks knows the blocks of .*, not of Bert"):
        load_reward(arguments(tmp_path), new_blocks=1)
