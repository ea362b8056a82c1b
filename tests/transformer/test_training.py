"""Trained side by side from equal weights on equal batches, both models stay one model."""

import pytest
import torch
from tiny_models import batch, difference, pair, side_by_side


def train(model, batches, steps=200):
    """Losses of AdamW, and its state by the parameters' names."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    losses = []
    for step in range(steps):
        loss = model(**batches[step % len(batches)]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: optimizer.state[p] for name, p in model.named_parameters()}


T5 = [pytest.param(name, marks=pytest.mark.slow) for name in ("t5", "t5-v1.1")]


@pytest.mark.parametrize("name", ["bert", "gpt2", *T5])
def test_200_steps_from_the_weights_that_transformers_draws(name):
    """In float32; from weights far from these T5's unscaled attention saturates and enlarges any rounding."""
    theirs, ours = (model.train() for model in pair(name, spread=0.0))
    batches = [batch(name, "right", rows=4, labels=True) for _ in range(20)]
    (expected, their_state), (found, our_state) = (train(model, batches) for model in (theirs, ours))
    assert found == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < expected[0] - 0.5, "it learnt"
    for moment in ("exp_avg", "exp_avg_sq"):
        wanted = side_by_side(ours, theirs, {name: state[moment] for name, state in their_state.items()})
        for name, state in our_state.items():
            assert difference(wanted[name], state[moment]) < 1e-3, (moment, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5", "t5-v1.1"])
def test_200_steps_from_any_weights_in_float64(name, monkeypatch):
    def forward(self, x):  # transformers' norm takes its mean in float32 whatever the type
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr("transformers.models.t5.modeling_t5.T5LayerNorm.forward", forward)
    theirs, ours = (model.double().train() for model in pair(name))
    batches = [batch(name, "right", rows=4, labels=True) for _ in range(20)]
    (expected, _), (found, _) = (train(model, batches) for model in (theirs, ours))
    assert found == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < 0.5 * expected[0]
