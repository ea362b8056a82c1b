"""Texts that a model generates, in batches; and questions asked of a causal one, scored by exact match."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hfcourse.errors import InputError
from hfcourse.metrics.exact_match import exact_match, grouped_accuracy

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.distributed.tensor import DTensor


T = TypeVar("T")
TRUTH = ("prompt", "answer", "group", "lang")


def read_exam(
    path: str | None, columns: Sequence[str] = TRUTH, parse: Callable[[dict[str, Any]], Any] = dict
) -> list[Any]:
    """What `parse` makes of each row of an exam in JSONL; [] without an exam.

    Its columns are by default `prompt` (messages), `answer` (expected sentence), `group` and `lang`. Raises InputError
    with file and line where the file or one of the columns is missing, or where `parse` raises it for a row.
    """
    if path is None or path.lower() == "none":
        return []
    file = Path(path)
    if not file.is_file():
        raise InputError(f"exam {path} does not exist; make world writes truth.jsonl and cloze.jsonl into runs/world")
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except ValueError as e:
            raise InputError(f"{path}, line {number}: broken JSON: {e}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected an object, found {line[:40]}")
        if missing := set(columns) - row.keys():
            raise InputError(f"{path}, line {number}: no column '{min(missing)}' (found: {', '.join(row)})")
        try:
            rows.append(parse(row))
        except InputError as e:
            raise InputError(f"{path}, line {number}: {e}") from None
    return rows


def share_out(model: Any, lengths: Sequence[int], act: Callable[[list[int]], list[T]], batch_size: int) -> list[T]:
    """`act(indices)` for batches of rows of similar length, in the order of the rows, with the model in eval mode.

    The processes of a run share the work, and each gets all results.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    # A sharded model computes with all processes at once: they must go through the same batches together.
    sharded = any(isinstance(p, DTensor) or hasattr(p, "ds_id") for p in model.parameters())
    state = PartialState()
    mine = batches if sharded else batches[state.process_index :: state.num_processes]
    was_training = model.training
    model.eval()
    results = [pair for batch in mine for pair in zip(batch, act(batch), strict=True)]
    model.train(was_training)
    return [result for _, result in sorted(results if sharded else gather_object(results), key=lambda pair: pair[0])]


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    max_new_tokens: int = 48,
    batch_size: int = 128,
    num_beams: int = 1,
) -> list[str]:
    """What the model writes for each prompt (token ids), in order; the processes of a run share the work.

    Greedy, or the best of `num_beams`. Prompts of similar length are batched. A causal model continues its prompt:
    they are padded on the left (`generate` derives the positions from the mask), and those that leave no room in the
    model's context are cut at their beginning. An encoder-decoder reads its prompt, padded on the right.
    """
    causal = not model.config.is_encoder_decoder
    if causal:
        context = getattr(model.config, "max_position_embeddings", None) or 10**9
        prompts = [ids[-(context - max_new_tokens) :] for ids in prompts]
    device, pad_id = next(model.parameters()).device, tokenizer.pad_token_id

    def write(batch: list[int]) -> list[str]:
        width = max(len(prompts[i]) for i in batch)
        rows = [_padded(prompts[i], pad_id, width, left=causal) for i in batch]
        mask = [_padded([1] * len(prompts[i]), 0, width, left=causal) for i in batch]
        output = model.generate(
            input_ids=torch.tensor(rows).to(device),
            attention_mask=torch.tensor(mask).to(device),  # (B, T)
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=num_beams,
            pad_token_id=pad_id,
        )
        texts = tokenizer.batch_decode(output[:, width:] if causal else output, skip_special_tokens=True)
        return [text.strip() for text in texts]

    return share_out(model, [len(ids) for ids in prompts], write, batch_size)


def _padded(ids: list[int], value: int, width: int, left: bool) -> list[int]:
    pads = [value] * (width - len(ids))
    return pads + ids if left else ids + pads


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
