"""The reference Transformer and transformers' own model of the same family, trained in lock-step by one Trainer."""

from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.convert import from_hf
from hfcourse.run.lockstep import LockstepTrainer
from hfcourse.run.models import from_scratch
from hfcourse.run.speed import OBJECTIVES, SIDES, follow

import torch
from torch import Tensor, nn
from transformers import set_seed


class Twins(nn.Module):
    """Of each of F families two models with equal weights: the reference and transformers' own."""

    # The Trainer asks for it where a checkpoint lacks a weight, as it lacks the second name of a tied one.
    _keys_to_ignore_on_save = None

    def __init__(self, architectures: dict[str, dict[str, Any]], tokenizer: Any, seed: int):
        """Weights drawn with the seed, the same whatever other families are there; sizes by family.

        Raises InputError for a family or size that is no such.
        """
        super().__init__()
        self.models = nn.ModuleDict()
        self.pairs: dict[str, dict[str, Any]] = {}  # the same models: {family: {side: model}}
        for family, sizes in architectures.items():
            if family not in OBJECTIVES:
                raise InputError(f"--architectures: no family '{family}', but {', '.join(OBJECTIVES)}")
            set_seed(seed)
            theirs = from_scratch(OBJECTIVES[family], {"model_type": family, **sizes}, tokenizer)
            self.pairs[family] = dict(zip(SIDES, (follow(from_hf(theirs), theirs), theirs), strict=True))
            self.models.update({f"{family}_{side}": model for side, model in self.pairs[family].items()})

    def forward(self, **inputs: Tensor) -> Tensor:
        """The mean losses (F, 2) on a batch of `hfcourse.data.objectives.Together`, each model's as it computes it."""
        losses = []
        for index, (family, pair) in enumerate(self.pairs.items()):
            prefix = f"{family}." if index else ""
            batch = {name: inputs[prefix + name] for name in ("input_ids", "attention_mask", "labels")}
            losses.append(torch.stack([model(**batch).loss for model in pair.values()]))
        return torch.stack(losses)


class TwinTrainer(LockstepTrainer):
    """Trains Twins. The log has `loss_<family>` and `loss_<family>_transformers`, each evaluation the same with eval_.

    `differences` are the largest that a batch of training ever showed between the two.
    """

    suffixes = ("", "_transformers")

    def __init__(self, *args: Any, **kwargs: Any):
        self.twins: Twins = kwargs["model"]
        super().__init__(*args, groups=list(self.twins.pairs), causal=["gpt2"], **kwargs)

    def look_at(self, losses: Tensor) -> None:
        for family, (ours, theirs) in zip(self.groups, losses.tolist(), strict=True):
            name = f"difference_{family}"
            self.meters[name] = max(self.meters.get(name, 0.0), abs(ours - theirs))

    def differences(self) -> dict[str, float]:
        """The largest difference of a family's two losses on any batch of training; for all processes to ask."""
        own = torch.tensor([self.meters[f"difference_{family}"] for family in self.groups], device=self.args.device)
        largest = self.accelerator.gather(own[None]).amax(0)
        return dict(zip(self.groups, largest.tolist(), strict=True))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """All models in one file, which training continues from; at the end each reference as a checkpoint, too."""
        super().save_model(output_dir, _internal_call)
        if output_dir is not None and self.args.should_save and not _internal_call:
            for family, pair in self.twins.pairs.items():
                parts: tuple[Any, ...] = (pair["reference"], self.processing_class)
                for part in parts:
                    part.save_pretrained(Path(output_dir) / family)
