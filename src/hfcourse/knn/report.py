"""What sums amount to: the choice on the validation part, perplexities on the test part, the picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hfcourse.knn.domain import PARTS, Domain
from hfcourse.knn.evaluate import Evaluator
from hfcourse.knn.mixture import Grid

import numpy as np


Choice = tuple[int, int, int]
LARGEST = 700.0  # nats: exp of more is no float


@dataclass
class Way:
    """One memory of one domain: sums (K, T, L) of log p by part, tokens by part, and the place of what is chosen.

    Of the plain model the sums are one number each, and nothing is chosen.
    """

    domain: Domain
    name: str
    sums: dict[str, np.ndarray]
    tokens: dict[str, int]
    choice: Choice | None = None
    entries: int | None = None
    recall: float | None = None

    @property
    def stem(self) -> str:
        return self.domain.prefix + self.name

    def perplexity(self, part: str) -> float:
        """exp of the mean of -log p; as good as infinite for lambda 1 where no neighbour was right."""
        mean = -float(self.sums[part][self.choice or ()]) / self.tokens[part]
        return math.exp(min(mean, LARGEST))


def collect(evaluator: Evaluator, lines: Sequence[dict[str, Any]]) -> list[Way]:
    """All ways of all domains, the plain model first, from the lines of the evaluator's pieces, in their order."""
    ways: list[Way] = []
    grid = evaluator.settings.grid
    for domain in evaluator.domains:
        mine = {p: [line for line in lines if line["piece"].startswith(f"{domain.prefix}{p}/")] for p in PARTS}
        tokens = {part: sum(line["tokens"] for line in mine[part]) for part in PARTS}
        plain = {part: np.array(math.fsum(line["plain"] for line in mine[part])) for part in PARTS}
        found = {"plain": Way(domain, "plain", plain, tokens)}
        for name in mine["test"][0]["sums"]:
            sums = {p: np.sum([line["sums"][name] for line in mine[p]], 0).reshape(grid.shape) for p in PARTS}
            entries = evaluator.sizes(domain).get(name, domain.entries)
            if name == "foreign":
                (entries,) = (other.entries for other in evaluator.domains if other is not domain)
            found[name] = Way(domain, name, sums, tokens, best(sums["validation"]), entries)
        counts = [line["recall"] for line in mine["test"] if "recall" in line]
        if counts:
            found["ivfpq"].recall = sum(hits for hits, _ in counts) / sum(of for _, of in counts)
        if (defaults := grid.defaults()) is not None:
            found["defaults"] = replace(whole(found), name="defaults", choice=defaults, recall=None)
        ways += found.values()
    return ways


def whole(ways: dict[str, Way]) -> Way:
    """Of a domain's ways by name, the one with the whole store: by exact search, or where there is none by ivfpq."""
    return ways["exact"] if "exact" in ways else ways["ivfpq"]


def best(sums: np.ndarray) -> Choice:
    """The place of the highest sum; of equal ones the first: the smallest k, T and lambda."""
    k, temperature, share = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(k), int(temperature), int(share)


def measure(ways: Sequence[Way], grid: Grid) -> dict[str, float]:
    """Metrics <way>_<measure>."""
    metrics: dict[str, float] = {}
    for way in ways:
        metrics[f"{way.stem}_perplexity"] = way.perplexity("test")
        metrics |= {f"{way.stem}_{name}": value for name, value in details(way, grid).items()}
    return metrics


def details(way: Way, grid: Grid) -> dict[str, float]:
    """Entries, k, temperature and lambda of a memory, and its recall if that was measured."""
    if way.choice is None or way.entries is None:
        return {}
    found = {"entries": way.entries, **grid.at(way.choice)}
    return found if way.recall is None else found | {"recall": way.recall}


def metric_rows(ways: Sequence[Way], grid: Grid) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl: each way by both parts; then, for the whole stores, every choice that could be made."""
    rows = [{"way": way.stem, "text": way.domain.name, **_parts(way), **details(way, grid)} for way in ways]
    for way in ways:
        if way.name in ("exact", "ivfpq", "codes"):
            for choice in np.ndindex(*grid.shape):
                rows.append({"choice_of": way.stem, **_parts(replace(way, choice=choice)), **grid.at(choice)})
    return rows


def _parts(way: Way) -> dict[str, float]:
    return {f"{part}_perplexity": way.perplexity(part) for part in PARTS} | {
        f"{part}_tokens": way.tokens[part] for part in PARTS
    }


def speed(lines: Sequence[dict[str, Any]], processes: int) -> dict[str, float]:
    """Tokens predicted, seconds that it took over all sessions, tokens a second: all ways of a token together."""
    tokens, seconds = (sum(line[name] for line in lines) for name in ("tokens", "seconds"))
    seconds /= processes
    return {
        "tokens": tokens,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
    }


def tables(
    ways: Sequence[Way], grid: Grid, milliseconds: dict[str, float]
) -> list[tuple[str, list[str], list[list[str]]]]:
    """For the card: a row for each way, and what a token takes with it in generation."""
    head = ["way", "text", "perplexity", "entries", "k", "T", "lambda", "recall", "ms a token"]
    rows = []
    for way in ways:
        own = details(way, grid)
        cells = [own.get(name) for name in ("entries", "k", "temperature", "lambda", "recall")]
        cells = [way.perplexity("test"), *cells, milliseconds.get(way.stem)]
        rows.append([f"`{way.stem}`", way.domain.name, *("" if c is None else f"{c:,.5g}" for c in cells)])
    return [("Each way to predict, on the test part", head, rows)]
