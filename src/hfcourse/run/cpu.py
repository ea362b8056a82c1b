"""What makes training on a CPU quick and changes no result: no work on padding, none on ignored tokens."""

import functools
import types
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F
from trl.trainer.utils import FusedCausalLMOutput


# What one more forward and backward costs, in tokens: measured with two and with four small layers on two cores.
OVERHEAD = 150
MOST_PARTS = 4
# Attributes by which a config says that logits are more than hidden states times the head's weights.
LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


def split_by_length(inputs: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Split a right-padded batch (B, T) into at most four parts, rows of similar length, as wide as the longest.

    The cut points cost the fewest padded tokens, by dynamic programming over the sorted lengths. Losses that are
    summed over tokens and divided by the batch's count, and their gradients, stay what they are. A batch without an
    attention mask, or with tensors that are not (B, T), stays whole.
    """
    mask = inputs.get("attention_mask")
    if mask is None or any(v.shape != mask.shape for v in inputs.values()) or bool((mask.diff(dim=1) > 0).any()):
        return [inputs]
    lengths, order = mask.sum(1).sort()
    sizes = lengths.tolist()
    bounds = _cuts(sizes)
    if len(bounds) == 2:
        return [inputs]
    return [
        {name: value[order[a:b], : sizes[b - 1]].contiguous() for name, value in inputs.items()}
        for a, b in pairwise(bounds)
    ]


def _cuts(sizes: list[int]) -> list[int]:
    """Bounds 0 = c0 < ... < cn = B, n <= MOST_PARTS, with the least sum of rows x longest row + OVERHEAD."""
    best: list[dict[int, tuple[int, list[int]]]] = [{0: (0, [0])}]
    for _ in range(MOST_PARTS):
        reached: dict[int, tuple[int, list[int]]] = {}
        for start, (cost, bounds) in best[-1].items():
            for end in range(start + 1, len(sizes) + 1):
                total = cost + (end - start) * sizes[end - 1] + OVERHEAD
                if end not in reached or total < reached[end][0]:
                    reached[end] = (total, [*bounds, end])
        best.append(reached)
    return min(level[len(sizes)] for level in best[1:] if len(sizes) in level)[1]


def use_compact_head(model: Any) -> bool:
    """Let TRL's fused LM head look at counted positions only, in one piece; True where this was possible.

    TRL does so on GPUs; elsewhere it projects every position, padding and prompt included, and once more in backward,
    which saves memory that a CPU has. Call it after the trainer is built. Heads with a bias, with adapters or with
    changed logits are left to TRL.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = base.get_output_embeddings()
    config = base.config.get_text_config()
    if type(head) is not torch.nn.Linear or any(getattr(config, name, None) is not None for name in LOGIT_CHANGES):
        return False
    fused = base.forward

    # `generate` reads the signature to know whether it may pass positions, without which left padding shifts them.
    @functools.wraps(type(base).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None or kwargs.get("output_router_logits"):
            return fused(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        count = kwargs.pop("num_items_in_batch", None)
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state[:, :-1]  # (B, T-1, D)
        mask = labels[:, 1:] != -100  # (B, T-1)
        targets = labels[:, 1:][mask]  # (N,)
        logits = F.linear(hidden[mask], head.weight, head.bias).float().log_softmax(-1)  # (N, V)
        log_probs = logits.gather(1, targets[:, None])[:, 0]
        with torch.no_grad():
            entropy = -(logits.exp() * logits).sum(-1)
            is_top1 = logits.argmax(-1) == targets

        def spread(values: torch.Tensor) -> torch.Tensor:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

        loss = -log_probs.sum() / (mask.sum().clamp(min=1) if count is None else count)
        return FusedCausalLMOutput(
            loss=loss,
            log_probs=spread(log_probs),
            entropy=spread(entropy),
            is_top1=spread(is_top1),
            label_mask=mask,
        )

    base.forward = types.MethodType(forward, base)
    return True
