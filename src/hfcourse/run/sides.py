"""The same model trained on two texts in lock-step, raw and cleaned, and what each side then knows by heart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.lockstep import LockstepTrainer
from hfcourse.run.models import from_scratch, longest_input

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import set_seed


SIDES = ("raw", "clean")
# Of the names of a batch's tensors: the first side's have none.
PREFIXES = ("", "clean.")
Document = dict[str, Any]


class Sides(nn.Module):
    """Two models from the same random weights."""

    # The Trainer asks for it where a checkpoint lacks a weight, as it lacks the second name of a tied one.
    _keys_to_ignore_on_save = None

    def __init__(self, architecture: dict[str, Any], tokenizer: Any, seed: int):
        super().__init__()
        self.models = nn.ModuleDict()
        for side in SIDES:
            set_seed(seed)
            self.models[side] = from_scratch("causal", architecture, tokenizer)

    def forward(self, **inputs: Tensor) -> Tensor:
        """The mean losses (2,) on a batch of `hfcourse.data.objectives.Together`."""
        losses = []
        for prefix, model in zip(PREFIXES, self.models.values(), strict=True):
            batch = {name: inputs[prefix + name] for name in ("input_ids", "attention_mask", "labels")}
            losses.append(model(**batch).loss)
        return torch.stack(losses)


class SidesTrainer(LockstepTrainer):
    """Trains Sides: `loss_raw`, `loss_clean`, and on the same held-out text eval_loss_raw, eval_loss_clean."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs["args"].remove_unused_columns = False  # the collator reads both sides
        super().__init__(*args, named=dict(kwargs["model"].models.items()), **kwargs)
        self.causal = True

    def counts(self, inputs: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.counted(inputs[f"{prefix}labels"]) for prefix in PREFIXES])

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        for prefix in PREFIXES[1:]:  # the first side's are the base class's
            self._ignore_repeated_rows(inputs[f"{prefix}labels"])
        return super().prediction_step(model, inputs, *args, **kwargs)


def side_by_side(raw: Dataset, clean: Dataset) -> Dataset:
    """Rows {"raw": {"input_ids"}, "clean": {"input_ids"}}: as many as the longer side has; the other begins again."""
    size = max(len(raw), len(clean))

    def pair(index: int) -> dict[str, dict[str, list[int]]]:
        return {
            name: {"input_ids": s[index % len(s)]["input_ids"]} for name, s in zip(SIDES, (raw, clean), strict=True)
        }

    return Dataset.from_list([pair(index) for index in range(size)])


@dataclass
class Question:
    """What one side is asked: the ids of a prompt, and those of what may follow it, the right one first."""

    prompt: list[int]
    choices: list[list[int]]


def choose_texts(kept: Sequence[Document], tokenizer: Any, length: int, most: int = 100) -> dict[str, list[list[int]]]:
    """The first `length` tokens of up to `most` kept texts that had copies, and of as many that had none.

    Copied are those with at least half as many copies as the text that has the most. Texts in which something was
    masked are left out: the raw side never read them like that.
    """
    whole = [doc for doc in kept if not any(mask in doc["text"] for mask in ("[EMAIL]", "[PHONE]", "[ID]"))]
    copies = [doc.get("duplicate_count", 0) + doc.get("minhash_cluster_size", 1) - 1 for doc in whole]
    ids = tokenizer([doc["text"] for doc in whole], add_special_tokens=False)["input_ids"] if whole else []
    order = sorted((i for i, row in enumerate(ids) if len(row) >= length), key=lambda i: -copies[i])
    copied = [ids[i][:length] for i in order if copies[i] >= max(copies[order[0]] / 2, 1)][:most]
    single = [ids[i][:length] for i in order if copies[i] == 0][: len(copied)]
    return {"copied": copied, "single": single}


