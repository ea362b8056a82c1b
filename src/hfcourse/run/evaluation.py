"""A run that trains nothing: its arguments, the journal of what is scored, progress, and the end of it."""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.run import JOURNALS, Run
from hfcourse.run.trainer import duration

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
        self.run = run
        run.on_main(self._mend)
        # Everything that was scored before, by however many processes.
        self.lines = [json.loads(line) for path in self._paths() for line in path.read_bytes().splitlines()]
        run.state.wait_for_everyone()
        name = JOURNALS.replace("*", str(run.state.process_index))
        self._file = open(run.folder / name, "ab", buffering=0)  # noqa: SIM115 - open until the process ends

    def append(self, line: dict[str, Any]) -> None:
        """Add a line, by one call of the system: it is there whole, or its beginning is."""
        self.lines.append(line)
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def gather(self) -> list[dict[str, Any]]:
        """The lines of all processes, when each of them has come here."""
        self.run.state.wait_for_everyone()
        return [json.loads(line) for path in self._paths() for line in path.read_bytes().splitlines()]

    def remove(self) -> None:
        """Called when what the journals hold stands elsewhere in the folder."""
        for path in self._paths():
            path.unlink()

    def _paths(self) -> list[Path]:
        return sorted(self.run.folder.glob(JOURNALS))

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

    def __init__(self, run: Run, total: int, done: int, unit: str):
        self.total, self.done, self.first, self.unit = total, done, done, unit
        self.began = self.said = time.monotonic()
        self.shown = run.state.is_main_process
        bar = self.shown and sys.stderr.isatty() and not run.given.get("disable_tqdm")
        self.bar = tqdm(total=total, initial=done, dynamic_ncols=True, unit=unit) if bar else None

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


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """JSON lines into a file whose name is not final yet."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
