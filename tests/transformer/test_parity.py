"""The Transformer computes what transformers' BERT, GPT-2 and T5 compute: logits, gradients, generated tokens."""

import pytest
import torch
from tiny_models import GENERATORS, MODELS, batch, counted, difference, pair, side_by_side


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("steps", [0, 25], ids=["random", "trained"])
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_logits(name, steps, attention):
    with torch.enable_grad():
        theirs, ours = pair(name, steps=steps)
    for model in (theirs, ours):
        model.set_attn_implementation(attention)
    compared = 0
    for padding in (None, "left", "right"):
        for rows, length in ((3, 12), (1, 7), (2, 80)):
            inputs = batch(name, padding, rows, length)
            expected, found = (model(**inputs).logits[counted(inputs)] for model in (theirs, ours))
            assert expected.std() > 0.3, "logits that are all alike would prove nothing"
            assert difference(expected, found) < 1e-5
            compared += 1
    assert compared == 9


@pytest.mark.parametrize("padding", [None, "left", "right"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_every_parameter(name, padding):
    theirs, ours = pair(name, steps=10)
    inputs = batch(name, padding, rows=4, length=80, labels=True)  # more labels than the loss takes at once
    losses = [model.train()(**inputs).loss for model in (theirs, ours)]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-6)
    for loss in losses:
        loss.backward()
    expected = side_by_side(ours, theirs, {name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        assert difference(expected[name], parameter.grad) < 1e-4, name
    assert len(expected) == len(list(ours.parameters())) > 20


@pytest.mark.parametrize("options", [{}, {"num_beams": 4, "num_return_sequences": 2}], ids=["greedy", "beams"])
@pytest.mark.parametrize(("name", "padding"), [(name, "left") for name in GENERATORS] + [("t5", "right")])
def test_greedy_and_beam_search_write_the_same_64_tokens(name, padding, options):
    theirs, ours = pair(name, steps=10)
    inputs = {key: value for key, value in batch(name, padding).items() if key in ("input_ids", "attention_mask")}
    length = {"max_new_tokens": 64, "min_new_tokens": 64, "no_repeat_ngram_size": 2, "pad_token_id": 0}
    expected, found = (model.generate(**inputs, **options, **length, do_sample=False) for model in (theirs, ours))
    assert torch.equal(expected, found)
    assert expected.shape[1] == 64 + (inputs["input_ids"].shape[1] if name == "gpt2" else 1)
    assert len(expected.unique()) > 15
    assert len({tuple(row) for row in expected.tolist()}) == len(expected)
    if not options:
        uncached = ours.generate(**inputs, **length, do_sample=False, use_cache=False)
        assert torch.equal(found, uncached)


@pytest.mark.parametrize("name", GENERATORS)
def test_sampling_draws_the_same_tokens(name):
    theirs, ours = pair(name)
    inputs, drawn = batch(name)["input_ids"], []
    for model in (theirs, ours):
        torch.manual_seed(1)
        drawn.append(model.generate(inputs, do_sample=True, top_k=20, max_new_tokens=30, min_new_tokens=30))
    assert torch.equal(*drawn)
