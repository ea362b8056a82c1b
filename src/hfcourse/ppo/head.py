"""The language-model head on a CPU: how likely given tokens are, without filling memory with logits."""

from typing import Any

import torch
from torch import Tensor


# Logits that are worked on at a time: enough for fast matrix products, few enough for the processor's caches.
PART = 2**21


class TokenLogProbs(torch.autograd.Function):
    """log p(y) of tokens y (N,) and the entropy, each (N,) in nats, of softmax(h W^T); h (N, D), W (V, D), in float32.

    Autograd holds several tensors (N, V) for log_softmax, exp and gather. On a CPU, filling new memory takes longer
    than the arithmetic, so this one fills a single such tensor, and none where no gradient is wanted. By hand:
    d log p(y) / d logit_v = [v = y] - p_v and dH / d logit_v = -p_v (log p_v + H).
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, tokens: Tensor, with_entropy: bool, keep: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`keep` is whether there will be a backward pass; without `with_entropy` the entropy is None."""
        count, vocabulary = len(hidden), len(weight)
        size = min(max(PART // vocabulary, 1), count)
        logps, entropy = hidden.new_empty(count), hidden.new_empty(count)
        logits = hidden.new_empty(size, vocabulary)
        p = hidden.new_empty(count if keep else size, vocabulary)
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            x = torch.mm(hidden[rows], weight.t(), out=logits[: rows.stop - start])
            x -= x.amax(-1, keepdim=True)
            e = torch.exp(x, out=p[rows] if keep else p[: len(x)])
            total = e.sum(-1)
            logps[rows] = x.gather(1, tokens[rows, None])[:, 0] - total.log()
            if with_entropy:
                entropy[rows] = total.log() - torch.linalg.vecdot(e, x) / total
            if keep:
                e /= total[:, None]
        if keep:
            ctx.save_for_backward(hidden, weight, tokens, entropy, p)
            ctx.set_materialize_grads(False)
        return logps, entropy if with_entropy else None

    @staticmethod
    @torch.autograd.function.once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        of_logps, of_entropy = grad_outputs
        hidden, weight, tokens, entropy, p = ctx.saved_tensors
        by_entropy = None
        if of_entropy is not None:
            by_entropy = (torch.special.entr(p) - p * entropy[:, None]) * of_entropy[:, None]
        of_logps = torch.zeros_like(entropy) if of_logps is None else of_logps
        of_logits = p.mul_(-of_logps[:, None]).scatter_add_(1, tokens[:, None], of_logps[:, None])  # in p's memory
        if by_entropy is not None:
            of_logits += by_entropy
        of_hidden = of_logits @ weight if ctx.needs_input_grad[0] else None
        of_weight = of_logits.t() @ hidden if ctx.needs_input_grad[1] else None
        return of_hidden, of_weight, None, None, None
