"""environment.json, metrics.jsonl and curves.png."""

import json
import subprocess
import sys

from hfcourse.run import record
from hfcourse.run.recorder import spike

import numpy as np
import pytest
from accelerate import PartialState
from PIL import Image


def test_a_line_has_no_clock_and_sorted_keys():
    entry = {"loss": 0.1 + 0.2, "step": 3, "epoch": 0.5, "grad_norm": 1.0, "eval_runtime": 1.0}
    entry |= {"eval_samples_per_second": 1.0, "eval_model_preparation_time": 0.1, "total_flos": 9, "train_loss": 3.0}
    line = record.metric_line(entry)
    assert line == '{"epoch": 0.5, "grad_norm": 1.0, "loss": 0.30000000000000004, "step": 3}\n'
    brought_back = json.loads(json.dumps(entry, sort_keys=True))  # as trainer_state.json does
    assert record.metric_line(brought_back) == line


def test_an_entry_of_clocks_is_no_line(tmp_path):
    clocks = {"train_runtime": 3.0, "train_loss": 1.0, "step": 3, "epoch": 1.0}
    assert record.metric_line(clocks) is None
    record.write_metrics(tmp_path / "m.jsonl", [{"loss": 1.0, "step": 1}, clocks, {"eval_loss": 2.0, "step": 1}])
    assert [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()] == [
        {"loss": 1.0, "step": 1},
        {"eval_loss": 2.0, "step": 1},
    ]


@pytest.mark.parametrize("token", [["--hub_token", "hf_secret"], ["--hub_token=hf_secret"]])
def test_the_environment_holds_no_token(monkeypatch, token):
    monkeypatch.setattr(sys, "argv", ["/somewhere/recipes/sft.py", "--seed", "3", *token, "--fresh"])
    found = record.environment(PartialState(), 3)
    assert "hf_secret" not in json.dumps(found)
    assert found["command"][:3] == ["sft.py", "--seed", "3"] and found["command"][-1] == "--fresh"
    assert len(found["command"]) == 4 + len(token)
    assert (found["seed"], found["processes"], found["devices"]) == (3, 1, ["cpu"])
    assert set(found["libraries"]) == set(record.LIBRARIES) and "/" not in found["platform"]


def test_the_commit_says_whether_files_were_changed(monkeypatch, tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    monkeypatch.setattr(record.hfcourse, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert record.git_commit() is None
    git("init")
    (tmp_path / "a").write_text("a")
    git("add", "a")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert record.git_commit() == head and len(head) == 40
    (tmp_path / "a").write_text("b")
    assert record.git_commit() == head + "+"
    monkeypatch.setenv("PATH", "")
    assert record.git_commit() is None


def test_curves_have_a_panel_for_each_title_that_has_values(tmp_path):
    history = [{"step": s, "loss": 1 / s} for s in range(1, 50)] + [{"step": 49, "eval_loss": 0.2}]
    sizes = []
    for name, panels in {
        "one": {"loss": ["loss", "eval_loss"], "truth": ["truth_en"]},
        "two": {"loss": ["loss"], "evaluation": ["eval_loss"]},
        "none": {"truth": ["truth_en"]},
    }.items():
        record.plot_curves(tmp_path / f"{name}.png", history, panels)
        with Image.open(tmp_path / f"{name}.png") as picture:
            sizes.append(picture.width)
    assert sizes[1] == 2 * sizes[0] == 2 * sizes[2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.png", "one.png", "two.png"]


# matplotlib's first colour at 40 % on white.
PALE = [255 + 0.4 * (c - 255) for c in (31, 119, 180)]


def test_a_line_that_another_covers_is_still_seen(tmp_path):
    history = [{"step": s, "a": 1 / s, "b": 1 / s + 1e-7, "c": 1 / s + 0.1} for s in range(1, 50)]
    colours: dict[str, int] = {}
    for names in (["a", "b"], ["a", "c"], ["b"]):
        path = tmp_path / "curves.png"
        record.plot_curves(path, history, {"x": names})
        with Image.open(path) as picture:
            near = abs(np.asarray(picture.convert("RGB"), dtype=int) - PALE).max(-1) <= 4
        colours["".join(names)] = near.sum()
    assert colours["ab"] > 1000 > 200 > max(colours["ac"], colours["b"])


def test_a_change_that_makes_other_numbers_is_named():
    now = record.environment(PartialState(), 3)
    assert record.what_changed(now, now) == []
    before = now | {"processes": now["processes"] + 1, "libraries": now["libraries"] | {"torch": "1.0"}}
    assert record.what_changed(before, now) == ["1 process, not 2", f"torch {now['libraries']['torch']}, not 1.0"]
    assert record.what_changed(now | {"git_commit": "other", "started": "never"}, now) == []


def test_a_spike_is_one_far_above_what_was_before():
    steady = [1.0, 1.1] * 5
    assert spike(steady) is None and spike([*steady, 1.2]) is None
    assert spike([*steady, 3.0]) == "the loss rose to 3, its mean over 10 lines before was 1.05"
    assert spike([1.0] * 10 + [1.05]) is None and spike([1.0] * 10 + [1.2]) is not None
