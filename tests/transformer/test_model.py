"""What must hold of a Transformer by its definition, whatever its weights."""

from pathlib import Path

import hfcourse.transformer
from hfcourse.transformer import TransformerConfig
from hfcourse.transformer.layers import RelativeBias

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import GENERATORS, MODELS, batch, counted, difference, pair
from transformers import AutoModelForSeq2SeqLM, DynamicCache


SOURCES = sorted(Path(hfcourse.transformer.__file__).parent.rglob("*"))
SIZES = {"vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "dropout": 0.0}


def vaswani(**changes):
    """The model of 2017, with tokens 0 for padding and start, 1 for the end."""
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    return AutoModelForSeq2SeqLM.from_config(TransformerConfig(family="vaswani", **SIZES | tokens | changes)).eval()


def model_of(name):
    return vaswani() if name == "vaswani" else pair(name)[1]


def inputs_of(name, *args, **options):
    return batch("t5" if name == "vaswani" else name, *args, **options)


def test_it_can_be_read_in_one_sitting():
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES if path.suffix == ".py"]
    assert len(lines) >= 4 and 300 < sum(lines) <= 500


@pytest.mark.parametrize("name", [*GENERATORS, "vaswani"])
@torch.no_grad()
def test_logits_do_not_move_when_later_tokens_change(name):
    model, inputs = model_of(name), inputs_of(name, length=15)
    key = "input_ids" if name == "gpt2" else "decoder_input_ids"
    before = model(**inputs).logits
    for changed in range(1, before.shape[1]):
        ids = inputs[key].clone()
        ids[:, changed:] = (ids[:, changed:] + 7) % 61
        after = model(**inputs | {key: ids}).logits
        assert torch.equal(before[:, :changed], after[:, :changed])
        assert (before[:, changed:] - after[:, changed:]).abs().amax(-1).min() > 1e-4


@torch.no_grad()
def test_every_position_of_an_encoder_sees_every_other():
    model, inputs = pair("bert")[1], batch("bert", length=9)
    before = model(**inputs).logits
    for changed in range(9):
        ids = inputs["input_ids"].clone()
        ids[:, changed] = (ids[:, changed] + 7) % 61
        assert (before - model(input_ids=ids).logits).abs().amax(-1).min() > 1e-6


@pytest.mark.parametrize("padding", [None, "left", "right"])
@pytest.mark.parametrize("name", [*MODELS, "vaswani"])
@torch.no_grad()
def test_permuting_a_batch_permutes_its_output(name, padding):
    model, inputs = model_of(name), inputs_of(name, padding, rows=4)
    order = torch.tensor([2, 0, 3, 1])
    whole, permuted = model(**inputs).logits, model(**{key: value[order] for key, value in inputs.items()}).logits
    assert difference(whole[order], permuted) < 1e-6
    assert difference(whole, permuted) > 1e-2
    alone = [model(**{key: value[row : row + 1] for key, value in inputs.items()}).logits for row in range(4)]
    there = counted(inputs)
    assert difference(whole[there], torch.cat(alone)[there]) < 1e-5


@pytest.mark.parametrize("name", [*MODELS, "vaswani"])
@torch.no_grad()
def test_attention_weights_are_distributions_over_what_may_be_seen(name):
    model, inputs = model_of(name), inputs_of(name, "right", rows=3, length=11)
    model.set_attn_implementation("eager")
    output = model(**inputs, output_attentions=True, output_hidden_states=True)
    stacks = {key: value for key, value in output.items() if key.endswith("attentions")}
    both = name not in ("bert", "gpt2")
    assert len(stacks) == (3 if both else 1)
    there = inputs["attention_mask"].bool()
    for key, layers in stacks.items():
        assert len(layers) == 2
        for weights in layers:
            assert weights.shape[:2] == (3, 4) and (weights >= 0).all()
            assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-6)
            if key == "decoder_attentions" or name == "gpt2":
                assert (weights.triu(1) == 0).all() and (weights.tril().amax((0, 1)).diagonal() > 0).all()
            if weights.shape[-1] == 11:  # the padding of the source; its own rows see padding
                rows = weights.transpose(1, 2)[there] if weights.shape[-2] == 11 else weights.transpose(1, 2)
                mask = there[:, None, None].expand_as(weights.transpose(1, 2))
                hidden = ~(mask[there] if weights.shape[-2] == 11 else mask)
                assert hidden.any() and (rows[hidden] == 0).all()
    states = output["decoder_hidden_states" if both else "hidden_states"]
    assert len(states) == 3 and torch.equal(states[-1], model.model(**inputs).last_hidden_state)


@pytest.mark.parametrize("name", [*GENERATORS, "vaswani"])
@torch.no_grad()
def test_a_cache_changes_nothing_however_the_tokens_come(name):
    model, inputs = model_of(name), inputs_of(name, length=15)
    key = "input_ids" if name == "gpt2" else "decoder_input_ids"
    whole = model(**inputs).logits
    for cuts in ([1, 2, 3], [5, 6], [1] * 11):
        cache, start, found = None, 0, []
        for width in [*cuts, 99]:
            part = inputs | {key: inputs[key][:, start : start + width]}
            if part[key].shape[1] > 0:
                output = model(**part, past_key_values=cache, use_cache=True)
                cache, start = output.past_key_values, start + width
                found.append(output.logits)
        assert difference(whole, torch.cat(found, 1)) < 1e-5


@torch.no_grad()
def test_documents_that_are_packed_in_a_row_are_blind_to_one_another():
    model, ids = pair("gpt2")[1], batch("gpt2", rows=2, length=12)["input_ids"]
    positions = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3], [0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
    packed = model(input_ids=ids, position_ids=positions).logits
    for row, starts in ((0, (0, 5, 8, 12)), (1, (0, 2, 12))):
        for start, end in zip(starts, starts[1:], strict=False):
            alone = model(input_ids=ids[row : row + 1, start:end]).logits
            assert difference(alone, packed[row : row + 1, start:end]) < 1e-5


@settings(deadline=None, max_examples=25, derandomize=True)
@given(queries=st.integers(1, 9), past=st.integers(0, 30), causal=st.booleans())
@torch.no_grad()
def test_the_bias_of_a_pair_depends_on_its_distance(queries, past, causal):
    bias = RelativeBias(TransformerConfig(family="t5", relative_attention_max_distance=20), causal)
    matrix = bias(queries, past + queries)
    assert matrix.shape == (1, 4, queries, past + queries)
    for t in range(queries):
        for s in range(past + queries):
            bucket = bias.bucket(torch.tensor([s - (past + t)]))
            assert torch.equal(matrix[0, :, t, s], bias.buckets.weight[bucket][0])


def test_a_given_cache_is_filled():
    model, cache = pair("gpt2")[1], DynamicCache()
    model(input_ids=torch.tensor([[2, 3, 4]]), past_key_values=cache)
    assert cache.get_seq_length() == 3 and cache.layers[0].keys.shape == (1, 4, 3, 8)
