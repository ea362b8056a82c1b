"""Texts that a reward model goes on reading: it predicts them, and scores their words above others."""

from dataclasses import dataclass, field
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.models import load

import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM
from trl import ModelConfig


@dataclass
class KeepArguments:
    """Texts that a reward model goes on reading, so that it keeps what it knows and learns to judge by it.

    It goes on predicting them by the head that it had, if it had one (Yang et al. 2024, "Regularizing Hidden States
    Enables Learning Generalizable Reward Model"), and scores each of their tokens higher than a rival, another that
    could stand there.
    """

    keep_texts: str | None = field(default=None, metadata={"help": "Texts to go on reading, to keep what they say."})
    rival_coef: float = field(default=0.0, metadata={"help": "Weight of scoring their tokens above rivals."})
    kept_steps: int = field(default=0, metadata={"help": "First steps, on these texts alone."})

    def check_keep(self) -> None:
        """Raises InputError for what makes no sense without texts."""
        if not self.keep_texts and (self.rival_coef or self.kept_steps):
            raise InputError("--rival_coef and --kept_steps are about the texts of --keep_texts, and there are none")


def predicting_head(args: ModelConfig) -> torch.Tensor | None:
    """Weights (V, D) with which the model that `args` names predicts tokens, None for a reward model: it does not."""
    config = load(AutoConfig, str(args.model_name_or_path), args.model_revision)
    if any(name.endswith("ForSequenceClassification") for name in config.architectures or []):
        return None
    model = load(AutoModelForCausalLM, str(args.model_name_or_path), args.model_revision, dtype=torch.float32)
    return model.get_output_embeddings().weight.detach()


def predicting_loss(hidden: torch.Tensor, head: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens of each text but its first of -log p: hidden (B, T, D), head (V, D), ids (B, T) -> (B,)."""
    counted = mask[:, 1:].bool()
    states, targets = hidden[:, :-1][counted], ids[:, 1:][counted]  # (N, D), (N,)
    losses = F.cross_entropy((states @ head.to(states).T).float(), targets, reduction="none")
    return _mean(losses, counted)


def beside(ids: torch.Tensor, rivals: torch.Tensor, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Texts (B, T) with their rivals (B, T) beside them, as what a model takes: one row of 2 T tokens each.

    Rival t has the position of token t and sees the tokens before it and itself; no token sees a rival. So each is
    read as if it stood in the text, and the text as if there were none. A bias says who sees whom: 0 or the least
    number of `dtype`, (B, 1, 2 T, 2 T), which SDPA and eager attention take.
    """
    count, length = ids.shape
    earlier = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril(-1)
    itself = torch.eye(length, dtype=torch.bool, device=ids.device)
    seen = torch.cat(
        [torch.cat([earlier | itself, torch.zeros_like(itself)], 1), torch.cat([earlier, itself], 1)]
    )  # (2 T, 2 T)
    bias = torch.zeros(seen.shape, dtype=dtype, device=ids.device).masked_fill(~seen, torch.finfo(dtype).min)
    return {
        "input_ids": torch.cat([ids, rivals], 1),
        "attention_mask": bias.expand(count, 1, -1, -1),
        "position_ids": torch.arange(length, device=ids.device).repeat(2).expand(count, -1),
    }


def rival_loss(
    scores: torch.Tensor, ids: torch.Tensor, rivals: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each text (B,), and the share of tokens with a higher score than their rivals.

    scores (B, 2 T) at each token and each rival, ids, rivals, mask (B, T). The mean over places where the rival is
    another token of -log sigmoid(r(token) - r(rival)): a text is better than the same with its last word replaced
    (Collobert and Weston 2008, section 4), by the loss of a preference.
    """
    counted = mask.bool() & (ids != rivals)
    token, rival = scores.float().chunk(2, dim=1)
    margins = (token - rival)[counted]  # (N,)
    return _mean(-F.logsigmoid(margins), counted), (margins > 0).sum() / max(len(margins), 1)


def _mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean of each row over what counts there, 0 where nothing does: values (N,) in order, counted (B, T) -> (B,)."""
    spread = values.new_zeros(counted.shape).masked_scatter(counted, values)
    return spread.sum(1) / counted.sum(1).clamp(min=1)


class TokenScores:
    """The scores (B, T) at all tokens in the last forward pass of a classifier, which returns one a text."""

    def __init__(self, model: Any):
        if model.config._attn_implementation not in ("sdpa", "eager"):
            raise InputError(
                "--rival_coef hides tokens from one another in a way that only sdpa and eager attention know, not "
                f"{model.config._attn_implementation}"
            )
        self.last = torch.empty(0)
        _score(model).register_forward_hook(self._take)

    def _take(self, module: Any, inputs: Any, output: torch.Tensor) -> None:
        self.last = output[..., 0]


def _score(model: Any) -> Any:
    """The head of a classifier, below whatever wraps it."""
    found = [part for name, part in model.named_modules() if name.rsplit(".", 1)[-1] == "score"]
    if not found:
        raise InputError(f"--rival_coef scores each token with a head named score, which {type(model).__name__} lacks")
    return found[0]
