"""The loopback Hub answers as the Hub does: the libraries pull models and data sets from it under public names."""

import json
import socket
import subprocess
import sys
import time

import pyarrow
import pytest
import torch
from huggingface_hub import HfApi, HfFileSystem, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session
from loopback_hub import READ
from pyarrow import parquet
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel


GPT2 = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
ALPACA = "dce01c9b08f87459cf36a430d809084718273017"
ROWS = [{"instruction": f"say {i}", "input": "", "output": str(i)} for i in range(300)]

PULL_ROWS = f"""
import json, sys
from datasets import load_dataset
pinned = {{"revision": "{ALPACA}", "split": "train"}}
rows = [list(load_dataset(name, streaming=s, **pinned)) for name in sys.argv[1:] for s in (False, True)]
print(json.dumps(rows))
"""


def test_a_model_is_pulled_under_its_public_name_at_a_pinned_revision(hub, tmp_path):
    saved = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=16))
    saved.save_pretrained(tmp_path / "saved")
    hub.add_repo("openai-community/gpt2", tmp_path / "saved", revision=GPT2)
    hub.add_repo("openai-community/gpt2", {"config.json": "{}"})  # a later main, which must not be read
    pulled = AutoModelForCausalLM.from_pretrained("openai-community/gpt2", revision=GPT2)
    assert pulled.state_dict().keys() == saved.state_dict().keys()
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in pulled.state_dict().items())
    assert hub.seen("GET", f"/resolve/{GPT2}/model.safetensors") and not hub.seen("GET", "/resolve/main/")


def test_a_data_set_is_pulled_and_streamed_at_a_pinned_revision(hub, tmp_path):
    lines = {"train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS)}
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    table = {"data/train-00000-of-00001.parquet": (tmp_path / "rows.parquet").read_bytes(), "README.md": "# Alpaca"}
    for name, files in (("tatsu-lab/alpaca", table), ("me/lines", lines)):
        hub.add_repo(name, files, repo_type="dataset", revision=ALPACA)
        hub.add_repo(name, {"train.jsonl": "{}"}, repo_type="dataset")
    command = [sys.executable, "-c", PULL_ROWS, "tatsu-lab/alpaca", "me/lines"]
    done = subprocess.run(command, env=hub.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [ROWS] * 4


def test_missing_things_are_told_apart(hub):
    hub.add_repo("me/x", {"a/b.txt": "hello", "c.bin": b"0123456789"}, private=True)
    with pytest.raises(RepositoryNotFoundError):
        snapshot_download("me/y")
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=False).model_info("me/x")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("me/x", "c.bin", revision="v1")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("me/x", "d.bin")
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(token=READ).upload_file(path_or_fileobj=b"x", path_in_repo="d.bin", repo_id="me/x")
    assert sorted(hub.files("me/x")) == ["a/b.txt", "c.bin"]
    with HfFileSystem(endpoint=hub.url).open("me/x/c.bin", "rb", block_size=4) as file:
        file.seek(3)
        assert file.read(4) == b"3456"
    assert "bytes=3-" in hub.seen("GET", "/c.bin")[-1].headers["range"]


def test_a_download_that_breaks_off_goes_on_from_there(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    content = bytes(range(256)) * 40
    hub.add_repo("me/x", {"c.bin": content})
    hub.fail("GET", "/c.bin", "drop")
    with open(hf_hub_download("me/x", "c.bin"), "rb") as file:
        assert file.read() == content
    assert [r.headers.get("range") for r in hub.seen("GET", "/c.bin")] == [None, f"bytes={len(content) // 2}-"]


def test_a_commit_is_all_or_nothing(hub):
    api = HfApi()
    api.create_repo("me/x")
    lines = [
        {"key": "header", "value": {"summary": "two files"}},
        {"key": "file", "value": {"path": "a.txt", "content": "aGVsbG8=", "encoding": "base64"}},
        {"key": "lfsFile", "value": {"path": "b.bin", "algo": "sha256", "oid": "0" * 64, "size": 1}},
    ]
    body = "\n".join(map(json.dumps, lines))
    answer = get_session().post(f"{hub.url}/api/models/me/x/commit/main", content=body, headers=build_hf_headers())
    assert answer.status_code == 400 and hub.files("me/x") == {} and len(hub.commits("me/x")) == 1


def test_nothing_leaves_this_machine():
    with pytest.raises(RuntimeError, match="reached out to '192.0.2.1'"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with socket.socket() as sock, pytest.raises(RuntimeError, match="reached out to '192.0.2.1'"):
        sock.connect(("192.0.2.1", 80))
