"""What an in-context evaluation says and leaves behind: lines of its plan, prompts, samples, tables."""

from collections.abc import Iterator, Sequence
from typing import Any

from hfcourse.icl.demonstrations import count_leaks
from hfcourse.icl.groups import Group, scored
from hfcourse.icl.prompts import describe_leaks
from hfcourse.icl.report import MEAN, Cell, Scores, is_main

import numpy as np


def describe_prompts(groups: Sequence[Group]) -> list[str]:
    """How many prompts, scores and tokens there are, and which demonstrations fell away."""
    whole, shared = _tokens(groups)
    return [
        f"{sum(len(g.members) for g in groups):,} prompts, {sum(len(p) for g in groups for p in g.pairs):,} "
        f"scores to take, in {len(groups):,} groups with the same demonstrations",
        f"{whole:,} tokens one score at a time; {shared:,} when what prompts share is read once",
        *_missing(groups),
    ]


def _tokens(groups: Sequence[Group]) -> tuple[int, int]:
    """Tokens of all prompts scored one by one, and with the sharing of a causal model."""
    whole = shared = 0
    for group in groups:
        head = len(group.encoded.head)
        shared += head
        for queries in group.encoded.items:
            whole += sum(head + len(q.context) + len(q.target) - 1 for q in queries)
            shared += sum(map(len, {q.context for q in queries})) + sum(len(q.target) - 1 for q in queries)
    return whole, shared


def _missing(groups: Sequence[Group]) -> list[str]:
    """How many demonstrations fell away because the context, or the pool, holds no more."""
    found: dict[tuple[str, int], list[int]] = {}
    for group in groups:
        found.setdefault((group.loaded.task.name, group.cut.k), []).extend([group.missing] * len(group.members))
    short = {place: [number for number in missing if number] for place, missing in found.items()}
    return [
        f"{task}, k = {k}: {min(missing)} to {max(missing)} demonstrations dropped in {len(missing):,} of "
        f"{len(found[task, k]):,} prompts, since the context or the pool holds no more"
        for (task, k), missing in short.items()
        if missing
    ]


def check_leaks(groups: Sequence[Group]) -> str:
    """The line of the plan that says that no item is among its own demonstrations."""
    largest: dict[tuple, int] = {}
    for group in groups:
        place = (group.loaded.task.name, group.cut)
        largest[place] = max(largest.get(place, 0), len(group.members))
    replaced = sum(len(g.members) for g in groups) - sum(largest.values())
    compared = ((g.chosen, [g.loaded.items[i] for i in g.members]) for g in groups)
    return describe_leaks(*count_leaks(compared), replaced)


def two_prompts(groups: Sequence[Group]) -> list[tuple[str, str, str]]:
    """What two whole prompts are, what is read of them and what is scored.

    They are of the first group with demonstrations and of the last.
    """
    found = []
    for group in (next((group for group in groups if group.demonstrations), groups[0]), groups[-1]):
        gold, cut = group.loaded.items[group.members[0]].gold, group.cut
        query, pair = group.encoded.queries(0)[gold], group.pairs[0][gold]
        title = (
            f"{group.loaded.task.name} {cut.condition} k={cut.k} seed={cut.seed}, "
            f"{len(query.context) + len(query.target):,} tokens, {len(query.target)} of them scored"
        )
        found.append((title, "".join(group.demonstrations) + pair.context, pair.target))
    return found


def collect(groups: Sequence[Group], lines: Sequence[dict]) -> dict[Cell, Scores]:
    """The scores of each cell, by seed, item and choice."""
    by_cell: dict[Cell, dict[tuple[int, bool], list[tuple[Group, list]]]] = {}
    for group, rows in scored(groups, lines):
        cut = group.cut
        cell = Cell(group.loaded.task.name, cut.condition, cut.k)
        by_cell.setdefault(cell, {}).setdefault((cut.seed, cut.channel), []).append((group, rows))
    return {cell: _cell(parts) for cell, parts in by_cell.items()}


