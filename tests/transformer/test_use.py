"""The Transformer as transformers, TRL and the recipes use it: saved, loaded, trained, asked for what it can't do."""

from hfcourse.errors import InputError
from hfcourse.run.models import from_scratch, packs_apart

import pytest
import torch
from test_model import SIZES, vaswani
from tiny_models import MODELS, batch, difference, pair
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)


AUTO = {"bert": AutoModelForMaskedLM, "gpt2": AutoModelForCausalLM}


class Tokens:
    """As much of a tokenizer as a new model needs."""

    pad_token_id, bos_token_id, eos_token_id, cls_token_id, sep_token_id = 0, 1, 1, None, None

    def __len__(self):
        return 61


def new(auto, family, **changes):
    torch.manual_seed(0)
    config = AutoConfig.for_model("hfcourse", family=family, pad_token_id=0, **SIZES | changes)
    return auto.from_config(config)


@pytest.mark.parametrize("name", [*MODELS, "vaswani"])
def test_saved_and_loaded_by_the_auto_classes(name, tmp_path):
    model = vaswani() if name == "vaswani" else pair(name)[1]
    model.save_pretrained(tmp_path)
    again, report = AUTO.get(name, AutoModelForSeq2SeqLM).from_pretrained(tmp_path, output_loading_info=True)
    assert type(again) is type(model) and not any(report.values())
    assert again.config.to_diff_dict().keys() >= {"family", "hidden_size", "model_type"}
    weights = model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in again.state_dict().items())
    tied = again.lm_head.weight is again.get_input_embeddings().weight
    assert tied == (name != "t5-v1.1")
    inputs = batch("t5" if name == "vaswani" else name)
    assert torch.equal(model(**inputs).logits, again.eval()(**inputs).logits)
    if name == "bert":
        backbone, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"] and type(backbone).__name__ == "Transformer"


