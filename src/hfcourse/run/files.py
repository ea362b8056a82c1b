"""Files that appear whole or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) under another name, flush it to the disk, and rename it to `path`."""
    with staged(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON value in `path`, or `default` where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A path beside `path` that takes its name, by one rename, when the block ends without an error.

    The suffix is kept, since savefig and safetensors choose a format by it.
    """
    temporary = path.with_name(f".writing-{path.name}")
    remove(temporary)
    yield temporary
    sync(temporary)
    os.replace(temporary, path)


def sync(path: Path) -> None:
    """Flush a file, or every file below a folder, to the disk: a rename must not overtake its content."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a leftover of our own: a temporary file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
