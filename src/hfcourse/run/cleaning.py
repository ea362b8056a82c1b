"""The cleaning of `make clean-data` in its run's folder: it appears whole, and goes on after an interruption."""

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hfcourse.errors import InputError
from hfcourse.run.checkpoints import disk_problem
from hfcourse.run.evaluation import Progress
from hfcourse.run.files import read_json, remove, staged, sync, write_json
from hfcourse.run.plan import describe_processes
from hfcourse.run.record import write_metrics
from hfcourse.run.run import Run

from rich.console import Console
from rich.markup import escape


CLEANED = "cleaned"
PICTURE = "cleaning.png"
PLAN = "plan.json"


class Cleaner(Protocol):
    """What cleans: `settings` decide the result; called with a folder to work in and what to tell of each task."""

    settings: Mapping[str, Any]
    tasks: int
    documents: int

    def __call__(self, folder: Path, done: Callable[[str], None]) -> None: ...


def clean(run: Run, cleaner: Cleaner, stack: contextlib.ExitStack) -> Path:
    """The folder of the cleaned text, made on the main process unless it is there; a dry run's is taken away again.

    Raises InputError where the folder holds the cleaning of other data or settings.
    """
    if run.own.dry_run:
        return run.on_main(lambda: _try(cleaner, stack))
    return run.on_main(lambda: _clean(run, cleaner))


def _try(cleaner: Cleaner, stack: contextlib.ExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / CLEANED
    folder.mkdir()
    began = time.monotonic()
    cleaner(folder, lambda name: None)
    write_json(folder / PLAN, {"seconds": round(time.monotonic() - began, 3)})
    return folder


def _clean(run: Run, cleaner: Cleaner) -> Path:
    folder, writing = run.folder / CLEANED, run.folder / f".writing-{CLEANED}"
    wanted = hashlib.blake2b(repr(sorted(cleaner.settings.items())).encode(), digest_size=8).hexdigest()
    place = folder if folder.exists() else writing
    plan = read_json(place / PLAN, {"settings": wanted, "seconds": 0.0})
    if plan["settings"] != wanted:
        raise InputError(f"{run.folder} holds the cleaning of other data or settings: --fresh moves it aside")
    if place is folder:
        return folder
    writing.mkdir(exist_ok=True)
    write_json(writing / PLAN, plan)
    progress = Progress(run, "task")
    progress.begin(cleaner.tasks, 0)
    last = time.monotonic()

    def done(name: str) -> None:
        nonlocal last
        plan["seconds"] = round(plan["seconds"] + time.monotonic() - last, 3)
        last = time.monotonic()
        write_json(writing / PLAN, plan)
        progress.update(1, name)

    try:
        cleaner(writing, done)
    except OSError as error:
        if (reason := disk_problem(error)) is None:
            raise
        said = f"{writing} can't be written: {reason}; the same command continues from what is clean already"
        raise InputError(said) from error
    progress.close()
    if not any((writing / "kept").glob("*")):
        raise InputError(f"nothing was kept of {cleaner.documents:,} pages: look at what {writing}/dropped says")
    for leftover in ("signatures", "found", "filtered", "distinct"):  # what only the phases read
        remove(writing / leftover)
    sync(writing)
    writing.rename(folder)
    return folder


def seconds(folder: Path) -> float:
    """How long the cleaning took, over all sessions."""
    return float(read_json(folder / PLAN)["seconds"])


def stage_table(stages: Sequence[Any]) -> dict[str, Any]:
    """The samples of a card: a row for each stage of a report."""
    rows = []
    for stage in stages:
        row = {"stage": stage.name.replace("_", " "), "in": f"{stage.arrived:,}", "dropped": f"{stage.dropped:,}"}
        if stage.precision is not None:
            row |= {"precision": f"{stage.precision:.3f}", "recall": f"{stage.recall:.3f}", "lost": str(stage.lost)}
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in stage.reasons.items())
        rows.append(row | {"reasons": reasons})
    return {"samples": rows, "samples_title": "Stages"}


