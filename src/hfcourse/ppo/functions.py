"""The mathematics of PPO for language models: pure functions on per-token tensors.

Shapes: B answers, T answer tokens, V vocabulary, D model. Token t of an answer is the action a_t, the prompt and the
tokens before it are the state s_t. `mask` (B, T) is 1 on answer tokens, the end-of-sequence token among them, and 0 on
padding; each row has its ones first. Log-probabilities are in nats. Nothing here depends on what stands on padding.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hfcourse.errors import InputError

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x (B, T) over the tokens that count: ()."""
    return (x * mask).sum() / mask.sum().clamp(min=1)


def whiten(x: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """x (B, T) with variance 1 and, with `shift_mean`, mean 0 over the tokens that count; 0 elsewhere.

    B are the answers of all processes: whitened by the statistics of its own, the same answer would have another
    advantage on another process. The variance is that of a sample (n - 1).
    """
    mean = masked_mean(x, mask)
    variance = ((x - mean).square() * mask).sum() / (mask.sum() - 1).clamp(min=1)
    whitened = (x - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift_mean else whitened + mean) * mask


def kl_estimate(logps: Tensor, ref_logps: Tensor, kind: str = "k1") -> Tensor:
    """Per-token estimates (B, T) of KL(pi || pi_ref) from tokens that pi drew; Schulman 2020, "Approximating KL".

    With r = pi_ref / pi: k1 = -log r (unbiased, may be negative), k2 = (log r)^2 / 2, k3 = r - 1 - log r (unbiased,
    never negative). InstructGPT's penalty is k1. Raises InputError for another kind.
    """
    log_r = ref_logps - logps
    if kind == "k1":
        return -log_r
    if kind == "k2":
        return log_r.square() / 2
    if kind == "k3":
        return log_r.expm1() - log_r
    raise InputError(f"kl_estimator is k1, k2 or k3, not {kind!r}")


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """r_t = -beta kl_t, plus the score of the whole answer at its last token: (B, T) from scores (B,) and kl (B, T).

    Ouyang et al. 2022, eq. 2 without the pre-training term; Ziegler et al. 2019, eq. 2. An answer without a token gets
    no reward.
    """
    rewards = -kl_coef * kl * mask
    last = mask.sum(1).long() - 1  # (B,)
    rows = (last >= 0).nonzero()[:, 0]
    return rewards.index_put((rows, last[rows]), scores[rows].to(rewards.dtype), accumulate=True)


class Advantages(NamedTuple):
    """`advantages` A_t and `returns` A_t + V(s_t), each (B, T)."""

    advantages: Tensor
    returns: Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Advantages:
    """Generalised advantage estimation of rewards and values (B, T); Schulman et al. 2015, eq. 16.

    delta_t = r_t + gamma V(s_t+1) - V(s_t) and A_t = delta_t + gamma lambda A_t+1, with 0 behind the last token: an
    answer ends there, whether by its end-of-sequence token or by its length.
    """
    rewards, values = rewards * mask, values * mask
    advantages = torch.zeros_like(rewards)
    after = rewards.new_zeros(len(rewards))  # A_t+1 (B,)
    next_value = after
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        after = delta + gamma * lam * after
        advantages[:, t], next_value = after, values[:, t]
    advantages = advantages * mask
    return Advantages(advantages, advantages + values)


class TokenLoss(NamedTuple):
    """`loss` of each token and whether clipping is what decided it, each (B, T)."""

    loss: Tensor
    clipped: Tensor


def policy_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, cliprange: float) -> TokenLoss:
    """-min(rho A, clip(rho, 1 - eps, 1 + eps) A) with rho = pi / pi_old, all (B, T); Schulman et al. 2017, eq. 7."""
    ratio = (logps - old_logps).exp()
    free = -ratio * advantages
    clipped = -ratio.clamp(1 - cliprange, 1 + cliprange) * advantages
    return TokenLoss(torch.maximum(free, clipped), clipped > free)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, cliprange: float | None) -> TokenLoss:
    """1/2 max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2), all (B, T); without a clip range, 1/2 (V - R)^2.

    The clipping is that of OpenAI's baselines ("PPO2") and of Stiennon et al. 2020's code; no paper has it.
    """
    free = (values - returns).square()
    if cliprange is None:
        return TokenLoss(free / 2, torch.zeros_like(free, dtype=torch.bool))
    near = torch.minimum(torch.maximum(values, old_values - cliprange), old_values + cliprange)
    clipped = (near - returns).square()
    return TokenLoss(torch.maximum(free, clipped) / 2, clipped > free)


def log_probs_and_entropy(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """log p of tokens (N,) and entropy -sum p log p, each (N,) in nats, of logits (N, V); computed in float32."""
    log_p = logits.float().log_softmax(-1)
    return log_p.gather(-1, tokens[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(R - V) / Var(R) over the tokens that count: 1 for a critic that knows, 0 for a constant one."""

    def variance(x: Tensor) -> Tensor:
        return masked_mean((x - masked_mean(x, mask)).square(), mask)

    spread = variance(returns)
    return 1 - variance(returns - values) / spread if spread > 0 else torch.zeros_like(spread)


@dataclass
class AdaptiveKL:
    """Steers the KL coefficient so that the KL of an answer stays at `target` nats; Ziegler et al. 2019, section 2.2.

    e = clip(KL / target - 1, -0.2, 0.2) and beta <- beta (1 + e n / horizon) after n answers. Without a target, beta
    stays what it is.
    """

    coef: float
    target: float | None = None
    horizon: int = 10_000

    def update(self, kl: float, answers: int) -> None:
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coef *= 1 + error * answers / self.horizon
