"""A run that trains nothing: its arguments, the journal of what is scored, progress, and the end of it."""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.files import staged, write_text
from hfcourse.run.plan import describe_processes
from hfcourse.run.record import metric_line
from hfcourse.run.recorder import duration
from hfcourse.run.run import JOURNALS, Run

import torch
from rich.console import Console
from rich.text import Text
from tqdm.auto import tqdm
from transformers import TrainingArguments


# Between two lines of progress.
SECONDS = 1.0
# What an evaluation reads of TrainingArguments. Anything else would be a setting without an effect.
READ = {
    "output_dir", "seed", "use_cpu", "push_to_hub", "hub_model_id", "hub_private_repo", "hub_token", "disable_tqdm",
}  # fmt: skip


def refuse_training(run: Run) -> None:
    """Refuse an argument that was given and that only training would read; a signal keeps what is scored."""
    run.signals.kept = "what is scored"
    fields = TrainingArguments.__dataclass_fields__
    if unread := [name for name in run.given if name in fields and name not in READ]:
        raise InputError(f"--{unread[0]} has no effect here: {run.name} trains nothing")


class Journal:
    """What is scored, one JSON line for each piece of work, appended as a whole; each process has a file of its own.

    A line that an interruption cut short is dropped when the journal is opened again, and so is nothing else.
    """

    def __init__(self, run: Run):
        self.run, self.folder = run, run.folder
        self.process, self.processes = run.state.process_index, run.state.num_processes
        run.on_main(self._mend)
        # Everything that was scored before, by however many processes.
        self.lines = [json.loads(line) for path in self._paths() for line in path.read_bytes().splitlines()]
        run.state.wait_for_everyone()
        name = JOURNALS.replace("*", str(self.process))
        self._file = open(self.folder / name, "ab", buffering=0)  # noqa: SIM115 - open until the process ends

    def append(self, line: dict[str, Any]) -> None:
        """Add a line, by one call of the system: it is there whole, or its beginning is."""
        self.lines.append(line)
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if self._file.write(content) < len(content):  # which a disk that fills up does, before it refuses
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)

    def gather(self) -> list[dict[str, Any]]:
        """The lines of all processes, when each of them has come here."""
        self.run.state.wait_for_everyone()
        return [json.loads(line) for path in self._paths() for line in path.read_bytes().splitlines()]

    def remove(self) -> None:
        """Called when what the journals hold stands elsewhere in the folder."""
        for path in self._paths():
            path.unlink()

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(JOURNALS))

    def _mend(self) -> None:
        for path in self._paths():
            content = path.read_bytes()
            if whole := content.rfind(b"\n") + 1:
                if whole < len(content):
                    with open(path, "r+b") as file:
                        file.truncate(whole)
            elif content:
                path.write_bytes(b"")


class Progress:
    """A bar on a terminal; elsewhere a line a second, with the time left. On the main process alone."""

    def __init__(self, run: Run, unit: str):
        self.unit, self.shown = unit, run.state.is_main_process
        self.terminal = self.shown and sys.stderr.isatty() and not run.given.get("disable_tqdm")
        self.bar: tqdm | None = None

    def begin(self, total: int, done: int) -> None:
        """There are `total` pieces of work, of which `done` were done before."""
        self.total, self.done, self.first = total, done, done
        self.began = self.said = time.monotonic()
        if self.terminal:
            self.bar = tqdm(total=total, initial=done, dynamic_ncols=True, unit=self.unit)

    def update(self, number: int, text: str) -> None:
        """`number` more are done; `text` says what."""
        self.done += number
        if self.bar is not None:
            self.bar.update(number)
            self.bar.set_postfix_str(text)
        elif self.shown and (self.done == self.total or time.monotonic() - self.said > SECONDS):
            self.said = time.monotonic()
            done = self.done - self.first
            left = (time.monotonic() - self.began) / max(done, 1) * (self.total - self.done)
            print(f"{self.unit} {self.done}/{self.total}  {text}  {duration(left)} left", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def do_pieces(
    run: Run, pieces: Mapping[str, Callable[[], dict[str, Any]]], journal: Journal, others: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Do the pieces of work that the journal does not hold; the processes of the run share them. All lines, by key.

    A piece's line is what it returns, with its key as "piece" and, unless it tells them, its "seconds". Where work is
    done in rounds, `others` are the keys of the other rounds. Raises InputError where the journal holds pieces that
    are of none of them.
    """
    done = {line["piece"] for line in journal.lines}
    if foreign := done - pieces.keys() - set(others):
        raise InputError(
            f"{run.folder} holds scores of other work ({min(foreign)}): the data, the tokenizer or the code has "
            "changed since; --fresh moves them aside"
        )
    mine = list(pieces)[journal.process :: journal.processes]
    progress = Progress(run, "batch")
    progress.begin(len(mine), sum(key in done for key in mine))
    for key in mine:
        if key not in done:
            began = time.perf_counter()
            line = pieces[key]()
            journal.append({"piece": key, "seconds": round(time.perf_counter() - began, 4)} | line)
            progress.update(1, key)
    progress.close()
    found = {line["piece"]: line for line in journal.gather()}
    return {key: found[key] for key in pieces}


def describe(run: Run, models: dict[str, Any]) -> dict[str, list[str] | str]:
    """Models (by what each is called), processes and device, for a plan."""
    device = next(next(iter(models.values())).parameters()).device.type
    return {
        "model": [
            f"{name}: {type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters, "
            + str(model.dtype).removeprefix("torch.")
            for name, model in models.items()
        ],
        "device": f"{describe_processes(run.state.num_processes)} on {device} ({torch.get_num_threads()} threads)",
    }


def show_texts(texts: Sequence[tuple[str, str, str]], console: Console) -> None:
    """Print whole prompts: what each is, what the model reads, and in green and in [[ ]] what is scored."""
    for index, (title, read, scored) in enumerate(texts, 1):
        console.print(f"prompt {index}: {title}")
        console.print(Text(f"  {read}").append(f"[[{scored}]]", style="green"), soft_wrap=True)


def speed(lines: Sequence[dict[str, Any]], processes: int) -> dict[str, float]:
    """Scores taken, seconds that it took over all sessions, scores a second."""
    requests = sum(len(row) for line in lines for row in line["scores"])
    seconds = sum(line["seconds"] for line in lines) / processes
    return {
        "requests": requests,
        "seconds": round(seconds, 3),
        "requests_per_second": round(requests / max(seconds, 1e-9), 1),
    }


def write_records(
    folder: Path,
    samples: Iterable[dict[str, Any]],
    rows: Iterable[dict[str, Any]],
    plots: dict[str, Callable[[Path], None]],
) -> None:
    """samples.jsonl, metrics.jsonl, and each picture, by its name, as the function draws it into a path."""
    with staged(folder / "samples.jsonl") as path, open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    write_text(folder / "metrics.jsonl", "".join(filter(None, map(metric_line, rows))))
    for name, plot in plots.items():
        with staged(folder / name) as path:
            plot(path)
