"""All that is done with one model and its domains: what is built, what is predicted, and with what texts go on."""

from collections.abc import Sequence
from typing import Any

from hfcourse.knn.build import Builder, Plan
from hfcourse.knn.capture import Capture
from hfcourse.knn.domain import Domain
from hfcourse.knn.evaluate import Evaluator
from hfcourse.knn.generate import Greedy, remember
from hfcourse.knn.quantised import build_index
from hfcourse.knn.report import Way, collect
from hfcourse.knn.settings import KNNSettings
from hfcourse.knn.store import Store

import numpy as np


class Experiment:
    """Raises InputError, before anything is spent, for what the stores of the domains are too small for.

    Texts go on plainly and with the memories of the last domain, by the `strategies`, {way: how}.
    """

    def __init__(
        self, capture: Capture, tokenizer: Any, name: str, domains: list[Domain], settings: KNNSettings, seed: int
    ):
        self.capture, self.domains, self.settings = capture, domains, settings
        self.evaluator = Evaluator(capture, domains, settings)
        self.evaluator.check()
        builder = Builder(capture, tokenizer, name, settings, seed)
        self.plans: dict[str, Plan] = {domain.label: builder.plan(domain) for domain in domains}
        # What the memories are like is known when validation has chosen.
        self.strategies = {stem: Greedy(stem) for stem in map(self._stem, ("plain", *settings.search))}
        self.ways: list[Way] = []

    def _stem(self, way: str) -> str:
        return self.domains[-1].prefix + way

    def build_index(self, label: str, keys: Sequence[np.ndarray]) -> Any:
        """The index of IVF-PQ of a domain's store, of its shards of keys."""
        settings = self.plans[label].index
        assert settings is not None
        return build_index(keys, *settings)

    def hold(self, stores: dict[str, tuple[list[np.ndarray], list[np.ndarray]]], indexes: dict[str, Any]) -> None:
        """Takes the shards of keys and tokens, and the index, of each domain by its label."""
        for domain in self.domains:
            domain.store, domain.index = Store(*stores[domain.label]), indexes.get(domain.label)

    def choose(self, lines: Sequence[dict[str, Any]]) -> None:
        """Makes ways, and the strategies that have a memory, of the lines of the evaluator's pieces."""
        self.ways = collect(self.evaluator, lines)
        for way in self.ways:
            if way.stem in self.strategies and way.choice is not None:
                grid, probe = self.settings.grid, self.settings.probe
                self.strategies[way.stem] = remember(self.capture, way, grid, probe)
