"""One raw row at a time: brought into a recipe's schema, or set aside with the reason why it can't be used."""

import hashlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from hfcourse.data.files import read_rows, row_unit
from hfcourse.errors import InputError

from datasets import Features, Value


# `row`: the row's line or number in its file; `problem`: why it can't be used; `key`: hash of its content.
BOOKKEEPING = {"row": Value("int64"), "problem": Value("string"), "key": Value("int64")}


class Normaliser(Protocol):
    """Brings one raw row into a recipe's schema: `features` are the columns of what a call returns.

    A call raises InputError, without a place and as "reason: detail", for a row that can't be used. Where there are
    several schemas, `detect(row)` returns the normaliser that the row's columns ask for. `compared`, if it is there,
    names the columns that make two rows the same; `reads_columns` says that text files hold tokens in columns.
    """

    features: Features

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]: ...


def usable_row(
    raw: dict[str, Any] | InputError, number: int, place: str, normalise: Normaliser, skip_bad_rows: bool
) -> dict[str, Any]:
    """The columns of `normalise.features` and BOOKKEEPING for one raw row.

    A row that can't be used raises InputError with its place, or with `skip_bad_rows` keeps the reason in `problem`.
    """
    try:
        if isinstance(raw, InputError):
            raise raw
        columns = normalise(raw)
        compared = getattr(normalise, "compared", columns)
        content(columns)  # also what is not compared has to be stored
        text = content({name: columns[name] for name in compared})
    except InputError as error:
        if not skip_bad_rows:
            raise InputError(f"{place} {number}: {error}.") from None
        reason = str(error).split(":")[0]
        return dict.fromkeys(normalise.features) | {"row": number, "problem": reason, "key": None}
    return columns | {"row": number, "problem": None, "key": _hash(text)}


def content(value: Any) -> str:
    """All strings of a normalised row, in order: what makes two rows the same to the overlap check."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"half of a surrogate pair: {value[error.start]!a} can't be stored as UTF-8") from None
        return value
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return ""
    return "\n".join(map(content, value))


def _hash(text: str) -> int:
    # Letters and digits alone decide, in any script; a row that has none is compared as it stands.
    key = re.sub(r"[\W_]+", "", text.lower()) or text
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little", signed=True)


def seeded_position(key: int, seed: int) -> float:
    """A number in [0, 1) drawn by a row's content and the seed, so that equal rows always fall on the same side."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=6).digest(), "little") / 2**48


def local_rows(
    files: list[tuple[str, int, int]], normalise: Normaliser, skip_bad_rows: bool, code: str
) -> Iterator[dict[str, Any]]:
    """Usable rows of local files, for `Dataset.from_generator`.

    Size and time of change in `files` (path, bytes, ns) and `code` are there for the cache: rows are made anew when
    the data or the code that reads it has changed.
    """
    for path, _, _ in files:
        place = f"{path}, {row_unit(path)}"
        for number, raw in read_rows(path, reads_columns(normalise)):
            yield usable_row(raw, number, place, normalise, skip_bad_rows)


def reads_columns(normalise: object) -> bool:
    """Whether a normaliser, or what chooses one, takes text files for columns of tokens and tags."""
    return getattr(normalise, "reads_columns", False)


def code_version(worker: object) -> str:
    """Hash of the source of this package and of `worker`'s class.

    `datasets` pickles importable code by name, so that without this its cache would outlive a change of the code.
    """
    sources = {*Path(__file__).parent.glob("*.py"), Path(inspect.getfile(type(worker)))}
    return hashlib.blake2b(b"".join(path.read_bytes() for path in sorted(sources)), digest_size=8).hexdigest()
