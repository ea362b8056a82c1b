"""What pre-training is worth: the same short trainings from a checkpoint and from random weights."""

from collections.abc import Callable, Sequence
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.ner import IGNORED, Judge, Tagger, token_loss

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import EvalPrediction, TrainingArguments, get_scheduler, set_seed


START = {"pretrained": True, "random": False}


def read_sizes(text: str | None) -> list[int]:
    """[50, 200] of "50,200"; [] without a text."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdecimal() or int(part) < 1]:
        raise InputError(f"--ablation takes numbers of sentences such as 50,200,1000: found {wrong[0]}")
    return [int(part) for part in parts]


def ablate(
    trainer: Tagger, judge: Judge, sizes: Sequence[int], make_model: Callable[[bool], Any], sentences: int
) -> dict[str, float]:
    """`f1_pretrained_<N>`, `f1_random_<N>` and the same with f1_unseen, after training on N sentences.

    The sentences are the first N of an order drawn with the seed, so that the smaller sets are part of the larger.
    There are half as many steps as in the run, with its batch size, rate and weight decay; the rate falls linearly.
    "Unseen" is an entity that no sentence of the whole training split has: all sizes are asked for the same ones.

    Args:
        trainer: trained; its windows are used, and its arguments.
        make_model: a new model, from the checkpoint (True) or of the same config with random weights (False).
        sentences: how many there are; windows of later numbers hold invented names and are left out.
    """
    training, collator, test = trainer.args, trainer.data_collator, trainer.eval_dataset
    numbers = np.array(trainer.train_dataset["sentence"])  # type: ignore[index]
    order = np.random.default_rng(training.seed).permutation(np.unique(numbers[numbers < sentences]))
    state = PartialState()
    # Each process takes some of the trainings: they are as small as a process's share of one would be.
    jobs = [(size, start) for size in sizes for start in START]
    found: list[tuple[str, float]] = []
    for size, start in jobs[state.process_index :: state.num_processes]:
        rows = trainer.train_dataset.select(np.flatnonzero(np.isin(numbers, order[:size])))  # type: ignore[union-attr]
        set_seed(training.seed)
        model = make_model(START[start]).to(training.device)
        _train(model, rows, collator, training, trainer.state.max_steps // 2)
        scores = judge(predict(model, test, collator, training.per_device_eval_batch_size))
        found += [(f"{name}_{start}_{size}", scores[name]) for name in ("f1", "f1_unseen") if name in scores]
    scores = dict(gather_object(found))
    names = [f"{name}_{start}_{size}" for name in ("f1", "f1_unseen") for size, start in jobs]
    return {name: scores[name] for name in names if name in scores}


def _train(model: Any, rows: Dataset, collator: Callable, training: TrainingArguments, steps: int) -> None:
    random = np.random.default_rng(training.seed)
    features = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows]
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    scheduler = get_scheduler("linear", optimizer, num_warmup_steps=steps // 10, num_training_steps=steps)
    model.train()
    queue: list[int] = []
    for _ in range(steps):
        while len(queue) < min(training.per_device_train_batch_size, len(features)):
            queue += random.permutation(len(features)).tolist()
        chosen, queue = queue[: training.per_device_train_batch_size], queue[training.per_device_train_batch_size :]
        batch = {name: value.to(model.device) for name, value in collator([features[i] for i in chosen]).items()}
        labels = batch.pop("labels")
        loss = token_loss(model(**batch), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()


@torch.no_grad()
def predict(model: Any, rows: Dataset, collator: Callable, batch_size: int) -> EvalPrediction:
    """The best label of each token (N, T), and the labels, padded with -100, of windows in their order."""
    model.eval()
    width = max(rows["length"])
    predictions, label_ids = (np.full((len(rows), width), IGNORED) for _ in range(2))
    features = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows]
    for start in range(0, len(features), batch_size):
        batch = collator(features[start : start + batch_size])
        labels = batch.pop("labels")
        logits = model(**{name: value.to(model.device) for name, value in batch.items()}).logits  # (B, T, L)
        at = slice(start, start + len(labels)), slice(0, labels.shape[1])
        predictions[at], label_ids[at] = logits.argmax(-1).cpu().numpy(), labels.numpy()
    return EvalPrediction(predictions, label_ids)
