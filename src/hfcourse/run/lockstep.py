"""Several models trained in lock-step by one Trainer, each as it would be alone."""

from typing import Any, ClassVar

from hfcourse.run.trainer import RunTrainer

import torch
from torch import Tensor


class LockstepTrainer(RunTrainer):
    """Trains F groups of M models on the sum of their losses; each model's gradient is that of its own loss alone.

    The model holds all of them in `models`, a ModuleDict; called with a batch of
    `hfcourse.data.objectives.Together` it returns the mean losses (F, M). Besides `loss`, the sum, the log has
    `loss_<group><suffix>` for each model, and each evaluation the same with eval_.
    """

    # Names of the M models of a group, behind the group's.
    suffixes: ClassVar[tuple[str, ...]] = ("",)

    def __init__(self, *args: Any, groups: list[str], causal: list[str], **kwargs: Any):
        """`groups` in the order of the batch; `causal`: those whose losses shift their labels."""
        self.groups, self.shifted = groups, causal
        kwargs["args"].label_names = ["labels"]  # which the Trainer looks for in the signature of a model
        kwargs["args"].ddp_find_unused_parameters = False
        super().__init__(*args, **kwargs)
        self.together: Any = kwargs["model"]
        self.causal = groups[0] in causal
        self.model_accepts_loss_kwargs = True  # so that the Trainer counts a step's labels

    def labels(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The labels (B, T) that each group's losses look at."""
        named = [inputs[f"{group}.labels" if index else "labels"] for index, group in enumerate(self.groups)]
        return [n[:, 1:] if group in self.shifted else n for n, group in zip(named, self.groups, strict=True)]

    def counts(self, inputs: dict[str, Tensor]) -> Tensor:
        """How many labels the losses of each group count: (F, 1)."""
        return torch.stack([(labels != -100).sum() for labels in self.labels(inputs)])[:, None]

    def _get_num_items_in_batch(self, batch_samples: list, device: Any) -> Any:
        if self._predicting or not batch_samples:
            return None
        counts = torch.stack([self.counts(batch) for batch in batch_samples]).sum(0).to(device)
        if self.args.average_tokens_across_devices:
            counts = self.accelerator.reduce(counts, "sum")
        return counts

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        for labels in self.labels(inputs)[1:]:
            self._ignore_repeated_rows(labels)
        return super().prediction_step(model, inputs, *args, **kwargs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        losses, counts = model(**inputs), self.counts(inputs)  # (F, M), (F, 1)
        if self._predicting:
            self._sums += torch.cat([losses * counts, counts], 1).nan_to_num().double().cpu()
        else:
            self.look_at(losses.detach())
            losses = losses * counts / num_items_in_batch
            if self.args.average_tokens_across_devices:
                losses = losses * self.accelerator.num_processes  # as the Trainer does: DDP averages the gradients
            for name, loss in zip(self.names(), losses.detach().flatten().tolist(), strict=True):
                self.meters[name] = self.meters.get(name, 0.0) + loss
        return (losses.sum(), {}) if return_outputs else losses.sum()

    def look_at(self, losses: Tensor) -> None:
        """Called with the losses (F, M) of each batch of training."""

    def names(self, prefix: str = "") -> list[str]:
        return [f"{prefix}loss_{group}{suffix}" for group in self.groups for suffix in self.suffixes]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add each model's share of the loss since the last line."""
        if "loss" in logs:
            own = torch.tensor([self.meters.pop(name) for name in self.names()], device=self.args.device)
            shares = self.accelerator.reduce(own, "sum")
            logs |= dict(zip(self.names(), (shares / shares.sum() * logs["loss"]).tolist(), strict=True))
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._sums = torch.zeros(len(self.groups), len(self.suffixes) + 1, dtype=torch.double)
        return super().evaluation_loop(*args, **kwargs)

    def score(self) -> dict[str, float]:
        if self.eval_dataset is None:
            return {}
        sums = self.accelerator.reduce(self._sums.to(self.args.device), "sum")
        return dict(zip(self.names("eval_"), (sums[:, :-1] / sums[:, -1:]).flatten().tolist(), strict=True))

    def _clip_grad_norm(self, model: Any) -> Tensor:
        """Each model by its own norm, so that none feels another's gradients; returns the norm of all."""
        clip, most = self.accelerator.clip_grad_norm_, self.args.max_grad_norm
        return torch.stack([clip(m.parameters(), most) for m in self.together.models.values()]).norm()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # A state_dict has tied weights twice, which safetensors refuses.
        super()._save(output_dir, {name: p.detach() for name, p in self.together.named_parameters()})
