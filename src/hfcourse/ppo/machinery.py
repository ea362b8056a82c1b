"""What PPO needs around its algorithm: a model that carries its critic, a reference, generation, checkpoints."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.ppo.answers import draw_answers
from hfcourse.ppo.config import PPOConfig
from hfcourse.ppo.rewards import RewardModel, about, as_reward, checked
from hfcourse.ppo.rollout import Rollout, draws, take, to_rows
from hfcourse.ppo.scoring import (
    ValueHead,
    add_scoring,
    answer_rows,
    by_length,
    check_critic,
    critic_from_policy,
    fuse_activations,
    hidden_size,
)

import torch
from accelerate.utils import is_peft_model
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.integrations import is_deepspeed_zero3_enabled
from trl import GRPOTrainer
from trl.models import prepare_deepspeed, prepare_fsdp, unwrap_model_for_generation
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import (
    add_fused_lm_head,
    create_model_from_path,
    disable_dropout_in_model,
    get_callable_name,
    get_config_model_id,
    use_adapter,
)


Reward = str | PreTrainedModel | RewardModel | Callable[..., Any]
CRITIC, HEAD = "critic", "value_head.safetensors"


class PolicyAndCritic(GRPOTrainer):
    """A GRPOTrainer whose model carries a critic; see PPOTrainer for the arguments.

    `model.critic` hangs on the policy while it trains, so that whatever shards, clips or optimises the one has the
    other too. It is no part of what is saved as the policy or handed to vLLM; it is saved in a folder beside it.
    """

    # TRL declares these for its own trainer.
    args: Any
    model: Any
    ref_model: Any
    max_completion_length: int
    _logs: Any
    _buffered_inputs: Any
    _draws: torch.Tensor  # random numbers (B, T) that the next answers are drawn by

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: Reward | list[Reward],
        args: PPOConfig,
        train_dataset: Dataset,
        eval_dataset: Any,
        processing_class: Any,
        critic: str | PreTrainedModel | None,
        peft_config: Any,
        callbacks: list[Any] | None,
        optimizers: tuple[Any, Any],
    ):
        if isinstance(model, str):
            model = create_model_from_path(model, **(args.model_init_kwargs or {}))  # type: ignore[arg-type]
        critic = _critic(critic, model, args.share_trunk)
        reference = None
        if peft_config is None and not is_peft_model(model):
            # Parameters that ZeRO-3 has shared out can't be copied; they are read again.
            sharded = is_deepspeed_zero3_enabled()
            reference = create_model_from_path(get_config_model_id(model.config)) if sharded else copy.deepcopy(model)
        rewards = [as_reward(f) for f in (reward_funcs if isinstance(reward_funcs, list) else [reward_funcs])]
        # A reward model that is the critic as well must not change while it is trained.
        if any(isinstance(f, RewardModel) and f.model is critic for f in rewards):
            critic = copy.deepcopy(critic)
        super().__init__(
            model,
            [f if inspect.iscoroutinefunction(f) else checked(f, get_callable_name(f)) for f in rewards],
            args,
            train_dataset,
            eval_dataset,
            processing_class,
            callbacks=callbacks,
            optimizers=optimizers,
            peft_config=peft_config,
        )
        device = self.accelerator.device
        base = self.model.get_base_model() if is_peft_model(self.model) else self.model
        self.model.critic = (critic or ValueHead(hidden_size(base))).to(device).requires_grad_(True)
        disable_dropout_in_model(self.model.critic)
        fuse_activations(self.model)
        add_scoring(base, self.temperature, owner=self.model)
        self.ref_model = self._prepare_reference(reference) if reference is not None else None
        for reward in rewards:
            if isinstance(reward, RewardModel):
                reward.model.to(device)
                reward.eos_token_ids = set(self.eos_token_ids)

    def _prepare_reference(self, reference: PreTrainedModel) -> Any:
        add_fused_lm_head(reference, temperature=self.temperature, outputs=("log_probs", "entropy"))
        add_scoring(reference.eval().requires_grad_(False), self.temperature)
        fuse_activations(reference)
        if self.is_deepspeed_enabled:
            return prepare_deepspeed(reference, self.accelerator)
        if self.is_fsdp_enabled:
            return prepare_fsdp(reference, self.accelerator)
        return self.accelerator.prepare_model(reference, evaluation_mode=True)

    @contextlib.contextmanager
    def _policy_alone(self) -> Iterator[None]:
        """The model without its critic, for whatever walks its parameters."""
        critic = self.model._modules.pop(CRITIC)
        try:
            yield
        finally:
            self.model.critic = critic

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Trainer's, in which the critic may have a learning rate of its own."""
        optimizer = super().create_optimizer(model)
        rate = self.args.critic_learning_rate
        if rate is not None and not any("critic" in group for group in optimizer.param_groups):
            critic = {id(p) for p in self.model.critic.parameters()}
            groups = [dict(group) for group in optimizer.param_groups]
            optimizer.param_groups.clear()
            for group in groups:
                for mine in (False, True):
                    params = [p for p in group["params"] if (id(p) in critic) == mine]
                    if params:
                        own = {"lr": rate} if mine else {}
                        optimizer.add_param_group({**group, **own, "params": params, "critic": mine})
        return optimizer

    # ---- Answers and what the models say of them -------------------------------------------------------------------

    def _answer(self, inputs: list[dict[str, Any]], stream: int, first: int) -> tuple[list, list, list, Rollout]:
        """This process's prompts, answers, their token ids, and both as rows of tokens (B, W)."""
        first += self.accelerator.process_index * len(inputs)
        rows = range(first, first + len(inputs))
        self._draws = draws(self.args.seed, stream, rows, self.max_completion_length)
        prompts = [row["prompt"] for row in inputs]
        prompt_ids, answer_ids, _, answers, *_ = self._generate(prompts)
        own = to_rows(prompt_ids, answer_ids, self._tokenizer.pad_token_id, self.accelerator.device)
        return prompts, answers, answer_ids, own

    def shown(self, batch: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """input_ids and labels (B, W) of answers to the first prompts of a batch; labels mark what is trained on."""
        count = self.args.per_device_train_batch_size
        rows = self._answer(batch[:count], stream=1, first=0)[-1]
        return rows["input_ids"], rows["input_ids"].masked_fill(~rows["answer_mask"], -100)

    def _tokenize_prompts(self, prompts: list) -> tuple:
        ids, *rest = super()._tokenize_prompts(prompts)
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        for row, length in enumerate(map(len, ids)):
            if context is not None and length + self.max_completion_length > context:
                raise InputError(
                    f"a prompt of {length} tokens and an answer of up to {self.max_completion_length} do not fit into "
                    f"the {context} tokens that the policy reads: {str(prompts[row])[:80]!r}"
                )
        return ids, *rest

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> tuple:
        """Token ids of one answer to each prompt, drawn by `_draws`; by vLLM or continuous batching as TRL does it."""
        if self.use_vllm or self.use_transformers_continuous_batching:
            with self._policy_alone():
                return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            torch.no_grad(),
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
        ):
            numbers, pad = self._draws.to(self.accelerator.device), self._tokenizer.pad_token_id
            settings = {"cache_implementation": self.args.cache_implementation}
            answers = draw_answers(model, prompt_ids, numbers, self.temperature, pad, self.eos_token_ids, **settings)
        return answers, None

    def _score_rows(self, rows: Rollout) -> Rollout:
        """logps, ref_logps, entropy and values (B, T) of rows, without gradients, rows of similar length together."""
        policy = self.accelerator.unwrap_model(self.model)
        adapter = "ref" if "ref" in getattr(policy, "peft_config", {}) else None
        shape = answer_rows(rows["answer_mask"]).shape
        names = ("logps", "entropy", "values", "ref_logps")
        found = {name: torch.zeros(shape, device=self.accelerator.device) for name in names}
        training = self.model.training
        self.model.eval()
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            for part in by_length(rows["attention_mask"].sum(1), self.args.per_device_train_batch_size):
                batch = take(rows, part)
                with self.accelerator.autocast():
                    new = self.model(**batch, with_values=True)
                    with contextlib.nullcontext() if self.ref_model is not None else use_adapter(policy, adapter):
                        reference = self.model if self.ref_model is None else self.ref_model
                        old = reference(**batch, with_entropy=False)
                for name, value in zip(names, (new.log_probs, new.entropy, new.value, old.log_probs), strict=True):
                    found[name][part, : value.shape[1]] = value
        self.model.train(training)
        return found

    def _calculate_rewards(self, inputs: list, prompts: list, completions: list, completion_ids_list: list) -> Tensor:
        """TRL's, (R, functions) of all processes, NaN for None; an answer that nothing scores is an error."""
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        first = self.accelerator.process_index * len(prompts)
        silent = rewards[first : first + len(prompts)].isnan() | (self.reward_weights.to(rewards) == 0)
        for row in silent.all(1).nonzero()[:, 0].tolist():
            raise InputError(f"no reward function scored an answer {about(row, prompts[row], completions[row])}")
        return rewards

    # ---- Checkpoints -----------------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """The policy as any model is saved, and the critic in a folder beside it."""
        prefix = f"{CRITIC}."
        critic_state = None
        if state_dict is not None:
            critic_state = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
            state_dict = {k: v for k, v in state_dict.items() if not k.startswith(prefix)}
        with self._policy_alone():
            super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder, critic = Path(output_dir or self.args.output_dir or "", CRITIC), self.model.critic
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(critic, ValueHead):
                state = {k: v.detach().cpu().contiguous() for k, v in (critic_state or critic.state_dict()).items()}
                save_file(state, folder / HEAD, metadata={"format": "pt"})
            else:
                critic.save_pretrained(folder, state_dict=critic_state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled:  # its checkpoint holds policy and critic as the one model that they were
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        with self._policy_alone():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder, critic = Path(resume_from_checkpoint, CRITIC), self.model.critic
        if isinstance(critic, ValueHead):
            critic.load_state_dict(load_file(folder / HEAD))
        else:
            critic.load_state_dict(type(critic).from_pretrained(folder, dtype=critic.dtype).state_dict())


def _critic(critic: Any, policy: Any, share_trunk: bool) -> PreTrainedModel | None:
    if share_trunk and critic is not None:
        raise InputError("share_trunk makes a value head on the policy: it does not go with a critic of its own")
    if share_trunk:
        return None
    if critic is None:
        if is_peft_model(policy) or getattr(policy, "is_quantized", False):
            raise InputError("a policy with adapters or in 4 bits has no copy for a critic: give one, or share_trunk")
        critic = critic_from_policy(policy)
    elif isinstance(critic, str):
        critic = AutoModelForSequenceClassification.from_pretrained(critic)
    check_critic(critic, policy)
    return critic
