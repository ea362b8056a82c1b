"""Checkpoints that prove themselves, and what a disk says."""

import errno
import os
import subprocess
import sys

from hfcourse.run import checkpoints

import pytest


def checkpoint(folder, step):
    path = folder / f"checkpoint-{step}"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "a.bin").write_bytes(bytes(range(256)) * 100)
    (path / "b.json").write_text("{}")
    checkpoints.write_hashes(path)
    return path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "b.json").write_text("{ "), "b.json has 2 bytes, 2 were written"),
        (lambda path: os.truncate(path / "deep/a.bin", 7), "deep/a.bin has 7 bytes, 25,600 were written"),
        (lambda path: (path / "b.json").unlink(), "b.json is missing"),
        (lambda path: (path / "hashes.json").write_text("{"), "hashes.json is no JSON"),
    ],
)
def test_damage_is_named(tmp_path, spoil, said):
    path = checkpoint(tmp_path, 3)
    assert checkpoints.damage(path) is None
    spoil(path)
    assert checkpoints.damage(path) in (said, "b.json is not what was written")


def test_one_bit_is_seen_in_any_place(tmp_path):
    path = checkpoint(tmp_path, 3)
    content = (path / "deep/a.bin").read_bytes()
    for position in range(0, len(content), 997):
        changed = bytearray(content)
        changed[position] ^= 4
        (path / "deep/a.bin").write_bytes(changed)
        assert checkpoints.damage(path) == "deep/a.bin is not what was written"


def test_damaged_ones_are_set_aside_until_one_is_whole(tmp_path):
    for step in (5, 10, 20):
        checkpoint(tmp_path, step)
    (tmp_path / "damaged-1-checkpoint-20").mkdir()
    for step in (10, 20):
        os.truncate(tmp_path / f"checkpoint-{step}/deep/a.bin", 7)
    said = checkpoints.set_damaged_aside(tmp_path)
    assert [sentence.split(" (")[0] for sentence in said] == [
        f"{tmp_path}/checkpoint-{step} is damaged" for step in (20, 10)
    ]
    names = {"checkpoint-5", "damaged-1-checkpoint-10", "damaged-1-checkpoint-20", "damaged-2-checkpoint-20"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert checkpoints.set_damaged_aside(tmp_path) == []


def test_a_checkpoint_of_another_program_is_taken_as_it_is(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    assert checkpoints.damage(tmp_path / "checkpoint-3") is None


WRITERS = """
import resource, sys, torch
from pathlib import Path
from hfcourse.errors import InputError
from hfcourse.run.checkpoints import room_for
from safetensors.torch import save_file

big = {"a": torch.zeros(10**6)}
writers = [lambda f: f.write_bytes(bytes(10**6)), lambda f: save_file(big, f), lambda f: torch.save(big, f)]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in writers:
    half = Path(sys.argv[1], "half")
    half.mkdir()
    try:
        with room_for(half, lambda: None):
            write(half / "file")
    except InputError as problem:
        print(problem, half.exists())
"""


def test_a_disk_that_takes_no_more_is_told_from_other_errors(tmp_path):
    """By Python, safetensors and torch, in a process that may write no file above 100 kB."""
    command = [sys.executable, "-c", WRITERS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = done.stdout.splitlines()
    assert len(said) == 3, done.stderr
    for line in said:
        assert line.startswith(f"{tmp_path}/half can't be written: ") and line.endswith("from the beginning False")
    with pytest.raises(RuntimeError, match="other"), checkpoints.room_for(tmp_path / "half", lambda: None):
        raise RuntimeError("other")
    assert checkpoints.disk_problem(OSError(errno.ENOENT, "no")) is None
