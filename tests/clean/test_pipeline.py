"""All phases on pages of the embedded world: nothing is lost, workers change nothing, clean text stays."""

import json
import os
from pathlib import Path

from hfcourse.clean.cleaner import DataCleaner
from hfcourse.clean.executor import LOGS, Local, run_on_slurm
from hfcourse.clean.pipeline import Cleaning, Phase, phases
from hfcourse.clean.report import read
from hfcourse.clean.stages import read_lines
from hfcourse.errors import InputError
from hfcourse.world import World
from hfcourse.world.pages import harm, pages, quiz

import dill
import pytest
from datasets import Dataset
from loguru import logger


N = 160
SETTINGS = {"languages": ["en", "zh"], "min_words": 20, "min_sentences": 2, "bands": 6, "hashes": 3}


@pytest.fixture(scope="module")
def world():
    return World.create(0)


def as_rows(found: list[dict]) -> Dataset:
    """Pages of the world as `hfcourse.data.pages.Pages` has them."""
    rows = []
    for page in found:
        truth = {name: page[name] for name in ("fault", "cluster", "personal")} | {"clean": page["text"]}
        form = "html" if "html" in page else "base64"
        row = {"id": page["url"], "content": page[form], "form": form, "truth": json.dumps(truth)}
        rows.append(row)
    return Dataset.from_list(rows)


@pytest.fixture(scope="module")
def cleaner(world):
    all_pages = pages(world)[:N]
    taught = Dataset.from_list([{"text": r["text"], "harmful": r["harmful"]} for r in harm(world, True)[:300]])
    leaks = [str(row["text"]) for row in quiz(world)]

    def make(parts: int = 3, workers: int = 1, rows: Dataset | None = None, **settings: object) -> DataCleaner:
        mine = as_rows(all_pages) if rows is None else rows
        return DataCleaner(mine, Cleaning.read(SETTINGS | settings), parts, workers, None, taught, leaks, True)

    return make


def run(cleaner: DataCleaner, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    done: list[str] = []
    cleaner(folder, done.append)
    assert len(done) == cleaner.tasks
    return done


def texts(folder: Path, name: str = "kept") -> list[tuple[str, str]]:
    return [(row["id"], row["text"]) for row in read_lines(*sorted((folder / name).rglob("*.jsonl")))]


@pytest.fixture(scope="module")
def cleaned(cleaner, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean") / "one"
    run(cleaner(), folder)
    return folder


def test_nothing_is_lost_and_everything_dropped_has_its_reason(cleaner, cleaned):
    report = read(cleaned, N)
    ids = [doc["id"] for doc in report.kept] + [doc["id"] for docs in report.dropped.values() for doc in docs]
    assert sorted(ids) == sorted(cleaner().rows["id"]) and len(report.kept) < N
    assert sum(stage.dropped for stage in report.stages) + len(report.kept) == N
    for stage, after in zip(report.stages, report.stages[1:], strict=False):
        assert stage.arrived - stage.dropped == after.arrived
        assert all(reason for reason in stage.reasons)
    with pytest.raises(ValueError, match="of 161 documents"):
        read(cleaned, N + 1)


def test_each_stage_finds_its_fault(cleaned):
    metrics = read(cleaned, N, ["kill", "bomb", "杀", "炸弹"]).metrics()
    for name in ("language", "quality", "copies", "near_copies", "leaks", "lines", "personal"):
        assert metrics[f"{name}_recall"] >= 0.95, name
    for name in ("quality", "harm", "copies", "near_copies", "leaks", "lines", "personal"):
        assert metrics[f"{name}_precision"] >= 0.7, name
    assert metrics["words_precision"] < metrics["harm_precision"] and metrics["lost"] <= 12


def test_two_workers_write_what_one_writes(cleaner, cleaned, tmp_path):
    run(cleaner(3, 2), tmp_path / "two")
    for name in ("kept", "dropped", "raw"):
        mine, other = (sorted((folder / name).rglob("*.jsonl")) for folder in (cleaned, tmp_path / "two"))
        assert [path.read_bytes() for path in mine] == [path.read_bytes() for path in other] and mine


def test_the_number_of_tasks_changes_at_most_which_of_several_copies_is_kept(cleaner, cleaned, tmp_path):
    run(cleaner(1), tmp_path / "one")

    def kept(folder: Path) -> list[str]:
        return sorted(doc["cluster"] or doc["id"] for doc in read(folder, N).kept)

    assert kept(tmp_path / "one") == kept(cleaned)


def test_clean_text_stays_as_it_is(cleaner, cleaned, tmp_path):
    kept = texts(cleaned)
    rows = Dataset.from_list([{"id": name, "content": t, "form": "text", "truth": ""} for name, t in kept])
    run(cleaner(rows=rows), tmp_path / "again")
    assert texts(tmp_path / "again") == kept


def test_it_goes_on_after_the_tasks_that_are_done(cleaner, cleaned, tmp_path):
    folder, mine = tmp_path / "stopped", cleaner()

    class Stop(BaseException):
        pass

    def stop(name: str) -> None:
        count.append(name)
        if len(count) == 5:
            raise Stop

    count: list[str] = []
    folder.mkdir()
    with pytest.raises(Stop):
        mine(folder, stop)
    half = folder / "filtered" / "00002.jsonl"
    half.write_text('{"text": "half a ro', encoding="utf-8")  # as a kill leaves it
    marks = {path: path.stat().st_mtime_ns for path in (folder / LOGS).rglob("completions/*")}
    run(cleaner(), folder)
    assert texts(folder) == texts(cleaned)
    assert len(marks) >= 4 and all(path.stat().st_mtime_ns == at for path, at in marks.items())


def test_the_terminal_stays_clean_and_the_log_has_it_all(cleaner, tmp_path, capfd):
    run(cleaner(1, rows=cleaner().rows.select(range(20))), tmp_path / "quiet")
    logger.warning("nobody reads this: the sinks of the tasks are closed")
    assert capfd.readouterr() == ("", "")
    logged = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "quiet" / LOGS).rglob("*.log"))
    assert "Processing done for rank=0" in logged


