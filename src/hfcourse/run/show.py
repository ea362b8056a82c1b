"""What a reader sees of a run: the table of results, without importing anything heavy."""

import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from hfcourse.run.files import read_json

from rich.console import Console
from rich.markup import escape
from rich.table import Table


# Characters of a message on stderr; a row may hold a column whose name is a page.
LONGEST = 1000


def leave(sentence: str, code: int) -> NoReturn:
    """End the program with one sentence on stderr, said by the main process alone, and an exit code."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"hfcourse: {one_line(sentence)}", file=sys.stderr)
    sys.exit(code)


def one_line(text: str) -> str:
    """`text` on one line, and without its middle where what it quotes is long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def finished_results(folder: Path) -> dict[str, Any] | None:
    """The content of results.json of a finished run, or None."""
    results = read_json(folder / "results.json")
    return results if isinstance(results, dict) and results.get("finished") else None


def pair_up(metrics: dict[str, float]) -> list[tuple[str, float | None, float | None]]:
    """(name, before, after) for each metric; a value before training has the same name and `_before`."""
    names = list(dict.fromkeys(name.removesuffix("_before") for name in metrics))
    return [(name, metrics.get(f"{name}_before"), metrics.get(name)) for name in names]


def number(value: float | None) -> str:
    """A number as it stands in tables and cards: four significant digits, thousands separated."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def took(results: dict[str, Any]) -> str:
    """What a run did: optimiser steps, the tokens that it wrote, what it cleaned, or the scores that it took."""
    if "tokens" in results:
        return f"{results['tokens']:,} tokens"
    if "documents" in results:
        return f"{results['documents']:,} documents"
    return f"{results['steps']} steps" if "steps" in results else f"{results['requests']:,} scores"


def intervals(metrics: dict[str, float]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of an evaluation's metrics `<what>_k<k>_<measure>` with _low and _high, a row for each what and k.

    Where there is a mean over tasks, only the mean.
    """
    found: dict[str, dict[str, str]] = {}
    for name in [name for name in metrics if f"{name}_low" in metrics]:
        stem, shots, measure = re.fullmatch(r"(.+)_k(\d+)_(.+)", name).groups()  # type: ignore[union-attr]
        text = f"{metrics[name]:.3f}"
        if measure in ("accuracy", "exact_match"):
            text += f" ({metrics[name + '_low']:.2f}-{metrics[name + '_high']:.2f})"
        found.setdefault(f"{stem}_k{shots}", {})[measure] = text.replace("0.", ".")
    if any(name.startswith("mean_") for name in found):
        found = {name: values for name, values in found.items() if name.startswith("mean_")}
    shown = ("accuracy", "macro_f1", "ece", "exact_match")
    return ["metric", *shown], [[name, *(values.get(key, "") for key in shown)] for name, values in found.items()]


# Measures of a way to generate, with the headings of those that a terminal, 80 characters wide, has room for.
MEASURES = {
    "judge_perplexity": "judged",
    "perplexity": "perplexity",
    "repetition": "repeats",
    "doubled": "",
    "distinct_2": "distinct",
    "self_bleu": "",
    "length": "",
    "entries": "entries",
    "k": "",
    "temperature": "",
    "lambda": "lambda",
    "recall": "recall",
}


def by_way(metrics: dict[str, float]) -> tuple[list[str], dict[str, dict[str, float]]]:
    """Metrics `<way>_<measure>` as {way to generate: {measure: value}}, and their measures, truth by language last."""
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        way, measure = re.fullmatch(rf"(.+?)_({'|'.join(MEASURES)}|truth_.+)", name).groups()  # type: ignore[union-attr]
        found.setdefault(way, {})[measure] = value
    there = dict.fromkeys(measure for values in found.values() for measure in values)
    return [m for m in MEASURES if m in there] + [m for m in there if m not in MEASURES], found


def ways_table(metrics: dict[str, float]) -> tuple[list[str], list[list[str]]]:
    """Head and rows, a row for each way to generate: the writer's own perplexity only where there is no judge."""
    names, found = by_way(metrics)
    headings = {name: MEASURES.get(name, name.replace("truth_", "true ")) for name in names}
    shown = [name for name in names if headings[name] and (name != "perplexity" or "judge_perplexity" not in names)]
    rows = [[way, *(number(values.get(name)) for name in shown)] for way, values in found.items()]
    return ["", *(headings[name] for name in shown)], rows


# Stages of RLHF, and what is measured of each, in the order of their table.
STAGES = ("base", "sft", "ppo", "ppo_no_kl", "best_of_n")
OF_A_STAGE = ("helpful", "truthful", "harmless", "reward", "kl", "length", "ece")


def stages_table(metrics: dict[str, float]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of metrics `<stage>_<measure>`, a row for each stage."""
    shown = [name for name in OF_A_STAGE if f"sft_{name}" in metrics]
    titles = {stage: stage for stage in STAGES if f"{stage}_kl" in metrics}
    titles["best_of_n"] = f"best of {metrics['best_of_n_answers']:.0f}"
    return ["", *shown], [[t, *(f"{metrics[f'{stage}_{name}']:.2f}" for name in shown)] for stage, t in titles.items()]


# Perplexity where nothing is known of how far back the needed word was said.
ELSEWHERE = "elsewhere"


def models_table(metrics: dict[str, float]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of metrics `perplexity_<model>_<distance>` and `parameters_<model>`, a row for each model."""
    models = [name.removeprefix("parameters_") for name in metrics if name.startswith("parameters_")]
    stem = f"perplexity_{models[0]}"
    distances = [name.removeprefix(stem) for name in metrics if name.startswith(f"{stem}_")]
    rows = [
        [
            model,
            *(number(metrics[f"perplexity_{model}{d}"]) for d in ("", *distances)),
            number(metrics[f"parameters_{model}"]),
        ]
        for model in models
    ]
    return ["perplexity", "all", *(d.removeprefix("_") for d in distances), "parameters"], rows


def show_samples(samples: list[dict[str, str]], console: Console) -> None:
    """Print samples side by side, a column a key, long texts cut."""
    table = Table(*(escape(key) for key in samples[0]), show_lines=True)
    for sample in samples:
        texts = (" ".join(text.split()) for text in sample.values())
        table.add_row(*(escape(text if len(text) <= 160 else text[:159] + "…") for text in texts))
    console.print(table)


def show_results(results: dict[str, Any], folder: Path, console: Console | None = None) -> None:
    """Print the metrics of a run as a table, with what it took and where it lies."""
    table = Table(title=f"{results['recipe']} {results['config']}", title_justify="left", min_width=40)
    if "best_of_n_answers" in results["metrics"]:
        head, rows = stages_table(results["metrics"])
    elif "perplexity_ngram_1" in results["metrics"]:
        head, rows = models_table(results["metrics"])
    elif any(name.endswith("_low") for name in results["metrics"]):
        head, rows = intervals(results["metrics"])
    elif "tokens" in results:
        head, rows = ways_table(results["metrics"])
    else:
        head = ["metric", "before", "after"]
        rows = [[name, number(before), number(after)] for name, before, after in pair_up(results["metrics"])]
    for i, heading in enumerate(head):
        table.add_column(heading, justify="right" if i else "left", no_wrap=i > 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    speed = next((f"{number(results[k])} {k.replace('_', ' ')}" for k in results if k.endswith("_per_second")), "")
    console = console or Console()
    console.print(table)
    console.print(
        f"{took(results)} in {results['seconds']:.1f} s, {speed}, "
        f"{results['peak_memory_mb']:.0f} MB; all of it in {escape(str(folder))}",
        soft_wrap=True,
    )
