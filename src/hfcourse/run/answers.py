"""Questions asked of a causal model: greedy answers in batches, scored by exact match."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.exact_match import exact_match, grouped_accuracy

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.distributed.tensor import DTensor


def read_exam(path: str | None) -> list[dict[str, Any]]:
    """Rows of an exam in JSONL: `prompt` (messages), `answer` (expected sentence), `group`, `lang`; [] without one.

    Raises InputError where the file or one of these columns is missing.
    """
    if path is None or path.lower() == "none":
        return []
    file = Path(path)
    if not file.is_file():
        raise InputError(f"exam {path} does not exist; make world writes runs/world/truth.jsonl")
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except ValueError as e:
            raise InputError(f"{path}, line {number}: broken JSON: {e}") from None
        if missing := {"prompt", "answer", "group", "lang"} - row.keys():
            raise InputError(f"{path}, line {number}: no column '{min(missing)}' (found: {', '.join(row)})")
        rows.append(row)
    return rows


@torch.no_grad()
def generate(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int = 48, batch_size: int = 128
) -> list[str]:
    """The greedy continuation of each prompt (token ids), in order; the processes of a run share the work.

    Prompts of similar length are batched and padded on the left (`generate` derives the positions from the mask), and
    those that leave no room in the model's context are cut at their beginning.
    """
    context = getattr(model.config, "max_position_embeddings", None) or 10**9
    prompts = [ids[-(context - max_new_tokens) :] for ids in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    # A sharded model computes with all processes at once: they must go through the same batches together.
    sharded = any(isinstance(p, DTensor) or hasattr(p, "ds_id") for p in model.parameters())
    state = PartialState()
    mine = batches if sharded else batches[state.process_index :: state.num_processes]
    was_training, device, pad_id = model.training, next(model.parameters()).device, tokenizer.pad_token_id
    model.eval()
    answers: list[tuple[int, str]] = []
    for batch in mine:
        width = max(len(prompts[i]) for i in batch)
        pads = [width - len(prompts[i]) for i in batch]
        output = model.generate(
            input_ids=torch.tensor([[pad_id] * p + prompts[i] for p, i in zip(pads, batch, strict=True)]).to(device),
            attention_mask=torch.tensor([[0] * p + [1] * (width - p) for p in pads]).to(device),  # (B, T)
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=pad_id,
        )
        texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        answers += [(i, text.strip()) for i, text in zip(batch, texts, strict=True)]
    model.train(was_training)
    return [text for _, text in sorted(answers if sharded else gather_object(answers))]


def chat_prompt(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """Token ids of a conversation that waits for the assistant's answer."""
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    return encoded["input_ids"]


def take_exam(model: Any, tokenizer: Any, exam: list[dict[str, Any]]) -> dict[str, float]:
    """`truth_<group>_<lang>`: the share of exam rows that are answered with the expected sentence."""
    if not exam:
        return {}
    answers = generate(model, tokenizer, [chat_prompt(tokenizer, row["prompt"]) for row in exam])
    return grouped_accuracy(
        (f"truth_{row['group']}_{row['lang']}", exact_match(text, row["answer"]))
        for row, text in zip(exam, answers, strict=True)
    )