def conclude(
    run: Run,
    folder: Path,
    report: Any,
    found: Callable[[float], float],
    facts: Mapping[str, Any],
    card: dict[str, Any],
) -> None:
    """The plan and the end of a run that only cleans: its picture, its table and its results."""
    device = f"{describe_processes(run.state.num_processes)} on cpu"
    run.announce({**facts, "device": device}, lambda: show_dropped(report.dropped, run.console))
    metrics, took = report.metrics(), seconds(folder)

    def write() -> None:
        write_metrics(run.folder / "metrics.jsonl", [{"stage": s.name, **s.reasons} for s in report.stages])
        plot_into(run.folder / "curves.png", report.stages, found, metrics)

    speed = {"documents": report.documents, "documents_per_second": round(report.documents / max(took, 1e-9), 1)}
    run.conclude({"metrics": metrics, "seconds": took, **speed}, write, card | {"data": facts["pages"]})


def show_dropped(dropped: Mapping[str, Sequence[Mapping[str, Any]]], console: Console) -> None:
    """The first text that each stage dropped, with the reason."""
    for stage, documents in dropped.items():
        for document in documents[:1]:
            text = " ".join(document.get("text", "").split())
            reason = document.get("filter_reason", stage.replace("_", " "))
            console.print(f"  {escape(f'[{stage}: {reason}]')} {escape(text[:160])}", soft_wrap=True)


def plot_into(
    path: Path, stages: Sequence[Any], found: Callable[[float], float], metrics: Mapping[str, float]
) -> None:
    """What each stage dropped; with labels how right it was; MinHash's curve; with a proof what each side learnt."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [stage.name.replace("_", " ") for stage in stages]
    proof = "perplexity_raw" in metrics
    figure, axes = pyplot.subplots(1, 3 + proof, figsize=(4.6 * (3 + proof), 3.9))
    ax = axes[0]
    left = [stage.arrived - stage.dropped for stage in stages]
    ax.barh(names, left, color="tab:green", alpha=0.7, label="left")
    ax.barh(names, [stage.dropped for stage in stages], left=left, color="tab:red", alpha=0.7, label="dropped")
    ax.invert_yaxis()
    ax.set(title=f"{stages[0].arrived:,} documents", xlabel="documents")
    ax.legend(fontsize=8, loc="lower left")
    ax = axes[1]
    if stages[0].precision is not None:
        rows = {n: (s.precision, s.recall) for n, s in zip(names, stages, strict=True)}
        for name, short in (("lines", "lines of text"), ("personal", "masks"), ("words", "harm by words")):
            if f"{name}_precision" in metrics:
                rows[short] = (metrics[f"{name}_precision"], metrics[f"{name}_recall"])
        for side, (label, marker) in enumerate((("precision", "o"), ("recall", "x"))):
            ax.plot([values[side] for values in rows.values()], list(rows), marker, label=label, markersize=8)
        ax.invert_yaxis()
        ax.set(title="right, by the labels", xlim=(-0.05, 1.05))
        ax.legend(fontsize=8, loc="lower left")
    else:
        reasons = [(reason, n) for stage in stages for reason, n in stage.reasons.items()]
        top = sorted(reasons, key=lambda pair: -pair[1])[:10]
        ax.barh([reason for reason, _ in top], [n for _, n in top], color="tab:red", alpha=0.7)
        ax.invert_yaxis()
        ax.set(title="reasons", xlabel="documents")
    ax = axes[2]
    points = [i / 100 for i in range(101)]
    ax.plot(points, [found(point) for point in points])
    ax.set(title="MinHash", xlabel="Jaccard similarity of two texts", ylabel="P(taken for copies)")
    if proof:
        _plot_proof(axes[3], metrics)
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.tight_layout()
    with staged(path) as temporary:
        figure.savefig(temporary, dpi=90)
    pyplot.close(figure)


def _plot_proof(ax: Any, metrics: Mapping[str, float]) -> None:
    shown = {
        "recited_copied": "copied texts\nrecited",
        "recited_single": "other texts\nrecited",
        "exam_leaked": "exam, leaked\nquestions",
        "exam_unseen": "exam, other\nquestions",
    }
    there = {name: label for name, label in shown.items() if f"{name}_raw" in metrics}
    for offset, side, colour in ((-0.2, "raw", "tab:red"), (0.2, "clean", "tab:green")):
        heights = [metrics[f"{name}_{side}"] for name in there]
        label = f"{side}: perplexity {metrics[f'perplexity_{side}']:.2f}"
        ax.bar([i + offset for i in range(len(there))], heights, 0.4, color=colour, alpha=0.7, label=label)
    ax.set_xticks(range(len(there)), list(there.values()), fontsize=7)
    ax.set(title="one model on raw and on clean text", ylim=(0, 1.25), ylabel="share")
    ax.legend(fontsize=8, loc="upper right")
