"""All that cleaning takes, in one object that works in a folder and can go on where it stopped."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hfcourse.clean.executor import LOGS, run_locally, run_on_slurm
from hfcourse.clean.harm import Classifier
from hfcourse.clean.pipeline import CLASSIFIER, Cleaning, phases
from hfcourse.errors import InputError

from datasets import Dataset


# Rows by which other data under the same name is noticed.
LOOKED_AT = 1000


@dataclass
class DataCleaner:
    """Cleans `rows` of `hfcourse.data.pages.Pages` in so many tasks; see `hfcourse.clean.pipeline.phases`.

    `labelled` are texts {"text", "harmful"} that teach the classifier, `leaks` texts of an exam; without them their
    stage is left out. Raises InputError for numbers that can't be, and for labelled texts of one kind alone.
    """

    rows: Dataset
    cleaning: Cleaning
    parts: int
    workers: int
    slurm: Mapping[str, Any] | None
    labelled: Dataset | None
    leaks: list[str]
    raw: bool

    def __post_init__(self) -> None:
        if self.parts < 1 or self.workers < 1:
            raise InputError(f"--tasks and --workers are 1 or more, not {self.parts} and {self.workers}")
        self.parts = min(self.parts, len(self.rows))
        if self.labelled is not None and len(set(self.labelled["harmful"][:])) < 2:
            raise InputError("--harmful: all of its texts have one label, so nothing can be learnt from them")

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result."""
        taught = self.labelled["text"][:] if self.labelled is not None else []
        looked_at = self.rows.select(range(0, len(self.rows), max(len(self.rows) // LOOKED_AT, 1)))
        data = (len(self.rows), _sum(looked_at["content"][:]), _sum(taught), _sum(self.leaks))
        return asdict(self.cleaning) | {"parts": self.parts, "raw": self.raw, "data": data}

    @property
    def documents(self) -> int:
        return len(self.rows)

    @property
    def tasks(self) -> int:
        """Those of all phases together."""
        return sum(phase.tasks for phase in self._phases(Path()))

    def __call__(self, folder: Path, done: Callable[[str], None]) -> None:
        """Write below `folder`; `done` is called with the name of a phase after each of its tasks."""
        if self.labelled is not None and not (folder / CLASSIFIER).exists():
            texts, labels = self.labelled["text"][:], self.labelled["harmful"][:]
            Classifier.train(texts, labels).save(folder / CLASSIFIER)
        if self.slurm is not None:
            run_on_slurm(self._phases(folder.resolve()), folder.resolve() / LOGS, self.slurm, done)
        else:
            run_locally(self._phases(folder), folder / LOGS, self.workers, done)

    def _phases(self, folder: Path) -> list[Any]:
        harm = self.labelled is not None
        return phases(self.rows, folder, self.cleaning, self.parts, harm, self.leaks, self.raw)

    def describe(self) -> list[str]:
        """Two lines for a plan."""
        where = "by Slurm" if self.slurm is not None else f"{self.workers} at a time"
        stages = "mark-up, language, quality, harm, copies, near copies, personal data, leaks"
        off = [*(["harm"] if self.labelled is None else []), *([] if self.leaks else ["leaks"])]
        half = next(s / 100 for s in range(101) if self.cleaning.found(s / 100) >= 0.5)
        return [
            f"{len(self.rows):,} pages in {self.parts} tasks, {where}: {stages}"
            + (f"; left out: {', '.join(off)}" if off else ""),
            f"languages {', '.join(self.cleaning.languages)}; near copies: {self.cleaning.bands} bands of "
            f"{self.cleaning.hashes} hashes find half of the pairs whose similarity is {half:.2f}",
        ]


def _sum(texts: list[str]) -> int:
    checksum = 0
    for text in texts:
        checksum = zlib.crc32(text.encode(), checksum)
    return checksum
