"""A Trainer of several models that are parts of one module, each trained as it would be alone."""

from pathlib import Path
from typing import Any

from hfcourse.run.trainer import RunTrainer

import torch
from torch import Tensor, nn


class TogetherTrainer(RunTrainer):
    """RunTrainer for a module whose parts learn from the same batches, each from its own loss.

    The sum of their losses is what is trained on: no part depends on another's parameters, so each part's gradient is
    that of its own loss. Gradients are clipped by each part's own norm, so that none feels another's.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs["args"].label_names = ["labels"]  # which the Trainer looks for in the signature of a model
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = True  # so that the Trainer counts a step's labels

    def parts(self) -> list[nn.Module]:
        """The models that take the next step."""
        raise NotImplementedError

    def checkpoints(self) -> dict[str, Any]:
        """Models that are written as checkpoints of their own at the end, by the name of their folder."""
        raise NotImplementedError

    def own_rates(self) -> list[tuple[nn.Module, float]]:
        """Models with learning rates of their own, and these; none: the one of the arguments is for all."""
        return []

    def create_optimizer(self, model: Any = None) -> Any:
        """Two groups for each model of `own_rates`, with weight decay and without, at its own rate."""
        if self.optimizer is not None or not (own := self.own_rates()):
            return super().create_optimizer(model)
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        groups = []
        for part, rate in own:
            decayed = set(self.get_decay_parameter_names(part))  # type: ignore[arg-type]
            for decay, inside in ((self.args.weight_decay, True), (0.0, False)):
                chosen = [p for name, p in part.named_parameters() if (name in decayed) == inside]
                groups.append({"params": chosen, "weight_decay": decay, "lr": rate})
        self.optimizer = kind(groups, **options)
        return self.optimizer

    def _clip_grad_norm(self, model: Any) -> Tensor:
        """Each part by its own norm; returns the norm of all."""
        clip, most = self.accelerator.clip_grad_norm_, self.args.max_grad_norm
        return torch.stack([clip(part.parameters(), most) for part in self.parts()]).norm()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # A state_dict has tied weights twice, which safetensors refuses.
        super()._save(output_dir, {name: p.detach() for name, p in self.model.named_parameters()})  # type: ignore[union-attr]

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """All models in one file, which training continues from; at the end `checkpoints` as well."""
        super().save_model(output_dir, _internal_call)
        if output_dir is not None and self.args.should_save and not _internal_call:
            for name, model in self.checkpoints().items():
                both: tuple[Any, ...] = (model, self.processing_class)
                for part in both:
                    part.save_pretrained(Path(output_dir) / name)
