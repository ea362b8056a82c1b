"""`load_data`: from the data arguments to a training split and an evaluation split that share no row."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hfcourse.data.arguments import DataArguments
from hfcourse.data.rows import Normaliser, reads_columns, seeded_position
from hfcourse.data.sources import EVAL_SPLITS, Source, open_source
from hfcourse.errors import InputError

import numpy as np
from datasets import Dataset, IterableDataset


OVERLAP = "also an evaluation row"


@dataclass
class Split:
    """Rows in a recipe's schema and the column `row`, their line or number in `place`; None: a stream can't know.

    `rows_read` counts what was read for this split, `dropped` what of it can't be used, by reason. `encode_split`
    fills in the last three: rows cut at the maximum length, tokens, and tokens that count for the loss.
    """

    dataset: Dataset | IterableDataset
    rows_read: int | None
    dropped: dict[str, int]
    place: str
    rows_truncated: int | None = None
    tokens: int | None = None
    counted_tokens: int | None = None


@dataclass
class Data:
    """Both splits; `test` is None without evaluation. `notes`: one sentence each on what was done with the data."""

    train: Split
    test: Split | None
    notes: list[str] = field(default_factory=list)


def load_data(args: DataArguments, normalise: Normaliser | Callable[[dict], dict], seed: int) -> Data:
    """Load, normalise and split the data that `args` names.

    Args:
        normalise: a `Normaliser`, or an object whose `detect(row)` chooses one by the columns of the first usable row.
        seed: draws the held-out rows where the data has no split to evaluate on.

    Raises:
        InputError: with file and line, for whatever can't be read or used.
    """
    if not args.dataset_name:
        raise InputError("No data: give --dataset_name a file, a folder or the id of a data set on the Hub.")
    if not 0 <= args.eval_share < 1:
        raise InputError(f"--eval_share is a share, from 0 to below 1, not {args.eval_share}.")
    for name in ("max_train_samples", "max_eval_samples"):
        if (number := getattr(args, name)) is not None and number < 1:
            raise InputError(f"--{name} must be at least 1, not {number}.")

    columns = reads_columns(normalise)
    source = open_source(args.dataset_name, args.dataset_config, args.dataset_revision, columns)
    train_split = _named(source, args.dataset_train_split, args.dataset_name, "--dataset_train_split")
    notes = list(source.notes)
    normalise = _detect(source, train_split, normalise, args, notes)
    read = partial(_read, normalise=normalise, args=args)

    train = read(source, train_split)
    test_source, test_split = _test_split(args, source, train_split, columns, notes)
    test: Split | None = None
    if test_split is not None:
        test = read(test_source, test_split)
    elif args.eval_share > 0:
        train, test = _hold_out(train, args.eval_share, seed, notes)
    else:
        notes.append("There is no split to evaluate on and --eval_share is 0: no evaluation.")

    if test is not None:
        test = _first(test, args.max_eval_samples, "evaluation", notes)
        if test_split is not None:
            train = _without_overlap(train, test, notes)
    train = _first(train, args.max_train_samples, "training", notes)
    return Data(_finish(train), _finish(test) if test else None, notes)


def _named(source: Source, wanted: str, name: str, option: str) -> str:
    if wanted.split("[")[0] not in source.splits():  # the Hub also takes slices such as train[:10%]
        raise InputError(f"{name} has no split {wanted}, it has {', '.join(source.splits())}: set {option}.")
    return wanted


def _test_split(
    args: DataArguments, source: Source, train_split: str, columns: bool, notes: list[str]
) -> tuple[Source, str | None]:
    name, option = args.dataset_name, "--dataset_test_split"
    if args.eval_dataset_name:
        name, train_split = args.eval_dataset_name, ""
        source = open_source(name, None, None, columns)
        notes.extend(source.notes)
        if len(source.splits()) == 1:
            notes.append(f"Evaluation: {name}.")
            return source, source.splits()[0]
    found = [split for split in EVAL_SPLITS if split in source.splits() and split != train_split]
    if args.dataset_test_split != "test" or (args.eval_dataset_name and not found):
        found = [_named(source, args.dataset_test_split, str(name), option)]
    if found and found[0] == train_split:
        raise InputError(f"{option} is {train_split}, which is trained on: evaluation needs other rows.")
    if found:
        notes.append(f"Evaluation: the split {found[0]} of {name}.")
    return source, found[0] if found else None


def _detect(source: Source, split: str, normalise: Any, args: DataArguments, notes: list[str]) -> Normaliser:
    """The normaliser for the first usable row, and a note on the columns that it does not use."""
    place, problem = source.place(split), f"{source.place(split).rsplit(',', 1)[0]} is empty: it has no rows."
    for number, row in source.raw_rows(split, args.streaming):
        try:
            if isinstance(row, InputError):
                raise row
            chosen = normalise.detect(row) if hasattr(normalise, "detect") else normalise
            chosen(row)
        except InputError as error:
            problem = f"{place} {number}: {error}."
            if not args.skip_bad_rows:
                break
            continue
        if unused := [name for name in row if name not in getattr(chosen, "columns", row)]:
            notes.append(f"Columns that are not used: {', '.join(unused)}.")
        return chosen
    raise InputError(problem)


def _read(source: Source, split: str, normalise: Normaliser, args: DataArguments) -> Split:
    dataset = source.rows(split, normalise, args.streaming, args.skip_bad_rows)
    place = source.place(split)
    if isinstance(dataset, IterableDataset):
        return Split(dataset.filter(_has_no_problem) if args.skip_bad_rows else dataset, None, {}, place)
    problems = dataset.data.column("problem").to_pylist()
    dropped = Counter(problem for problem in problems if problem is not None)
    if len(problems) == sum(dropped.values()):
        reasons = ", ".join(f"{reason} ({count})" for reason, count in dropped.items()) or "it is empty"
        raise InputError(f"{place.rsplit(',', 1)[0]} has no row that can be used: {reasons}.")
    if dropped:
        dataset = dataset.select([i for i, problem in enumerate(problems) if problem is None])
    return Split(dataset, len(problems), dict(dropped), place)


def _has_no_problem(row: dict[str, Any]) -> bool:
    return row["problem"] is None


def _hold_out(train: Split, share: float, seed: int, notes: list[str]) -> tuple[Split, Split | None]:
    """Hold out the rows whose seeded position is below `share`; equal rows stay together, so no row is on both sides.

    Streaming and not, the same rows are held out, but for a small file of which none would be: then the lowest is.
    """
    if isinstance(train.dataset, IterableDataset):
        notes.append(
            f"Evaluation: a share of {share:g} of the training rows, drawn by content with seed {seed}; "
            "each evaluation reads the stream again to find them, unless --max_eval_samples ends it sooner."
        )
        inside = partial(_in_share, share=share, seed=seed)
        test = Split(train.dataset.filter(inside), None, {}, train.place)
        train.dataset = train.dataset.filter(partial(_in_share, share=share, seed=seed, outside=True))
        return train, test
    positions = np.array([seeded_position(key, seed) for key in _keys(train.dataset)])
    held_out = positions < share if (positions < share).any() else positions == positions.min()
    if held_out.all():
        notes.append("There are too few different rows to hold some out: no evaluation.")
        return train, None
    count = int(held_out.sum())
    notes.append(
        f"Evaluation: {count} rows held out of {len(positions)} ({count / len(positions):.1%}, asked for "
        f"{share:.1%}), drawn by content with seed {seed}."
    )
    test = Split(train.dataset.select(np.flatnonzero(held_out)), count, {}, train.place)
    rest = train.dataset.select(np.flatnonzero(~held_out))
    return Split(rest, (train.rows_read or 0) - count, train.dropped, train.place), test


def _in_share(row: dict[str, Any], share: float, seed: int, outside: bool = False) -> bool:
    return (seeded_position(row["key"], seed) < share) != outside


def _without_overlap(train: Split, test: Split, notes: list[str]) -> Split:
    """Take the rows out of `train` whose letters and digits are those of an evaluation row."""
    if isinstance(test.dataset, IterableDataset):
        keys = {row["key"] for row in test.dataset}
        notes.append(f"Training rows equal to one of the {len(keys)} evaluation rows are left out as they stream by.")
        train.dataset = train.dataset.filter(partial(_is_outside, keys=keys))
        return train
    keys = set(_keys(test.dataset))
    kept = [i for i, key in enumerate(_keys(train.dataset)) if key not in keys]
    overlap = len(train.dataset) - len(kept)
    if not kept:
        raise InputError(
            f"Each of the {overlap} training rows is also an evaluation row: nothing is left to train on."
        )
    if overlap:
        notes.append(
            f"Overlap: {overlap} training rows equal to an evaluation row were taken out of the training rows."
        )
        train.dataset, train.dropped = train.dataset.select(kept), train.dropped | {OVERLAP: overlap}
    return train


def _is_outside(row: dict[str, Any], keys: set[int]) -> bool:
    return row["key"] not in keys


def _keys(dataset: Dataset) -> list[int]:
    return dataset.with_format("numpy")["key"][:].tolist()


def _first(split: Split, number: int | None, name: str, notes: list[str]) -> Split:
    if number is None:
        return split
    notes.append(f"Only the first {number} usable {name} rows are used.")
    if isinstance(split.dataset, IterableDataset):
        split.dataset = split.dataset.take(number)
    else:
        split.dataset = split.dataset.select(range(min(number, len(split.dataset))))
    return split


def _finish(split: Split) -> Split:
    split.dataset = split.dataset.remove_columns(["problem", "key"])
    return split
