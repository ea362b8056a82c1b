"""What a store is built from: its manifest, its size on disk, and its shards one by one."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hfcourse.errors import InputError
from hfcourse.knn.capture import Capture
from hfcourse.knn.domain import Domain
from hfcourse.knn.settings import KNNSettings
from hfcourse.knn.store import TOKENS, Window, count_entries, digest

import numpy as np
import torch


# Raised whenever what a store's files hold changes.
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """A store that is to be: what it depends on, entries of each shard, the width of a key, and what makes each shard.

    `manifest` has plain values, or {"name", "digest"} of what is told apart by its digest. `bytes` are those that each
    part takes on disk, `index` the lists, bytes of a code and seed of an index of IVF-PQ, if there is to be one.
    """

    manifest: dict[str, Any]
    lengths: list[int]
    width: int
    makers: list[Callable[[], dict[str, np.ndarray]]]
    bytes: dict[str, int]
    index: tuple[int, int, int] | None

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / 2**20:,.1f} MB" for name, size in self.bytes.items())
        kind = f"{self.manifest['key']} of {self.manifest['layer']}, {self.width} x {self.manifest['dtype']}"
        entries = f"{sum(self.lengths):,} entries ({kind}), {len(self.lengths)} shards"
        return f"{self.manifest['text']['name']}: {entries}: {parts}"


@dataclass(frozen=True)
class Builder:
    """Builds stores of the model that `capture` watches, `name` with its tokenizer."""

    capture: Capture
    tokenizer: Any
    name: str
    settings: KNNSettings
    seed: int

    def plan(self, domain: Domain) -> Plan:
        """The store of a domain."""
        shards = self.shards(domain)
        return Plan(
            self.manifest(domain),
            [count_entries(windows) for windows in shards],
            self.capture.width,
            [partial(self.make, domain.remembered, windows) for windows in shards],
            self.bytes(domain),
            (self.settings.lists, self.settings.code_bytes, self.seed) if "ivfpq" in self.settings.search else None,
        )

    def manifest(self, domain: Domain) -> dict[str, Any]:
        """What the store depends on, and how it is written."""
        settings = self.settings
        return {
            "format": FORMAT,
            "model": {"name": self.name, "digest": digest_weights(self.capture.model)},
            "tokenizer": {"name": self.name, "digest": digest_vocabulary(self.tokenizer)},
            "text": {"name": domain.name, "digest": digest(domain.remembered)},
            "key": self.capture.key,
            "layer": self.capture.layer,
            "dtype": settings.key_dtype,
            "width": self.capture.width,
            "block_size": settings.block_size,
            "stride": settings.stride,
            "shard_entries": settings.shard_entries,
            "entries": domain.entries,
        }

    def bytes(self, domain: Domain) -> dict[str, int]:
        """What the store takes on disk, by part."""
        entries, settings = domain.entries, self.settings
        sizes = {"keys": entries * self.capture.width * np.dtype(settings.key_dtype).itemsize}
        sizes["tokens"] = entries * np.dtype(TOKENS).itemsize
        if "ivfpq" in settings.search:
            # A code and a 64-bit number for each entry; the centres of the lists and of 256 codes for each byte.
            sizes["index"] = entries * (settings.code_bytes + 8) + (settings.lists + 256) * self.capture.width * 4
        return sizes

    def shards(self, domain: Domain) -> list[list[Window]]:
        """Windows by shard: those of about `shard_entries` entries, at least one."""
        windows = domain.remembered_windows
        each = max(1, self.settings.shard_entries // count_entries(windows[-1:]))
        return [windows[at : at + each] for at in range(0, len(windows), each)]

    def make(self, ids: np.ndarray, windows: Sequence[Window]) -> dict[str, np.ndarray]:
        """Entries of some windows of the text `ids`: {"keys": (N, D), "tokens": (N,)}."""
        keys, tokens = [], []
        device, size = next(self.capture.model.parameters()).device, self.settings.batch_size
        for at in range(0, len(windows), size):
            batch = windows[at : at + size]
            read = torch.from_numpy(np.stack([ids[w.begin : w.end] for w in batch])).long().to(device)  # (B, T)
            made = self.capture.of(read).cpu().numpy()  # (B, T, D)
            with np.errstate(over="ignore"):  # said below, in one sentence
                made = made.astype(self.settings.key_dtype)
            for window, own in zip(batch, made, strict=True):
                # The key of all that is read up to a token belongs to the token after it.
                keys.append(own[window.first - window.begin - 1 : -1])
                tokens.append(ids[window.first : window.end].astype(TOKENS))
        shard = {"keys": np.concatenate(keys), "tokens": np.concatenate(tokens)}
        if not np.isfinite(shard["keys"]).all():
            raise InputError(f"a key is too large for {self.settings.key_dtype}: --key_dtype float32")
        return shard


def digest_weights(model: Any) -> str:
    """Of up to 4,096 values of each tensor, evenly spread.

    Other training leaves hardly a value as it was, and to read all values of a large model takes minutes.
    """
    found = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().flatten()
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(flat[:: -(-len(flat) // 4096) or 1].float().cpu().numpy().tobytes())
    return found.hexdigest()


def digest_vocabulary(tokenizer: Any) -> str:
    """Of each token with its number."""
    found = hashlib.blake2b(digest_size=8)
    for token, number in sorted(tokenizer.get_vocab().items()):
        found.update(f"{number} {token}\n".encode())
    return found.hexdigest()
