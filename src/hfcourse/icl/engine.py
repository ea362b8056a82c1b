"""Log-probabilities of many continuations, computing each shared token once.

Prompts of one group begin with the same demonstrations. A causal model reads this common beginning once; what remains
of the prompts, with all their continuations, is a tree whose nodes are tokens. Many items' trees are read in one row:
a node attends to the common beginning and to its own ancestors, and its position is its depth, so the scores are those
of reading each prompt alone. Nothing is padded. An encoder-decoder reads each context once and its continuations side
by side in the decoder; its encoder looks in both directions, so demonstrations can't be read before their question.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import DynamicCache


# A common beginning of fewer tokens is not worth a call of its own.
SHORT = 16


class Query(NamedTuple):
    """Tokens to read, at least one, and tokens to score after them, at least one."""

    context: tuple[int, ...]
    target: tuple[int, ...]


class Score(NamedTuple):
    """log P(target | context) in nats, how many tokens that is, and whether greedy decoding would write them."""

    logprob: float
    tokens: int
    greedy: bool


Item = Sequence[Query]


@dataclass
class Engine:
    """Scores items, each a few queries, in passes of about `budget` tokens. What a pass holds depends on nothing else.

    Attributes:
        computed: tokens that the model has read.
        asked: tokens that it would have read, one query at a time.
    """

    model: Any
    budget: int = 1024
    computed: int = field(default=0, init=False)
    asked: int = field(default=0, init=False)

    def score(self, items: Sequence[Item]) -> list[list[Score]]:
        """The scores of each item's queries, in their order."""
        found: dict[int, list[Score]] = {}
        for numbers, scores in self.passes(items):
            found |= dict(zip(numbers, scores, strict=True))
        return [found[i] for i in range(len(items))]

    def passes(
        self, items: Sequence[Item], done: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[list[Score]]]]:
        """Numbers of items and their scores, pass by pass; a pass whose items are all `done` is left out.

        The passes are the same whatever is done, so that an interrupted evaluation goes on to the very same numbers.
        """
        raise NotImplementedError

    def _logits(self, positions: torch.Tensor | None = None, **inputs: Any) -> torch.Tensor:
        """logits (N, V) at these positions of the only row, fp32."""
        if positions is not None and "logits_to_keep" in inspect.signature(self.model.forward).parameters:
            return self.model(**inputs, logits_to_keep=positions).logits[0].float()
        logits = self.model(**inputs).logits[0].float()
        return logits if positions is None else logits[positions]


def read_scores(logits: torch.Tensor, rows: list[list[int]], targets: Sequence[Sequence[int]]) -> list[Score]:
    """Scores of targets whose tokens are predicted by these rows of logits (N, V)."""
    at = torch.tensor([row for one in rows for row in one], device=logits.device)
    tokens = torch.tensor([token for one in targets for token in one], device=logits.device)
    normaliser = logits.logsumexp(-1)  # (N,)
    logprobs = (logits[at, tokens] - normaliser[at]).double().cpu().numpy()
    greedy = (logits.argmax(-1)[at] == tokens).cpu().numpy()
    ends = np.cumsum([len(one) for one in targets])
    begins = ends - [len(one) for one in targets]
    return [
        Score(float(logprobs[a:b].sum()), int(b - a), bool(greedy[a:b].all()))
        for a, b in zip(begins, ends, strict=True)
    ]


@torch.no_grad()
def score_alone(model: Any, query: Query) -> Score:
    """The score of one query by one plain call of the model: no cache, no batch. What every engine must agree with."""
    device = next(model.parameters()).device
    context = torch.tensor([query.context], device=device)  # (1, T)
    if model.config.is_encoder_decoder:
        decoder = torch.tensor([[model.config.decoder_start_token_id, *query.target[:-1]]], device=device)
        logits = model(input_ids=context, decoder_input_ids=decoder, use_cache=False).logits[0].float()
    else:
        ids = torch.tensor([[*query.context, *query.target[:-1]]], device=device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(query.context) - 1 :].float()
    return read_scores(logits, [list(range(len(query.target)))], [query.target])[0]


def fill(order: Iterable[int], tokens: Callable[[list[int]], int], budget: int) -> Iterator[list[int]]:
    """Numbers in an order, as many at a time as have no more than `budget` tokens together, at least one."""
    chunk: list[int] = []
    for number in order:
        if chunk and tokens([*chunk, number]) > budget:
            yield chunk
            chunk = []
        chunk.append(number)
    if chunk:
        yield chunk


