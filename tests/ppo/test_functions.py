"""The mathematics of PPO: hand-worked answers of two tokens, brute force, and what must not depend on padding."""

import math

from hfcourse.ppo.functions import (
    AdaptiveKL,
    explained_variance,
    gae,
    kl_estimate,
    log_probs_and_entropy,
    masked_mean,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
)

import pytest
import torch
from torch import tensor


@pytest.fixture
def rows() -> dict[str, torch.Tensor]:
    """Random (B, T) tensors with answers of 1 to T tokens, and what should not matter on their padding."""
    random = torch.Generator().manual_seed(0)
    lengths = tensor([1, 2, 4, 6, 6])
    mask = (torch.arange(6) < lengths[:, None]).double()
    names = ("rewards", "values", "x", "logps", "old", "advantages", "returns")
    return {"mask": mask} | {name: torch.randn(5, 6, generator=random, dtype=torch.double) for name in names}


def test_gae_of_two_tokens_by_hand():
    """gamma .9, lambda .5: delta_1 = 1 - .25 = .75; delta_0 = .5 + .9 x .25 - .5 = .225; A_0 = .225 + .45 x .75."""
    found = gae(tensor([[0.5, 1.0]]), tensor([[0.5, 0.25]]), torch.ones(1, 2), gamma=0.9, lam=0.5)
    torch.testing.assert_close(found.advantages, tensor([[0.5625, 0.75]]))
    torch.testing.assert_close(found.returns, tensor([[1.0625, 1.0]]))


def test_gae_is_the_sum_of_discounted_errors(rows):
    mask, gamma, lam = rows["mask"], 0.97, 0.8
    found = gae(rows["rewards"], rows["values"], mask, gamma, lam)
    for row, length in enumerate(mask.sum(1).int().tolist()):
        r, v = rows["rewards"][row, :length].tolist(), [*rows["values"][row, :length].tolist(), 0.0]
        deltas = [r[t] + gamma * v[t + 1] - v[t] for t in range(length)]
        for t in range(length):
            wanted = sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, length))
            assert found.advantages[row, t].item() == pytest.approx(wanted)
            assert found.returns[row, t].item() == pytest.approx(wanted + v[t])
    assert not found.advantages[mask == 0].any() and not found.returns[mask == 0].any()


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_gae_at_both_ends(rows, lam):
    """lambda 0: one-step errors. lambda 1, gamma 1: what is still to come, whatever the critic says."""
    mask, values = rows["mask"], rows["values"] * rows["mask"]
    found = gae(rows["rewards"], rows["values"], mask, 1.0, lam)
    rewards = rows["rewards"] * mask
    if lam == 0.0:
        after = torch.cat([values[:, 1:], torch.zeros(5, 1)], 1)
        torch.testing.assert_close(found.advantages, (rewards + after - values) * mask)
    else:
        torch.testing.assert_close(found.returns, rewards.flip(1).cumsum(1).flip(1) * mask)


def test_rewards_of_two_tokens_by_hand():
    """KL of .5 and -.2 nats at beta .1, score 2, at the last token of each answer and nowhere else."""
    kl, mask = tensor([[0.5, -0.2], [0.5, 9.0], [9.0, 9.0]]), tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    found = token_rewards(tensor([2.0, -1.0, 5.0]), kl, mask, kl_coef=0.1)
    torch.testing.assert_close(found, tensor([[-0.05, 2.02], [-1.05, 0.0], [0.0, 0.0]]))


def test_whitened_tokens_have_mean_0_and_deviation_1_and_padding_has_no_part(rows):
    x, mask = rows["x"], rows["mask"]
    found = whiten(x, mask)
    assert found[mask == 1].mean().item() == pytest.approx(0, abs=1e-12)
    assert found[mask == 1].std().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(found, whiten(torch.where(mask == 1, x, 1e6), mask))
    shifted = whiten(x, mask, shift_mean=False)
    assert shifted[mask == 1].mean().item() == pytest.approx(x[mask == 1].mean().item())
    torch.testing.assert_close(whiten(tensor([[1.0, 3.0]]), torch.ones(1, 2)), tensor([[-1.0, 1.0]]) / math.sqrt(2))


