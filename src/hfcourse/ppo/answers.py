"""Answers drawn from a model by given random numbers, and how likely a model finds whole answers."""

from typing import Any

from hfcourse.ppo.functions import log_probs_and_entropy
from hfcourse.ppo.rollout import to_rows
from hfcourse.ppo.scoring import SeededSampler, by_length

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList


@torch.no_grad()
def draw_answers(
    model: Any,
    prompts: list[list[int]],
    draws: Tensor,
    temperature: float,
    pad_id: int,
    eos_ids: list[int],
    **settings: Any,
) -> list[list[int]]:
    """Token ids of an answer to each prompt (token ids), of at most T tokens, drawn by random numbers (B, T)
    on the model's device.

    The end-of-sequence token belongs to the answer, what pads behind it does not, be it the same token or not.
    `settings` are those of `GenerationConfig`.
    """
    device, width = draws.device, max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (width - len(row)) + row for row in prompts], device=device)
    attention = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    config = GenerationConfig(
        max_new_tokens=draws.shape[1], pad_token_id=pad_id, eos_token_id=eos_ids, disable_compile=True, **settings
    )
    sampler = LogitsProcessorList([SeededSampler(draws, temperature)])
    output = model.generate(
        input_ids=ids, attention_mask=attention, generation_config=config, logits_processor=sampler
    )[:, width:]
    ends = torch.isin(output, torch.tensor(eos_ids, device=device))
    lengths = torch.where(ends.any(1), ends.int().argmax(1) + 1, ends.shape[1]).tolist()
    return [row[:n] for row, n in zip(output.tolist(), lengths, strict=True)]


@torch.no_grad()
def answer_log_probs(
    model: Any, prompts: list[list[int]], answers: list[list[int]], pad_id: int, batch_size: int = 64
) -> list[float]:
    """Log-probability in nats of each whole answer (token ids) behind its prompt, rows of similar length together."""
    found = torch.zeros(len(prompts))
    lengths = torch.tensor([len(p) + len(a) for p, a in zip(prompts, answers, strict=True)])
    for part in by_length(lengths, batch_size):
        chosen = [prompts[i] for i in part], [answers[i] for i in part]
        rows = to_rows(*chosen, pad_id, model.device)
        mask = rows["answer_mask"][:, 1:]
        logits = model(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"], use_cache=False).logits
        logps, _ = log_probs_and_entropy(logits[:, :-1][mask], rows["input_ids"][:, 1:][mask])  # (N,)
        found[part] = torch.zeros(mask.shape).masked_scatter(mask.cpu(), logps.cpu()).sum(1)
    return found.tolist()
