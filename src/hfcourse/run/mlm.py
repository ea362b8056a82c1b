"""Training and judging a masked language model."""

from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.fill_mask import Cloze, fact_accuracy, fill
from hfcourse.run.masked_head import project_masked_only
from hfcourse.run.trainer import RunTrainer

import torch


# What stands in the place of a token that is to be predicted.
KINDS = ("mask", "random", "kept")


class MaskedTrainer(RunTrainer):
    """A Trainer that projects masked positions only and measures, at each evaluation, what of them is guessed right.

    `masked_accuracy` is the share of the evaluation's masked tokens whose likeliest token is the right one;
    `masked_accuracy_mask`, `_random` and `_kept` are those behind a mask token, behind a random one, and in plain
    sight. With `questions` also their `fact_accuracy_<lang>`, and `answers`, the pieces last filled into each gap.
    """

    causal = False

    def __init__(self, *args: Any, questions: list[Cloze] | None = None, **kwargs: Any):
        if kwargs["args"].label_smoothing_factor:
            raise InputError("--label_smoothing_factor is not for masked training: the loss would give no perplexity")
        project_masked_only(kwargs["model"])
        super().__init__(*args, **kwargs)
        self.mask_id: int = kwargs["processing_class"].mask_token_id
        self.questions = questions or []
        self.answers: list[list[int]] = []
        self._guessed = torch.zeros(len(KINDS), 2, dtype=torch.double)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._guessed = torch.zeros(len(KINDS), 2, dtype=torch.double)
        return super().evaluation_loop(*args, **kwargs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self._predicting:
            self._count(inputs, outputs.logits)
        return (loss, outputs) if return_outputs else loss

    def _count(self, inputs: dict[str, Any], logits: torch.Tensor) -> None:
        """Add the batch's right and all predictions, by kind; logits (1, N, V) of the N labels that count."""
        masked = inputs["labels"] != -100
        seen, wanted = inputs["input_ids"][masked], inputs["labels"][masked]  # (N,)
        right = logits[0].argmax(-1) == wanted
        hidden, kept = seen == self.mask_id, seen == wanted
        for row, kind in zip(self._guessed, (hidden, ~hidden & ~kept, kept), strict=True):
            row += torch.stack([(kind & right).sum(), kind.sum()]).double().cpu()

    def score(self) -> dict[str, float]:
        guessed = self.accelerator.reduce(self._guessed.to(self.args.device), "sum")  # (kinds, 2)
        named = zip(("", *(f"_{kind}" for kind in KINDS)), [guessed.sum(0), *guessed], strict=True)
        scores = {f"masked_accuracy{name}": (right / total).item() for name, (right, total) in named if total > 0}
        model = self.accelerator.unwrap_model(self.model)
        self.answers = fill(model, self.processing_class, self.questions)
        return scores | fact_accuracy(self.questions, self.answers)
