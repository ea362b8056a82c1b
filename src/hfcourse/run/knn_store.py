"""The files of a kNN-LM's store: store.json, shards that are there whole or not at all, and an index.

store.json               what the store was built from, and how
shard-00000/keys.npy     (N, D), memory-mapped when it is read
shard-00000/tokens.npy   (N,)
index-256-16-0.faiss     lists, bytes of a code, seed
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hfcourse.errors import InputError
from hfcourse.run.files import read_json, staged, write_json
from hfcourse.run.run import Run

import faiss
import numpy as np


MANIFEST = "store.json"
Arrays = dict[str, np.ndarray]
Piece = Callable[[], dict[str, Any]]


class Plan(Protocol):
    """A store that is to be; see `hfcourse.knn.build.Plan`."""

    @property
    def manifest(self) -> dict[str, Any]: ...
    @property
    def lengths(self) -> list[int]: ...
    @property
    def width(self) -> int: ...
    @property
    def makers(self) -> list[Callable[[], Arrays]]: ...
    @property
    def bytes(self) -> dict[str, int]: ...
    @property
    def index(self) -> tuple[int, int, int] | None: ...


class StoreFiles:
    """One store in `folder`; InputError where it was built from anything else, is damaged, or the disk lacks room."""

    def __init__(self, folder: Path, plan: Plan):
        self.folder, self.plan = folder, plan
        try:
            found = read_json(folder / MANIFEST)
        except ValueError as error:
            raise InputError(f"{folder / MANIFEST} is no JSON: {error}") from error
        if found is None:
            self._check_room()
            return
        for name, ours in plan.manifest.items():
            theirs = found.get(name)
            if _told(theirs) != _told(ours):
                raise InputError(
                    f"{folder} is a store with the {name} {_shown(theirs)}, this run has {_shown(ours)}: give another "
                    "--store, and one is built there"
                )
        for number in range(len(plan.lengths)):
            if self._shard(number).exists():
                self._open(number)

    def _check_room(self) -> None:
        place = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if (needed := sum(self.plan.bytes.values())) > (free := shutil.disk_usage(place).free):
            raise InputError(f"{self.folder}: the store takes {needed:,} bytes, and the disk has {free:,} left")

    def begin(self) -> None:
        """Write store.json, if it is not there; refuse a store that another run builds now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not all(path.exists() for path in self._parts()):
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT)  # held until the process ends
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self.folder} is being built by another run: wait for it, or give another --store"
                ) from None
        if not (self.folder / MANIFEST).exists():
            write_json(self.folder / MANIFEST, self.plan.manifest)

    def _parts(self) -> list[Path]:
        shards = [self._shard(number) for number in range(len(self.plan.lengths))]
        return shards if self.plan.index is None else [*shards, self._index()]

    def shard_pieces(self) -> dict[str, Piece]:
        """Work by key: each makes a shard, unless it is there."""
        makers = enumerate(self.plan.makers)
        return {f"store/{self.folder.name}/{i}": partial(write_shard, self._shard(i), make) for i, make in makers}

    def index_pieces(self, build: Callable[[list[np.ndarray]], Any]) -> dict[str, Piece]:
        """As above: the index, if there is to be one, which `build` makes of the shards of keys."""
        if self.plan.index is None:
            return {}
        return {f"index/{self.folder.name}": partial(write_index, self._index(), lambda: build(self.open()[0]))}

    def open(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Shards of keys and of tokens, memory-mapped; InputError for one that is missing or damaged."""
        keys, tokens = zip(*map(self._open, range(len(self.plan.lengths))), strict=True)
        return list(keys), list(tokens)

    def _open(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        path, length = self._shard(number), self.plan.lengths[number]
        if not path.exists():
            raise InputError(f"{path} is missing: the command that began the store continues it")
        try:
            keys, tokens = (np.load(path / f"{name}.npy", mmap_mode="r") for name in ("keys", "tokens"))
            if (keys.shape, tokens.shape) != ((length, self.plan.width), (length,)):
                raise ValueError(f"expected {length:,} entries, found {len(keys):,} and {len(tokens):,}")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} is damaged ({error}): move it away, and it is made again") from error
        return keys, tokens

    def open_index(self) -> Any:
        """The index, None where there is to be none; InputError where it is damaged or not of this store."""
        if self.plan.index is None:
            return None
        try:
            index = faiss.read_index(str(self._index()))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{self._index()} is damaged ({reason}): move it away, and it is made again") from error
        if index.ntotal != (entries := sum(self.plan.lengths)):
            raise InputError(f"{self._index()} has {index.ntotal:,} entries, its store {entries:,}: move it away")
        return index

    def _shard(self, number: int) -> Path:
        return self.folder / f"shard-{number:05d}"

    def _index(self) -> Path:
        assert self.plan.index is not None
        return self.folder / f"index-{'-'.join(map(str, self.plan.index))}.faiss"


def open_stores(run: Run, folder: str | None, plans: Mapping[str, Plan]) -> dict[str, StoreFiles]:
    """Stores by name, each in a folder below `folder`; without one, below store/ in the folder of the run."""
    root = Path(folder) if folder else run.folder / "store"
    return {name: StoreFiles(root / name, plan) for name, plan in plans.items()}


def _told(value: Any) -> Any:
    return value.get("digest") if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    return f"{value.get('name')} ({value.get('digest')})" if isinstance(value, dict) else str(value)


def write_shard(path: Path, make: Callable[[], Arrays]) -> dict[str, Any]:
    """Write what `make` gives as a folder of arrays. The entries made: none where the folder is there already."""
    if path.exists():  # of an earlier run, or of this one before it could say so
        return {"made": 0}
    arrays = make()
    with staged(path) as folder:
        folder.mkdir()
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
    return {"made": len(arrays["tokens"])}


def write_index(path: Path, build: Callable[[], Any]) -> dict[str, Any]:
    """Write the faiss index that `build` gives, unless it is there."""
    if not path.exists():
        index = build()
        with staged(path) as temporary:
            faiss.write_index(index, str(temporary))
    return {}
