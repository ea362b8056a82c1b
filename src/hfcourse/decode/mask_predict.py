"""Generating all at once and in N passes: mask-predict (Ghazvininejad et al. 2019), with a masked language model."""

from collections.abc import Collection
from typing import Any

import torch


@torch.no_grad()
def mask_predict(
    model: Any,
    ids: torch.Tensor,
    mask_id: int,
    passes: int,
    never: Collection[int],
    attention: torch.Tensor | None = None,
) -> torch.Tensor:
    """Fill every mask token of ids (B, T) in `passes` passes, none of them with a token of `never`.

    A pass predicts all masked places at once, each its likeliest token. Then the n least probable of a row's N places
    are masked again, n = N (passes - t) / passes rounded down after pass t (section 3.1, eq. 1); a place that was not
    masked keeps the probability that it had when it was predicted.
    """
    ids, gaps = ids.clone(), ids == mask_id  # (B, T)
    sizes = gaps.sum(1)  # N of each row
    confidence = torch.where(gaps, 0.0, torch.inf)
    for t in range(1, passes + 1):
        masked = ids == mask_id
        scores, tokens = _predict(model, ids, never, attention)
        ids, confidence = torch.where(masked, tokens, ids), torch.where(masked, scores, confidence)
        again = sizes * (passes - t) // passes
        ranks = confidence.argsort(dim=1, stable=True).argsort(1)  # 0 is the least probable
        ids = torch.where(ranks < again[:, None], mask_id, ids)
    return ids


@torch.no_grad()
def left_to_right(
    model: Any, ids: torch.Tensor, mask_id: int, never: Collection[int], attention: torch.Tensor | None = None
) -> torch.Tensor:
    """Fill the mask tokens of ids (B, T) one by one, the first of each row in each pass, seeing those to come."""
    ids = ids.clone()
    while (masked := ids == mask_id).any():
        first = masked & (masked.cumsum(1) == 1)
        ids = torch.where(first, _predict(model, ids, never, attention)[1], ids)
    return ids


def fill_masks(
    model: Any, ids: torch.Tensor, mask_id: int, passes: int | None, never: Collection[int]
) -> torch.Tensor:
    """Fill the mask tokens of ids (B, T) in so many passes, or with None one by one."""
    if passes is None:
        return left_to_right(model, ids, mask_id, never)
    return mask_predict(model, ids, mask_id, passes, never)


def _predict(
    model: Any, ids: torch.Tensor, never: Collection[int], attention: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probability and id (B, T) of the likeliest token at each place."""
    logits = model(input_ids=ids, attention_mask=attention).logits.float()  # (B, T, V)
    logits[..., sorted(never)] = -torch.inf
    probabilities, tokens = logits.softmax(-1).max(-1)
    return probabilities, tokens
