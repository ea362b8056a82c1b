"""What training does: a known optimum, KL control, evaluation, LoRA, and none of the old trainer's faults."""

import copy

import pandas as pd
import pytest
import torch
import toys
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


@pytest.mark.parametrize("shared", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_task_with_a_known_optimum_is_solved_to_within_5_percent(tmp_path, shared):
    """Six words of an even number, and no end: 1. A random policy has less than half of it."""
    small = {"learning_rate": 1e-2, "max_steps": 160, "kl_coef": 0.0, "per_device_train_batch_size": 16}
    settings = {"logging_steps": 4, "num_ppo_epochs": 4, "lam": 1.0, "share_trunk": shared}
    data = toys.prompts(64)
    made = toys.trainer(tmp_path, **(small | settings), train_dataset=data, eval_dataset=data)
    before = made.evaluate()["eval_reward"]
    made.train()
    after = made.evaluate()
    assert before < 0.5 and after["eval_reward"] > 0.95
    assert after["eval_truncated"] > 0.9 and after["eval_length"] > 5.7


@pytest.mark.slow
def test_a_bandit_whose_best_arm_depends_on_its_prompt_is_solved(tmp_path):
    """One word to each prompt: the one that the prompt ends with."""

    def echo(prompts, completions, **columns):
        return [float(answer == prompt.split()[-1]) for prompt, answer in zip(prompts, completions, strict=True)]

    data = toys.prompts(56)
    settings = {
        "max_completion_length": 1,
        "max_steps": 800,
        "learning_rate": 3e-3,
        "kl_coef": 0.0,
        "num_ppo_epochs": 4,
    }
    made = toys.trainer(
        tmp_path, None, echo, **settings, per_device_train_batch_size=28, train_dataset=data, eval_dataset=data,
        entropy_coef=0.01, logging_steps=40,
    )  # fmt: skip
    made.train()
    assert made.evaluate()["eval_reward"] > 0.95


@pytest.mark.slow
def test_kl_holds_the_policy_back_and_the_adaptive_one_reaches_its_target(tmp_path):
    settings = {"learning_rate": 1e-2, "max_steps": 120, "per_device_train_batch_size": 16, "logging_steps": 4}
    ends = {}
    for name, changes in {
        "free": {"kl_coef": 0.0},
        "held": {"kl_coef": 1.0},
        "steered": {"kl_coef": 0.1, "kl_target": 1.0, "kl_horizon": 200},
    }.items():
        made = toys.trainer(tmp_path / name, train_dataset=toys.prompts(64), **settings, **changes)
        made.train()
        ends[name] = sum(toys.logged(made, "kl")[-6:]) / 6
        coefs = toys.logged(made, "kl_coef")
        assert (coefs[0] == coefs[-1]) == (name != "steered")
    assert ends["free"] > 2 and ends["held"] < 0.3 * ends["free"]
    assert ends["steered"] == pytest.approx(1.0, rel=0.5)


def test_after_target_kl_no_weight_moves_before_the_next_rollout(tmp_path):
    made = toys.trainer(tmp_path, max_steps=8, learning_rate=0.05, target_kl=1e-4, num_ppo_epochs=2)
    seen = []
    made.add_callback(Watcher(lambda: seen.append(copy.deepcopy(made.model.transformer.wte.weight.detach()))))
    made.train()
    stopped = toys.logged(made, "stopped")
    assert stopped[0] == 0 and sum(stopped) >= 4
    moved = [not torch.equal(a, b) for a, b in zip(seen, seen[1:], strict=False)]
    assert [not m for m in moved] == [s == 1 for s in stopped[1:]]


def Watcher(act):  # noqa: N802
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            act()

    return Watch()


def test_each_epoch_and_minibatch_is_an_update(tmp_path):
    """trl#5645: num_mini_batches added none. And 32, 24, 20 steps stood where accumulation 1, 2, 4 means 32, 16, 8."""
    for accumulation, steps in ((1, 32), (2, 16), (4, 8)):
        made = toys.trainer(
            tmp_path / str(accumulation), num_train_epochs=4, max_steps=-1, gradient_accumulation_steps=accumulation,
            num_mini_batches=8 // accumulation, num_ppo_epochs=1, logging_steps=99,
        )  # fmt: skip
        made.train()
        assert made.state.global_step == steps
        assert made._rollouts == 4


def test_gradients_are_clipped(tmp_path):
    """The old trainer took max_grad_norm and never looked at it."""
    made = toys.trainer(tmp_path, max_grad_norm=1e-3, max_steps=2)
    norms = []
    clip = made.accelerator.clip_grad_norm_

    def clipped(parameters, *args, **kwargs):
        found = clip(parameters, *args, **kwargs)
        norms.append(sum(p.grad.square().sum() for p in made.model.parameters()).sqrt().item())
        return found

    made.accelerator.clip_grad_norm_ = clipped
    made.train()
    assert len(norms) == 2 and max(norms) <= 1e-3 * 1.001
    assert max(toys.logged(made, "grad_norm")) > 0.01, "of policy and critic together, before it was clipped"


def test_an_evaluation_counts_each_prompt_once_and_is_the_same_again(tmp_path):
    """The old trainer had none. 21 prompts in batches of 8: the last one is not full."""
    made = toys.trainer(tmp_path, eval_dataset=toys.prompts(21), eval_strategy="steps", eval_steps=4)
    first, second = made.evaluate(), made.evaluate()
    assert len(made.evaluated) == 21 and made.evaluated[3]["prompt"] == toys.prompts(21)[3]["prompt"]
    scores = [row["score"] for row in made.evaluated]
    assert first["eval_reward"] == pytest.approx(sum(scores) / 21)
    assert {k: v for k, v in first.items() if "_per_" not in k and "runtime" not in k}.items() <= second.items()
    made.train()
    assert len(toys.logged(made, "eval_reward")) == 2, "of this training"
    assert {"eval_kl", "eval_length", "eval_rewards/even", "eval_loss"} <= first.keys()


def test_lora_trains_adapters_and_critic_and_the_base_is_the_reference(tmp_path):
    base = toys.policy("llama")
    before = copy.deepcopy(base.state_dict())
    adapters = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    made = toys.trainer(tmp_path, base, peft_config=adapters, learning_rate=2e-2)
    assert made.ref_model is None
    made.train()
    assert toys.logged(made, "kl")[0] == pytest.approx(0, abs=1e-6) and max(map(abs, toys.logged(made, "kl"))) > 0.01
    trained = {name for name, p in made.model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or name.startswith("critic.") for name in trained)
    state = made.model.get_base_model().state_dict()
    for name, value in before.items():
        torch.testing.assert_close(state[name if name in state else name.replace("proj.", "proj.base_layer.")], value)
    made.save_model(str(tmp_path / "saved"))
    assert all("lora_" in name for name in load_file(tmp_path / "saved/adapter_model.safetensors"))


@pytest.mark.parametrize("shared", [False, True])
def test_policy_and_critic_are_saved_apart(tmp_path, shared):
    """The old trainer never saved its critic."""
    made = toys.trainer(tmp_path, share_trunk=shared)
    made.train()
    made.save_model(str(tmp_path / "saved"))
    policy = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    names = dict(policy.named_parameters())
    assert not [name for name in load_file(tmp_path / "saved/model.safetensors") if "critic" in name]
    for name, value in made.model.named_parameters():
        if not name.startswith("critic."):
            assert torch.equal(names[name], value)
    if shared:
        assert torch.equal(
            load_file(tmp_path / "saved/critic/value_head.safetensors")["weight"], made.model.critic.weight
        )
    else:
        critic = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved/critic").state_dict()
        assert critic.keys() == made.model.critic.state_dict().keys()
        assert all(torch.equal(critic[name], value) for name, value in made.model.critic.state_dict().items())
        assert made.model.critic.score.weight.abs().sum() > 0


def test_the_table_of_answers_is_written(tmp_path):
    made = toys.trainer(tmp_path, log_completions=True, max_steps=4, logging_steps=4)
    made.train()
    table = pd.read_parquet(tmp_path / "completions/completions_00004.parquet")
    assert list(table) == ["step", "prompt", "completion", "even", "advantage"] and len(table) == 8
    assert toys.even(table["completion"].tolist()) == pytest.approx(table["even"].tolist())


def test_the_critic_has_its_own_rate_and_gradient_checkpointing_changes_nothing(tmp_path):
    plain = toys.trainer(tmp_path / "a", critic_learning_rate=1e-4, max_steps=2, lr_scheduler_type="constant")
    plain.train()
    rates = {group["critic"]: group["lr"] for group in plain.optimizer.param_groups}
    assert rates == {False: 3e-3, True: 1e-4}
    checkpointed = toys.trainer(tmp_path / "b", critic_learning_rate=1e-4, max_steps=2, lr_scheduler_type="constant",
                                gradient_checkpointing=True)  # fmt: skip
    checkpointed.train()
    assert checkpointed.model.is_gradient_checkpointing
    for a, b in zip(plain.model.parameters(), checkpointed.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_in_the_output_folder_is_deleted(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    toys.trainer(tmp_path, max_steps=4, save_strategy="steps", save_steps=2).train()
    assert (tmp_path / "mine.txt").read_text() == "keep" and (tmp_path / "checkpoint-4/critic/config.json").exists()
