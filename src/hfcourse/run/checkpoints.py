"""Checkpoints to trust: the hash of each file is kept, what is damaged is set aside, a full disk is a sentence."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.files import read_json, remove, write_json

import xxhash
from safetensors import SafetensorError
from transformers.trainer_utils import get_last_checkpoint


HASHES = "hashes.json"
CHUNK = 2**24
# What a disk says that is full, over a quota, read-only or broken.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# safetensors quotes the number; torch says only that its file did not grow as it should.
QUOTED = re.compile(r"os error (\d+)")
NOT_GROWN = re.compile(r"PytorchStreamWriter failed|unexpected pos")


def write_hashes(checkpoint: Path) -> None:
    """Write size and XXH3 of each file of a checkpoint into its hashes.json."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    write_json(checkpoint / HASHES, {path.relative_to(checkpoint).as_posix(): _fingerprint(path) for path in files})


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None where each file is as it was written.

    A checkpoint without hashes, of an older version or another program, is taken as it is.
    """
    try:
        hashes = read_json(checkpoint / HASHES, {})
    except ValueError:
        return f"{HASHES} is no JSON"
    for name, written in hashes.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        size, digest = _fingerprint(path)
        if size != written[0]:
            return f"{name} has {size:,} bytes, {written[0]:,} were written"
        if digest != written[1]:
            return f"{name} is not what was written"
    return None


def set_damaged_aside(folder: Path) -> list[str]:
    """Rename the newest checkpoints of a run until one is whole; a sentence for each that was damaged."""
    said = []
    while (last := get_last_checkpoint(str(folder))) is not None and (problem := damage(Path(last))) is not None:
        names = (folder / f"damaged-{i}-{Path(last).name}" for i in range(1, 10**6))
        aside = Path(last).rename(next(name for name in names if not name.exists()))
        said.append(f"{last} is damaged ({problem}): moved to {aside.name}")
    return said


@contextlib.contextmanager
def room_for(writing: Path, kept: Callable[[], str | None]) -> Iterator[None]:
    """The block writes the folder `writing`; raises InputError where the disk does not take it, and removes the half.

    `kept` gives the last whole checkpoint.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = disk_problem(error)
        if reason is None:
            raise
        remove(writing)
        free = shutil.disk_usage(writing.parent).free / 2**20
        raise InputError(
            f"{writing} can't be written: {reason} ({free:,.0f} MB are free there); nothing that was whole is lost, "
            f"the same command continues from {kept() or 'the beginning'}"
        ) from error


def disk_problem(error: BaseException) -> str | None:
    """What the disk says in an error of Python, safetensors or torch; None for any other error."""
    if isinstance(error, OSError):
        return error.strerror if error.errno in DISK else None
    quoted = QUOTED.search(str(error))
    if quoted is not None and int(quoted[1]) in DISK:
        return os.strerror(int(quoted[1]))
    return "a file could not be written whole" if NOT_GROWN.search(str(error)) else None


def finite(model: Any) -> bool:
    """Whether each of the model's weights is a number, as far as this process holds them."""
    held = (weights.to_local() if hasattr(weights, "to_local") else weights for weights in model.parameters())
    return all(bool(weights.isfinite().all()) for weights in held)


def _fingerprint(path: Path) -> list[int | str]:
    """Size in bytes and XXH3 (128 bits, in hex)."""
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return [path.stat().st_size, digest.hexdigest()]
