"""What PPOTrainer overrides or relies on in TRL: a release that moves one of these fails here, and says which."""

import inspect

from hfcourse.ppo import PPOConfig, PPOTrainer
from hfcourse.ppo.config import UNREAD
from hfcourse.ppo.scoring import Scores

import pytest
import torch
import toys
from torch.nn.parallel.distributed import _find_tensors
from transformers import TrainingArguments
from trl import GRPOConfig, GRPOTrainer


OVERRIDDEN = {
    "_tokenize_prompts": ["self", "prompts"],
    "_generate_single_turn": [
        "self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images",
    ],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_get_train_sampler": ["self", "dataset"],
    "_get_eval_sampler": ["self", "eval_dataset"],
    "_prepare_inputs": ["self", "generation_batch"],
    "_compute_loss": ["self", "model", "inputs"],
    "training_step": ["self", "model", "inputs", "num_items_in_batch"],
    "prediction_step": ["self", "model", "inputs", "prediction_loss_only", "ignore_keys"],
    "create_optimizer": ["self", "model"],
    "_save": ["self", "output_dir", "state_dict"],
    "_save_checkpoint": ["self", "model", "trial"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
}  # fmt: skip


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_an_overridden_method_is_called_as_it_was(name):
    assert getattr(PPOTrainer, name) is not getattr(GRPOTrainer, name), "not overridden"
    function = inspect.unwrap(getattr(GRPOTrainer, name))
    assert list(inspect.signature(function).parameters) == OVERRIDDEN[name]


def test_trl_generates_eight_things(tmp_path):
    made = toys.trainer(tmp_path)
    made.model.train()
    made._draws = torch.rand(2, 6)
    found = made._generate(["w1 w2", "w3"])
    prompt_ids, answer_ids, tool_mask, answers, logprobs, extra, images, tool_images = found
    assert prompt_ids == [[3, 4], [5]] and len(answer_ids) == len(answers) == 2
    assert tool_mask is None and not extra and logprobs is None


def test_trl_refuses_one_answer_a_prompt_and_ppo_wants_no_more(tmp_path):
    with pytest.raises(ValueError, match="at least 2 generations"):
        GRPOConfig(str(tmp_path), num_generations=1, bf16=False)
    assert toys.config(tmp_path).num_generations == 1
    with pytest.raises(ValueError, match="num_generations is 1 in PPO, not 4"):
        toys.config(tmp_path, num_generations=4)


def test_every_argument_of_grpo_is_read_or_refused(tmp_path):
    """Those that PPO does not read are known by name, and a new one of TRL's has to be looked at."""
    own = GRPOConfig.__dataclass_fields__.keys() - TrainingArguments.__dataclass_fields__.keys()
    read = {
        "model_init_kwargs", "trust_remote_code", "disable_dropout", "remove_unused_columns", "num_generations",
        "num_generations_eval", "max_completion_length", "shuffle_dataset", "generation_batch_size",
        "steps_per_generation", "temperature", "chat_template_kwargs", "cache_implementation", "num_iterations",
        "reward_weights", "entropy_coef", "log_completions", "num_completions_to_print", "log_unique_prompts",
        "log_completions_hub_repo", "use_transformers_continuous_batching",
        "transformers_continuous_batching_config", "use_transformers_paged", "ds3_gather_for_generation",
    }  # fmt: skip
    assert {name for name in own - read - UNREAD if not name.startswith(("vllm_", "use_vllm"))} == set()
    for name, value in {
        "beta": 0.1,
        "loss_type": "grpo",
        "top_k": 50,
        "scale_rewards": "none",
        "epsilon": 0.1,
    }.items():
        with pytest.raises(ValueError, match=f"{name} = .* is an argument of GRPO that is not read"):
            toys.config(tmp_path, **{name: value})


def test_a_config_can_be_made_again_from_its_own_values(tmp_path):
    made = toys.config(tmp_path, gradient_accumulation_steps=3)
    assert (made.steps_per_generation, made.generation_batch_size, made.num_iterations) == (6, 24, 2)
    made.__post_init__()
    assert (made.steps_per_generation, made.generation_batch_size, made.num_iterations) == (6, 24, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_mini_batches": 0}, "num_mini_batches is at least 1"),
        ({"kl_estimator": "k4"}, "kl_estimator is k1, k2 or k3, not k4"),
        ({"kl_target": 6.0, "kl_coef": 0.0}, "kl_coef has to begin above 0"),
        ({"num_mini_batches": 1, "per_device_train_batch_size": 1}, "a rollout of one answer has no advantage"),
        ({"num_iterations": 3}, "num_iterations follows from num_ppo_epochs"),
        ({"generation_batch_size": 64}, "generation_batch_size follows from num_mini_batches"),
    ],
)
def test_values_that_do_not_go_together_are_refused(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        toys.config(tmp_path, **changes)


def test_ddp_finds_the_outputs_that_need_gradients():
    outputs = Scores(torch.ones(1), torch.ones(2), torch.ones(3))
    assert sorted(len(tensor) for tensor in _find_tensors(outputs)) == [1, 2, 3]


def test_defaults_are_those_of_ppo():
    defaults = {name: f.default for name, f in PPOConfig.__dataclass_fields__.items()}
    assert (defaults["num_ppo_epochs"], defaults["num_mini_batches"], defaults["cliprange"]) == (4, 4, 0.2)
    assert (defaults["gamma"], defaults["lam"], defaults["vf_coef"], defaults["kl_coef"]) == (1.0, 0.95, 0.1, 0.05)
