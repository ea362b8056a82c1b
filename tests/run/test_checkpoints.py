"""Checkpoints that prove themselves, and what a disk says."""

import errno
import os

from hfcourse.errors import InputError
from hfcourse.run import checkpoints

import pytest
import torch
from safetensors.torch import save_file


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


def write_by_python(path):
    path.write_bytes(bytes(10**6))


def write_by_safetensors(path):
    save_file({"a": torch.zeros(10**6)}, path)


def write_by_torch(path):
    torch.save({"a": torch.zeros(10**6)}, path)


@pytest.mark.parametrize("write", [write_by_python, write_by_safetensors, write_by_torch])
def test_a_disk_that_takes_no_more_is_told_from_other_errors(tmp_path, write):
    """In a process of its own, that may write no file above 100 kB."""
    (tmp_path / "half").mkdir()
    child = os.fork()
    if child == 0:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with checkpoints.room_for(tmp_path / "half", lambda: None):
                write(tmp_path / "half" / "file")
        except InputError as problem:
            good = "half can't be written: " in str(problem) and str(problem).endswith("continues from the beginning")
            os._exit(0 if good and not (tmp_path / "half").exists() else 3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(RuntimeError, match="other"), checkpoints.room_for(tmp_path / "half", lambda: None):
        raise RuntimeError("other")
    assert checkpoints.disk_problem(OSError(errno.ENOENT, "no")) is None
