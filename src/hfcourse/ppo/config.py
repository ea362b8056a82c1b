"""The arguments of PPOTrainer: TRL's for generation, rewards and logging, and those of the algorithm."""

from dataclasses import dataclass, field, fields
from typing import Any

from hfcourse.errors import InputError

from trl import GRPOConfig
from trl.import_utils import is_vllm_available


# The policy that is scored has to be the one that draws: filters and penalties would bias ratio and KL.
DISTORTING = {"top_p", "top_k", "min_p", "repetition_penalty", "generation_kwargs"}
# Arguments of GRPO that mean nothing here.
UNREAD = DISTORTING | {
    "beta", "epsilon", "epsilon_high", "delta", "loss_type", "importance_sampling_level", "scale_rewards",
    "multi_objective_aggregation", "mask_truncated_completions", "top_entropy_quantile", "use_adaptive_entropy",
    "entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target", "sync_ref_model",
    "ref_model_mixup_alpha", "ref_model_sync_steps", "off_policy_mask_threshold", "use_bias_correction_kl",
    "sapo_temperature_neg", "sapo_temperature_pos", "vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg",
    "vespo_lambda_neg", "vllm_importance_sampling_correction", "vllm_importance_sampling_mode",
    "vllm_importance_sampling_clip_max", "vllm_importance_sampling_clip_min", "vllm_importance_sampling_cap",
    "router_aux_loss_coef", "pad_to_multiple_of", "max_tool_calling_iterations", "log_multimodal",
    "cast_lm_head_to_fp32",
}  # fmt: skip


@dataclass
class PPOConfig(GRPOConfig):
    """GRPOConfig's arguments for generation, rewards and logging, TrainingArguments, and the following.

    An optimiser step takes per_device_train_batch_size x gradient_accumulation_steps x processes answers. A rollout is
    `num_mini_batches` times as many prompts with one answer each; each answer is trained on `num_ppo_epochs` times.
    Arguments of GRPO that PPO does not read are refused. Raises InputError for values that do not go together.
    """

    learning_rate: float = field(default=1e-5, metadata={"help": "Learning rate of the policy."})
    critic_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the critic; without it, that of the policy."}
    )
    disable_dropout: bool = field(
        default=True, metadata={"help": "Switch dropout off, so that a policy that did not change has ratio 1."}
    )
    num_generations: int | None = field(default=1, metadata={"help": "Answers to a prompt in a rollout: one."})
    num_mini_batches: int = field(default=4, metadata={"help": "Optimiser steps over one rollout in an epoch."})
    num_ppo_epochs: int = field(default=4, metadata={"help": "How often each answer of a rollout is trained on."})
    kl_coef: float = field(default=0.05, metadata={"help": "beta: what a nat of KL to the reference costs."})
    kl_target: float | None = field(
        default=None, metadata={"help": "KL in nats an answer that an adaptive beta steers to (Ziegler et al. 2019)."}
    )
    kl_horizon: int = field(default=10_000, metadata={"help": "Answers in which the adaptive beta can react fully."})
    kl_estimator: str = field(
        default="k1", metadata={"help": "Estimator of the penalty: k1 as in InstructGPT, k2 or k3 (Schulman 2020)."}
    )
    gamma: float = field(default=1.0, metadata={"help": "Discount a token."})
    lam: float = field(default=0.95, metadata={"help": "lambda of generalised advantage estimation."})
    cliprange: float = field(default=0.2, metadata={"help": "epsilon of the policy's clipped ratio."})
    cliprange_value: float | None = field(
        default=0.2, metadata={"help": "How far a value may move from the rollout's; none: no clipping."}
    )
    vf_coef: float = field(default=0.1, metadata={"help": "Weight of the value loss."})
    whiten_rewards: bool = field(default=False, metadata={"help": "Divide token rewards by their deviation."})
    whiten_advantages: bool = field(default=True, metadata={"help": "Advantages of mean 0 and deviation 1."})
    target_kl: float | None = field(
        default=None,
        metadata={"help": "Stop training on a rollout when a token has moved further from it, in nats (KL, k3)."},
    )
    missing_eos_penalty: float = field(
        default=0.0, metadata={"help": "Taken from the score of an answer that was cut at its greatest length."}
    )
    share_trunk: bool = field(
        default=False, metadata={"help": "Without a critic of its own: a value head on the policy's hidden states."}
    )

    def __post_init__(self) -> None:
        defaults: dict[str, Any] = {f.name: f.default for f in fields(GRPOConfig)}
        for name in sorted(UNREAD):
            if getattr(self, name) not in (defaults[name], None):
                why = "the policy that is scored must be the one that draws" if name in DISTORTING else "PPO has none"
                raise InputError(f"{name} = {getattr(self, name)} is an argument of GRPO that is not read: {why}")
        for name in ("num_mini_batches", "num_ppo_epochs", "kl_horizon"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.num_generations != 1:
            raise InputError(f"num_generations is 1 in PPO, not {self.num_generations}: repeat rows for more answers")
        if self.kl_estimator not in ("k1", "k2", "k3"):
            raise InputError(f"kl_estimator is k1, k2 or k3, not {self.kl_estimator}")
        if self.kl_target is not None and self.kl_coef <= 0:
            raise InputError("kl_target steers kl_coef by factors, so kl_coef has to begin above 0")
        if self.target_kl is not None and self.fp16:
            raise InputError("target_kl skips steps, which fp16's loss scaling does not allow: use bf16")
        if self.use_vllm and not is_vllm_available():
            raise InputError("use_vllm draws answers with vLLM, which is not installed: pip install trl[vllm]")
        micro_batches = self.num_mini_batches * self.gradient_accumulation_steps
        for name, derived in (("num_iterations", self.num_ppo_epochs), ("steps_per_generation", micro_batches)):
            if getattr(self, name) not in (defaults[name], derived):
                raise InputError(f"{name} follows from num_ppo_epochs and num_mini_batches: set those instead")
        if self.generation_batch_size is not None and self.steps_per_generation is None:
            raise InputError("generation_batch_size follows from num_mini_batches: set that instead")
        rows = self.per_device_train_batch_size * micro_batches
        if rows < 2:
            raise InputError(
                "a rollout of one answer has no advantage: raise per_device_train_batch_size, num_mini_batches or "
                "gradient_accumulation_steps"
            )
        self.num_iterations, self.steps_per_generation, self.generation_batch_size = (
            self.num_ppo_epochs,
            micro_batches,
            None,
        )
        # GRPO refuses one answer a prompt; it is told as many as divide its batch.
        self.num_generations, self.num_generations_eval = rows, 1
        super().__post_init__()
        self.num_generations = 1
