"""Pushing to and pulling from the Hub, against a Hub on this machine."""

import hashlib
import json
import time
from pathlib import Path

from hfcourse.errors import InputError
from hfcourse.run.hub import PushError, check_write, push_folder

import pytest
from huggingface_hub import HfApi, constants, snapshot_download
from loopback_hub import EXPIRED, FINE_GRAINED, READ, WRITE


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were to be waited; nobody waits them."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with everything beside it that must stay at home."""
    folder = tmp_path / "runs" / "sft" / "tiny"
    files: dict[str, str | bytes] = {
        "README.md": "---\nlicense: apache-2.0\n---\n# 模型\n",
        "config.json": "{}",
        "model.safetensors": bytes(range(256)) * 1000,
        "chat_template.jinja": "{{ messages }}",
        "results.json": json.dumps({"recipe": "sft", "config": "tiny", "finished": True}),
        "optimizer.pt": b"no",
        "training_args.bin": b"no",
        ".lock": b"",
        ".writing-config.json": b"{",
        "checkpoint-10/model.safetensors": b"no",
        "config.json.tmp": b"no",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


PUSHED = ["README.md", "chat_template.jinja", "config.json", "model.safetensors", "results.json"]


def sha256(folder: Path, names: list[str]) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("token", "repo_id", "says"),
    [
        ("", "me/x", "no Hugging Face token .*`hf auth login` or set HF_TOKEN"),
        (READ, "me/x", "token of me may only read"),
        (EXPIRED, "me/x", "invalid or expired"),
        ("hf_loopback\x01", "me/x", "characters that tokens do not have"),
        (FINE_GRAINED, "acme/x", "acme/x cannot be pushed to: the token, of me, acme, library, may not write there"),
        (WRITE, "library/x", "may not write there"),
        (WRITE, "stranger/x", "may not write there"),
        (WRITE, "stranger/public", "may not write there"),
        (WRITE, "a/b/c", "'a/b/c' is not a valid Hub repository: expected name or namespace/name"),
        (WRITE, "me/a--b", "is not a valid Hub repository"),
    ],
)
def test_a_push_that_cannot_be_is_refused_before(hub, monkeypatch, token, repo_id, says):
    hub.add_repo("stranger/public", {"config.json": "{}"})
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=says) as refusal:
        check_write(repo_id)
    assert "hf_loopback" not in str(refusal.value) and "\n" not in str(refusal.value)
    assert hub.commits(repo_id) == hub.commits("stranger/public" if repo_id == "stranger/public" else "nobody/x")


def test_creating_proves_nothing_about_the_right_to_write(hub):
    hub.add_repo("stranger/public", {"config.json": "{}"})
    assert HfApi().create_repo("stranger/public", exist_ok=True).repo_id == "stranger/public"


def test_check_write_creates_the_repository_once(hub, pauses):
    for method, path in (("GET", "whoami"), ("POST", "repos/create"), ("GET", "auth-check/write")):
        hub.fail(method, path, 503)
    assert check_write("x") == check_write("me/x", token=FINE_GRAINED) == "me/x"
    assert check_write("acme/x", private=True) == "acme/x"
    assert [len(hub.commits("me/x")), len(hub.commits("acme/x"))] == [1, 1]
    assert [HfApi().model_info(name).private for name in ("me/x", "acme/x")] == [False, True]
    with pytest.raises(InputError, match="me/x exists and is public"):
        check_write("me/x", private=True)


def test_no_network_is_one_sentence(hub, monkeypatch, pauses):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        InputError, match=r"^x cannot be pushed to: the connection to http://127.0.0.1:1 failed \(.*\)$"
    ):
        check_write("x")
    assert pauses == [1, 2]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"^x cannot be pushed to: offline mode is on \(HF_HUB_OFFLINE=1\)$"):
        check_write("x")


