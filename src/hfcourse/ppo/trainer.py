"""PPOTrainer: InstructGPT's algorithm (Ouyang et al. 2022, section 3.5) on TRL's online machinery.

The whole algorithm is on this page: a rollout (`_rollout`), the minibatches of its epochs (`_prepare_inputs`), the
loss (`_compute_loss`), and when to stop (`training_step`); its equations are in functions.py.
"""

import json
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.conduct import text_of
from hfcourse.ppo.config import PPOConfig
from hfcourse.ppo.functions import (
    AdaptiveKL,
    explained_variance,
    gae,
    kl_estimate,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
)
from hfcourse.ppo.machinery import PolicyAndCritic, Reward
from hfcourse.ppo.rollout import (
    Means,
    Rollout,
    RolloutSampler,
    collect,
    gather_rows,
    micro_batch,
    minibatch_order,
    take,
)
from hfcourse.ppo.scoring import answer_rows

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import PreTrainedModel
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


STATE, ROLLOUT = "ppo.json", "rollout.safetensors"


class PPOTrainer(PolicyAndCritic):
    """Proximal policy optimisation of a causal language model against rewards for whole answers.

    Args:
        model: the policy, a model or its name; as it is now, also the reference that the KL penalty is measured from.
        reward_funcs: reward models (a RewardModel, or the name of one) and functions, summed with args.reward_weights.
        args: a PPOConfig.
        train_dataset, eval_dataset: a column `prompt` of texts or conversations; other columns go to the functions.
        processing_class: the policy's tokenizer.
        critic: a one-label sequence classifier with the policy's tokens, or its name: InstructGPT takes the reward
            model. Without one, a copy of the policy, or with args.share_trunk a value head on the policy itself.
        peft_config: trains adapters; the policy without them is then the reference, and no second model is held.

    Raises InputError (a ValueError) for what can't be used, a reward that is no number among it, with its row.
    """

    _tag_names = ["trl", "ppo"]
    _name = "PPO"
    _paper = {
        "title": "Proximal Policy Optimization Algorithms",
        "id": "1707.06347",
        "citation": "@article{schulman2017ppo, title={Proximal Policy Optimization Algorithms}, author={John Schulman "
        "and Filip Wolski and Prafulla Dhariwal and Alec Radford and Oleg Klimov}, eprint={1707.06347}, year=2017}",
    }

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: Reward | list[Reward],
        args: PPOConfig | None = None,
        train_dataset: Dataset | None = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        critic: str | PreTrainedModel | None = None,
        peft_config: Any = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ):
        args = args or PPOConfig(f"{model if isinstance(model, str) else type(model).__name__}-PPO")
        if not isinstance(train_dataset, Dataset):
            raise InputError("train_dataset is a datasets.Dataset with a column `prompt`; a stream can't be resumed")
        size = args.generation_batch_size or 0
        if len(train_dataset) < size:
            raise InputError(
                f"a rollout takes {size} prompts (per_device_train_batch_size x gradient_accumulation_steps x "
                f"processes x num_mini_batches), and there are {len(train_dataset)}"
            )
        super().__init__(
            model,
            reward_funcs,
            args,
            train_dataset,
            eval_dataset,
            processing_class,
            critic,
            peft_config,
            callbacks,
            optimizers,
        )
        self.kl = AdaptiveKL(args.kl_coef, args.kl_target, args.kl_horizon)
        self._rollouts = 0  # made so far
        self._stopped = False  # whether target_kl ended the training on the present one
        self._updates, self._evaluation = Means(), Means()
        # Of the last evaluation, in the order of its data: prompt, answer, score.
        self.evaluated: list[dict[str, Any]] = []

    @torch.no_grad()
    def _rollout(self, inputs: list[dict[str, Any]], means: Means, stream: int, first: int) -> Rollout:
        """One answer to each prompt of every process, with all that is trained on: tensors of R rows.

        input_ids, attention_mask, answer_mask (R, W); mask, logps, ref_logps, values, entropy, returns, advantages
        (R, T); scores, kl (R,). `stream` and `first`, the number of the first row, decide what is drawn.
        """
        prompts, answers, answer_ids, own = self._answer(inputs, stream, first)
        rewards = self._calculate_rewards(inputs, prompts, answers, answer_ids)  # (R, functions)
        own |= {"mask": answer_rows(own["answer_mask"]), **self._score_rows(own)}
        own["ended"] = torch.tensor([ids[-1] in self.eos_token_ids for ids in answer_ids]).to(rewards.device)
        rollout = gather_rows(self.accelerator, own)
        texts = {"prompt": gather_object(prompts), "completion": gather_object(answers)}
        if not self.model.training:  # without the rows by which accelerate fills up the last batch
            state = self.accelerator.gradient_state
            kept = state.remainder if state.end_of_dataloader and state.remainder > 0 else len(rewards)
            rollout, rewards = take(rollout, torch.arange(kept)), rewards[:kept]
            texts = {name: column[:kept] for name, column in texts.items()}

        args, mask = self.args, rollout["mask"].float()
        scores = (rewards * self.reward_weights.to(rewards)).nansum(1)
        scores = scores - args.missing_eos_penalty * (~rollout["ended"]).float()
        kl = kl_estimate(rollout["logps"], rollout["ref_logps"], args.kl_estimator)
        per_token = token_rewards(scores, kl, mask, self.kl.coef)
        if args.whiten_rewards:
            per_token = whiten(per_token, mask, shift_mean=False)
        advantages, returns = gae(per_token, rollout["values"], mask, args.gamma, args.lam)
        rollout |= {"returns": returns, "scores": scores}
        rollout["advantages"] = whiten(advantages, mask) if args.whiten_advantages else advantages
        rollout["kl"] = (kl_estimate(rollout["logps"], rollout["ref_logps"]) * mask).sum(1)

        for i, name in enumerate(self.reward_func_names):
            means.add(f"rewards/{name}", rewards[:, i].nan_to_num(), (~rewards[:, i].isnan()).float())
            self._logs["rewards"][name].extend(rewards[:, i].tolist())
        for name, value in (("reward", scores), ("kl", rollout["kl"]), ("length", mask.sum(1))):
            means.add(name, value)
        means.add("truncated", (~rollout["ended"]).float())
        for name in ("values", "returns", "entropy"):
            means.add(name, rollout[name], mask)
        self._logs["advantages"].extend(((advantages * mask).sum(1) / mask.sum(1)).tolist())
        for name, column in texts.items():
            self._logs[name].extend(column)
        if not self.model.training:
            columns = zip(texts["prompt"], texts["completion"], scores.tolist(), strict=True)
            self.evaluated += [{"prompt": text_of(p), "answer": text_of(a), "score": score} for p, a, score in columns]
        return rollout

    def _get_train_sampler(self, dataset: Dataset | None = None) -> RolloutSampler:
        args, prompts = self.args, self.train_dataset if dataset is None else dataset
        repeats = args.steps_per_generation * args.num_ppo_epochs
        return RolloutSampler(
            len(prompts),  # type: ignore[arg-type]
            args.generation_batch_size,
            repeats,
            args.seed,
            self.shuffle_dataset is not False,
        )

    def _prepare_inputs(self, generation_batch: Any) -> Rollout:
        """This process's micro-batch of the present rollout, of which every process holds all rows.

        Epochs and minibatches are drawn over all rows, so that they are the same ones in any number of processes.
        """
        args, processes = self.args, self.accelerator.num_processes
        epoch, step = divmod(self._step % self._cycle, args.steps_per_generation)
        if self._buffered_inputs is None or (epoch, step) == (0, 0):
            self._buffered_inputs = self._begin_rollout(generation_batch)
        rollout: Rollout = self._buffered_inputs
        number, part = divmod(step, args.gradient_accumulation_steps)
        order = minibatch_order(args.seed, self._rollouts, args.num_ppo_epochs, len(rollout["scores"]))[epoch]
        rows = order.chunk(args.num_mini_batches)[number].to(self.accelerator.device)
        part = part * processes + self.accelerator.process_index
        lengths = rollout["attention_mask"].sum(1)
        inputs = take(rollout, micro_batch(rows, lengths, args.gradient_accumulation_steps * processes, part))
        return inputs | {"tokens": rollout["mask"][rows].sum()}

    @property
    def _cycle(self) -> int:
        """Micro-batches from one rollout to the next."""
        return self.args.steps_per_generation * self.args.num_ppo_epochs

    def _begin_rollout(self, generation_batch: list[dict[str, Any]]) -> Rollout:
        means = Means()
        rollout = self._rollout(generation_batch, means, stream=self._rollouts + 1, first=0)
        metrics = means.take() | {"kl_coef": self.kl.coef, "reward_std": rollout["scores"].std().item()}
        spread = explained_variance(rollout["values"], rollout["returns"], rollout["mask"].float())
        self._collect("train", metrics | {"explained_variance": spread.item()})
        self.kl.update(metrics["kl"], len(rollout["scores"]))
        self._rollouts += 1
        return rollout

    def _compute_loss(self, model: Any, inputs: Rollout) -> Tensor:
        """Mean over the tokens of an optimiser step of policy loss + vf_coef value loss - entropy_coef entropy."""
        args, mask = self.args, inputs["mask"].float()
        with self.accelerator.autocast():
            rows = {name: inputs[name] for name in ("input_ids", "attention_mask", "answer_mask")}
            new = model(**rows, with_values=True, with_entropy=bool(args.entropy_coef))
        policy = policy_loss(new.log_probs, inputs["logps"], inputs["advantages"], args.cliprange)
        value = value_loss(new.value, inputs["values"], inputs["returns"], args.cliprange_value)
        losses = policy.loss + args.vf_coef * value.loss
        if args.entropy_coef:
            losses = losses - args.entropy_coef * new.entropy
        for name, tokens in {
            "policy_loss": policy.loss,
            "value_loss": value.loss,
            "clip_fraction": policy.clipped.float(),
            "value_clip_fraction": value.clipped.float(),
            "ratio": (new.log_probs - inputs["logps"]).exp(),
            "approx_kl": kl_estimate(inputs["logps"], new.log_probs, "k3"),
        }.items():
            self._updates.add(name, tokens, mask)
        # The sum over the tokens of this micro-batch; DDP divides gradients by the number of processes.
        return (losses * mask).sum() / inputs["tokens"] * self.accelerator.num_processes

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """A micro-batch. After target_kl the rest of a rollout is left alone: without gradients no weight moves."""
        if self._step % self._cycle == 0:
            self._stopped = False
        if self._stopped:
            model.train()  # as a step does; TRL tells by it what it logs
            self._step += 1
            loss = torch.zeros((), device=self.accelerator.device)
        else:
            loss = super().training_step(model, inputs, num_items_in_batch)
        if self._step % self.args.gradient_accumulation_steps == 0:
            means = {} if self._stopped else self._updates.take(lambda sums: self.accelerator.reduce(sums, "sum"))
            if self.args.target_kl is not None:
                means["stopped"] = float(self._stopped)
                self._stopped = self._stopped or means["approx_kl"] > self.args.target_kl
            self._collect("train", means)
        return loss

    def _collect(self, mode: str, means: dict[str, float]) -> None:
        """Add to what TRL logs, less its own counts of answers, which take filled-up rows for answers."""
        metrics = self._metrics[mode]
        for name in [n for n in metrics if n.startswith("completions/") or (mode == "eval" and n == "num_tokens")]:
            del metrics[name]
        collect(metrics, means)

    def _get_eval_sampler(self, eval_dataset: Any) -> SequentialSampler:
        return SequentialSampler(eval_dataset)

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> tuple[Tensor, None, None]:
        """A batch of an evaluation: one answer a prompt, drawn by the same numbers at each evaluation."""
        rollout = self._rollout(inputs, self._evaluation, stream=0, first=len(self.evaluated))
        mask, values = rollout["mask"].float(), rollout["values"]
        loss = self.args.vf_coef * value_loss(values, values, rollout["returns"], None).loss
        loss = loss - rollout["advantages"] - self.args.entropy_coef * rollout["entropy"]
        self._evaluation.add("loss", loss, mask)
        return (loss * mask).sum() / mask.sum(), None, None

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self.evaluated = []
        output: Any = super().evaluation_loop(*args, **kwargs)
        means = self._evaluation.take()
        output.metrics[f"{kwargs.get('metric_key_prefix', 'eval')}_loss"] = means.pop("loss")
        self._collect("eval", means)
        return output

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Also the KL coefficient and, in the middle of a rollout, the rollout."""
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            state = {"kl_coef": self.kl.coef, "rollouts": self._rollouts, "stopped": self._stopped}
            (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
            if self._step % self._cycle and self._buffered_inputs is not None:
                tensors = {name: value.cpu().contiguous() for name, value in self._buffered_inputs.items()}
                save_file(tensors, folder / ROLLOUT)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            state = json.loads(Path(checkpoint, STATE).read_text(encoding="utf-8"))
            self.kl.coef, self._rollouts, self._stopped = state["kl_coef"], state["rollouts"], state["stopped"]
            self._step = self.state.global_step * self.args.gradient_accumulation_steps
            if Path(checkpoint, ROLLOUT).exists():
                rollout = load_file(Path(checkpoint, ROLLOUT))  # which knows no "cpu:0", the device of a gloo process
                self._buffered_inputs = {name: value.to(self.accelerator.device) for name, value in rollout.items()}
