"""The models of several stages of training, asked the same prompts: what each says, and what it would choose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hfcourse.errors import InputError
from hfcourse.ppo.answers import answer_log_probs, draw_answers
from hfcourse.ppo.rewards import RewardModel
from hfcourse.ppo.rollout import draws


@dataclass(frozen=True)
class Stage:
    """A policy: what the results call it, where it came from, and how many answers it gives to each prompt."""

    name: str
    source: str
    model: Any
    draws: int


class Questioner:
    """Asks stages for answers to prompts, and for the likelihood of given ones.

    Args:
        reference: the stage that KL is measured from; all stages have the vocabulary of its `tokenizer`.
        reward: what scores an answer.
        prompts: texts or conversations.
        choices: for each prompt the answers to choose from; of any length, also 0.
        length: tokens of an answer at most.
        seed: draws the answers, each by numbers of its own: the first one to each prompt is that of PPOTrainer's
            evaluations with this seed.
    """

    def __init__(
        self,
        reference: Stage,
        tokenizer: Any,
        reward: RewardModel,
        prompts: Sequence[Any],
        choices: Sequence[Sequence[str]],
        length: int,
        seed: int,
    ):
        self.reference, self.tokenizer, self.reward, self.prompts = reference, tokenizer, reward, prompts
        self.choices, self.length, self.seed = choices, length, seed
        if isinstance(prompts[0], str):
            self.ids = tokenizer(prompts)["input_ids"]
        else:
            options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
            self.ids = tokenizer.apply_chat_template(list(prompts), **options)["input_ids"]
        ends = reference.model.generation_config.eos_token_id
        self.eos = sorted({tokenizer.eos_token_id, *([ends] if isinstance(ends, int) else ends or [])})
        reward.eos_token_ids = set(self.eos)

    def pieces(self, stages: Sequence[Stage], batch_size: int) -> dict[str, Callable[[], dict[str, Any]]]:
        """All that there is to ask: `<stage>/<draw>/<first prompt>`, `choices/<stage>/<first prompt>` and
        `choices/reward/<first prompt>`; each is a function that asks, of at most `batch_size` answers.

        Its result holds "rows" (numbers of prompts) and "scores": of answers [log-probability, that by the reference,
        reward], with their texts and lengths beside them; of choices one number each. Raises InputError for fewer
        than one answer.
        """
        if (least := min(batch_size, *(stage.draws for stage in stages))) < 1:
            raise InputError(f"there is at least 1 answer to a prompt and in a batch, not {least}")
        found: dict[str, Callable[[], dict[str, Any]]] = {}
        for stage in stages:
            for draw in range(stage.draws):
                for start in range(0, len(self.prompts), batch_size):
                    rows = range(start, min(start + batch_size, len(self.prompts)))
                    found[f"{stage.name}/{draw}/{start}"] = partial(self.ask, stage, draw, rows)
        known = [row for row, choices in enumerate(self.choices) if choices]
        size = max(batch_size // max(map(len, self.choices), default=1), 1) if known else 1
        for start in range(0, len(known), size):
            part = known[start : start + size]
            for stage in stages:
                found[f"choices/{stage.name}/{part[0]}"] = partial(self.weigh, stage, part)
            found[f"choices/reward/{part[0]}"] = partial(self.weigh, None, part)
        return found

    def ask(self, stage: Stage, draw: int, rows: Sequence[int]) -> dict[str, Any]:
        """One answer of a stage to each of some prompts."""
        ids, pad = [self.ids[row] for row in rows], self.tokenizer.pad_token_id
        numbers = draws(self.seed, draw, rows, self.length).to(stage.model.device)
        answers = draw_answers(stage.model, ids, numbers, 1.0, pad, self.eos)
        own = answer_log_probs(stage.model, ids, answers, pad)
        same = stage.model is self.reference.model
        reference = own if same else answer_log_probs(self.reference.model, ids, answers, pad)
        texts = self.tokenizer.batch_decode(answers, skip_special_tokens=True)
        rewards = self._rewards(rows, texts, answers)
        return {
            "rows": list(rows),
            "answers": texts,
            "lengths": [len(answer) for answer in answers],
            "scores": [list(row) for row in zip(own, reference, rewards, strict=True)],
        }

    def weigh(self, stage: Stage | None, rows: Sequence[int]) -> dict[str, Any]:
        """The log-probability by a stage, or without one the reward, of each choice for some prompts."""
        places = [row for row in rows for _ in self.choices[row]]
        texts = [text for row in rows for text in self.choices[row]]
        ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        answers = [[*answer, self.tokenizer.eos_token_id] for answer in ids]
        if stage is None:
            found = self._rewards(places, texts, answers)
        else:
            prompts = [self.ids[row] for row in places]
            found = answer_log_probs(stage.model, prompts, answers, self.tokenizer.pad_token_id)
        scores = iter(found)
        return {"rows": list(rows), "scores": [[next(scores) for _ in self.choices[row]] for row in rows]}

    def _rewards(self, rows: Sequence[int], texts: list[str], answers: list[list[int]]) -> list[float]:
        prompts = [self.prompts[row] for row in rows]
        if isinstance(prompts[0], str):
            return self.reward(prompts, texts, answers)
        return self.reward(prompts, [[{"role": "assistant", "content": text}] for text in texts], answers)
