"""The journal of a run that trains nothing, what it refuses, and how its results are shown."""

from pathlib import Path
from types import SimpleNamespace

from hfcourse.errors import InputError
from hfcourse.run.evaluation import Journal, Progress, do_pieces, refuse_training
from hfcourse.run.show import intervals, took

import pytest


def make_run(folder: Path, rank: int = 0, **given: object) -> SimpleNamespace:
    state = SimpleNamespace(
        process_index=rank, num_processes=2, is_main_process=rank == 0, wait_for_everyone=lambda: None
    )
    signals = SimpleNamespace(kept="the last checkpoint")
    return SimpleNamespace(
        name="icl", folder=folder, state=state, signals=signals, given=given, on_main=lambda act: act()
    )


def test_a_journal_keeps_whole_lines_and_drops_the_one_that_was_cut_short(tmp_path):
    journal = Journal(make_run(tmp_path))
    lines = [{"items": [0, 1], "scores": [[0.1 + 0.2]]}, {"items": [2], "scores": [[-1e-17]]}]
    for line in lines:
        journal.append(line)
    path = tmp_path / "scored-0.jsonl"
    whole = path.read_bytes()
    for end in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert Journal(make_run(tmp_path)).lines == lines[:1]
        assert path.read_bytes() == whole[: whole.index(b"\n") + 1]
    path.write_bytes(b'{"items"')
    assert Journal(make_run(tmp_path)).lines == [] and path.read_bytes() == b""


def test_what_other_processes_scored_is_there_and_goes_when_it_stands_elsewhere(tmp_path):
    Journal(make_run(tmp_path, rank=1)).append({"items": [1]})
    journal = Journal(make_run(tmp_path))
    journal.append({"items": [0]})
    assert journal.lines == [{"items": [1]}, {"items": [0]}]
    assert sorted(line["items"] for line in journal.gather()) == [[0], [1]]
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_only_what_an_evaluation_reads_is_taken(tmp_path):
    run = make_run(tmp_path, seed=5, tasks="a.yaml", hub_model_id="me/x")
    refuse_training(run)
    assert run.signals.kept == "what is scored"
    with pytest.raises(InputError, match="^--weight_decay has no effect here: icl trains nothing$"):
        refuse_training(make_run(tmp_path, weight_decay=0.1))


def test_progress_ends_with_a_line(tmp_path, capsys):
    progress = Progress(make_run(tmp_path), "prompt")
    progress.begin(total=4, done=1)
    progress.update(1, "first")
    progress.update(2, "last")
    assert capsys.readouterr().err == "prompt 4/4  last  0:00 left\n"
    other = Progress(make_run(tmp_path, rank=1), "prompt")
    other.begin(total=1, done=0)
    other.update(1, "other")
    assert capsys.readouterr().err == ""


def test_results_are_shown_with_their_intervals():
    def named(name: str, value: float) -> dict[str, float]:
        return {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}

    one = named("mood_en_gold_k4_accuracy", 0.5) | named("mood_en_gold_k4_ece", 0.25)
    assert intervals(one)[1] == [["mood_en_gold_k4", ".500 (.40-.60)", "", ".250", ""]]
    several = one | named("mean_gold_k4_accuracy", 0.75) | named("mean_gold_k4_calibrated_accuracy", 0.8)
    assert intervals(several)[1] == [["mean_gold_k4", ".750 (.65-.85)", "", "", ""]]
    assert took({"requests": 1234}) == "1,234 scores" and took({"steps": 12}) == "12 steps"


def test_a_round_of_work_lets_the_lines_of_the_other_rounds_stand(tmp_path):
    run = make_run(tmp_path)
    run.state.num_processes = 1
    first = {"a": lambda: {"value": 1}, "b": lambda: {"value": 2}}
    second = {"c": lambda: {"value": 3}}
    journal = Journal(run)
    assert [line["value"] for line in do_pieces(run, first, journal, second).values()] == [1, 2]
    assert list(do_pieces(run, second, journal, first)) == ["c"]
    with pytest.raises(InputError, match=r"holds scores of other work \(a\)"):
        do_pieces(run, second, Journal(run))
