"""Parity whatever the sizes: heads, widths of heads, layers, lengths, buckets, vocabulary."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import MODELS, batch, counted, difference, pair, side_by_side
from transformers.models.t5.modeling_t5 import T5Attention


SETTINGS = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SIZES = {"heads": st.integers(1, 5), "per_head": st.integers(1, 9), "layers": st.integers(1, 3)}
BATCH = {"rows": st.integers(1, 4), "length": st.integers(9, 40), "padding": st.sampled_from([None, "left", "right"])}


@SETTINGS
@given(name=st.sampled_from(MODELS), seed=st.integers(0, 2**31), **SIZES, **BATCH)
def test_logits_and_gradients_at_any_size(name, seed, heads, per_head, layers, rows, length, padding):
    theirs, ours = pair(name, seed, width=heads * per_head, heads=heads, layers=layers)
    inputs = batch(name, padding, rows, length, labels=True)
    outputs = [model(**inputs) for model in (theirs, ours)]
    expected, found = (output.logits[counted(inputs)].detach() for output in outputs)
    assert difference(expected, found) < 1e-5
    for output in outputs:
        output.loss.backward()
    gradients = side_by_side(ours, theirs, {name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        # Rounding alone: a key's bias, a row in the matrix of all three; what a norm of width 1 lets through.
        assert (gradients[name] - parameter.grad).norm() <= 1e-4 * gradients[name].norm() + 1e-6, name


@SETTINGS
@given(
    buckets=st.sampled_from([4, 6, 8, 16, 32, 34]),
    greatest=st.integers(17, 200),
    length=st.integers(2, 70),
    depth=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
@torch.no_grad()
def test_buckets_and_a_decoder_of_another_depth(buckets, greatest, length, depth, seed):
    sizes = {"relative_attention_num_buckets": buckets, "relative_attention_max_distance": greatest}
    theirs, ours = pair("t5", seed, num_decoder_layers=depth, **sizes)
    inputs = batch("t5", None, 2, length + 3)
    assert difference(theirs(**inputs).logits, ours(**inputs).logits) < 1e-5
    for causal, stack in ((True, ours.model), (False, ours.model.encoder)):
        distances = torch.arange(-300, 301)
        expected = T5Attention._relative_position_bucket(distances, not causal, buckets, greatest)
        assert torch.equal(stack.relative.bucket(distances), expected)
