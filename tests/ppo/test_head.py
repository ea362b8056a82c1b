"""The head that is differentiated by hand, beside what autograd makes of log_softmax."""

from hfcourse.ppo import head
from hfcourse.ppo.functions import log_probs_and_entropy
from hfcourse.ppo.head import TokenLogProbs

import pytest
import torch


@pytest.fixture
def given():
    """Hidden states (20, 8), weights (50, 8), and tokens of which some come twice."""
    torch.manual_seed(0)
    return torch.randn(20, 8), torch.randn(50, 8), torch.randint(0, 50, (20,))


@pytest.mark.parametrize("part", [1, 7 * 50, 2**21])
@pytest.mark.parametrize("entropy", [False, True])
def test_values_and_gradients_are_those_of_log_softmax(given, monkeypatch, part, entropy):
    monkeypatch.setattr(head, "PART", part)
    hidden, weight, tokens = given
    factors = torch.randn(2, 20)
    found = []
    for by_hand in (False, True):
        h, w = hidden.clone().requires_grad_(True), weight.clone().requires_grad_(True)
        if by_hand:
            logps, spread = TokenLogProbs.apply(h, w, tokens, entropy, True)
        else:
            logps, spread = log_probs_and_entropy(h @ w.T, tokens)
        loss = (logps * factors[0]).sum() + ((spread * factors[1]).sum() if entropy else 0)
        loss.backward()
        found.append([logps, h.grad, w.grad, *([spread] if entropy else [])])
    for plain, own in zip(*found, strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-5)


def test_without_a_gradient_the_same_and_a_frozen_head_gets_none(given):
    hidden, weight, tokens = given
    plain = log_probs_and_entropy(hidden @ weight.T, tokens)
    with torch.no_grad():
        for own, expected in zip(TokenLogProbs.apply(hidden, weight, tokens, True, False), plain, strict=True):
            torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-5)
    hidden.requires_grad_(True)
    TokenLogProbs.apply(hidden, weight, tokens, False, True)[0].sum().backward()
    assert hidden.grad is not None and weight.grad is None


def test_logits_far_from_zero_neither_overflow_nor_vanish(given):
    hidden, weight, tokens = given
    logps, entropy = TokenLogProbs.apply(1000 * hidden, weight.requires_grad_(True), tokens, True, True)
    (logps.sum() + entropy.sum()).backward()
    assert torch.isfinite(logps).all() and torch.isfinite(entropy).all() and torch.isfinite(weight.grad).all()


def test_under_autocast_it_computes_in_float32(given):
    hidden, weight, tokens = given
    plain = log_probs_and_entropy(hidden @ weight.T, tokens)[0]
    with torch.autocast("cpu", torch.bfloat16):
        own = TokenLogProbs.apply(hidden, weight.requires_grad_(True), tokens, False, True)[0]
    own.sum().backward()
    torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-5)
