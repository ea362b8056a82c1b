"""Masked language models that project what they must predict, and nothing else, on the vocabulary."""

import functools
import types
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import MaskedLMOutput


def project_masked_only(model: Any) -> None:
    """Let a *ForMaskedLM, given labels (B, T), compute logits for the N labelled positions only: (1, N, V).

    The hidden states (B, T, D) of its base model are cut down to (1, N, D) before the model's own head, whatever that
    is: with 15 % of the tokens masked it works on 15 % of them, and the B x T x V logits never exist. The loss is the
    mean over the N positions or, with `num_items_in_batch`, their sum divided by that number, so that a batch may be
    computed in parts. Loss and gradients are those of the full projection. Without labels nothing changes.
    """
    full = model.forward

    # The Trainer reads the signature to know which columns the model takes.
    @functools.wraps(type(model).forward)
    def forward(
        self: Any, *args: Any, labels: Tensor | None = None, num_items_in_batch: Any = None, **kwargs: Any
    ) -> MaskedLMOutput:
        if labels is None:
            return full(*args, **kwargs)
        masked = labels != -100

        def keep_masked(module: Any, inputs: Any, output: Any) -> Any:
            output["last_hidden_state"] = output["last_hidden_state"][masked][None]
            return output

        hook = self.base_model.register_forward_hook(keep_masked)
        try:
            logits = full(*args, **{**kwargs, "return_dict": True}).logits
        finally:
            hook.remove()
        count = masked.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        loss = F.cross_entropy(logits[0].float(), labels[masked], reduction="sum") / count
        return MaskedLMOutput(loss=loss, logits=logits)

    model.forward = types.MethodType(forward, model)
    model.accepts_loss_kwargs = True
