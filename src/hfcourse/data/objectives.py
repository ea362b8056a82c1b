"""The three pre-training objectives as collators: causal, masked, span corruption.

What a masked or corrupted row hides depends on seed, epoch and the row itself, and on nothing that was drawn before:
so a resumed run hides the same tokens, an evaluation always hides the same, and the next epoch hides others.
"""

import zlib
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from hfcourse.errors import InputError

import numpy as np
import torch


IGNORED = -100
# Rows that words are counted in, and the count below which all are equally rare: see `Masked`.
COUNTED_ROWS = 20_000
LEAST_COUNT = 10


class Objective:
    """A collator of rows {"input_ids"}: decides what each row predicts, pads, and returns tensors.

    Returns input_ids (B, T_in), attention_mask (B, T_in) and labels (B, T_out), -100 where the loss does not look. A
    row that brings "labels" along, such as `fixed` makes them, is taken as it is.
    """

    def __init__(self, tokenizer: Any, seed: int = 0, probability: float = 0.15):
        if not 0 < probability < 1:
            raise InputError(f"--probability is a share of the tokens, above 0 and below 1, not {probability:g}")
        self.tokenizer, self.seed, self.probability = tokenizer, seed, probability
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Hide other tokens than in the epoch before."""
        self.epoch = epoch

    def predict(self, row: dict[str, Any], epoch: int = 0) -> tuple[list[int], list[int]]:
        """(input, labels) of one row; here the causal objective, whose labels are the input: the model shifts them."""
        return row["input_ids"], row["input_ids"]

    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        """What training shows of a row, here all of it."""
        return row

    def fixed(self, row: dict[str, Any]) -> dict[str, list[int]]:
        """The row with its labels, for an evaluation that asks the same every time."""
        inputs, labels = self.predict(row)
        return {"input_ids": inputs, "labels": labels}

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        whole = ((r if "labels" in r else self.shown(r)) for r in rows)
        pairs = [(r["input_ids"], r["labels"]) if "labels" in r else self.predict(r, self.epoch) for r in whole]
        width, depth = max(len(i) for i, _ in pairs), max(len(t) for _, t in pairs)
        pad = self.tokenizer.pad_token_id
        return {
            "input_ids": torch.tensor([i + [pad] * (width - len(i)) for i, _ in pairs]),
            "attention_mask": torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in pairs]),
            "labels": torch.tensor([t + [IGNORED] * (depth - len(t)) for _, t in pairs]),
        }

    def _random(self, ids: list[int], epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, zlib.crc32(np.asarray(ids, dtype=np.int64).tobytes())])


class Masked(Objective):
    """BERT's objective (Devlin et al. 2018, section 3.1, task 1).

    `probability` (0.15) of the tokens are chosen, round(probability x T) a row and at least one; of the chosen 80 %
    become [MASK], 10 % a random token, 10 % stay. Special tokens are never chosen.

    Where a row has word_ids (T), the same number for the tokens of one word, a word is chosen as a whole or not at
    all, as in BERT's whole-word masking and for Chinese in Cui et al. 2019: words in random order, while they fit into
    the count. The 80/10/10 is then drawn once a word, as SpanBERT does (Joshi et al. 2020, section 3.1): BERT's
    release draws it for each token, and then .8 ** n of the words of n tokens are hidden, and the rest half told.

    With a `rarity` above 0 a word that comes up n times in the rows given to `count` is drawn with the weight
    max(n, 10) ** -rarity (Zhang et al. 2023, "Weighted sampling for masked language modeling"): names, which have to
    be known, before the words around them, which can be told from grammar.

    Of a share `short` of the rows training shows a piece, of any length from 2 tokens and from any place, in the row's
    frame: BERT's short_seq_prob, .1 in its release. A model that only ever reads whole documents takes the beginning
    of any text for that of a document.

    Raises InputError for a tokenizer without a mask token and for a share or a rarity out of range.
    """

    def __init__(
        self, tokenizer: Any, seed: int = 0, probability: float = 0.15, rarity: float = 0.0, short: float = 0.0
    ):
        super().__init__(tokenizer, seed, probability)
        if tokenizer.mask_token_id is None:
            raise InputError(f"{tokenizer.name_or_path or 'the tokenizer'} has no mask token: masking needs one")
        if rarity < 0:
            raise InputError(f"--rarity is an exponent of 0 or more, not {rarity:g}")
        if not 0 <= short <= 1:
            raise InputError(f"--short_rows is a share of the rows, from 0 to 1, not {short:g}")
        self.rarity, self.short = rarity, short
        self.counts: Counter[tuple[int, ...]] = Counter()
        self.special = np.array(tokenizer.all_special_ids)
        self.ordinary = np.setdiff1d(np.arange(len(tokenizer)), self.special)

    def count(self, rows: Iterable[dict[str, Any]]) -> None:
        """Count the words of the first 20,000 rows {"input_ids", "word_ids"}, by which `rarity` weighs."""
        for row in islice(rows, COUNTED_ROWS):
            ids = np.asarray(row["input_ids"])
            self.counts.update(tuple(ids[word].tolist()) for word in _words(self._free(ids), row["word_ids"]))

    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        size = len(row["input_ids"]) - 2
        if not self.short or size < 2:
            return row
        random = self._random(row["input_ids"], self.epoch).spawn(1)[0]  # not what decides the masks of whole rows
        if random.random() >= self.short:
            return row
        length = int(random.integers(2, size + 1))
        start = 1 + int(random.integers(size - length + 1))
        frame = [0, *range(start, start + length), size + 1]
        return {name: [values[i] for i in frame] for name, values in row.items()}

    def predict(self, row: dict[str, Any], epoch: int = 0) -> tuple[list[int], list[int]]:
        random = self._random(row["input_ids"], epoch)
        inputs = np.array(row["input_ids"])
        chosen, word = self._choose(random, inputs, row.get("word_ids"))
        labels = np.full_like(inputs, IGNORED)
        labels[chosen] = inputs[chosen]
        kind = random.random(len(chosen))[word]
        inputs[chosen[kind < 0.8]] = self.tokenizer.mask_token_id
        swapped = chosen[kind >= 0.9]
        inputs[swapped] = random.choice(self.ordinary, len(swapped))
        return inputs.tolist(), labels.tolist()

    def _choose(
        self, random: np.random.Generator, ids: np.ndarray, word_ids: list[int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N places to predict, and for each the number of its word among them (N,), from 0."""
        free = self._free(ids)
        count = min(max(1, round(self.probability * len(ids))), len(free))
        if word_ids is None:
            return random.choice(free, count, replace=False), np.arange(count)
        words = _words(free, word_ids)
        chosen: list[np.ndarray] = []
        for index in self._drawn(random, ids, words):
            if len(words[index]) <= count:
                chosen.append(words[index])
                count -= len(words[index])
            if count == 0:
                break
        places = np.concatenate([*chosen, np.array([], dtype=int)])
        return places, np.repeat(np.arange(len(chosen)), [len(word) for word in chosen])

    def _free(self, ids: np.ndarray) -> np.ndarray:
        """The places that may be chosen."""
        return np.flatnonzero(~np.isin(ids, self.special))

    def _drawn(self, random: np.random.Generator, ids: np.ndarray, words: list[np.ndarray]) -> np.ndarray:
        """The order in which words are drawn one by one, each by its weight: that of log-weights plus Gumbel noise."""
        if not self.rarity:
            return random.permutation(len(words))
        counts = [max(self.counts[tuple(ids[word].tolist())], LEAST_COUNT) for word in words]
        return np.argsort(self.rarity * np.log(counts) - random.gumbel(size=len(words)))


