"""Files of each format with bytes changed, cut, doubled and put in: read rightly, or refused in one sentence."""

import csv
import gzip
import io
import json
from pathlib import Path

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.files import read_rows
from hfcourse.data.load import load_data
from hfcourse.data.ner import TaggedSentences
from hfcourse.data.preferences import Preferences
from hfcourse.data.rows import usable_row
from hfcourse.errors import InputError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


ALPACA = [{"instruction": f"Say {i} 说，“{i}”", "input": "", "output": f"It is {i},\n\u2028是{i}。"} for i in range(8)]
CHATS = [
    {"messages": [{"role": "user", "content": f"q{i} 问"}, {"role": "assistant", "content": f"a{i} \U0001f642"}]}
    for i in range(8)
]
PAIRS = [{"prompt": f"q{i}", "chosen": f"good {i} 好", "rejected": f"bad {i} 坏"} for i in range(8)]
SENTENCES = [(["Berlin", "和", "Paris"], ["B-LOC", "O", "B-LOC"]), (["He", "left"], ["O", "O"])] * 4


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows: list[dict], delimiter: str) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def parquet(rows: list[dict]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


COLUMNS = "\n\n".join("\n".join(f"{t} x {tag}" for t, tag in zip(*s, strict=True)) for s in SENTENCES).encode() + b"\n"
TEXT = "\n\n".join(f"Paragraph {i}.\nIts second line, 第{i}段。" for i in range(8)).encode()
FORMATS = {
    "chats.jsonl": (lines(CHATS), Conversations()),
    "alpaca.json": (json.dumps(ALPACA, ensure_ascii=False).encode(), Conversations()),
    "alpaca.csv": (table(ALPACA, ","), Conversations()),
    "alpaca.tsv": (table(ALPACA, "\t"), Conversations()),
    "alpaca.parquet": (parquet(ALPACA), Conversations()),
    "book.txt": (TEXT, Conversations()),
    "pairs.jsonl": (lines(PAIRS), Preferences()),
    "words.conll": (COLUMNS, TaggedSentences()),
    "chats.jsonl.gz": (gzip.compress(lines(CHATS), mtime=0), Conversations()),
}
PIECES = (b"", b"\n", b"\0", b"\xff", b'"', b"{", b"]", b",", b"\t", b"\r", b"\xed\xa0\x80", b"\\ud800", b"9" * 5000)


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` after one to three changes: a span replaced, flipped, doubled, or the rest cut off."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(start + draw(st.integers(0, 40)), len(content))
        change = draw(st.sampled_from(["replace", "replace", "flip", "double", "cut off"]))
        if change == "replace":
            content = content[:start] + draw(st.sampled_from(PIECES)) + content[end:]
        elif change == "double":
            content = content[:end] + content[start:]
        elif change == "flip" and start < len(content):
            content = content[:start] + bytes([content[start] ^ draw(st.integers(1, 255))]) + content[start + 1 :]
        elif change == "cut off":
            content = content[:start]
    return content


def blocks(content: bytes) -> int:
    """How many groups of lines with something in them."""
    filled = [bool(line.strip()) for line in content.split(b"\n")]
    return sum(now and not before for before, now in zip([False, *filled], filled, strict=False))


def expected_rows(name: str, content: bytes) -> int | None:
    """How many rows a reader has to account for, found without it; None where the format itself decides."""
    if name.endswith(".jsonl"):
        return sum(bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    return blocks(content) if name.endswith(".txt") else None


def check_reading(path: Path, name: str, content: bytes, normalise) -> str:
    """Every row is accounted for, by its number in the file; "read", "refused" or "dropped"."""
    path.write_bytes(content)
    try:
        rows = list(read_rows(str(path), getattr(normalise, "reads_columns", False)))
    except InputError as problem:
        assert path.name in str(problem)
        return "refused"
    numbers = [number for number, _ in rows]
    assert numbers == sorted(set(numbers)) and all(number >= 1 for number in numbers)
    expected = expected_rows(name, content)
    assert expected is None or len(rows) == expected
    dropped, chosen = 0, None
    for number, row in rows:
        try:
            if chosen is None and isinstance(row, dict):
                chosen = normalise.detect(row) if hasattr(normalise, "detect") else normalise
            found = usable_row(row, number, "row", chosen or normalise, skip_bad_rows=False) if chosen else None
        except InputError:
            found = None
        dropped += found is None
        if found is not None and name == "pairs.jsonl":  # what is read is what stands there
            raw = json.loads(content.removeprefix(b"\xef\xbb\xbf").split(b"\n")[number - 1])
            assert raw["chosen"].strip() in json.dumps(found, ensure_ascii=False)
    return "dropped" if dropped else "read"


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_file_is_read_or_refused(tmp_path, name):
    content, normalise = FORMATS[name]
    assert check_reading(tmp_path / name, name, content, normalise) == "read"
    seen = set()

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(mutated(content))
    def check(changed: bytes) -> None:
        seen.add(check_reading(tmp_path / name, name, changed, normalise))

    check()
    assert len(seen) > 1, seen


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_three_hundred_mutated_files_are_loaded_or_refused(tmp_path, name):
    """The whole way into a recipe: what can't be used is counted with --skip_bad_rows, and named without."""
    content, normalise = FORMATS[name]
    ends = {"loaded": 0, "refused": 0}

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated(content), st.booleans())
    def check(changed: bytes, skip: bool) -> None:
        path = tmp_path / name
        path.write_bytes(changed)
        arguments = DataArguments(dataset_name=str(path), eval_share=0.0, skip_bad_rows=skip)
        try:
            train = load_data(arguments, normalise, seed=0).train
        except InputError as problem:
            assert path.name in str(problem)
            ends["refused"] += 1
            return
        ends["loaded"] += 1
        assert train.rows_read == len(train.dataset) + sum(train.dropped.values())
        expected = expected_rows(name, changed)
        assert expected is None or train.rows_read == expected

    check()
    assert min(ends.values()) > 10, ends
