"""The Hub in bad weather that test_hub.py does not have: slow, wrong on the way, busy with others, or empty again."""

import threading
import time

from hfcourse.run.hub import PushError, check_write, push_folder

import pytest


@pytest.fixture
def run(tmp_path):
    """Finished runs by name, each with its own content."""

    def make(name: str):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n# {name}\n")
        (folder / "config.json").write_text(f'{{"name": "{name}"}}')
        (folder / "model.safetensors").write_bytes(name.encode() * 10_000)
        return folder

    return make


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("hfcourse.run.hub.time", type("Time", (), {"sleep": staticmethod(lambda seconds: None)}))


@pytest.mark.parametrize("path", ["repos/create", "/preupload/", "/objects/batch", "/commit/"])
def test_slow_answers_are_waited_for(hub, run, path):
    hub.fail("POST", path, "slow", seconds=0.3)
    folder, began = run("slow"), time.monotonic()
    push_folder(folder, "me/x", message="slow")
    assert time.monotonic() - began > 0.3
    assert hub.files("me/x") == content(folder)


def test_an_answer_that_never_comes_is_asked_for_again(hub, run, no_pauses, monkeypatch):
    monkeypatch.setattr("hfcourse.run.hub.TIMEOUT", 0.2)
    folder = run("late")
    check_write("me/x")
    hub.fail("POST", "/commit/", "slow", seconds=1.0)
    push_folder(folder, "me/x", message="late")
    assert len(hub.seen("POST", "/commit/")) > 1
    time.sleep(1.0)  # the late one arrives as well, and changes nothing
    assert hub.files("me/x") == content(folder)


def test_what_was_changed_on_its_way_is_no_commit(hub, run, no_pauses):
    folder = run("flipped")
    check_write("me/x")
    hub.fail("PUT", "/lfs/", "flip", times=9)
    with pytest.raises(PushError, match="does not have the announced sha256"):
        push_folder(folder, "me/x", message="flipped")
    assert hub.files("me/x") == {} and len(hub.commits("me/x")) == 1
    hub._faults.clear()
    push_folder(folder, "me/x", message="again")
    assert hub.files("me/x") == content(folder)


def test_a_repository_that_was_deleted_after_the_check_is_made_again(hub, run):
    folder = run("deleted")
    check_write("me/x")
    hub.remove_repo("me/x")
    push_folder(folder, "me/x", message="deleted")
    assert hub.files("me/x") == content(folder)


def test_another_commit_at_the_same_moment_is_waited_for(hub, run, no_pauses):
    folder = run("busy")
    hub.fail("POST", "/commit/", 412, times=2)
    push_folder(folder, "me/x", message="busy")
    assert [request.answered for request in hub.seen("POST", "/commit/")] == [412, 412, 200]
    assert hub.files("me/x") == content(folder)


def test_two_runs_pushed_at_once_are_two_whole_commits(hub, run):
    folders = [run("one"), run("two")]
    hub.fail("PUT", "/lfs/", "slow", times=2, seconds=0.1)
    threads = [threading.Thread(target=push_folder, args=(f, "me/x"), kwargs={"message": f.name}) for f in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pushed = [hub.files("me/x", revision=commit) for commit in hub.commits("me/x")[1:]]
    assert sorted(pushed, key=str) == sorted(map(content, folders), key=str)
