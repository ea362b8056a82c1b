"""A run that stops and goes on ends in the same weights, bit for bit, at a rollout's boundary and inside of one."""

import pytest
import torch
import toys


SETTINGS = {
    "max_steps": 12,
    "kl_coef": 0.1,
    "kl_target": 0.5,
    "kl_horizon": 50,
    "target_kl": 0.02,
    "num_ppo_epochs": 2,
}


def assert_same(one, other):
    assert len(one) > 20
    torch.testing.assert_close(dict(one), dict(other), rtol=0, atol=0)


def run(folder, steps=12, resume=None, **changes):
    made = toys.trainer(folder, **(SETTINGS | changes), save_strategy="steps", save_steps=3)
    if steps < 12:
        made.add_callback(_StopAt(steps))
    made.train(resume_from_checkpoint=resume)
    return made


def _StopAt(steps):  # noqa: N802
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step >= steps

    return Stop()


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (3, {}),  # in the first epoch of a rollout
        (6, {"share_trunk": True}),  # between its epochs
        (8, {"save_steps": 4}),  # at its end
        (3, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}),
    ],
)
def test_resumed_is_uninterrupted(tmp_path, at, changes):
    """The old trainer could not resume. Cycles take 4 steps, and 8 of 32 prompts, so that the data begins anew."""
    save = changes.pop("save_steps", 3)
    whole = run(tmp_path / "whole", **changes)
    folder = tmp_path / "parts"
    made = toys.trainer(folder, **(SETTINGS | changes), save_strategy="steps", save_steps=save)
    made.add_callback(_StopAt(at))
    made.train()
    checkpoint = folder / f"checkpoint-{at}"
    assert (checkpoint / "rollout.safetensors").exists() == (at % 4 > 0)
    resumed = run(folder, resume=str(checkpoint), **changes)
    assert resumed.state.global_step == 12
    assert_same(resumed.model.state_dict(), whole.model.state_dict())
    assert_same(resumed.optimizer.state_dict()["state"], whole.optimizer.state_dict()["state"])
    assert resumed.kl.coef == whole.kl.coef != 0.1
    for name in ("loss", "reward", "kl", "stopped", "value_loss"):
        assert toys.logged(resumed, name) == toys.logged(whole, name), name


def test_a_run_in_another_process_group_draws_the_same(tmp_path):
    """Nothing depends on the state of torch's generator."""
    one = run(tmp_path / "one")
    torch.manual_seed(12345)
    other = toys.trainer(tmp_path / "other", **SETTINGS)
    other.add_callback(_Disturb())
    other.train()
    assert_same(one.model.state_dict(), other.model.state_dict())


def _Disturb():  # noqa: N802
    from transformers import TrainerCallback

    class Disturb(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            torch.rand(7)

    return Disturb()
