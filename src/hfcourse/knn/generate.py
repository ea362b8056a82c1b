"""Ways to continue a text greedily, with and without a memory, as `hfcourse.run.decode` takes them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hfcourse.knn.capture import Capture
from hfcourse.knn.mixture import Grid, KNNLogitsProcessor, Search
from hfcourse.knn.quantised import search_index
from hfcourse.knn.report import Way
from hfcourse.knn.search import exact, search, tokens_of
from hfcourse.knn.store import Store

from torch import Tensor
from transformers import LogitsProcessor


@dataclass(frozen=True)
class Greedy:
    """The likeliest token each time, after the `processors` of the scores."""

    name: str
    processors: list[LogitsProcessor] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.name

    def arguments(self) -> dict[str, Any]:
        """Of `generate`."""
        return {"do_sample": False, "num_beams": 1, "logits_processor": list(self.processors)}

    def filters(self) -> list[Callable]:
        return []


def remember(capture: Capture, way: Way, grid: Grid, probe: int) -> Greedy:
    """Greedy with the memory of a way, exact or ivfpq, by what validation chose for it."""
    store, index = way.domain.store, way.domain.index
    assert store is not None and way.choice is not None
    find: Search = partial(search, store) if way.name == "exact" else partial(_by_index, store, index, probe)
    processor = KNNLogitsProcessor(capture, find, partial(tokens_of, store), grid, way.choice)
    return Greedy(way.stem, [processor])


def _by_index(store: Store, index: Any, probe: int, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return exact(store, queries, search_index(index, queries, k, probe)[1])
