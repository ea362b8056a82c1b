"""The reference Transformer and transformers' own model of the same family, trained in lock-step by one Trainer."""

from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.convert import from_hf
from hfcourse.run.models import from_scratch
from hfcourse.run.speed import OBJECTIVES, SIDES, follow
from hfcourse.run.together import TogetherTrainer

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


class TwinTrainer(TogetherTrainer):
    """Trains Twins on the sum of their losses, of which each model's gradient is that of its own loss alone.

    Besides `loss`, the sum, the log has `loss_<family>` and `loss_<family>_transformers`, and each evaluation the same
    with eval_. `differences` are the largest that a batch of training ever showed between the two.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.twins: Twins = kwargs["model"]
        self.families = list(self.twins.pairs)
        kwargs["args"].ddp_find_unused_parameters = False
        super().__init__(*args, **kwargs)
        self.causal = self.families[0] == "gpt2"

    def parts(self) -> list[nn.Module]:
        return list(self.twins.models.values())

    def checkpoints(self) -> dict[str, Any]:
        return {family: pair["reference"] for family, pair in self.twins.pairs.items()}

    def labels(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The labels (B, T) that each family's loss looks at."""
        named = [("labels" if index == 0 else f"{family}.labels") for index, family in enumerate(self.families)]
        return [inputs[n][:, 1:] if f == "gpt2" else inputs[n] for n, f in zip(named, self.families, strict=True)]

    def counts(self, inputs: dict[str, Tensor]) -> Tensor:
        """How many labels the loss of each family counts: (F, 1)."""
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
        losses, counts = model(**inputs), self.counts(inputs)  # (F, 2), (F, 1)
        if self._predicting:
            self._sums += torch.cat([losses * counts, counts], 1).nan_to_num().double().cpu()
        else:
            for family, (ours, theirs) in zip(self.families, losses.detach().tolist(), strict=True):
                name = f"difference_{family}"
                self.meters[name] = max(self.meters.get(name, 0.0), abs(ours - theirs))
            losses = losses * counts / num_items_in_batch
            if self.args.average_tokens_across_devices:
                losses = losses * self.accelerator.num_processes  # as the Trainer does: DDP averages the gradients
            for name, loss in zip(self.names(), losses.detach().flatten().tolist(), strict=True):
                self.meters[name] = self.meters.get(name, 0.0) + loss
        return (losses.sum(), {}) if return_outputs else losses.sum()

    def names(self, prefix: str = "") -> list[str]:
        return [f"{prefix}loss_{family}{side}" for family in self.families for side in ("", "_transformers")]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add each model's share of the loss since the last line."""
        if "loss" in logs:
            own = torch.tensor([self.meters.pop(name) for name in self.names()], device=self.args.device)
            shares = self.accelerator.reduce(own, "sum")
            logs |= dict(zip(self.names(), (shares / shares.sum() * logs["loss"]).tolist(), strict=True))
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._sums = torch.zeros(len(self.families), 3, dtype=torch.double)
        return super().evaluation_loop(*args, **kwargs)

    def score(self) -> dict[str, float]:
        if self.eval_dataset is None:
            return {}
        sums = self.accelerator.reduce(self._sums.to(self.args.device), "sum")
        return dict(zip(self.names("eval_"), (sums[:, :2] / sums[:, 2:]).flatten().tolist(), strict=True))

    def differences(self) -> dict[str, float]:
        """The largest difference of a family's two losses on any batch of training; for all processes to ask."""
        own = torch.tensor([self.meters[f"difference_{family}"] for family in self.families], device=self.args.device)
        largest = self.accelerator.gather(own[None]).amax(0)
        return dict(zip(self.families, largest.tolist(), strict=True))
