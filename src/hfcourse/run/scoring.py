"""What a reward model reads and the score that it gives: the same token ids in training and ever after."""

from collections.abc import Sequence
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.answers import share_out
from hfcourse.run.models import longest_input

import torch
from jinja2 import TemplateError


class Reader:
    """Token ids (T,) of a prompt with one answer to it.

    Messages are rendered by the tokenizer's chat template, as TRL's trainers do. Strings are put together and end
    with the end-of-sequence token. A score without the token that a model learnt to score at is another score.
    """

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer

    def __call__(self, prompt: Any, answer: Any) -> list[int]:
        if isinstance(prompt, str):
            ids = self.tokenizer(prompt + answer, verbose=False)["input_ids"]
            eos = self.tokenizer.eos_token_id
            return ids if ids and ids[-1] == eos else [*ids, eos]
        try:
            return self.tokenizer.apply_chat_template([*prompt, *answer], tokenize=True, return_dict=True)["input_ids"]
        except TemplateError as error:
            raise InputError(f"the chat template refuses the conversation: {error}") from None


class Scorer:
    """A reward model in use: `scorer(prompt, answers)` gives each answer its score.

    Prompt and answers are strings. A model that was trained on conversations reads them as a question and its answer,
    any other as one text. Raises InputError for a model of several labels.
    """

    def __init__(self, model: Any, tokenizer: Any):
        one_label(model.config)
        self.model, self.tokenizer = model.eval(), tokenizer
        self.read, self.longest = Reader(tokenizer), longest_input(model, tokenizer)

    def __call__(self, prompt: str, answers: Sequence[str], batch_size: int = 32) -> list[float]:
        """Scores in the order of the answers; raises InputError for one that is empty or does not fit the model."""
        texts = []
        for answer in answers:
            if not answer.strip():
                raise InputError("an empty answer has no score")
            ids = self.read(*self._as_trained(prompt, answer))
            if len(ids) > self.longest:
                raise InputError(f"prompt and answer have {len(ids)} tokens, and this model takes {self.longest}")
            texts.append(ids)
        return score(self.model, texts, self.tokenizer.pad_token_id, batch_size)

    def _as_trained(self, prompt: str, answer: str) -> tuple[Any, Any]:
        if self.tokenizer.chat_template is None:
            return prompt, answer
        return [{"role": "user", "content": prompt}], [{"role": "assistant", "content": answer}]


@torch.no_grad()
def score(model: Any, texts: Sequence[list[int]], pad_token_id: int, batch_size: int = 32) -> list[float]:
    """The score of each text (token ids), in order, with the model in eval mode; the processes share the work."""
    device = next(model.parameters()).device

    def act(batch: list[int]) -> list[float]:
        width = max(len(texts[i]) for i in batch)
        ids = torch.full((len(batch), width), pad_token_id)  # (B, T)
        mask = torch.zeros_like(ids)
        for b, i in enumerate(batch):
            ids[b, : len(texts[i])] = torch.tensor(texts[i])
            mask[b, : len(texts[i])] = 1
        return rewards(model, ids.to(device), mask.to(device)).tolist()

    return share_out(model, [len(ids) for ids in texts], act, batch_size)


def rewards(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Scores (N,) of right-padded texts (N, T), read by the model's head at the last token that is no padding."""
    return model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits[:, 0].float()


def one_label(config: Any) -> None:
    """Refuse a classifier of several labels: which of its numbers would the reward be?"""
    architecture = (config.architectures or [""])[0]
    if architecture.endswith("ForSequenceClassification") and config.num_labels != 1:
        raise InputError(
            f"{config.name_or_path} is a classifier of {config.num_labels} labels, and a reward model has one: start "
            "from a language model or from a reward model"
        )
