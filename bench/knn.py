"""Exact and approximate search of hfcourse.knn beside faiss's flat index called directly: time, recall, memory.

    python bench/knn.py                                           # random keys: 100,000 and 1,000,000 of 64 and 128
    python bench/knn.py --entries 100000 --widths 128 --k 1024 --rounds 5
    python bench/knn.py --store runs/knnlm/tiny/store/own         # the keys of a store, and some of them as queries

Keys lie in float16, in shards of 2^20, as a store has them; the flat index has them in float32, in memory. Queries are
random as the keys are, or every n-th key of the store with a little noise. Each round times all sides in turn, the
first in another order; quoted is the median. Recall: the share of the k nearest, by the flat index, that were found.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from hfcourse.knn.quantised import build_index, search_index
from hfcourse.knn.search import exact, search
from hfcourse.knn.store import Store

import faiss
import numpy as np
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--store", type=Path, help="a store's folder: its keys instead of random ones")
    parser.add_argument("--queries", type=int, default=256, help="at once")
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--lists", type=int, default=256)
    parser.add_argument("--code_bytes", type=int, default=16)
    parser.add_argument("--probe", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"faiss {faiss.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} "
        f"cores; {vars(options)}"
    )
    faiss.omp_set_num_threads(torch.get_num_threads())
    if options.store:
        keys = [np.load(path / "keys.npy", mmap_mode="r") for path in sorted(options.store.glob("shard-*"))]
        compare(str(options.store), keys, options)
        return
    for width in options.widths:
        for entries in options.entries:
            keys = np.random.default_rng(0).standard_normal((entries, width), np.float32).astype(np.float16)
            compare("random", np.split(keys, range(2**20, entries, 2**20)), options)


def compare(name: str, keys: list[np.ndarray], options: argparse.Namespace) -> None:
    """Times of building and of searching; medians, and how many times as fast as the flat index."""
    store = Store(keys, [np.zeros(len(part), np.int32) for part in keys])
    random, k = np.random.default_rng(1), options.k
    queries = random.standard_normal((options.queries, store.width), np.float32)
    if name != "random":
        queries = store.vectors(np.arange(options.queries) * (len(store) // options.queries)) + 0.05 * queries
    asked = torch.from_numpy(queries)

    started = time.perf_counter()
    flat = faiss.IndexFlatL2(store.width)
    for part in keys:
        flat.add(np.asarray(part, np.float32))
    built = {"flat": time.perf_counter() - started}
    started = time.perf_counter()
    index = build_index(keys, options.lists, options.code_bytes, 0)
    built["ivfpq"] = time.perf_counter() - started

    def approximate(recompute: bool) -> np.ndarray:
        entries = search_index(index, asked, k, options.probe)[1]
        return (exact(store, asked, entries)[1] if recompute else entries).numpy()

    sides: dict[str, Callable[[], np.ndarray]] = {
        "flat": lambda: flat.search(queries, k)[1],
        "exact": lambda: search(store, asked, k)[1].numpy(),
        "codes": lambda: approximate(False),
        "ivfpq": lambda: approximate(True),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    found = {}
    for number in range(options.rounds):
        for side in list(sides)[:: -1 if number % 2 else 1]:
            started = time.perf_counter()
            found[side] = sides[side]()
            seconds[side].append(time.perf_counter() - started)

    half = len(store) * store.width * 2
    held = {
        "flat": 2 * half,
        "exact": half,
        "codes": faiss.serialize_index(index).nbytes,
        "ivfpq": half + faiss.serialize_index(index).nbytes,
    }
    times = "; built in " + ", ".join(f"{side} {value:.1f} s" for side, value in built.items())
    print(f"\n{name} keys: {len(store):,} x {store.width}, k {k}{times}")
    for side, values in seconds.items():
        median = statistics.median(values)
        ratios = [theirs / ours for theirs, ours in zip(seconds["flat"], values, strict=True)]
        hits = sum(len(np.intersect1d(*rows)) for rows in zip(found[side], found["flat"], strict=True))
        print(
            f"  {side:<6} {options.queries / median:>9,.0f} queries/s, {statistics.median(ratios):>6.2f} x flat "
            f"({min(ratios):.2f}-{max(ratios):.2f}), recall {hits / found['flat'].size:.4f}, "
            f"{held[side] / 2**20:,.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