def test_kl_estimators_by_hand_and_on_average():
    """p = .8 under the policy, .5 under the reference; averaged over the policy's draws, k1 and k3 are the KL."""
    logps, ref = tensor([[0.8, 0.2]]).log(), tensor([[0.5, 0.5]]).log()
    weights = logps.exp()
    kl = 0.8 * math.log(1.6) + 0.2 * math.log(0.4)
    assert (kl_estimate(logps, ref, "k1") * weights).sum().item() == pytest.approx(kl)
    assert (kl_estimate(logps, ref, "k3") * weights).sum().item() == pytest.approx(kl)
    torch.testing.assert_close(kl_estimate(logps, ref, "k1"), tensor([[math.log(1.6), math.log(0.4)]]))
    torch.testing.assert_close(kl_estimate(logps, ref, "k2")[0, 0], tensor(math.log(1.6) ** 2 / 2))
    assert (kl_estimate(logps, ref, "k3") >= 0).all() and kl_estimate(logps, ref)[0, 1] < 0
    with pytest.raises(ValueError, match="k1, k2 or k3, not 'k4'"):
        kl_estimate(logps, ref, "k4")


def test_policy_loss_by_hand():
    """eps .2: a ratio of 1.5 counts as 1.2 of a gain and 1.5 of a loss, one of .5 as .5 of a gain and .8 of a loss."""
    ratio, advantages = tensor([[1.5, 1.5, 0.5, 0.5, 1.0]]), tensor([[2.0, -2.0, 2.0, -2.0, 2.0]])
    found = policy_loss(ratio.log(), torch.zeros(1, 5), advantages, 0.2)
    torch.testing.assert_close(found.loss, tensor([[-2.4, 3.0, -1.0, 1.6, -2.0]]))
    assert found.clipped.tolist() == [[True, False, False, True, False]]


def test_a_clipped_token_has_no_gradient():
    logps = tensor([[1.5, 1.1]]).log().requires_grad_()
    policy_loss(logps, torch.zeros(1, 2), torch.ones(1, 2), 0.2).loss.sum().backward()
    torch.testing.assert_close(logps.grad, tensor([[0.0, -1.1]]))


def test_value_loss_by_hand():
    """The return is 1, the old value 0, eps .2: .5 away is 1/2 max(.25, .64), and a step beyond it does not pay."""
    found = value_loss(tensor([[0.5, 0.1, -0.5]]), torch.zeros(1, 3), torch.ones(1, 3), 0.2)
    torch.testing.assert_close(found.loss, tensor([[0.32, 0.405, 1.125]]))
    assert found.clipped.tolist() == [[True, False, False]]
    free = value_loss(tensor([[0.5, 0.1, -0.5]]), torch.zeros(1, 3), torch.ones(1, 3), None)
    torch.testing.assert_close(free.loss, tensor([[0.125, 0.405, 1.125]]))
    assert not free.clipped.any()


def test_losses_are_those_of_one_token_at_a_time(rows):
    for t in [(0, 0), (2, 3), (4, 5)]:
        one = {name: rows[name][t][None, None] for name in ("logps", "old", "advantages", "values", "returns")}
        pair = policy_loss(rows["logps"], rows["old"], rows["advantages"], 0.2).loss[t]
        ratio, a = math.exp(one["logps"] - one["old"]), one["advantages"].item()
        assert pair.item() == pytest.approx(-min(ratio * a, min(max(ratio, 0.8), 1.2) * a))
        near = min(max(one["values"].item(), one["old"].item() - 0.3), one["old"].item() + 0.3)
        errors = [(x - one["returns"].item()) ** 2 / 2 for x in (one["values"].item(), near)]
        found = value_loss(rows["values"], rows["old"], rows["returns"], 0.3).loss[t]
        assert found.item() == pytest.approx(max(errors))


def test_log_probs_and_entropy_of_a_coin():
    logps, entropy = log_probs_and_entropy(tensor([[0.0, 0.0], [math.log(3.0), 0.0]]), tensor([1, 0]))
    torch.testing.assert_close(logps.exp(), tensor([0.5, 0.75]))
    coin = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    torch.testing.assert_close(entropy, tensor([math.log(2.0), coin]))


def test_explained_variance():
    returns, mask = tensor([[1.0, 2.0, 3.0, 99.0]]), tensor([[1.0, 1.0, 1.0, 0.0]])
    assert explained_variance(returns, returns, mask) == 1
    assert explained_variance(torch.full((1, 4), 7.0), returns, mask) == 0
    assert explained_variance(-returns, returns, mask).item() == pytest.approx(-3)
    assert explained_variance(returns, torch.ones(1, 4), mask) == 0
    assert masked_mean(returns, mask) == 2


def test_the_coefficient_rises_above_the_target_and_falls_below_it():
    """Ziegler et al. 2019: the error is clipped at .2, and n / horizon of it is applied."""
    kl = AdaptiveKL(0.1, target=6.0, horizon=1000)
    kl.update(60.0, 100)
    assert kl.coef == pytest.approx(0.1 * 1.02)
    kl.update(5.4, 500)
    assert kl.coef == pytest.approx(0.1 * 1.02 * 0.95)
    fixed = AdaptiveKL(0.1)
    fixed.update(60.0, 100)
    assert fixed.coef == 0.1
