"""How well a text is predicted, plainly and with each memory: sums that any choice of k, T and lambda is made from.

K, T and L count the choices of k, of the temperature and of lambda.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hfcourse.knn.capture import Capture
from hfcourse.knn.domain import PARTS, Domain
from hfcourse.knn.mixture import interpolate, target_log_probs
from hfcourse.knn.quantised import check_index, recall, search_index
from hfcourse.knn.search import check_k, exact, search, search_prefixes, tokens_of
from hfcourse.knn.settings import KNNSettings
from hfcourse.knn.store import Store, Window, digest

import numpy as np
import torch
from torch import Tensor


@dataclass
class Evaluator:
    """Predicts windows of domains, a batch at a time, by the keys that `capture` catches."""

    capture: Capture
    domains: list[Domain]
    settings: KNNSettings

    def check(self) -> None:
        """Raise InputError, before anything is spent, for what the stores are too small for."""
        settings, width = self.settings, self.capture.width
        for domain in self.domains:
            least = min(self.sizes(domain).values()) if "exact" in settings.search else domain.entries
            check_k(max(settings.k), least)
            if "ivfpq" in settings.search:
                check_index(domain.entries, width, settings.lists, settings.code_bytes, settings.probe)

    def sizes(self, domain: Domain) -> dict[str, int]:
        """{way: entries} of the exact searches in a domain's store, the whole last."""
        return {way_name(share): round(share * domain.entries) for share in sorted({*self.settings.shares, 1.0})}

    def pieces(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Work by key: <prefix><part>/<first window>/<digest of the tokens>."""
        found: dict[str, Callable[[], dict[str, Any]]] = {}
        size = self.settings.batch_size
        for domain in self.domains:
            for part in PARTS:
                for at in range(0, len(domain.windows[part]), size):
                    windows = domain.windows[part][at : at + size]
                    read = domain.predicted[part][windows[0].begin : windows[-1].end]
                    found[f"{domain.prefix}{part}/{at}/{digest(read)}"] = partial(self, domain, part, windows)
        return found

    @torch.no_grad()
    def __call__(self, domain: Domain, part: str, windows: Sequence[Window]) -> dict[str, Any]:
        """{"tokens", "plain": sum of log p_LM, "sums": {way: K x T x L sums of log p}, "recall": [found, of]}."""
        model, ids = self.capture.model, domain.predicted[part]
        read = torch.from_numpy(np.stack([ids[w.begin : w.end] for w in windows])).long()  # (B, T)
        read = read.to(next(model.parameters()).device)
        log_lm = log_probs(model, read)  # (B, T - 1)
        # Window by window, what it counts: its last tokens.
        counted = [slice(w.first - w.begin - 1, w.end - w.begin - 1) for w in windows]
        lm = torch.cat([row[c] for row, c in zip(log_lm, counted, strict=True)])  # (Q,)
        queries = torch.cat([row[c] for row, c in zip(self.capture.keys, counted, strict=True)])  # (Q, D)
        came = torch.cat([row[1:][c] for row, c in zip(read, counted, strict=True)])  # (Q,)
        line: dict[str, Any] = {"tokens": len(came), "plain": lm.double().sum().item(), "sums": {}}
        whole: Tensor | None = None
        for way, store, distances, entries in self._neighbours(domain, queries):
            if way == "exact":
                whole = entries
            if way == "ivfpq" and whole is not None:
                line["recall"] = recall(entries, whole)
            line["sums"][way] = self._sums(lm, distances, tokens_of(store, entries) == came[:, None])
        return line

    def _neighbours(self, domain: Domain, queries: Tensor) -> Iterator[tuple[str, Store, Tensor, Tensor]]:
        """(way, store, distances (Q, k), entries (Q, k)) of each way to search for the neighbours of queries."""
        k = max(self.settings.k)
        assert domain.store is not None
        if "exact" in self.settings.search:
            sizes = self.sizes(domain)
            found = search_prefixes(domain.store, queries, k, list(sizes.values()))
            for way, neighbours in zip(sizes, found, strict=True):
                yield way, domain.store, *neighbours
        if domain.index is not None:
            distances, entries = search_index(domain.index, queries, k, self.settings.probe)
            yield "codes", domain.store, distances, entries
            yield "ivfpq", domain.store, *exact(domain.store, queries, entries)
        if "exact" in self.settings.search:
            for other in self.domains:
                if other is not domain and other.store is not None:
                    yield "foreign", other.store, *search(other.store, queries, k)

    def _sums(self, lm: Tensor, distances: Tensor, right: Tensor) -> list[float]:
        grid = self.settings.grid
        distances = grid.measured(distances)
        sums = torch.empty(grid.shape, dtype=torch.float64)
        for t, temperature in enumerate(grid.temperatures):
            knn = target_log_probs(distances, right, grid.ks, temperature)  # (Q, K)
            for n, share in enumerate(grid.lambdas):
                sums[:, t, n] = interpolate(lm[:, None], knn, share).double().sum(0).cpu()
        return sums.flatten().tolist()


def way_name(share: float) -> str:
    """exact, or exact_25 for a quarter of the store."""
    return "exact" if share == 1 else f"exact_{100 * share:g}".replace(".", "_")


def log_probs(model: Any, ids: Tensor) -> Tensor:
    """log p of each token behind those before it: ids (B, T) -> (B, T - 1)."""
    logits = model(ids, use_cache=False).logits[:, :-1].float()  # (B, T - 1, V)
    return logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