def test_pushed_and_pulled_back_it_is_the_same(hub, run):
    before = tree(run)
    url = push_folder(run, "me/x", message="sft tiny")
    created, commit = hub.commits("me/x")
    assert url == f"{hub.url}/me/x/commit/{commit}"
    pulled = Path(snapshot_download("me/x", revision=commit))
    assert sorted(p.name for p in pulled.iterdir()) == sorted(hub.files("me/x")) == PUSHED
    assert sha256(pulled, PUSHED) == sha256(run, PUSHED)
    assert push_folder(run, "me/x", message="again") == url and hub.commits("me/x") == [created, commit]
    (run / "config.json").write_text('{"changed": 1}')
    assert push_folder(run, "me/x", message="changed") != url
    sent = hub.seen("POST", "/commit/")[-1].body.splitlines()
    assert [json.loads(line)["key"] for line in sent] == ["header", "file"]  # what did not change is not sent again
    before[str(run / "config.json")] = tree(run)[str(run / "config.json")]
    assert tree(run) == before


@pytest.mark.parametrize("status", [500, "drop"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "repos/create"), ("POST", "validate-yaml"), ("POST", "/preupload/"), ("POST", "/objects/batch"),
     ("PUT", "/lfs/"), ("POST", "/lfs-verify"), ("POST", "/commit/")],
)  # fmt: skip
def test_faults_of_every_request_of_a_push_are_survived(hub, run, pauses, method, path, status):
    hub.fail(method, path, status, times=2)
    push_folder(run, "me/x", message="sft tiny")
    assert [r.answered for r in hub.seen(method, path)] == [status, status, 200]
    assert pauses == [1, 2]
    assert len(hub.commits("me/x")) == 2 and sorted(hub.files("me/x")) == PUSHED


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub, run, pauses):
    hub.fail("POST", "/commit/", "lost")
    url = push_folder(run, "me/x", message="sft tiny")
    assert len(hub.commits("me/x")) == 2 and url.endswith(hub.commits("me/x")[-1])


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"RateLimit": '"api";r=0;t=7'}])
def test_the_hub_says_how_long_to_wait(hub, run, pauses, headers):
    hub.fail("POST", "/commit/", 429, times=2, headers=headers)
    push_folder(run, "me/x", message="sft tiny")
    assert pauses == [7, 7]


@pytest.mark.parametrize(
    ("method", "path", "status", "requests"),
    [("POST", "/commit/", 401, 1), ("POST", "/commit/", 403, 1), ("POST", "/commit/", 404, 1),
     ("POST", "/commit/", 500, 4), ("POST", "/commit/", "drop", 4), ("POST", "repos/create", 400, 1),
     ("PUT", "/lfs/", 500, 6), ("POST", "/preupload/", 500, 6), ("PUT", "/lfs/", 403, 1)],
)  # fmt: skip
def test_a_push_that_fails_leaves_nothing(hub, run, pauses, method, path, status, requests):
    before = tree(run)
    check_write("me/x")
    hub.fail(method, path, status, times=100)
    said = f"the connection to {hub.url} failed" if status == "drop" else f"the Hub answered {status}"
    with pytest.raises(PushError, match=f"{run} was not pushed to me/x: .*{said}") as failure:
        push_folder(run, "me/x", message="sft tiny", attempts=4)
    assert len(hub.seen(method, path)) == requests + (path == "repos/create")  # 6: huggingface_hub's own, not repeated
    assert hub.files("me/x") == {} and tree(run) == before
    assert WRITE not in str(failure.value) and "\n" not in str(failure.value)


def test_the_token_is_never_told(hub, run, pauses, caplog):
    hub.fail("POST", "/commit/", 503, times=100, headers={"X-Error-Message": f"bad luck, {WRITE}"})
    with pytest.raises(PushError, match=r"the Hub answered 503, bad luck, \(token\)$"):
        push_folder(run, "me/x", message="sft tiny")
    assert "bad luck, (token)" in caplog.text and WRITE not in caplog.text


def test_a_card_that_is_no_yaml_is_a_reason(hub, run):
    (run / "README.md").write_text("---\na: [\n---\n")
    with pytest.raises(PushError, match="Invalid metadata in README.md"):
        push_folder(run, "me/x", message="sft tiny")
