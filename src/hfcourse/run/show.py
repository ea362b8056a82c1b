"""What a reader sees of a run: the table of results, without importing anything heavy."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from hfcourse.run.files import read_json

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def leave(sentence: str, code: int) -> NoReturn:
    """End the program with one sentence on stderr, said by the main process alone, and an exit code."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"hfcourse: {sentence}", file=sys.stderr)
    sys.exit(code)


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
    for heading, justify in (("metric", "left"), ("before", "right"), ("after", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, before, after in pair_up(results["metrics"]):
        table.add_row(name, number(before), number(after))
    speed = next((f"{number(results[k])} {k.replace('_', ' ')}" for k in results if k.endswith("_per_second")), "")
    console = console or Console()
    console.print(table)
    console.print(
        f"{results['steps']} steps in {results['seconds']:.1f} s, {speed}, "
        f"{results['peak_memory_mb']:.0f} MB; all of it in {escape(str(folder))}",
        soft_wrap=True,
    )