def ask(exam: Sequence[Document], leaked: set[int], tokenizer: Any, most: int) -> dict[str, list[Question]]:
    """The rows of an exam that can be asked, those that leaked and the others.

    A prompt that with its longest choice has more than `most` tokens loses its beginning.
    """
    found: dict[str, list[Question]] = {"leaked": [], "unseen": []}
    for number, row in enumerate(exam):
        if not row["prompt"]:
            continue
        # What stands between question and answer belongs to the answer: byte-level BPE has spaces at the beginning.
        behind = row["text"].removeprefix(row["prompt"])
        gap = behind[: len(behind) - len(behind.lstrip())] if row["text"].startswith(row["prompt"]) else " "
        order = [row["answer"], *(choice for choice in row["choices"] if choice != row["answer"])]
        texts = [row["prompt"], *(gap + choice for choice in order)]
        prompt, *choices = tokenizer(texts, add_special_tokens=False)["input_ids"]
        prompt = prompt[max(len(prompt) + max(map(len, choices)) - most, 0) :]
        found["leaked" if number in leaked else "unseen"].append(Question(prompt, choices))
    return found


@torch.no_grad()
def recites(model: Any, texts: Sequence[list[int]], prompt: int, batch_size: int = 32) -> float:
    """Share of texts (ids, all of one length) that greedy decoding continues word for word after `prompt` tokens.

    Carlini et al. 2023, "Quantifying memorization across neural language models": what k tokens of context extract.
    """
    right = 0
    for start in range(0, len(texts), batch_size):
        ids = torch.tensor(texts[start : start + batch_size], device=model.device)  # (B, T)
        # All are right where each token is the likeliest after the right ones before it: one pass in place of T.
        guessed = model(input_ids=ids).logits[:, prompt - 1 : -1].argmax(-1)
        right += int((guessed == ids[:, prompt:]).all(1).sum())
    return right / max(len(texts), 1)


@torch.no_grad()
def answers(model: Any, questions: Sequence[Question]) -> float:
    """Share of questions whose right choice has the highest mean log-probability per token."""
    right = 0
    for question in questions:
        width = max(map(len, question.choices))
        rows = [question.prompt + choice + [0] * (width - len(choice)) for choice in question.choices]
        ids = torch.tensor(rows, device=model.device)  # (choices, T); what follows a choice changes nothing before it
        logprobs = model(input_ids=ids).logits[:, len(question.prompt) - 1 : -1].float().log_softmax(-1)
        own = logprobs.gather(2, ids[:, len(question.prompt) :, None])[..., 0]  # (choices, width)
        means = [own[i, : len(choice)].mean().item() for i, choice in enumerate(question.choices)]
        right += means[0] == max(means) and means.count(means[0]) == 1
    return right / max(len(questions), 1)


class Memory:
    """What the two models of a trainer know by heart, and how well they predict held-out text."""

    def __init__(
        self, trainer: SidesTrainer, kept: Sequence[Document], exam: Sequence[Document], leaked: set[int], prompt: int
    ):
        """`kept`: documents of `hfcourse.clean.report`; `leaked`: numbers of rows of `exam`; `prompt` in tokens.

        Raises InputError for a prompt that the models have no positions for.
        """
        self.trainer, self.prompt, tokenizer = trainer, prompt, trainer.processing_class
        most = longest_input(trainer.named["raw"], tokenizer)
        if not 1 <= prompt <= most // 2:
            raise InputError(f"--prompt_tokens {prompt}: expected 1 to {most // 2}, half of the model's positions")
        self.texts = choose_texts(kept, tokenizer, 2 * prompt)
        self.exams = ask(exam, leaked, tokenizer, most)

    def measure(self) -> dict[str, float]:
        """perplexity_<side>, recited_copied_<side> and so on; what there is nothing of is left out."""
        found = self.trainer.evaluate()
        metrics = {f"perplexity_{side}": math.exp(found[f"eval_loss_{side}"]) for side in SIDES}
        for side, model in self.trainer.named.items():
            was_training = model.training
            model.eval()
            texts = {name: rows for name, rows in self.texts.items() if rows}
            exams = {name: rows for name, rows in self.exams.items() if rows}
            metrics |= {f"recited_{name}_{side}": recites(model, rows, self.prompt) for name, rows in texts.items()}
            metrics |= {f"exam_{name}_{side}": answers(model, rows) for name, rows in exams.items()}
            model.train(was_training)
        return metrics
