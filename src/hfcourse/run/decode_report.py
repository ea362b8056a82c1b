"""What a comparison of ways to generate leaves behind: the plan, measures, tables, texts."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hfcourse.metrics.diversity import distinct, doubled, repetition, self_bleu
from hfcourse.metrics.exact_match import grouped_accuracy
from hfcourse.run import evaluation
from hfcourse.run.decode import DOCUMENT, Piece, Writer
from hfcourse.run.decode_pictures import plot, plot_distribution, plot_speed
from hfcourse.run.evaluation import Journal
from hfcourse.run.plan import describe_rows
from hfcourse.run.prompts import Prompt, join_pieces
from hfcourse.run.run import Run
from hfcourse.run.show import by_way, number


Row = tuple[Prompt, list[int], dict[str, Any]]


def describe(run: Run, writer: Writer, pieces: Sequence[Piece], notes: list[str], data: Any) -> dict[str, Any]:
    """The lines of the plan."""
    readers = {"": writer.model, "judge ": writer.judge, "infiller ": writer.infiller}
    models = {f"{kind}{reader.name}": reader.model for kind, reader in readers.items() if reader is not None}
    written = [piece for piece in pieces if piece.name != DOCUMENT]
    return evaluation.describe(run, models) | {
        "prompts": f"{describe_rows(data.test or data.train)}; {sum(len(p.rows) for p in written):,} texts to write, "
        f"of at most {writer.new} tokens",
        "ways": ", ".join(dict.fromkeys(f"{p.name} passes" if p.name.isdecimal() else p.name for p in written)),
        "data": notes,
    }


def first_prompts(writer: Writer, count: int = 2) -> list[tuple[str, str, str]]:
    """The first prompts: their lengths, the text, and what the document has next."""
    decode = writer.model.tokenizer.decode
    return [
        (f"{len(prompt.ids)} tokens, {len(prompt.own)} to write", prompt.text, decode(prompt.own))
        for prompt in writer.prompts["texts"][:count]
    ]


def rows_of(writer: Writer, pieces: Sequence[Piece], lines: Sequence[dict], part: str, name: str) -> list[Row]:
    """(prompt, ids written, what else was noted of it) of each row of one way to generate."""
    found = []
    for piece, line in zip(pieces, lines, strict=True):
        if (piece.part, piece.name) == (part, name):
            for i, row in enumerate(piece.rows):
                noted = {key: line[key][i] for key in ("right", "own", "judged") if key in line}
                found.append((writer.prompts[part][row], line["ids"][i], noted))
    return found


def measure(writer: Writer, pieces: Sequence[Piece], lines: Sequence[dict]) -> dict[str, float]:
    """Every metric, <way>_<measure>; a way is document, a strategy's name or passes_<N>."""
    metrics: dict[str, float] = {}
    for part, name in dict.fromkeys((piece.part, piece.name) for piece in pieces):
        stem, rows = stem_of(writer, part, name), rows_of(writer, pieces, lines, part, name)
        if part == "truth":
            right = ((f"{stem}_truth_{prompt.lang}", noted["right"]) for prompt, _, noted in rows)
            metrics |= grouped_accuracy(right)
            continue
        for measured, key in (("perplexity", "own"), ("judge_perplexity", "judged")):
            if scores := [noted[key] for *_, noted in rows if key in noted]:
                metrics[f"{stem}_{measured}"] = math.exp(
                    -sum(s for s, _ in scores) / max(sum(n for _, n in scores), 1)
                )
        end = writer.model.tokenizer.eos_token_id
        texts = [[token for token in ids if part == "passes" or token != end] for _, ids, _ in rows]
        measured_by: dict[str, Callable] = {"repetition": repetition, "doubled": doubled, "distinct_2": distinct}
        metrics |= {f"{stem}_{measured}": function(texts) for measured, function in measured_by.items()}
        metrics[f"{stem}_self_bleu"] = self_bleu(texts)
        metrics[f"{stem}_length"] = sum(map(len, texts)) / len(texts)
    return metrics


def stem_of(writer: Writer, part: str, name: str) -> str:
    """The part of a metric's name that says which way to generate it measures."""
    if part == "passes":
        return f"passes_{name}" if name.isdecimal() else name
    return name if name == DOCUMENT else writer.strategies[name].name


