"""What an in-context evaluation shows and leaves behind: plan, prompts, samples, tables, pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hfcourse.icl.demonstrations import NONE, count_leaks
from hfcourse.icl.prompts import describe_leaks
from hfcourse.icl.report import MEAN, Cell, Scores, reliability
from hfcourse.icl.scoring import RULES
from hfcourse.metrics.classification import BINS
from hfcourse.run.evaluation import write_lines
from hfcourse.run.files import staged, write_text
from hfcourse.run.icl import Group, Loaded, scored
from hfcourse.run.plan import describe_processes
from hfcourse.run.record import metric_line
from hfcourse.run.run import Run
from hfcourse.run.show import number

import numpy as np
import torch
from rich.console import Console
from rich.text import Text


def describe(
    run: Run, tasks: Sequence[Loaded], groups: Sequence[Group], sharing: str, model: Any, name: str, loaded: str
) -> dict[str, str | list[str]]:
    """The lines of the plan."""
    whole, shared = _tokens(groups)
    parameters = sum(p.numel() for p in model.parameters())
    dtype = str(model.dtype).removeprefix("torch.")
    device = next(model.parameters()).device.type
    return {
        "model": f"{name}: {type(model).__name__}, {parameters:,} parameters, {dtype}",
        "tasks": [line for task in tasks for line in task.notes] + [loaded],
        "prompts": [
            f"{sum(len(g.members) for g in groups):,} prompts, {sum(len(p) for g in groups for p in g.pairs):,} "
            f"scores to take, in {len(groups):,} groups with the same demonstrations",
            f"{whole:,} tokens one score at a time; {shared:,} when what prompts share is read once",
            *_missing(groups),
        ],
        "leaks": _leaks(groups),
        "engine": sharing,
        "device": f"{describe_processes(run.state.num_processes)} on {device} ({torch.get_num_threads()} threads)",
    }


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
    worst: dict[tuple[str, int], list[int]] = {}
    for group in groups:
        if group.missing:
            worst.setdefault((group.loaded.task.name, group.cut.k), []).append(group.missing)
    return [
        f"{task}, k = {k}: {min(missing)} to {max(missing)} demonstrations dropped in {len(missing)} groups, since "
        "the context or the pool holds no more"
        for (task, k), missing in worst.items()
    ]


def _leaks(groups: Sequence[Group]) -> str:
    largest: dict[tuple, int] = {}
    for group in groups:
        place = (group.loaded.task.name, group.cut)
        largest[place] = max(largest.get(place, 0), len(group.members))
    replaced = sum(len(g.members) for g in groups) - sum(largest.values())
    compared = ((g.chosen, [g.loaded.items[i] for i in g.members]) for g in groups)
    return describe_leaks(*count_leaks(compared), replaced)


def show_prompts(groups: Sequence[Group], console: Console) -> None:
    """Two whole prompts, of the first group with demonstrations and of the last; what is scored stands in [[ ]]."""
    first = next((group for group in groups if group.demonstrations), groups[0])
    for index, group in enumerate((first, groups[-1]), 1):
        queries, item = group.encoded.queries(0), group.loaded.items[group.members[0]]
        query, pair = queries[item.gold], group.pairs[0][item.gold]
        task, cut = group.loaded.task.name, group.cut
        console.print(
            f"prompt {index}: {task} {cut.condition} k={cut.k} seed={cut.seed}, "
            f"{len(query.context) + len(query.target):,} tokens, {len(query.target)} of them scored"
        )
        text = Text("  ").append("".join(group.demonstrations) + pair.context)
        console.print(text.append(f"[[{pair.target}]]", style="green"), soft_wrap=True)


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


def speed(lines: Sequence[dict], processes: int) -> dict[str, float]:
    """Scores taken, seconds that it took over all sessions, scores a second."""
    requests = sum(len(row) for line in lines for row in line["scores"])
    seconds = sum(line["seconds"] for line in lines) / processes
    return {
        "requests": requests,
        "seconds": round(seconds, 3),
        "requests_per_second": round(requests / max(seconds, 1e-9), 1),
    }


def tables(metrics: dict[str, float], cells: Sequence[Cell]) -> list[tuple[str, list[str], list[list[str]]]]:
    """For the card: accuracy (exact match in generation) of each task in each condition, and by the scoring rule."""
    columns = list(dict.fromkeys((cell.condition, cell.k) for cell in cells))
    names = list(dict.fromkeys(cell.task for cell in cells))
    names += [MEAN] if len(names) > 1 else []
    rows = []
    for task in names:
        cell = [_interval(metrics, f"{task}_{condition}_k{k}_accuracy") for condition, k in columns]
        cell = cell if any(cell) else [_interval(metrics, f"{task}_{c}_k{k}_exact_match") for c, k in columns]
        rows.append([f"`{task}`", *cell])
    found = [("Accuracy", ["task", *(f"{c}, k={k}" if k else c for c, k in columns)], rows)]
    by_rule = []
    for condition, k in columns:
        stem = f"{names[-1]}_{condition}_k{k}"
        values = [_interval(metrics, f"{stem}_{rule}_accuracy") for rule in RULES]
        if any(values):
            by_rule.append([condition, _interval(metrics, f"{stem}_accuracy"), *values, _exact(metrics, stem)])
    if by_rule:
        head = ["condition", "first rule", *RULES, "exact match"]
        found.append((f"Accuracy of {names[-1]} by the scoring rule", head, by_rule))
    return found


def _exact(metrics: dict[str, float], stem: str) -> str:
    return _interval(metrics, f"{stem}_exact_match")


def _interval(metrics: dict[str, float], name: str) -> str:
    if name not in metrics:
        return ""
    value, low, high = (f"{metrics[name + end]:.3f}".lstrip("0") for end in ("", "_low", "_high"))
    return f"{value} ({low}-{high})"


def write_report(
    folder: Path,
    groups: Sequence[Group],
    lines: Sequence[dict],
    cells: dict[Cell, Scores],
    metrics: dict[str, float],
    rule: str,
) -> None:
    """samples.jsonl (every prompt and score), metrics.jsonl, curves.png."""
    with staged(folder / "samples.jsonl") as path:
        write_lines(path, _samples(groups, lines))
    rows = [{"task": cell.task, "condition": cell.condition, "k": cell.k, **_short(metrics, cell)} for cell in cells]
    write_text(folder / "metrics.jsonl", "".join(filter(None, map(metric_line, rows))))
    plot(folder / "curves.png", cells, metrics, rule)


def _short(metrics: dict[str, float], cell: Cell) -> dict[str, float]:
    """The values of a cell, without the ends of their intervals."""
    names = [name for name in metrics if name.startswith(f"{cell.name}_") and not name.endswith(("_low", "_high"))]
    return {name.removeprefix(f"{cell.name}_"): metrics[name] for name in names}


def _samples(groups: Sequence[Group], lines: Sequence[dict]) -> Iterator[dict[str, Any]]:
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


def plot(path: Path, cells: dict[Cell, Scores], metrics: dict[str, float], rule: str) -> None:
    """Accuracy over k with one line a condition, accuracy by condition, and reliability, over all tasks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    several = len({cell.task for cell in cells}) > 1
    stem = MEAN if several else next(iter(cells)).task
    measure = "accuracy" if any(name.endswith("_accuracy") for name in metrics) else "exact_match"
    points: dict[str, list[tuple[int, float, float, float]]] = {}
    for condition, k in dict.fromkeys((cell.condition, cell.k) for cell in cells):
        name = f"{stem}_{condition}_k{k}_{measure}"
        if name in metrics:
            value, low, high = (metrics[name + end] for end in ("", "_low", "_high"))
            points.setdefault(condition, []).append((k, value, value - low, high - value))
    none = points.pop(NONE, [])
    figure, (curve, bars, reliable) = pyplot.subplots(1, 3, figsize=(16, 4.4))
    for condition, found in points.items():
        places, values, lows, highs = zip(*sorted(none + found), strict=True)
        curve.errorbar(places, values, yerr=(lows, highs), label=condition, marker="o", markersize=4, capsize=2)
    curve.set(title=f"{measure.replace('_', ' ')}, {stem} of tasks" if several else stem, xlabel="demonstrations k")
    shown = {NONE: none, **points} if none else points
    most = {condition: max(found) for condition, found in shown.items()}
    bars.bar(
        [f"{condition}\nk={found[0]}" for condition, found in most.items()],
        [found[1] for found in most.values()],
        yerr=np.array([found[2:] for found in most.values()]).T,
        capsize=3,
        color=[f"C{i}" for i in range(len(most))],
    )
    bars.set(title="by condition, 95 % intervals")
    bars.tick_params(axis="x", labelsize=7)
    for condition in [c for c in (NONE, "gold", "random") if c in shown]:
        own = [s for cell, s in cells.items() if (cell.condition, cell.k) == (condition, most[condition][0])]
        confidence, right, _ = reliability(own, rule, BINS)
        reliable.plot(confidence, right, marker="o", label=f"{condition}, k={number(most[condition][0])}")
    reliable.plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
    reliable.set(title="reliability", xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    for ax in (curve, bars, reliable):
        ax.grid(alpha=0.3)
    for ax in (curve, reliable):
        ax.legend(fontsize=8)
    figure.tight_layout()
    with staged(path) as temporary:
        figure.savefig(temporary, dpi=80)
    pyplot.close(figure)
