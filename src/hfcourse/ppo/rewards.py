"""Rewards: models that score an answer as they were trained to read it, and functions that are checked.

A reward function takes `prompts`, `completions` (texts or lists of messages), `completion_ids` and the other columns
of the data by name, and returns a number for each answer, or None where it has nothing to say about one.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.conduct import text_of
from hfcourse.ppo.scoring import by_length

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel


class RewardModel:
    """A sequence classifier as a reward function, with a tokenizer of its own: it reads text, not the policy's tokens.

    Args:
        model: a classifier with one label, or with several of which `label` names one, whose logit is the score.
        tokenizer: the model's own. Conversations are rendered by its chat template, plain text is prompt and answer
            with the end-of-sequence token behind an answer that ended: as TRL's RewardTrainer has it.
        batch_size: rows at a time.
        name: what the logs call it.

    Raises InputError for several labels without a `label`, and for a label that there is not.
    """

    def __init__(
        self, model: Any, tokenizer: Any, label: str | None = None, batch_size: int = 64, name: str | None = None
    ):
        self.model, self.tokenizer, self.batch_size = model.eval().requires_grad_(False), tokenizer, batch_size
        self.column = _column(model.config, label, name or "the reward model")
        self.__name__ = name or str(model.config._name_or_path).rstrip("/").split("/")[-1] or type(model).__name__
        self.eos_token_ids: set[int] = set()  # the policy's, given by the trainer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id  # a decoder's score is that of the last other token
        limit = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
        self.limit = min(limit, tokenizer.model_max_length)

    @classmethod
    def from_pretrained(
        cls, name: str, label: str | None = None, batch_size: int = 64, revision: str | None = None, **kwargs: Any
    ) -> "RewardModel":
        """From a folder or the Hub."""
        _column(AutoConfig.from_pretrained(name, revision=revision), label, name)  # before a head would be drawn anew
        model = AutoModelForSequenceClassification.from_pretrained(name, revision=revision, **kwargs)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        return cls(model, tokenizer, label, batch_size, name.rstrip("/").split("/")[-1])

    def __call__(
        self, prompts: list[Any], completions: list[Any], completion_ids: list[list[int]] | None = None, **columns: Any
    ) -> list[float]:
        """One score an answer."""
        ended = [bool(ids) and ids[-1] in self.eos_token_ids for ids in completion_ids or [[]] * len(prompts)]
        rows = [self.encode(*row) for row in zip(prompts, completions, ended, strict=True)]
        return self.score(rows)

    def encode(self, prompt: Any, completion: Any, ended: bool) -> list[int]:
        """Token ids of prompt and answer; of those too long for the model, the last that fit."""
        if isinstance(prompt, str):
            text = prompt + completion + ((self.tokenizer.eos_token or "") if ended else "")
            ids = self.tokenizer(text)["input_ids"]
        elif self.tokenizer.chat_template is None:
            raise InputError(f"the reward model {self.__name__} has no chat template for conversations")
        else:
            ids = self.tokenizer.apply_chat_template(prompt + completion, tokenize=True, return_dict=True)["input_ids"]
        return ids[-self.limit :]

    @torch.inference_mode()
    def score(self, rows: list[list[int]]) -> list[float]:
        """The logit of each row of token ids, rows of similar length together."""
        device = next(self.model.parameters()).device
        scores = torch.zeros(len(rows))
        for part in by_length(torch.tensor([len(ids) for ids in rows]), self.batch_size):
            batch = self.tokenizer.pad(
                {"input_ids": [rows[i] for i in part]}, padding_side="right", return_tensors="pt"
            ).to(device)
            inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
            scores[part] = self.model(**inputs).logits[:, self.column].float().cpu()
        return scores.tolist()


def _column(config: Any, label: str | None, name: str) -> int:
    columns = {name: int(column) for column, name in config.id2label.items()}  # label2id is missing from some configs
    names = list(columns)
    if label is not None:
        if label not in names:
            raise InputError(f"{name} has no label {label!r}, it has {', '.join(names)}")
        return columns[label]
    if config.num_labels != 1:
        raise InputError(
            f"{name} has {config.num_labels} labels ({', '.join(names)}), and a reward is one number: name the label "
            "whose logit it is"
        )
    return 0


def checked(function: Callable[..., Any], name: str) -> Callable[..., list[float | None]]:
    """The same reward function, which raises InputError with the row for a count or a number that can't be used."""

    @functools.wraps(function, updated=())
    def call(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
        given = function(prompts=prompts, completions=completions, **columns)
        scores = given.tolist() if hasattr(given, "tolist") else list(given)
        if len(scores) != len(completions):
            raise InputError(
                f"the reward function {name} returned {len(scores)} rewards for {len(completions)} answers"
            )
        for row, score in enumerate(scores):
            if score is not None and not (isinstance(score, int | float) and math.isfinite(score)):
                raise InputError(
                    f"the reward function {name} returned {score!r} {about(row, prompts[row], completions[row])}"
                )
        return scores

    call.__name__ = name
    return call


def about(row: int, prompt: Any, completion: Any) -> str:
    """Names a row of a rollout in an error."""
    return f"for row {row} of its batch: prompt {text_of(prompt)!r}, answer {text_of(completion)!r}"


def as_reward(reward: Any) -> Any:
    """A RewardModel for the name of one or for a classifier that has its tokenizer beside it; else what was given."""
    if isinstance(reward, str):
        return RewardModel.from_pretrained(reward)
    if isinstance(reward, PreTrainedModel):
        return RewardModel(reward, AutoTokenizer.from_pretrained(reward.config._name_or_path))
    return reward