def speed(pieces: Sequence[Piece], lines: Sequence[dict], processes: int) -> dict[str, float]:
    """Tokens written, seconds that it took over all sessions, tokens a second."""
    written = [line for piece, line in zip(pieces, lines, strict=True) if piece.name != DOCUMENT]
    seconds = sum(line["seconds"] for line in written) / processes
    tokens = sum(len(ids) for line in written for ids in line["ids"])
    return {
        "tokens": tokens,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
    }


def tokens_per_second(writer: Writer, pieces: Sequence[Piece], lines: Sequence[dict]) -> dict[str, float]:
    """{way: tokens a second}, of the texts alone: answers to an exam are shorter."""
    found: dict[str, list[float]] = {}
    for piece, line in zip(pieces, lines, strict=True):
        if piece.part != "truth" and piece.name != DOCUMENT:
            sums = found.setdefault(stem_of(writer, piece.part, piece.name), [0.0, 0.0])
            sums[0] += sum(map(len, line["ids"]))
            sums[1] += line["seconds"]
    return {stem: tokens / max(seconds, 1e-9) for stem, (tokens, seconds) in found.items()}


def tables(
    metrics: dict[str, float], writer: Writer, pieces: Sequence[Piece], lines: Sequence[dict]
) -> list[tuple[str, list[str], list[list[str]]]]:
    """For the card: a row for each way to generate, with its speed."""
    measured, found = by_way(metrics)
    speeds = tokens_per_second(writer, pieces, lines)
    rows = [
        [f"`{way}`", *(number(values.get(name)) for name in measured), number(speeds.get(way))]
        for way, values in found.items()
    ]
    return [("Each way to generate", ["way", *measured, "tokens a second"], rows)]


def samples(writer: Writer, pieces: Sequence[Piece], lines: Sequence[dict], count: int = 2) -> list[dict[str, str]]:
    """What each way writes for the first prompts: a row each, a column a prompt."""
    chosen = []
    for part, name in dict.fromkeys((piece.part, piece.name) for piece in pieces):
        rows = rows_of(writer, pieces, lines, part, name)[:count]
        if part == "texts":
            chosen.append({"": name} | {f"{prompt.text} ...": _text(writer, part, ids) for prompt, ids, _ in rows})
    return chosen


def _text(writer: Writer, part: str, ids: list[int]) -> str:
    reader = writer.infiller if part == "passes" else writer.model
    assert reader is not None
    text = reader.tokenizer.decode(ids, skip_special_tokens=True)
    return (join_pieces(text) if part == "passes" else text).strip()


def write_report(
    folder: Path,
    writer: Writer,
    pieces: Sequence[Piece],
    lines: Sequence[dict],
    metrics: dict[str, float],
    journal: Journal,
) -> None:
    """samples.jsonl (every text), metrics.jsonl, the pictures; then the journals are no longer needed."""
    strategies, texts = list(writer.strategies.values()), writer.prompts["texts"]
    speeds = tokens_per_second(writer, pieces, lines)
    rows = [{"way": way, **values} for way, values in by_way(metrics)[1].items()]
    plots = {
        "curves.png": lambda path: plot(path, writer, metrics),
        "speed.png": lambda path: plot_speed(path, writer, metrics, speeds),
        "distribution.png": lambda path: plot_distribution(path, writer.model, texts, strategies),
    }
    evaluation.write_records(folder, text_rows(writer, pieces, lines), rows, plots)
    journal.remove()


def text_rows(writer: Writer, pieces: Sequence[Piece], lines: Sequence[dict]) -> Iterator[dict[str, Any]]:
    """Lines of samples.jsonl: every text."""
    for part, name in dict.fromkeys((piece.part, piece.name) for piece in pieces):
        for prompt, ids, noted in rows_of(writer, pieces, lines, part, name):
            line = {"part": part, "way": name, "prompt": prompt.text, "text": _text(writer, part, ids)}
            answer = {"answer": prompt.answer, "right": noted["right"]} if part == "truth" else {}
            yield line | answer | {"prompt_ids": prompt.ids, "ids": ids}
