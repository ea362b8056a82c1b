"""The reference Transformer and transformers' own model of the same family, trained in lock-step by one Trainer."""

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
        """The mean losses (2 F,) on a batch of `hfcourse.data.objectives.Together`, each model's as it computes it."""
        losses = []
        for index, (family, pair) in enumerate(self.pairs.items()):
            prefix = f"{family}." if index else ""
            batch = {name: inputs[prefix + name] for name in ("input_ids", "attention_mask", "labels")}
            losses += [model(**batch).loss for model in pair.values()]
        return torch.stack(losses)


class TwinTrainer(LockstepTrainer):
    """Trains Twins; losses are logged as `loss_<family>` and `loss_<family>_transformers`.

    `differences` are the largest that a batch of training ever showed between the two.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.twins: Twins = kwargs["model"]
        self.families = list(self.twins.pairs)
        sides = {"reference": "", "transformers": "_transformers"}
        pairs = self.twins.pairs.items()
        named = {f"{family}{sides[side]}": model for family, pair in pairs for side, model in pair.items()}
        super().__init__(*args, named=named, **kwargs)
        self.causal = self.families[0] == "gpt2"

    def labels(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The labels (B, T) that each family's loss looks at."""
        named = [("labels" if index == 0 else f"{family}.labels") for index, family in enumerate(self.families)]
        return [inputs[n][:, 1:] if f == "gpt2" else inputs[n] for n, f in zip(named, self.families, strict=True)]

    def counts(self, inputs: dict[str, Tensor]) -> Tensor:
        counts = torch.stack([(labels != -100).sum() for labels in self.labels(inputs)])
        return counts.repeat_interleave(len(SIDES))

    def note(self, losses: Tensor) -> None:
        for family, (ours, theirs) in zip(self.families, losses.view(-1, len(SIDES)).tolist(), strict=True):
            name = f"difference_{family}"
            self.meters[name] = max(self.meters.get(name, 0.0), abs(ours - theirs))

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        for labels in self.labels(inputs)[1:]:
            self._ignore_repeated_rows(labels)
        return super().prediction_step(model, inputs, *args, **kwargs)

    def differences(self) -> dict[str, float]:
        """The largest difference of a family's two losses on any batch of training; for all processes to ask."""
        own = torch.tensor([self.meters[f"difference_{family}"] for family in self.families], device=self.args.device)
        largest = self.accelerator.gather(own[None]).amax(0)
        return dict(zip(self.families, largest.tolist(), strict=True))

    def saved(self) -> dict[str, Any]:
        return {family: pair["reference"] for family, pair in self.twins.pairs.items()}