def _words(free: np.ndarray, word_ids: list[int]) -> list[np.ndarray]:
    """The places `free`, those of one word together."""
    starts = np.flatnonzero(np.diff(np.asarray(word_ids)[free], prepend=-1))
    return np.split(free, starts[1:])


class Spans(Objective):
    """T5's span corruption (Raffel et al. 2020, section 3.1.4): `probability` (0.15) of the tokens, in spans of 3.

    Each hidden span becomes one sentinel in the input; the target lists sentinel and span in turn, then a closing
    sentinel, then </s>. Every token of the row stands in exactly one of the two.
    """

    mean_span = 3.0

    def predict(self, row: dict[str, Any], epoch: int = 0) -> tuple[list[int], list[int]]:
        ids = row["input_ids"]
        random = self._random(ids, epoch)
        hidden = min(max(1, round(len(ids) * self.probability)), len(ids) - 1)
        spans = min(max(1, round(hidden / self.mean_span)), hidden, len(ids) - hidden, 99)
        inputs: list[int] = []
        target: list[int] = []
        position = 0
        gaps, lengths = _split(random, len(ids) - hidden, spans), _split(random, hidden, spans)
        for index, (gap, length) in enumerate(zip(gaps, lengths, strict=True)):
            sentinel = self.tokenizer.convert_tokens_to_ids(f"<extra_id_{index}>")
            inputs += [*ids[position : position + gap], sentinel]
            target += [sentinel, *ids[position + gap : position + gap + length]]
            position += gap + length
        closing, end = self.tokenizer.convert_tokens_to_ids(f"<extra_id_{spans}>"), self.tokenizer.eos_token_id
        return [*inputs, end], [*target, closing, end]


def _split(random: np.random.Generator, total: int, parts: int) -> list[int]:
    """`total` as `parts` positive integers, every way equally likely."""
    cuts = np.sort(random.choice(np.arange(1, total), parts - 1, replace=False))
    return np.diff([0, *cuts, total]).tolist()


OBJECTIVES = {"causal": Objective, "masked": Masked, "span": Spans}


class Together:
    """A collator of several objectives on the same rows: the first's tensors by their names, others' as name.labels.

    `fixed` keeps each objective's labels in a column of its name.
    """

    def __init__(self, objectives: dict[str, Objective]):
        self.objectives = objectives

    def set_epoch(self, epoch: int) -> None:
        for objective in self.objectives.values():
            objective.set_epoch(epoch)

    def fixed(self, row: dict[str, Any]) -> dict[str, dict[str, list[int]]]:
        return {name: objective.fixed(row) for name, objective in self.objectives.items()}

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch: dict[str, torch.Tensor] = {}
        for name, objective in self.objectives.items():
            tensors = objective([row.get(name, row) for row in rows])
            batch |= {f"{name}.{key}": value for key, value in tensors.items()} if batch else tensors
        return batch
