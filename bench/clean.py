"""Cleaning beside datatrove's stock pipeline, and near copies beside what people kept.

    python bench/clean.py --stock DIR/bin/python --rounds 3     # English pages of the embedded world
    python bench/clean.py --copies FOLDER                       # all.jsonl.gz and kept_rows.json.gz

DIR is a virtual environment with datatrove[processing,io]==0.10.1, spacy and lxml_html_clean; this project needs none
of them. The stock pipeline is Trafilatura, Gopher's repetition and quality filters, C4's quality filter and MinHash,
with the settings of datatrove 0.10; ours is all of ours but leaks: language, harm, exact copies and masks as well.
Each side is a process of its own, whose clock runs from pages to files without imports; rounds in turn, one core.
Then both extractors on pages whose text is known: precision and recall of lines, and of the line breaks between them.

FOLDER holds rows {"instruction", "input", "output"} and, for each threshold of similarity, the numbers of the rows
that their authors kept. MinHash gets bands and hashes (128 together) that find half of the pairs of that similarity.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stock", help="a Python with the stock pipeline's libraries")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", help="a folder of rows and of those that were kept")
    parser.add_argument("--side", nargs=3, metavar=("NAME", "PAGES", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name, pages, folder = options.side
        print(json.dumps({"ours": ours, "stock": stock}[name](Path(pages), Path(folder))))
    if options.copies:
        compare_copies(Path(options.copies))
    if options.stock:
        compare_speed(options)


def compare_speed(options: argparse.Namespace) -> None:
    from hfcourse.world import World
    from hfcourse.world.pages import harm, pages

    world = World.create(0)
    found = [row for row in pages(world) if row["lang"] == "en" and "html" in row]
    rows = [{"text": row["html"], "id": row["url"], "clean": row["text"], "fault": row["fault"]} for row in found]
    megabytes = sum(len(str(row["text"]).encode()) for row in rows) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        pages_folder = Path(folder) / "pages"
        pages_folder.mkdir()
        write(pages_folder / "pages.jsonl", rows)
        write(Path(folder) / "harm.jsonl", harm(world, False))
        sides: dict[str, list[dict]] = {"ours": [], "stock": []}
        for number in range(options.rounds):
            for side, python in (("ours", sys.executable), ("stock", options.stock)):
                command = [python, __file__, "--side", side, str(pages_folder), f"{folder}/{side}-{number}"]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    sys.exit(f"{side}\n{done.stdout}\n{done.stderr[-3000:]}")
                sides[side].append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{len(rows):,} pages, {megabytes:.2f} MB of HTML")
        for side, rounds in sides.items():
            seconds = [one["seconds"] for one in rounds]
            speeds = f"{min(megabytes / s for s in seconds):.2f}-{max(megabytes / s for s in seconds):.2f}"
            print(f"{side}: {megabytes / statistics.median(seconds):.2f} MB/s ({speeds}); kept {rounds[0]['kept']:,}")
        ratios = [b["seconds"] / a["seconds"] for a, b in zip(*sides.values(), strict=True)]
        print(f"times as fast: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
        for side, rounds in sides.items():
            print(f"{side}: {extraction(rounds[0]['texts'], rows)}, {rounds[0]['extraction']:.2f} s")


def write(path: Path, rows: list) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def extraction(texts: list[str], rows: list[dict]) -> str:
    """Lines of the text found, lines found that are none of it, and pages with all line breaks where they belong."""
    whole = [
        (text, row["clean"]) for text, row in zip(texts, rows, strict=True) if row["clean"] and "[" not in row["clean"]
    ]
    both = found = true = breaks = empty = 0
    for text, clean in whole:
        mine, its = Counter(filter(None, text.split("\n"))), Counter(filter(None, clean.split("\n")))
        both, found, true = both + (mine & its).total(), found + mine.total(), true + its.total()
        breaks += [line for line in text.split("\n") if line] == clean.split("\n")
        empty += not text
    return (
        f"lines: precision {both / max(found, 1):.3f}, recall {both / true:.3f}; the same lines in {breaks:,} of "
        f"{len(whole):,} pages; nothing found on {empty}"
    )


def read(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines()]


def ours(pages: Path, folder: Path) -> dict:
    from hfcourse.clean.cleaner import DataCleaner
    from hfcourse.clean.html import to_text
    from hfcourse.clean.pipeline import Cleaning
    from hfcourse.clean.rules import drop_lines

    from datasets import Dataset

    rows = read(pages)
    began = time.perf_counter()
    texts = [drop_lines(to_text(row["text"])) for row in rows]
    took = time.perf_counter() - began
    table = [{"id": r["id"], "content": r["text"], "form": "html", "truth": ""} for r in rows]
    lines = (pages.parent / "harm.jsonl").read_text(encoding="utf-8").splitlines()
    labelled = Dataset.from_list([json.loads(line) for line in lines])
    settings = {"languages": ["en"], "min_sentences": 5}
    cleaner = DataCleaner(Dataset.from_list(table), Cleaning.read(settings), 1, 1, None, labelled, [], False)
    folder.mkdir()
    began = time.perf_counter()
    cleaner(folder, lambda name: None)
    seconds = time.perf_counter() - began
    kept = (folder / "kept" / "train-00000.jsonl").read_text(encoding="utf-8").count("\n")
    return {"seconds": seconds, "kept": kept, "texts": texts, "extraction": took}


def stock(pages: Path, folder: Path) -> dict:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import HashConfig, MinhashConfig
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    extractor = Trafilatura(favour_precision=True, timeout=10)
    extractor.extract(read(pages)[0]["text"])
    began = time.perf_counter()
    texts = [extractor.extract(row["text"]) or "" for row in read(pages)]
    took = time.perf_counter() - began
    config = MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))  # xxhash 4 refuses what datatrove 0.10 gives it
    where = {name: str(folder / name) for name in ("filtered", "signatures", "buckets", "removed", "kept")}
    phases = [
        (1, [JsonlReader(str(pages)), extractor, GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(),
             JsonlWriter(where["filtered"], compression=None)]),
        (1, [JsonlReader(where["filtered"]), MinhashDedupSignature(where["signatures"], config)]),
        (config.num_buckets, [MinhashDedupBuckets(where["signatures"], where["buckets"], config=config)]),
        (1, [MinhashDedupCluster(where["buckets"], where["removed"], config)]),
        (1, [JsonlReader(where["filtered"]), MinhashDedupFilter(where["removed"]),
             JsonlWriter(where["kept"], compression=None)]),
    ]  # fmt: skip
    began = time.perf_counter()
    for number, (tasks, steps) in enumerate(phases):
        LocalPipelineExecutor(steps, tasks, workers=1, logging_dir=str(folder / "logs" / str(number))).run()
    seconds = time.perf_counter() - began
    kept = sum(path.read_text(encoding="utf-8").count("\n") for path in (folder / "kept").glob("*.jsonl"))
    return {"seconds": seconds, "kept": kept, "texts": texts, "extraction": took}


def compare_copies(folder: Path) -> None:
    from hfcourse.clean.executor import run_locally
    from hfcourse.clean.pipeline import Cleaning, phases
    from hfcourse.clean.stages import read_lines

    with gzip.open(folder / "all.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with gzip.open(folder / "kept_rows.json.gz", "rt", encoding="utf-8") as file:
        kept_rows = json.load(file)
    print(
        f"{len(rows):,} rows\nthreshold  bands x hashes  theirs  ours  agree  of their dropped found  of ours theirs"
    )
    for threshold, numbers in kept_rows.items():
        theirs = set(numbers)
        cleaning = fit(Cleaning, float(threshold))
        with tempfile.TemporaryDirectory() as place:
            filtered = [{"text": row["output"], "id": str(i)} for i, row in enumerate(rows)]
            (Path(place) / "filtered").mkdir()
            write(Path(place) / "filtered" / "00000.jsonl", [row for row in filtered if row["text"].strip()])
            later = [phase for phase in phases(None, Path(place), cleaning, 1, False, []) if phase.name != "filters"]
            first = signatures_of(Path(place))
            run_locally([first, *later], Path(place) / "logs", 1, lambda name: None)
            mine = {int(row["id"]) for row in read_lines(*(Path(place) / "kept").glob("*.jsonl"))}
        everything = set(range(len(rows)))
        agree = len((mine & theirs) | (everything - mine - theirs)) / len(rows)
        dropped, gone = everything - theirs, everything - mine
        print(
            f"{threshold:9}  {cleaning.bands:5} x {cleaning.hashes:<6}  {len(theirs):6,}  {len(mine):,}  {agree:.3f}  "
            f"{len(dropped & gone) / len(dropped):.3f}  {len(dropped & gone) / max(len(gone), 1):.3f}"
        )


def signatures_of(folder: Path):  # type: ignore[no-untyped-def]
    """The first phase without its filters: what comes from a file is compared as it is."""
    from hfcourse.clean.pipeline import EXACT, Phase
    from hfcourse.clean.stages import Lines

    from datatrove.pipeline.dedup import ExactDedupSignature

    return Phase(
        "exact", 1, [Lines(folder / "filtered"), ExactDedupSignature(str(folder / "signatures/exact"), EXACT)]
    )


def fit(make, threshold: float):  # type: ignore[no-untyped-def]
    """Bands and hashes, at most 128 hashes together, that find half of the pairs of this similarity."""
    shapes = [(128 // hashes, hashes) for hashes in range(1, 33)]
    bands, hashes = min(shapes, key=lambda shape: abs(make(bands=shape[0], hashes=shape[1]).found(threshold) - 0.5))
    return make(bands=bands, hashes=hashes, shingle=2)


if __name__ == "__main__":
    main()
