"""`python -m hfcourse.run.push`: exit codes and what it says."""

import json
import subprocess
import sys
from pathlib import Path

from hfcourse.run import push

import pytest
from huggingface_hub import HfApi


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs of mine" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    results = {"recipe": "sft", "config": "tiny", "finished": True}
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_it_pushes_and_prints_the_address(hub, run):
    command = [sys.executable, "-m", "hfcourse.run.push", "--run", str(run), "--repo", "tiny", "--private"]
    done = subprocess.run(command, env=hub.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{hub.url}/me/tiny/commit/{hub.commits('me/tiny')[-1]}\n"), (
        done.stderr
    )
    assert hub.files("me/tiny")["model.safetensors"] == b"weights"
    assert HfApi().model_info("me/tiny").private
    assert json.loads(hub.seen("POST", "/commit/")[0].body.splitlines()[0])["value"]["summary"] == "sft tiny"


def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Path) -> tuple[object, str]:
    monkeypatch.setattr(sys, "argv", ["push.py", "--run", str(run), "--repo", "me/tiny"])
    with pytest.raises(SystemExit) as stopped:
        push.main()
    return stopped.value.code, capsys.readouterr().err.splitlines()[-1]


def test_a_push_that_fails_names_the_command_that_repeats_it(hub, run, monkeypatch, capsys):
    hub.fail("POST", "/commit/", 403)
    code, says = failing(monkeypatch, capsys, run)
    assert code == 1 and "the Hub answered 403" in says
    assert says.endswith(f"; to try again: python -m hfcourse.run.push --run '{run}' --repo me/tiny")


@pytest.mark.parametrize("results", [None, '{"finished": false}', "{"])
def test_a_run_that_is_not_finished_is_refused_before_the_hub_is_asked(hub, run, monkeypatch, capsys, results):
    (run / "results.json").unlink()
    if results is not None:
        (run / "results.json").write_text(results)
    code, says = failing(monkeypatch, capsys, run)
    assert code == 2 and says.startswith(f"hfcourse: {run}") and hub.requests == []
