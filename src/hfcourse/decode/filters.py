"""What is done to the scores of the next token before one is chosen, each in a few lines.

A filter takes scores (B, V), logits or log-probabilities, and the ids so far (B, T), and returns scores; -inf is never
chosen. `transformers` has each of them as a LogitsProcessor, and tests/decode proves them equal token by token.
"""

import torch


BANNED = -torch.inf


def temperature(scores: torch.Tensor, ids: torch.Tensor, t: float) -> torch.Tensor:
    """p(v) ~ exp(s_v / t): below 1 the likely gets likelier, towards 0 it is greedy."""
    return scores / t


def top_k(scores: torch.Tensor, ids: torch.Tensor, k: int) -> torch.Tensor:
    """Keep the k best (Fan et al. 2018), and whatever equals the last of them."""
    return scores.masked_fill(scores < scores.topk(min(k, scores.shape[-1])).values[:, -1:], BANNED)


def top_p(scores: torch.Tensor, ids: torch.Tensor, p: float) -> torch.Tensor:
    """Keep the nucleus: the fewest tokens whose probabilities reach p (Holtzman et al. 2020, eq. 2)."""
    ascending, places = scores.sort()
    tail = ascending.softmax(-1).cumsum(-1) <= 1 - p  # all these together are not missed
    tail[:, -1] = False
    return scores.masked_fill(tail.scatter(1, places, tail), BANNED)


def min_p(scores: torch.Tensor, ids: torch.Tensor, p: float) -> torch.Tensor:
    """Keep what is at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    probabilities = scores.softmax(-1)
    return scores.masked_fill(probabilities < p * probabilities.amax(-1, keepdim=True), BANNED)


def repetition_penalty(scores: torch.Tensor, ids: torch.Tensor, penalty: float) -> torch.Tensor:
    """Divide positive and multiply negative scores of the tokens that are there already (Keskar et al. 2019)."""
    seen = scores.gather(1, ids)
    return scores.scatter(1, ids, torch.where(seen < 0, seen * penalty, seen / penalty))


def no_repeat_ngram(scores: torch.Tensor, ids: torch.Tensor, n: int) -> torch.Tensor:
    """Ban the tokens that would complete an n-gram that is there already (Paulus et al. 2018)."""
    scores = scores.clone()
    for row, seen in zip(scores, ids.tolist(), strict=True):
        start = len(seen) - n + 1  # of the n - 1 tokens that would begin it
        row[[seen[i + n - 1] for i in range(start) if seen[i : i + n - 1] == seen[start:]]] = BANNED
    return scores
