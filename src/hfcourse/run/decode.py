"""A comparison of ways to generate: its prompts, the pieces of its work, and what each of them writes and scores."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hfcourse.errors import InputError
from hfcourse.run.models import longest_input
from hfcourse.run.prompts import MORE, Prompt, Reader, head_ids, join_pieces, names, pad_id

import torch


DOCUMENT, ONE_BY_ONE = "document", "left_to_right"


class Strategy(Protocol):
    """How to choose tokens: the text and the name it has, arguments of `generate`, filters (scores, ids) -> scores."""

    @property
    def text(self) -> str: ...

    @property
    def name(self) -> str: ...

    def arguments(self) -> dict[str, Any]: ...

    def filters(self) -> list[Callable]: ...


class Piece(NamedTuple):
    """What is done at once: `name` is a strategy (texts, truth), document (texts), or a number of passes (passes)."""

    part: str
    name: str
    rows: tuple[int, ...]


@dataclass
class Writer:
    """Does the pieces: writes with `model` or `infiller`, and scores by `model` and `judge`, where there is one.

    `fill_masks` (model, ids, mask id, passes or None for one by one, ids never to use) is how the infiller writes.
    """

    model: Reader
    judge: Reader | None
    infiller: Reader | None
    strategies: Mapping[str, Strategy]
    fill_masks: Callable[..., torch.Tensor] | None
    prompts: dict[str, list[Prompt]]
    new: int
    batch_size: int
    seed: int

    def key(self, piece: Piece) -> str:
        """Which piece it is, and a digest of its prompts and seed: other data under the same name is noticed."""
        prompts = [(p.ids, p.own, p.answer) for p in self._rows(piece)]
        digest = hashlib.blake2b(repr((prompts, self.seed)).encode(), digest_size=6).hexdigest()
        return f"{piece.part}/{piece.name}/{piece.rows[0]}/{digest}"

    def __call__(self, piece: Piece) -> dict[str, Any]:
        """`ids`: what was written, row by row; `seconds` that it took; by part also `right`, or `own` and `judged`."""
        prompts = self._rows(piece)
        began = time.perf_counter()
        ids = self._write(piece, prompts)
        line: dict[str, Any] = {"ids": ids, "seconds": round(time.perf_counter() - began, 4)}
        if piece.part == "truth":
            ids = [row[: len(p.own) + MORE] for row, p in zip(ids, prompts, strict=True)]
            texts = self.model.tokenizer.batch_decode(ids, skip_special_tokens=True)
            return line | {"right": [names(t, p.answer) for t, p in zip(texts, prompts, strict=True)]}
        if piece.part == "texts":
            line["own"] = score(self.model, [p.ids for p in prompts], ids)
        if self.judge is not None:
            line["judged"] = self._judge(piece, prompts, ids)
        return line

    def _rows(self, piece: Piece) -> list[Prompt]:
        return [self.prompts[piece.part][row] for row in piece.rows]

    def _write(self, piece: Piece, prompts: list[Prompt]) -> list[list[int]]:
        if piece.part == "passes":
            return self._fill(piece.name, prompts)
        if piece.name == DOCUMENT:
            return [p.own for p in prompts]
        model, tokenizer = self.model.model, self.model.tokenizer
        new = max(len(p.own) for p in prompts) + MORE if piece.part == "truth" else self.new
        width, pad = max(len(p.ids) for p in prompts), pad_id(tokenizer)
        ids = torch.tensor([[pad] * (width - len(p.ids)) + p.ids for p in prompts], device=model.device)  # (B, T)
        mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in prompts], device=model.device)
        # Chance depends on the piece alone: not on the processes, nor on what was done before.
        torch.manual_seed(int.from_bytes(hashlib.blake2b(self.key(piece).encode(), digest_size=4).digest()))
        arguments = self.strategies[piece.name].arguments()
        output = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=new, pad_token_id=pad, **arguments)
        ends = model.generation_config.eos_token_id
        return [_until(row, ends if isinstance(ends, list) else [ends]) for row in output[:, width:].tolist()]

    def _fill(self, passes: str, prompts: list[Prompt]) -> list[list[int]]:
        assert self.infiller is not None and self.fill_masks is not None
        model, tokenizer = self.infiller.model, self.infiller.tokenizer
        mask, never = tokenizer.mask_token_id, set(tokenizer.all_special_ids)
        rows = [p.ids + [mask] * len(p.own) + [tokenizer.sep_token_id] for p in prompts]
        ids = torch.tensor(rows, device=model.device)  # (B, T), all of one length
        filled = self.fill_masks(model, ids, mask, None if passes == ONE_BY_ONE else int(passes), never)
        return filled[:, len(prompts[0].ids) : -1].tolist()

    def _judge(self, piece: Piece, prompts: list[Prompt], ids: list[list[int]]) -> list[list[float]]:
        """The judge's score of each text by its own tokens, or by the same ones where it has the same vocabulary."""
        assert self.judge is not None
        writer = self.infiller if piece.part == "passes" else self.model
        assert writer is not None
        if writer.tokenizer.get_vocab() == self.judge.tokenizer.get_vocab():
            return score(self.judge, [p.ids for p in prompts], ids)
        head, starts, ends = head_ids(self.judge.tokenizer), [], []
        for prompt, row in zip(prompts, ids, strict=True):
            whole = writer.tokenizer.decode(prompt.ids + row, skip_special_tokens=True)
            text, opening = (join_pieces(t) if piece.part == "passes" else t for t in (whole, prompt.text))
            encoded = self.judge.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            # At least one token is read before the first that is judged.
            first = max(sum(end <= len(opening) for _, end in encoded["offset_mapping"]), 1 - len(head))
            starts.append(head + encoded["input_ids"][:first])
            ends.append(encoded["input_ids"][first:])
        return score(self.judge, starts, ends)


