"""The loss of a step: its gradient against finite differences, and the same in any split into micro-batches."""

from hfcourse.ppo.rollout import take

import pytest
import torch
import toys


def made_trainer(folder, **changes):
    """In float64; policy and critic have moved away from the rollout's, so that some tokens are clipped."""
    settings = {
        "entropy_coef": 0.02,
        "vf_coef": 0.5,
        "cliprange_value": 0.02,
        "kl_coef": 0.1,
        "per_device_train_batch_size": 4,
    }
    made = toys.trainer(folder, toys.policy().double(), **(settings | changes))
    made.model.double()
    made.model.train()
    rollout = made._begin_rollout([made.train_dataset[i] for i in range(8)])
    rollout = {k: v.double() if v.is_floating_point() else v for k, v in rollout.items()}
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=random, dtype=torch.double)
    return made, rollout


def loss_of(made, rollout, rows):
    part = take(rollout, torch.tensor(rows))
    return made._compute_loss(made.model, part | {"tokens": rollout["mask"].sum()})


@pytest.mark.parametrize("shared", [False, True])
def test_the_gradient_of_the_whole_loss_is_that_of_finite_differences(tmp_path, shared, monkeypatch):
    made, rollout = made_trainer(tmp_path, share_trunk=shared)
    monkeypatch.setattr(
        torch.Tensor, "float", lambda self: self if self.dtype == torch.double else self.to(torch.float)
    )
    loss_of(made, rollout, range(8)).backward()
    random = torch.Generator().manual_seed(2)
    names = dict(made.model.named_parameters())
    tried = 0
    for name, parameter in names.items():
        direction = torch.randn(parameter.shape, generator=random, dtype=torch.double)
        wanted = (parameter.grad * direction).sum().item()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * 1e-6 * direction
                values.append(loss_of(made, rollout, range(8)).item())
                parameter -= sign * 1e-6 * direction
        assert wanted == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8), name
        tried += 1
    assert tried > 25 and ("critic.weight" if shared else "critic.score.weight") in names
    metrics = made._updates.take()
    assert 0 < metrics["clip_fraction"] < 1 and 0 < metrics["value_clip_fraction"] < 1


def test_the_loss_is_that_of_its_equation(tmp_path):
    made, rollout = made_trainer(tmp_path)
    found = loss_of(made, rollout, range(8)).item()
    rows = {name: rollout[name] for name in ("input_ids", "attention_mask", "answer_mask")}
    new = made.model(**rows, with_values=True)
    total, tokens = 0.0, 0
    for row in range(8):
        for t in range(int(rollout["mask"][row].sum())):
            old, a, r, v = (rollout[n][row, t].item() for n in ("logps", "advantages", "returns", "values"))
            ratio = (new.log_probs[row, t] - old).exp().item()
            policy = -min(ratio * a, min(max(ratio, 0.8), 1.2) * a)
            value = new.value[row, t].item()
            near = min(max(value, v - 0.02), v + 0.02)
            total += policy + 0.5 * max((value - r) ** 2, (near - r) ** 2) / 2 - 0.02 * new.entropy[row, t].item()
            tokens += 1
    assert tokens == rollout["mask"].sum() and found == pytest.approx(total / tokens, rel=1e-5)


def test_micro_batches_add_up_to_the_batch(tmp_path):
    """However long their rows are: each token weighs the same."""
    made, rollout = made_trainer(tmp_path)
    loss_of(made, rollout, range(8)).backward()
    whole = {name: p.grad.clone() for name, p in made.model.named_parameters()}
    made._updates.take()
    made.model.zero_grad()
    for rows in ([0, 1], [2], [3, 4, 5, 6, 7]):
        loss_of(made, rollout, rows).backward()
    for name, parameter in made.model.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], rtol=1e-4, atol=1e-7, msg=name)


def test_metrics_are_means_over_tokens_that_count(tmp_path):
    """trl#6121, #6809: entropy, ratio and KL were averaged over padding."""
    made, rollout = made_trainer(tmp_path)
    loss_of(made, rollout, [0, 1, 2]), loss_of(made, rollout, [3, 4, 5, 6, 7])
    metrics = made._updates.take()
    rows = {name: rollout[name] for name in ("input_ids", "attention_mask", "answer_mask")}
    new = made.model(**rows, with_values=True)
    mask = rollout["mask"].bool()
    log_ratio = (new.log_probs - rollout["logps"])[mask]
    assert not mask.all()
    assert metrics["ratio"] == pytest.approx(log_ratio.exp().mean().item(), rel=1e-5)
    assert metrics["approx_kl"] == pytest.approx((log_ratio.exp() - 1 - log_ratio).mean().item(), rel=1e-4)
    assert made._metrics["train"]["entropy"] == [pytest.approx(rollout["entropy"][mask].mean().item(), rel=1e-5)]
