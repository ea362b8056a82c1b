"""Several models trained by one Trainer: each reads every batch and learns from a loss of its own."""

from pathlib import Path
from typing import Any

from hfcourse.run.trainer import RunTrainer

import torch
from torch import Tensor, nn


class LockstepTrainer(RunTrainer):
    """Trains `named`, M models of one module whose forward returns their mean losses (M,) on a batch.

    The loss is the sum of theirs, so that each model's gradient is that of its own loss alone. Besides `loss` the log
    has `loss_<name>` for each, and each evaluation `eval_loss_<name>`.
    """

    def __init__(self, *args: Any, named: dict[str, nn.Module], **kwargs: Any):
        self.named = named
        kwargs["args"].label_names = ["labels"]  # which the Trainer looks for in the signature of a model
        kwargs["args"].ddp_find_unused_parameters = False
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = True  # so that the Trainer counts a step's labels

    def counts(self, inputs: dict[str, Tensor]) -> Tensor:
        """How many labels the loss of each model counts: (M,)."""
        return self.counted(inputs["labels"]).expand(len(self.named))

    def note(self, losses: Tensor) -> None:
        """Called with the mean losses (M,) of each batch of training."""

    def names(self, prefix: str = "") -> list[str]:
        return [f"{prefix}loss_{name}" for name in self.named]

    def _get_num_items_in_batch(self, batch_samples: list, device: Any) -> Any:
        if self._predicting or not batch_samples:
            return None
        counts = torch.stack([self.counts(batch) for batch in batch_samples]).sum(0).to(device)
        if self.args.average_tokens_across_devices:
            counts = self.accelerator.reduce(counts, "sum")
        return counts

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        losses, counts = model(**inputs), self.counts(inputs)
        if self._predicting:
            self._sums += torch.stack([losses * counts, counts]).nan_to_num().double().cpu()
        else:
            self.note(losses.detach())
            losses = losses * counts / num_items_in_batch
            if self.args.average_tokens_across_devices:
                losses = losses * self.accelerator.num_processes  # as the Trainer does: DDP averages the gradients
            for name, loss in zip(self.names(), losses.detach().tolist(), strict=True):
                self.meters[name] = self.meters.get(name, 0.0) + loss
        return (losses.sum(), {}) if return_outputs else losses.sum()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add each model's share of the loss since the last line."""
        if "loss" in logs:
            own = torch.tensor([self.meters.pop(name) for name in self.names()], device=self.args.device)
            shares = self.accelerator.reduce(own, "sum")
            logs |= dict(zip(self.names(), (shares / shares.sum() * logs["loss"]).tolist(), strict=True))
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._sums = torch.zeros(2, len(self.named), dtype=torch.double)
        return super().evaluation_loop(*args, **kwargs)

    def score(self) -> dict[str, float]:
        if self.eval_dataset is None:
            return {}
        losses, counts = self.accelerator.reduce(self._sums.to(self.args.device), "sum")
        return dict(zip(self.names("eval_"), (losses / counts).tolist(), strict=True))

    def _clip_grad_norm(self, model: Any) -> Tensor:
        """Each model by its own norm, so that none feels another's gradients; returns the norm of all."""
        clip, most = self.accelerator.clip_grad_norm_, self.args.max_grad_norm
        return torch.stack([clip(m.parameters(), most) for m in self.named.values()]).norm()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # A state_dict has tied weights twice, which safetensors refuses.
        module: Any = self.model
        super()._save(output_dir, {name: p.detach() for name, p in module.named_parameters()})

    def saved(self) -> dict[str, Any]:
        """The models that become checkpoints, in folders of these names, when training ends."""
        return self.named

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """All models in one file, which training continues from; at the end those of `saved` as checkpoints, too."""
        super().save_model(output_dir, _internal_call)
        if output_dir is not None and self.args.should_save and not _internal_call:
            for name, model in self.saved().items():
                parts: tuple[Any, ...] = (model, self.processing_class)
                for part in parts:
                    part.save_pretrained(Path(output_dir) / name)
