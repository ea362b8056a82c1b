"""Local files, one raw row at a time: JSON, JSON lines, CSV, TSV, Parquet, text and columns, each also gzipped."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hfcourse.data.conll import read_columns
from hfcourse.errors import InputError

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features


ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt")
Row = tuple[int, dict[str, Any] | InputError]


def data_ending(path: str | Path) -> str | None:
    """The ending that says how to read a file, without `.gz`; None for a file of another kind."""
    suffixes = Path(str(path).lower().removesuffix(".gz")).suffixes
    return suffixes[-1] if suffixes and suffixes[-1] in ENDINGS else None


def row_unit(path: str | Path) -> str:
    """What the row numbers of a file count: lines of a text file, or the rows of a JSON list and of Parquet."""
    return "row" if data_ending(path) in (".json", ".parquet") else "line"


def holds_columns(path: str | Path) -> bool:
    """Whether a file of tagged tokens holds them in columns: text, tab-separated text, or an ending of its own."""
    return data_ending(path) in (None, ".txt", ".tsv")


def read_rows(path: str, columns: bool = False) -> Iterator[Row]:
    """Yield (number, row) for each row of a file, counted from 1 in the unit of `row_unit`.

    A row that can't be read comes as an InputError without its place, so that the caller can skip it. What spoils the
    whole file (missing, damaged gzip, broken CSV quoting, ...) is raised, as an InputError that names file and line.
    A `.txt` file gives one row {"text": ...} per paragraph, that is per block of lines between blank lines. With
    `columns`, a file that is neither JSON nor a table is read by `read_columns`, whatever its ending.
    """
    if columns and holds_columns(path):
        yield from read_columns(_texts(path))
        return
    readers = {
        ".json": _read_json,
        ".jsonl": _read_jsonl,
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".parquet": _read_parquet,
        ".txt": _read_paragraphs,
    }
    ending = data_ending(path)
    if ending is None:
        raise InputError(
            f"{path} has no ending that is known, expected {', '.join(ENDINGS)} (or one of them and .gz)."
        )
    yield from readers[ending](path)


@contextmanager
def _opened(path: str) -> Iterator[gzip.GzipFile | BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield gzip.GzipFile(fileobj=file) if path.lower().endswith(".gz") else file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a truncated or damaged gzip file: {error}.") from None
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}.") from None


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Numbered lines with their ends, split at "\\n" only: U+2028 and the like may stand inside a JSON string."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: byte 0x{data[error.start]:02x} at byte {error.start + 1}") from None


def _texts(path: str) -> Iterator[tuple[int, str | InputError]]:
    for number, line in _lines(path):
        try:
            yield number, _decode(line)
        except InputError as problem:
            yield number, problem


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if "\n" in text.strip() else f"column {error.colno}"
        raise InputError(f"broken JSON: {error.msg} at {place}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"broken JSON: {error}") from None


def _as_object(value: Any) -> dict[str, Any] | InputError:
    if isinstance(value, dict):
        return value
    return InputError(f"no JSON object: found {type(value).__name__}, expected {{column: value, ...}}")


def _read_jsonl(path: str) -> Iterator[Row]:
    for number, line in _lines(path):
        if line.strip():
            try:
                yield number, _as_object(_parse(_decode(line).rstrip("\r\n")))
            except InputError as problem:
                yield number, problem


def _read_json(path: str) -> Iterator[Row]:
    with _opened(path) as file:
        data = file.read().removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        return
    try:
        content = _parse(_decode(data))
    except InputError as error:
        # Many files named .json hold JSON lines: an object ends and another value begins.
        if data.lstrip().startswith(b"{") and "Extra data" in str(error):
            yield from _read_jsonl(path)
            return
        raise InputError(f"{path}: {error}.") from None
    if isinstance(content, dict):
        content = content.get("data")
    if not isinstance(content, list):
        raise InputError(f'{path} holds neither a list of rows nor {{"data": [rows]}}.')
    for number, value in enumerate(content, 1):
        yield number, _as_object(value)


def _read_csv(path: str) -> Iterator[Row]:
    at = 0  # the last line that was handed to the CSV reader

    def lines() -> Iterator[str]:
        nonlocal at
        for at, line in _lines(path):
            try:
                yield _decode(line)
            except InputError as error:
                raise InputError(f"{path}, line {at}: {error}.") from None

    csv.field_size_limit(sys.maxsize)  # long documents are longer than the default of 128 KiB
    reader = csv.reader(lines(), delimiter="\t" if data_ending(path) == ".tsv" else ",", strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header) or "" in header:
            raise InputError(f"{path}, line 1: expected a name for each column, each once, found {', '.join(header)}.")
        start = at + 1
        for fields in reader:
            if fields and len(fields) != len(header):
                yield start, InputError(f"wrong number of fields: found {len(fields)}, the header has {len(header)}")
            elif fields:
                yield start, dict(zip(header, fields, strict=True))
            start = at + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {at}: broken {data_ending(path)}: {error}.") from None


def _read_parquet(path: str) -> Iterator[Row]:
    with _opened(path) as file:
        number = 0
        try:
            # Parquet is read from its end, which a gzip stream can't be without reading it over and over.
            source = pq.ParquetFile(io.BytesIO(file.read()) if path.lower().endswith(".gz") else file)
            schema = source.schema_arrow
            # Files that `datasets` wrote name their classes; others may have types that it does not know.
            named = b"huggingface" in (schema.metadata or {})
            classes = class_names(Features.from_arrow_schema(schema)) if named else {}
            for batch in source.iter_batches(batch_size=1000):
                for row in _parquet_rows(batch):
                    number += 1
                    yield number, with_names(row, classes) if isinstance(row, dict) else row
        except (pa.ArrowException, UnicodeDecodeError) as error:  # the latter for names of columns
            raise InputError(f"{path} is no Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _parquet_rows(batch: pa.RecordBatch) -> list[dict[str, Any] | InputError]:
    """The rows of a batch; one that Python can't hold, such as text that is not UTF-8, comes as an InputError."""
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if len(batch) == 1:
            return [InputError(f"broken value: {error}")]
        return [row for i in range(len(batch)) for row in _parquet_rows(batch.slice(i, 1))]


def class_names(features: Features) -> dict[str, list[str]]:
    """The names behind the numbers of each column that holds class labels, one or a list of them a row."""
    inner = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: feature.names for name, feature in inner.items() if isinstance(feature, ClassLabel)}


def with_names(row: dict[str, Any], classes: dict[str, list[str]]) -> dict[str, Any]:
    """The row with the names of `class_names` in place of its numbers; what has no name stays, as -1 does."""
    named = dict(row)
    for column, names in classes.items():
        known = dict(enumerate(names))
        value = row[column]
        named[column] = [known.get(v, v) for v in value] if isinstance(value, list) else known.get(value, value)
    return named


def _read_paragraphs(path: str) -> Iterator[Row]:
    start, block = 0, b""
    for number, line in _lines(path):
        if line.strip():
            start, block = (start, block + line) if block else (number, line)
        elif block:
            yield start, _paragraph(block)
            block = b""
    if block:
        yield start, _paragraph(block)


def _paragraph(block: bytes) -> dict[str, Any] | InputError:
    try:
        return {"text": _decode(block).replace("\r\n", "\n").strip("\n")}
    except InputError as problem:
        return problem
