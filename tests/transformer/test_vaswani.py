"""The model of 2017 against its paper's equations, written out once more in loops over positions and heads."""

import math

from hfcourse.transformer.layers import sinusoids

import pytest
import torch
from test_model import vaswani
from tiny_models import batch, difference


D, H, K = 32, 4, 8


def position_encoding(position):
    """Section 3.5, number by number."""
    encoding = []
    for i in range(D // 2):
        angle = position / 10000 ** (2 * i / D)
        encoding += [math.sin(angle), math.cos(angle)]
    return torch.tensor(encoding)


def layer_norm(x, weights, name):
    mean = x.sum() / D
    variance = ((x - mean) ** 2).sum() / D
    return weights[f"{name}.weight"] * (x - mean) / math.sqrt(variance + 1e-5) + weights[f"{name}.bias"]


def multi_head(queries, keys, projections, out, causal=False):
    """Section 3.2: for each query, in each head, a mean of the values, weighed by softmax(q k / sqrt(K))."""
    w_q, w_k, w_v = projections
    outputs = []
    for t, x in enumerate(queries):
        heads = []
        for h in range(H):
            rows = slice(h * K, (h + 1) * K)
            q = w_q[rows] @ x
            seen = keys[: t + 1] if causal else keys
            scores = torch.stack([(q @ (w_k[rows] @ y)) / math.sqrt(K) for y in seen])
            shares = scores.exp() / scores.exp().sum()
            heads.append(sum(share * (w_v[rows] @ y) for share, y in zip(shares, seen, strict=True)))
        outputs.append(out @ torch.cat(heads))
    return outputs


def stack(ids, weights, prefix, memory=None):
    """Figure 1: an encoder, or with a memory the decoder."""
    embedding = weights["model.encoder.own_embeddings.tokens.weight"]
    xs = [math.sqrt(D) * embedding[token] + position_encoding(position) for position, token in enumerate(ids)]
    for layer in range(2):
        name = f"{prefix}layers.{layer}."
        sublayers = [("attention", "attention_norm")]
        sublayers += [("cross_attention", "cross_norm")] if memory is not None else []
        for part, norm in sublayers:
            out = weights[f"{name}{part}.out.weight"]
            if part == "attention":
                projections = weights[f"{name}{part}.qkv.weight"].split(D)
                ys = multi_head(xs, xs, projections, out, causal=memory is not None)
            else:
                projections = [weights[f"{name}{part}.q.weight"], *weights[f"{name}{part}.kv.weight"].split(D)]
                ys = multi_head(xs, memory, projections, out)
            xs = [layer_norm(x + y, weights, name + norm) for x, y in zip(xs, ys, strict=True)]
        w1, b1, w2, b2 = (
            weights[f"{name}feed_forward.{part}"] for part in ("up.weight", "up.bias", "down.weight", "down.bias")
        )
        ys = [w2 @ (w1 @ x + b1).clamp(min=0) + b2 for x in xs]
        xs = [layer_norm(x + y, weights, name + "feed_forward_norm") for x, y in zip(xs, ys, strict=True)]
    return xs


@torch.no_grad()
def test_logits_are_those_of_the_equations():
    model = vaswani()
    for parameter in model.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    weights, inputs = model.state_dict(), batch("t5", rows=2, length=7)
    found = model(**inputs).logits
    for row in range(2):
        memory = stack(inputs["input_ids"][row], weights, "model.encoder.")
        states = stack(inputs["decoder_input_ids"][row], weights, "model.", memory)
        expected = torch.stack(states) @ weights["model.encoder.own_embeddings.tokens.weight"].T
        assert difference(expected, found[row]) < 1e-5


def test_sinusoids_by_hand():
    found = sinusoids(torch.tensor([[0, 1, 50]]), 4)[0]
    # Rates 1 and 1/100: sin 0 = 0, cos 0 = 1; sin 1 = .8415, cos 1 = .5403, sin .01 = .0100, cos .01 = 1.0000; ...
    by_hand = [[0, 1, 0, 1], [0.84147, 0.5403, 0.01, 0.99995], [-0.26237, 0.96497, 0.47943, 0.87758]]
    assert torch.allclose(found, torch.tensor(by_hand), atol=1e-5)
    # PE(pos + k) is a rotation of PE(pos): their product depends on the distance alone.
    encodings = sinusoids(torch.arange(60)[None], D)[0]
    products = encodings @ encodings.T
    assert torch.allclose(products.diagonal(5), products.diagonal(5)[:1], atol=1e-4)


def test_one_matrix_embeds_sources_and_targets_and_is_the_head():
    model = vaswani()
    matrices = [p for p in model.parameters() if p.shape == (61, D)]
    assert len(matrices) == 1 and model.lm_head.weight is model.get_input_embeddings().weight is matrices[0]
    attention, feed_forward = 4 * D * D, 2 * D * 4 * D + 4 * D + D
    norms = 2 * D
    layers = 2 * (attention + feed_forward + 2 * norms) + 2 * (2 * attention + feed_forward + 3 * norms)
    assert model.num_parameters() == 61 * D + layers


def test_first_weights_are_xaviers():
    model = vaswani(hidden_size=256, vocab_size=400)
    up, embedding = model.model.layers[0].feed_forward.up.weight, model.get_input_embeddings().weight
    assert up.std().item() == pytest.approx(math.sqrt(2 / (256 + 1024)), rel=0.02)
    assert embedding.std().item() == pytest.approx(1 / 16, rel=0.02)
    assert (model.model.layers[0].feed_forward.up.bias == 0).all()