def _cell(parts: dict[tuple[int, bool], list[tuple[Group, list]]]) -> Scores:
    loaded = next(iter(parts.values()))[0][0].loaded
    items = loaded.items
    seeds = list(dict.fromkeys(seed for seed, _ in parts))
    shape = (len(seeds), len(items), max(len(item.choices) for item in items))
    tokens, greedy = np.ones(shape, dtype=int), np.zeros(shape[:2], dtype=bool)
    tables = {channel: np.full(shape, -np.inf) for channel in (False, True)}
    free: np.ndarray | None = None
    for (seed, channel), found in parts.items():
        s = seeds.index(seed)
        for group, rows in found:
            for n, row in zip(group.members, rows, strict=False):
                tables[channel][s, n, : len(row)] = [score[0] for score in row]
                if not channel:
                    tokens[s, n, : len(row)] = [score[1] for score in row]
                    greedy[s, n] = row[items[n].gold][2]
            if extra := rows[len(group.members) :]:
                free = np.zeros((*shape[:2], len(extra), shape[2])) if free is None else free
                free[s, group.members] = [[score[0] for score in row] for row in extra]
    gold = np.array([item.gold for item in items])
    both = {channel for _, channel in parts}
    return Scores(tables[False], tokens, greedy, gold, loaded.task.kind, free, tables[True] if True in both else None)


def shown(metrics: dict[str, float], cells: Sequence[Cell], rules: Sequence[str], shots: int) -> dict[str, Any]:
    """For the card, its `tables` and `metrics`.

    Accuracy (exact match in generation) of each task in each condition, and by the scoring rule; in the metadata
    accuracy and exact match without demonstrations and with gold ones.
    """
    cuts = list(dict.fromkeys((cell.condition, cell.k) for cell in cells))
    names = list(dict.fromkeys(cell.task for cell in cells))
    names += [MEAN] if any(name.startswith(f"{MEAN}_") for name in metrics) else []
    measures = {}
    for name in names:
        labelled = any(f"{name}_{c}_k{k}_accuracy" in metrics for c, k in cuts)
        measures[name] = "accuracy" if labelled else "exact_match"
    rows = [
        [c, str(k), *(_interval(metrics, f"{name}_{c}_k{k}_{measure}") for name, measure in measures.items())]
        for c, k in cuts
    ]
    found = [("Accuracy", ["demonstrations", "k", *(f"`{name}`" for name in names)], rows)]
    if len(rules) > 1 and measures[names[-1]] == "accuracy":
        keys = ["accuracy", *(f"{rule}_accuracy" for rule in rules[1:]), "exact_match"]
        main = [(c, k) for c, k in cuts if is_main(c, k, shots)]
        rows = [[c, str(k), *(_interval(metrics, f"{names[-1]}_{c}_k{k}_{key}") for key in keys)] for c, k in main]
        head = ["demonstrations", "k", *rules, "exact match"]
        found.append((f"Accuracy of {names[-1]} by the scoring rule", head, rows))
    ends = tuple(f"_{c}_k{k}_{key}" for c, k in cuts if is_main(c, k, shots) for key in ("accuracy", "exact_match"))
    return {"tables": found, "metrics": [name for name in metrics if name.endswith(ends)]}


def _interval(metrics: dict[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    value, low, high = (f"{metrics[name + end]:.3f}".lstrip("0") for end in ("", "_low", "_high"))
    return f"{value} ({low}-{high})"


def metric_rows(cells: Sequence[Cell], metrics: dict[str, float]) -> list[dict[str, Any]]:
    """A row of values for each cell."""
    return [{"task": c.task, "condition": c.condition, "k": c.k, **_short(metrics, c)} for c in cells]


def _short(metrics: dict[str, float], cell: Cell) -> dict[str, float]:
    """The values of a cell, without the ends of their intervals."""
    names = [name for name in metrics if name.startswith(f"{cell.name}_") and not name.endswith(("_low", "_high"))]
    return {name.removeprefix(f"{cell.name}_"): metrics[name] for name in names}


def samples(groups: Sequence[Group], lines: Sequence[dict]) -> Iterator[dict[str, Any]]:
    """A line with the demonstrations of each group, then one for each of its items; the prompt is both together."""
    for index, (group, rows) in enumerate(scored(groups, lines)):
        task, cut = group.loaded.task, group.cut
        yield {
            "group": index,
            "task": task.name,
            "version": task.version,
            **cut._asdict(),
            "demonstrations": "".join(group.demonstrations),
            "shown": len(group.demonstrations),
            "from": [example.place for example in group.chosen],
        }
        for place, (pairs, row) in enumerate(zip(group.pairs, rows, strict=True)):
            asked = group.loaded.items[group.members[place]] if place < len(group.members) else None
            yield {
                "group": index,
                "item": asked.place if asked else "content free",
                "prompt": pairs[0].context if not cut.channel else [pair.context for pair in pairs],
                "choices": [pair.target for pair in pairs],
                "gold": asked.gold if asked else None,
                "logprobs": [round(score[0], 5) for score in row],
                "tokens": [score[1] for score in row],
                "greedy": [score[2] for score in row],
            }