class OneByOne(Engine):
    """For a model whose attention does not take a mask of our own: right, and as slow as it sounds."""

    def passes(
        self, items: Sequence[Item], done: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[list[Score]]]]:
        for number, item in enumerate(items):
            if number not in done:
                yield [number], [[score_alone(self.model, query) for query in item]]
                length = sum(len(query.context) + len(query.target) - 1 for query in item)
                self.computed, self.asked = self.computed + length, self.asked + length


class Causal(Engine):
    """GPT-2's absolute and Llama's rotary positions, and any decoder that takes a mask (1, 1, N, T) and positions."""

    @torch.no_grad()
    def passes(
        self, items: Sequence[Item], done: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[list[Score]]]]:
        shared = common_beginning([query for item in items for query in item])
        cache = None
        for chunk in self._chunks(items, shared):
            if all(i in done for i in chunk):
                continue
            queries = [query for i in chunk for query in items[i]]
            start = shared if shared >= SHORT else 0
            if start and cache is None:
                cache = self._read(queries[0].context[:start])
            scores = iter(self._pass(queries, start, cache))
            self.asked += sum(len(query.context) + len(query.target) - 1 for query in queries)
            yield chunk, [[next(scores) for _ in items[i]] for i in chunk]

    def _chunks(self, items: Sequence[Item], shared: int) -> Iterator[list[int]]:
        """Items in their order, by their tokens after the shared ones."""
        own = [len(item[0].context) - shared + sum(len(query.target) for query in item) for item in items]
        return fill(range(len(items)), lambda chunk: sum(own[i] for i in chunk), self.budget)

    def _read(self, ids: Sequence[int]) -> DynamicCache:
        cache = DynamicCache(config=self.model.config)
        inputs = torch.tensor([ids], device=self.model.device)  # (1, P)
        self._logits(torch.tensor([len(ids) - 1], device=self.model.device), input_ids=inputs, past_key_values=cache)
        self.computed += len(ids)
        return cache

    def _pass(self, queries: list[Query], start: int, cache: DynamicCache | None) -> list[Score]:
        tree = grow(queries, start)
        device, count = self.model.device, len(tree.tokens)
        mask = np.ones((count, start + count), dtype=bool)  # (N, P + N)
        mask[:, start:] = tree.mask
        dtype = self.model.dtype
        bias = torch.zeros(mask.shape, dtype=dtype).masked_fill(~torch.from_numpy(mask), torch.finfo(dtype).min)
        logits = self._logits(
            torch.tensor(tree.used, device=device),
            input_ids=torch.tensor([tree.tokens], device=device),
            position_ids=torch.tensor([tree.depths], device=device),
            attention_mask=bias[None, None].to(device),
            past_key_values=cache,
            use_cache=cache is not None,
        )
        if cache is not None:
            cache.crop(-count)
        self.computed += count
        return read_scores(logits, tree.rows, [query.target for query in queries])


class Tree(NamedTuple):
    """N tokens in an order in which parents come first, their depths (positions), and mask (N, N) of their ancestors.

    `used`: the nodes that predict a target token; `rows`: for each query, its targets' places in `used`.
    """

    tokens: list[int]
    depths: list[int]
    mask: np.ndarray
    used: list[int]
    rows: list[list[int]]


def grow(queries: Sequence[Query], start: int) -> Tree:
    """The tree of what follows the first `start` tokens of each query; equal beginnings are one branch."""
    children: dict[tuple[int, int], int] = {}
    tokens: list[int] = []
    depths: list[int] = []
    parents: list[int] = []
    places: dict[int, int] = {}
    rows: list[list[int]] = []
    for query in queries:
        ids, first = [*query.context, *query.target[:-1]], len(query.context) - 1
        node, row = -1, []
        for depth in range(start, len(ids)):
            key = (node, ids[depth])
            if key not in children:
                children[key] = len(tokens)
                tokens.append(ids[depth])
                depths.append(depth)
                parents.append(node)
            node = children[key]
            if depth >= first:
                row.append(places.setdefault(node, len(places)))
        rows.append(row)
    mask = np.eye(len(tokens), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            mask[node] |= mask[parent]
    return Tree(tokens, depths, mask, list(places), rows)


def common_beginning(queries: Sequence[Query]) -> int:
    """How many first tokens all contexts share, at least one of each left out, since it predicts the target."""
    first = min(query.context for query in queries)
    last = max(query.context for query in queries)
    most = min(len(query.context) for query in queries) - 1
    # Sorted, whatever the first and the last have in common lies in all between.
    return next((i for i in range(most) if first[i] != last[i]), most)