def die(data: object, rank: int, world_size: int) -> None:
    """A step of a pipeline, as the system's killer leaves it."""
    os._exit(9)


def test_a_worker_that_dies_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="a worker died, perhaps for want of memory"):
        Local(Phase("dies", 2, [die]), tmp_path / LOGS).run(2)


def test_slurm_is_asked_for_each_phase_behind_the_one_before(cleaner, cleaned, tmp_path, monkeypatch):
    """A stand-in for sbatch runs what it is given, at once; on a cluster this is datatrove's own machinery."""
    calls = tmp_path / "calls"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\necho "$@" >> {calls}\necho Submitted batch job $(wc -l < {calls})\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/usr/bin:/bin")
    mine = cleaner()
    found = phases(mine.rows, tmp_path / "slurm", mine.cleaning, 2, False, [])
    done: list[str] = []
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        """In the place of the cluster: each wait does one more phase, from the pickle that a node would get."""
        waited.append(seconds)
        phase, logs = found[len(waited) - 1], tmp_path / "slurm" / LOGS
        with open(logs / phase.name.replace(" ", "_") / "executor.pik", "rb") as file:
            steps = dill.load(file).pipeline
        Local(Phase(phase.name, phase.tasks, steps), logs).run()

    monkeypatch.setattr("hfcourse.clean.executor.time.sleep", sleep)
    run_on_slurm(found, tmp_path / "slurm" / LOGS, {"partition": "cpu", "time": "1:00:00"}, done.append)
    assert done == [phase.name for phase in found for _ in range(phase.tasks)]
    jobs = calls.read_text().splitlines()
    assert sum("RUN_OFFSET" in job for job in jobs) == len(found) == len(waited)
    assert sum("--dependency=afterok:" in job for job in jobs) == len(found) - 1
    assert len(texts(tmp_path / "slurm")) > 60
    with pytest.raises(InputError, match="--slurm: .*'partitoin'"):
        run_on_slurm(found, tmp_path / "x", {"partitoin": "cpu", "time": "1:00:00"}, done.append)
