"""The model card of a run: README.md with the measured results in its metadata."""

import shlex
from pathlib import Path
from typing import Any

from hfcourse.run.files import read_json, write_text
from hfcourse.run.show import number, pair_up, took

from huggingface_hub import EvalResult, ModelCard, ModelCardData


def write_card(folder: Path, results: dict[str, Any], repo: str | None, card: dict[str, Any]) -> None:
    """Write README.md from results.json's content, environment.json and what the recipe says of itself in `card`.

    Keys of `card`, all optional: `what` (a paragraph), `base_model`, `dataset`, `pipeline_tag`,
    `library_name`, `data` (lines about rows and tokens), `samples` (a list of {column: text}, shown as a table under
    `samples_title`), `tables` (title, head, rows), which take the place of the table of all metrics, and `metrics`,
    names of those that stand in the metadata (all but the ends of intervals).
    """
    environment = read_json(folder / "environment.json", {})
    name = (repo or f"{results['recipe']}-{results['config']}").split("/")[-1]
    data = ModelCardData(
        model_name=name,
        library_name=card.get("library_name", "transformers"),
        pipeline_tag=card.get("pipeline_tag"),
        # Only names that exist on the Hub may stand here: a local path would be a dead link, or tell about the
        # machine.
        base_model=_hub_name(card.get("base_model")),
        datasets=_hub_name(card.get("dataset")),
        tags=["hfcourse", results["recipe"]],
        eval_results=[
            EvalResult(
                task_type=card.get("pipeline_tag") or "text-generation",
                dataset_type=_hub_name(card.get("dataset")) or "local",
                dataset_name=_hub_name(card.get("dataset")) or "data of this run",
                metric_type=metric,
                metric_value=value,
            )
            for metric, value in results["metrics"].items()
            if (metric in card["metrics"] if card.get("metrics") else not metric.endswith(("_low", "_high")))
        ],
    )
    rows = [[f"`{n}`", number(before), number(after)] for n, before, after in pair_up(results["metrics"])]
    command = f"python recipes/{shlex.join(environment.get('command', []))}"
    parts = [
        f"# {name}",
        card.get("what", ""),
        "## Results",
        *([] if "tables" in card else [table(["metric", "before", "after"], rows)]),
        *(f"{title}:\n\n{table(head, rows)}" for title, head, rows in card.get("tables", [])),
        f"{results['steps']} optimiser steps in {results['seconds']:.1f} s of training."
        if "steps" in results
        else f"{took(results)} in {results['seconds']:.1f} s."
        + (
            " Values in brackets: 95 % intervals." if any(name.endswith("_low") for name in results["metrics"]) else ""
        ),
        "![curves](curves.png)",
        *([f"## {card.get('samples_title', 'Samples')}", _samples(card["samples"])] if card.get("samples") else []),
        "## How it was made",
        f"```\n{command}\n```",
        "\n".join(f"- {_line(line)}" for line in card.get("data", [])),
        "`config.yaml` holds the arguments, `environment.json` the versions, commit, seed and machine, "
        + (
            "`metrics.jsonl` each logged step."
            if "steps" in results
            else "`cleaned/` what was kept and what was dropped, `metrics.jsonl` the reasons."
            if "documents" in results
            else "`samples.jsonl` every text and its scores, `metrics.jsonl` the table, `results.json` all intervals."
        ),
    ]
    body = "\n\n".join(part for part in parts if part)
    write_text(folder / "README.md", str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")))


def _hub_name(name: str | None) -> str | None:
    return name if name and not Path(name).exists() and name.count("/") <= 1 and name[0] not in "./~" else None


def _line(text: str) -> str:
    return " ".join(text.split())


def cell(text: Any) -> str:
    """Quoted text inside a table: one line, no cell borders, no mark-up of its own."""
    text = _line(str(text))
    for character in "\\`*_[]<>|#":
        text = text.replace(character, "\\" + character)
    return text


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table of cells that are Markdown themselves; see `cell`."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _samples(samples: list[dict[str, str]]) -> str:
    return table(list(samples[0]), [[cell(value) for value in sample.values()] for sample in samples])
