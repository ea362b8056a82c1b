"""recipes/knnlm.py: its store, killed in the middle, taken by another run, and refused."""

import fcntl
import json
import shutil
import signal

import pytest
from contract import assert_refused, files


@pytest.fixture
def small(finished):
    return finished("knnlm").folder


def test_killed_while_it_builds_it_ends_in_the_same_store_byte_for_byte(small, runner):
    folder = small.with_name("building")
    command = ["--config", "configs/knnlm/small.yaml", "--output_dir", str(folder)]
    run = runner.start("knnlm", *command)
    assert run.when(lambda: len(list(folder.glob("store/own/shard-*"))) >= 2, signal.SIGKILL)
    assert run.wait().code == -signal.SIGKILL
    half = folder / "store" / "own" / ".writing-shard-00003"  # as a kill in the middle of a shard leaves it
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    (half / "keys.npy").write_bytes(b"half")
    assert runner.run("knnlm", *command).code == 0
    whole, again = (
        {name: data for name, data in files(run / "store").items() if not name.endswith(".faiss")}
        for run in (small, folder)
    )
    assert whole == again and len(whole) > 8


def test_a_store_is_taken_as_it_is_and_one_of_anything_else_refused(small, runner, config, finished, tmp_path):
    before = files(small / "store")
    given = ["--config", config("knnlm", "again", temperatures=[10.0], exam=None), "--store", str(small / "store")]
    outcome = runner.run("knnlm", *given, "--output_dir", str(tmp_path / "run"))
    assert outcome.code == 0, outcome.err
    assert files(small / "store") == before and not (tmp_path / "run" / "store").exists()

    def refused(said: str, *arguments: str) -> None:
        assert_refused(runner.run("knnlm", *given, "--output_dir", str(tmp_path / "other"), *arguments), said)

    finished("sft")
    said = f"{small}/store/own is a store with the model runs/pretrain/small ("
    outcome = runner.run(
        "knnlm", *given, "--output_dir", str(tmp_path / "o"), "--model_name_or_path", "runs/sft/small"
    )
    assert_refused(outcome, said, "), this run has runs/sft/small (", "give another --store")
    refused("is a store with the key ffn_input, this run has hidden_state", "--key", "hidden_state")
    refused("is a store with the dtype float16, this run has float32", "--key_dtype", "float32")
    refused("is a store with the text runs/world/corpus (", "--max_train_samples", "40")
    copy = tmp_path / "store"
    shutil.copytree(small / "store", copy)
    given[-1] = str(copy)
    written = (copy / "own" / "store.json").read_bytes()
    manifest = json.loads(written)
    (copy / "own" / "store.json").write_text(json.dumps(manifest | {"format": 2}))
    refused("is a store with the format 2, this run has 1")
    other = manifest["tokenizer"] | {"name": "another", "digest": "0"}
    (copy / "own" / "store.json").write_text(json.dumps(manifest | {"tokenizer": other}))
    refused("is a store with the tokenizer another (0), this run has runs/pretrain/small (")
    (copy / "own" / "store.json").write_bytes(written)
    keys = copy / "own" / "shard-00001" / "keys.npy"
    keys.write_bytes(keys.read_bytes()[:-50])
    refused(f"{keys.parent} is damaged (")
    shutil.rmtree(keys.parent)
    with open(copy / "own" / ".lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(f"{copy}/own is being built by another run")
    # A store half built goes on.
    outcome = runner.run("knnlm", *given, "--output_dir", str(tmp_path / "mended"))
    assert outcome.code == 0 and files(copy) == files(small / "store")