def _until(ids: list[int], ends: list[int]) -> list[int]:
    """Ids up to the first that ends a text, with it."""
    return next((ids[: i + 1] for i, token in enumerate(ids) if token in ends), ids)


@torch.no_grad()
def score(reader: Reader, prompts: list[list[int]], texts: list[list[int]]) -> list[list[float]]:
    """[sum of log-probabilities in nats, tokens] of each text behind its prompt, by the plain model: no filter."""
    longest = longest_input(reader.model, reader.tokenizer)  # a judge may take fewer than the writer
    texts = [text[: max(longest - len(prompt), 0)] for prompt, text in zip(prompts, texts, strict=True)]
    rows = [(prompt + text)[:longest] for prompt, text in zip(prompts, texts, strict=True)]
    width, pad = max(map(len, rows)), pad_id(reader.tokenizer)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=reader.model.device)  # (B, T)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=reader.model.device)
    logits = reader.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()  # (B, T - 1, V)
    logprobs = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return [
        [logprobs[i, len(prompt) - 1 : len(row) - 1].sum().item(), len(text)]
        for i, (prompt, text, row) in enumerate(zip(prompts, texts, rows, strict=True))
    ]


def make_pieces(writer: Writer) -> list[Piece]:
    """All pieces of work, of at most `batch_size` rows."""
    if (size := writer.batch_size) < 1:
        raise InputError(f"--batch_size must be at least 1, not {size}")
    ways = {
        "texts": [DOCUMENT, *writer.strategies],
        "truth": list(writer.strategies),
        "passes": powers_of_two(writer.new),
    }
    return [
        Piece(part, name, tuple(range(start, min(start + size, len(rows)))))
        for part, rows in writer.prompts.items()
        for name in ways[part]
        for start in range(0, len(rows), size)
    ]


def powers_of_two(most: int) -> list[str]:
    """1, 2, 4 and so on up to `most`, and `most`, as names of numbers of passes; then one token at a time."""
    powers = [str(2**i) for i in range(most.bit_length()) if 2**i < most]
    return [*powers, str(most), ONE_BY_ONE]