@pytest.mark.parametrize("name", [*MODELS, "vaswani"])
def test_gradient_checkpointing_changes_no_gradient(name):
    model = (vaswani() if name == "vaswani" else pair(name)[1]).train()
    inputs, gradients = batch("t5" if name == "vaswani" else name, "right", labels=True), []
    calls = []
    model.base_model.layers[0].attention.register_forward_hook(lambda *_: calls.append(1))
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        model(**inputs).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert len(calls) == 3, "once without, and once more with it"
    assert all(torch.allclose(*both, rtol=1e-5, atol=1e-7) for both in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_a_count_of_the_step_divides_the_summed_loss(name):
    model, inputs = pair(name)[1], batch(name, labels=True)
    labels = inputs["labels"][:, 1:] if name == "gpt2" else inputs["labels"]
    mean, scaled = model(**inputs).loss, model(**inputs, num_items_in_batch=torch.tensor(1000)).loss
    assert scaled.item() == pytest.approx(mean.item() * (labels != -100).sum().item() / 1000, rel=1e-5)


def test_a_masked_model_in_training_computes_logits_where_the_loss_looks():
    model, inputs = pair("bert")[1], batch("bert", labels=True)
    masked = inputs["labels"] != -100
    whole = model(**inputs)
    part = model.train()(**inputs)
    assert part.logits.shape == (masked.sum(), 61) and whole.logits.shape == (3, 12, 61)
    assert difference(whole.logits[masked], part.logits) < 1e-6
    assert part.loss.item() == pytest.approx(whole.loss.item(), rel=1e-6)


@torch.no_grad()
def test_scores_of_tokens_and_of_the_last_token():
    ids = torch.tensor([[5, 6, 7, 0, 0], [0, 0, 8, 9, 10]])
    mask = (ids > 0).long()
    reward = new(AutoModelForSequenceClassification, "gpt2", num_labels=1).eval()
    hidden = reward.model(ids, mask).last_hidden_state
    expected = torch.stack([hidden[0, 2], hidden[1, 4]]) @ reward.score.weight.T
    assert torch.allclose(reward(input_ids=ids, attention_mask=mask).logits, expected)
    tagger = new(AutoModelForTokenClassification, "bert", num_labels=5, classifier_dropout=0.0).train()
    output = tagger(input_ids=ids, attention_mask=mask, labels=mask * 3 - 100 * (1 - mask))
    assert output.logits.shape == (2, 5, 5)
    assert torch.allclose(output.loss, F.cross_entropy(output.logits[mask == 1], torch.full((6,), 3)))


def test_packing_is_known_to_work():
    assert packs_apart(pair("gpt2")[1])


def test_a_new_embedding_is_found_by_both_sides_and_the_head():
    for model in (vaswani(), pair("gpt2")[1]):
        model.resize_token_embeddings(70, mean_resizing=False)
        assert model.lm_head.weight is model.get_input_embeddings().weight
        ids = torch.tensor([[66, 69]])
        assert model(input_ids=ids, labels=ids).logits.shape == (1, 2, 70)


@pytest.mark.parametrize(
    ("objective", "architecture", "said"),
    [
        ("causal", {"family": "gpt9"}, "no family 'gpt9' of Transformers here, but vaswani, bert, gpt2, t5"),
        ("causal", {"num_attention_heads": 5, "hidden_size": 32}, "32 does not divide into 5 heads"),
        ("causal", {"family": "bert"}, "needs stacks decoder, bert has encoder"),
        ("masked", {"family": "gpt2"}, "needs stacks encoder, gpt2 has decoder"),
        ("span", {"family": "gpt2"}, "needs stacks encoder-decoder, gpt2 has decoder"),
        ("causal", {"activation": "rleu"}, "rleu"),
        ("causal", {"num_hidden_layers": "two"}, "num_hidden_layers"),
    ],
)
def test_an_architecture_that_can_not_be(objective, architecture, said):
    with pytest.raises(InputError, match=said):
        from_scratch(objective, {"model_type": "hfcourse", **architecture}, Tokens())


def test_an_architecture_may_have_the_names_of_transformers():
    gpt2 = {"n_layer": 3, "n_embd": 48, "n_head": 6, "n_positions": 40, "resid_pdrop": 0.0, "initializer_range": 0.06}
    model = from_scratch("causal", {"model_type": "hfcourse", **gpt2}, Tokens())
    assert (len(model.model.layers), model.config.hidden_size, model.config.head_dim) == (3, 48, 8)
    assert (model.config.max_position_embeddings, model.config.dropout, model.config.vocab_size) == (40, 0.0, 61)
    assert model.get_input_embeddings().weight.std().item() == pytest.approx(0.06, rel=0.05)
    # GPT-2 starts what adds to the residual smaller by sqrt(2 N).
    assert model.model.layers[0].feed_forward.down.weight.std().item() == pytest.approx(0.06 / 6**0.5, rel=0.05)


def test_a_mask_of_queries_and_keys_is_what_is_added():
    """Each position sees itself and the first: as transformers' GPT-2 reads it."""
    seen = torch.eye(9, dtype=torch.bool)
    seen[:, 0] = True
    bias = torch.zeros(9, 9).masked_fill(~seen, torch.finfo(torch.float32).min).expand(2, 1, 9, 9)
    inputs = batch("gpt2", rows=2, length=9) | {"attention_mask": bias}
    theirs, ours = (model.eval()(**inputs).logits for model in pair("gpt2"))
    assert difference(theirs, ours) < 1e-5
    assert difference(ours, pair("gpt2")[1](inputs["input_ids"]).logits) > 1e-3


def test_too_long_and_a_mask_of_another_shape():
    for name, limit in (("gpt2", 80), ("bert", 80)):
        model = pair(name)[1]
        model(input_ids=torch.ones(1, limit, dtype=torch.long))
        with pytest.raises(InputError, match="81 tokens, but this model has only 80 positions"):
            model(input_ids=torch.ones(1, 81, dtype=torch.long))
    texts, places = batch("gpt2", rows=2, length=50)["input_ids"][None], torch.arange(50)[None]
    together = pair("gpt2")[1](input_ids=texts.flatten(1), position_ids=places.repeat(1, 2)).logits
    alone = pair("gpt2")[1](input_ids=texts[0]).logits
    assert difference(together.view_as(alone), alone) < 1e-5, "two texts in a row of 100 tokens need 50 positions"
    with pytest.raises(InputError, match="100 tokens, but this model has only 80 positions"):
        pair("gpt2")[1](input_ids=texts.flatten(1), position_ids=torch.arange(100)[None])
    with pytest.raises(InputError, match="83 tokens|81 tokens, but this model has only 80"):
        pair("gpt2")[1].generate(torch.ones(1, 78, dtype=torch.long), max_new_tokens=9, min_new_tokens=9)
    for name in MODELS:
        inputs = batch(name, rows=2, length=9) | {"attention_mask": torch.ones(2, 8)}
        with pytest.raises(InputError, match=r"mask is \(2, 8\), expected \(2, 9\): sequences x positions"):
            pair(name)[1](**inputs)
