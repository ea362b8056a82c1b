"""Where rows come from: a file or a folder on this machine, or a data set on the Hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hfcourse.data.files import ENDINGS, Row, class_names, data_ending, read_rows, row_unit, with_names
from hfcourse.data.rows import BOOKKEEPING, Normaliser, code_version, local_rows, usable_row
from hfcourse.errors import InputError

import datasets
from datasets import Dataset, Features, IterableDataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError, DatasetsError
from huggingface_hub.errors import HfHubHTTPError, HFValidationError


EVAL_SPLITS = ("test", "dev", "valid", "validation", "eval")
_SPLIT_WORDS = {"training": "train", "testing": "test", "evaluation": "eval"}
_SPLIT_NAME = re.compile(r"(training|train|testing|test|dev|validation|valid|evaluation|eval)(?![a-z])")
_PATH_ENDINGS = (
    *ENDINGS,
    ".gz",
    ".conll",
    ".bio",
    ".bmes",
    ".iob",
    ".arrow",
    ".zip",
    ".zst",
    ".xlsx",
    ".xml",
    ".yaml",
    ".md",
    ".bin",
)


class Source(Protocol):
    """Named splits of rows, and `notes` on how they were found."""

    notes: list[str]

    def splits(self) -> list[str]: ...
    def place(self, split: str) -> str: ...
    def raw_rows(self, split: str, streaming: bool) -> Iterator[Row]: ...
    def rows(self, split: str, normalise: Normaliser, streaming: bool, skip_bad_rows: bool) -> Any: ...


def open_source(name: str, config: str | None, revision: str | None, columns: bool = False) -> Source:
    """A path that exists is local; what only looks like a path is missing; anything else is an id on the Hub.

    `columns`: text files hold tokens in columns, and their endings do not matter.
    """
    path = Path(name).expanduser()
    if path.exists():
        if config or revision:
            raise InputError(f"{name} is a local path, which has no --dataset_config or --dataset_revision.")
        return LocalSource(path, columns)
    if name.startswith((".", "/", "~")) or name.lower().endswith(_PATH_ENDINGS) or name.count("/") > 1:
        raise InputError(f"The data file or folder {name} does not exist.")
    return HubSource(name, config, revision)


class LocalSource:
    """A file, which is the split "train", or a folder whose files are named by split."""

    def __init__(self, path: Path, columns: bool = False):
        self.notes: list[str] = []
        self._columns = columns
        self._files = self._folder(path) if path.is_dir() else {"train": [path]}

    def _folder(self, folder: Path) -> dict[str, list[Path]]:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        data = [e for e in entries if e.is_file() and self._is_data(e) and not e.name.upper().startswith("README")]
        found: dict[str, list[Path]] = {}
        for path in data:
            if match := _SPLIT_NAME.match(path.name.lower()):
                found.setdefault(_SPLIT_WORDS.get(match[1], match[1]), []).append(path)
        if not found and len(data) > 1:
            names = ", ".join(path.name for path in data)
            raise InputError(f"{folder} has several data files ({names}) and none is named train*: name one file.")
        if not data:
            raise InputError(f"The folder {folder} has no data file, expected one that ends in {', '.join(ENDINGS)}.")
        found = found or {"train": data}
        for split, paths in found.items():
            kinds = {"".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffix).lower() for path in paths}
            # Two forms of the same rows side by side are likelier than one data set in two forms.
            if len(kinds) > 1:
                names = ", ".join(path.name for path in paths)
                raise InputError(f"{folder} has files of different kinds for {split} ({names}): keep one kind.")
        used = {path for paths in found.values() for path in paths}
        if ignored := [entry.name for entry in entries if entry not in used]:
            self.notes.append(f"Not read in {folder}: {', '.join(ignored)}.")
        return found

    def _is_data(self, path: Path) -> bool:
        return bool(data_ending(path) or (self._columns and _SPLIT_NAME.match(path.name.lower())))

    def splits(self) -> list[str]:
        return list(self._files)

    def place(self, split: str) -> str:
        paths = self._files[split]
        name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} to {paths[-1].name}"
        return f"{name}, {row_unit(paths[0])}"

    def raw_rows(self, split: str, streaming: bool) -> Iterator[Row]:
        for path in self._files[split]:
            yield from read_rows(str(path), self._columns)

    def rows(
        self, split: str, normalise: Normaliser, streaming: bool, skip_bad_rows: bool
    ) -> Dataset | IterableDataset:
        stats = [(path, path.stat()) for path in self._files[split]]
        arguments = {
            "files": [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats],
            "normalise": normalise,
            "skip_bad_rows": skip_bad_rows,
            "code": code_version(normalise),
        }
        if not any(True for _ in self.raw_rows(split, streaming)):
            raise InputError(f"{self.place(split).rsplit(',', 1)[0]} is empty: it has no rows.")
        features = Features({**normalise.features, **BOOKKEEPING})
        if streaming:
            return IterableDataset.from_generator(local_rows, features=features, gen_kwargs=arguments)
        try:
            return Dataset.from_generator(local_rows, features=features, gen_kwargs=arguments)
        except DatasetGenerationError as error:
            if isinstance(error.__cause__, InputError):
                raise error.__cause__ from None
            raise


class HubSource:
    """A data set of files on the Hub, at a revision; data sets that are scripts are refused by `datasets`."""

    def __init__(self, name: str, config: str | None, revision: str | None):
        self.notes: list[str] = []
        self._name, self._arguments = name, {"path": name, "revision": revision}
        self._config = config
        with _hub_errors(name, revision):
            self._splits = [str(s) for s in datasets.get_dataset_split_names(config_name=config, **self._arguments)]

    def _load(self, split: str, streaming: bool) -> Dataset | IterableDataset:
        with _hub_errors(self._name, self._arguments["revision"]):
            return datasets.load_dataset(name=self._config, split=split, streaming=streaming, **self._arguments)

    def splits(self) -> list[str]:
        return self._splits

    def place(self, split: str) -> str:
        return f"{self._name}, split {split}, row"

    def raw_rows(self, split: str, streaming: bool) -> Iterator[Row]:
        with _hub_errors(self._name, self._arguments["revision"]):
            rows = self._load(split, streaming)
            classes = class_names(rows.features or {})
            yield from ((number, with_names(row, classes)) for number, row in enumerate(rows, 1))

    def rows(
        self, split: str, normalise: Normaliser, streaming: bool, skip_bad_rows: bool
    ) -> Dataset | IterableDataset:
        raw = self._load(split, streaming)
        columns = raw.column_names or list(next(iter(raw), {}))  # a stream may not know its columns before its rows
        return raw.map(
            _hub_row,
            with_indices=True,
            remove_columns=columns,
            features=Features({**normalise.features, **BOOKKEEPING}),
            fn_kwargs={
                "place": self.place(split),
                "normalise": normalise,
                "skip_bad_rows": skip_bad_rows,
                "classes": class_names(raw.features or {}),
                "code": code_version(normalise),
            },
        )


def _hub_row(
    raw: dict[str, Any],
    index: int,
    place: str,
    normalise: Normaliser,
    skip_bad_rows: bool,
    classes: dict[str, list[str]],
    code: str,
) -> dict[str, Any]:
    """For `map`; `code` is there for its cache, as in `local_rows`."""
    return usable_row(with_names(raw, classes), index + 1, place, normalise, skip_bad_rows)


@contextmanager
def _hub_errors(name: str, revision: str | None) -> Iterator[None]:
    """One sentence for each way in which a Hub data set can be out of reach."""
    try:
        yield
    except InputError:
        raise
    except ConnectionError:
        raise InputError(
            f"{name} is no local path, and the Hub can't be reached to load it as a data set: "
            "check the spelling, the network, HF_ENDPOINT and HF_HUB_OFFLINE."
        ) from None
    except HFValidationError:
        raise InputError(f"{name} is neither a local path that exists nor a valid id of a Hub data set.") from None
    except DatasetNotFoundError as error:
        if "gated" in str(error):
            raise InputError(f"The Hub data set {name} is gated: ask for access on its page, then log in.") from None
        if "Revision" in str(error):
            raise InputError(f"The Hub data set {name} has no revision {revision}.") from None
        raise InputError(
            f"{name} is no local path, and there is no such data set on the Hub or it is private: log in to use it."
        ) from None
    except HfHubHTTPError as error:
        raise InputError(f"The Hub answered {error.response.status_code} for the data set {name}.") from None
    except (DatasetsError, OSError, RuntimeError, ValueError) as error:
        reason = str(error.__cause__ or error).split("\n")[0].rstrip(".")
        raise InputError(f"The Hub data set {name} can't be loaded: {reason}.") from None
