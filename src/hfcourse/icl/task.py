"""A task is data: where its rows are, how a row is written as a prompt, and which words stand for its labels."""

import dataclasses
import difflib
import string
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hfcourse.errors import InputError

from datasets import Features, List, Value


KINDS = ("classification", "choice", "generation")
LABEL = "{label}"


class Example(NamedTuple):
    """One row: `place` names it, `fields` are the values of the template's columns, `choices` the words of its labels.

    The right choice is `choices[gold]`. In generation there is one choice, the answer.
    """

    place: str
    fields: tuple[str, ...]
    choices: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class Task:
    """One file of configs/icl/tasks.

    Attributes:
        name: its file's name.
        template: a row as a prompt: columns in braces, {label} at the end.
        label: the column of the label; of the number or the text of the right choice; of the answer.
        labels: classification: value in that column -> words; several values may have the same words.
        choices: choice: the columns that hold the choices, or the one that lists them.
        channel: the other way round, for P(input | label): {label} before the first column.
        separator: between demonstrations.
        columns: other names that a column may have in a file: other name -> name.
        metric: what pictures show: accuracy, macro_f1 or exact_match.
    """

    name: str
    dataset_name: str
    template: str
    label: str
    version: int = 1
    kind: str = "classification"
    labels: dict[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    channel: str | None = None
    separator: str = "\n"
    columns: dict[str, str] = field(default_factory=dict)
    metric: str = "accuracy"
    dataset_config: str | None = None
    dataset_revision: str | None = None
    train_split: str = "train"
    test_split: str = "test"

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the classes, in the order of the file."""
        return tuple(dict.fromkeys(self.labels.values()))

    @property
    def source(self) -> dict[str, str | None]:
        """Where the rows are, as data arguments."""
        names = ("dataset_name", "dataset_config", "dataset_revision")
        splits = {"dataset_train_split": self.train_split, "dataset_test_split": self.test_split}
        return {name: getattr(self, name) for name in names} | splits

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that the template names, in its order."""
        return tuple(dict.fromkeys(name for name in _names(self.template) if name != "label"))


def read_task(name: str, content: dict[str, Any], place: str) -> Task:
    """The task of a file's mapping; raises InputError, naming `place`, for whatever can't be used."""

    def refuse(reason: str) -> InputError:
        return InputError(f"{place}: {reason}")

    known = {f.name: f for f in dataclasses.fields(Task) if f.name != "name"}
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise refuse(f"unknown field '{key}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    for key, f in known.items():
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and key not in content:
            raise refuse(f"the field '{key}' is missing")
    values = dict(content)
    values["labels"] = {str(value): str(words) for value, words in _mapping(values, "labels", refuse).items()}
    values["columns"] = {str(a): str(b) for a, b in _mapping(values, "columns", refuse).items()}
    choices = values.get("choices", ())
    values["choices"] = (choices,) if isinstance(choices, str) else tuple(choices)
    texts = ("dataset_name", "template", "label", "kind", "separator", "metric", "train_split", "test_split")
    for key in texts:
        if key in values and not isinstance(values[key], str):
            raise refuse(f"{key} takes a text, not {values[key]!r}")
    task = Task(name=name, **values)
    if task.kind not in KINDS:
        raise refuse(f"kind is one of {', '.join(KINDS)}, not '{task.kind}'")
    for key in ("template", "channel"):
        _check_template(key, getattr(task, key), refuse)
    if not task.template.endswith(LABEL) or task.template.count(LABEL) > 1:
        raise refuse(f"the template ends with {LABEL}, which stands nowhere else in it")
    if not task.fields:
        raise refuse("the template names no column")
    if task.channel is not None and set(_names(task.channel)) != {*task.fields, "label"}:
        raise refuse(f"channel names {LABEL} and the columns of the template: {', '.join(task.fields)}")
    if blank := [value for value, words in task.labels.items() if not words.strip()]:
        raise refuse(f"the label '{blank[0]}' has no words: it would tokenise to nothing")
    if task.kind == "classification" and len(task.words) < 2:
        raise refuse("labels has fewer than two different words")
    if task.kind == "choice" and not task.choices:
        raise refuse("the field 'choices' is missing: the columns that hold the choices, or the one that lists them")
    metrics = ("exact_match",) if task.kind == "generation" else ("accuracy", "macro_f1", "exact_match")
    if task.kind == "generation" and "metric" not in content:
        task = dataclasses.replace(task, metric="exact_match")
    if task.metric not in metrics:
        raise refuse(f"metric of a {task.kind} task is one of {', '.join(metrics)}, not '{task.metric}'")
    return task


def _mapping(values: dict[str, Any], key: str, refuse: Any) -> dict:
    found = values.get(key) or {}
    if not isinstance(found, dict):
        raise refuse(f"{key} takes a mapping, not {found!r}")
    return found


def _names(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _check_template(key: str, template: str | None, refuse: Any) -> None:
    if template is None:
        return
    try:
        names = _names(template)
    except ValueError as error:
        raise refuse(f"{key} is broken: {error}") from None
    if "" in names or any(not name.isidentifier() for name in names):
        raise refuse(
            f"{key}: braces hold the name of a column, not '{next(n for n in names if not n.isidentifier())}'"
        )
    if key == "channel" and (names.count("label") != 1 or names[0] != "label" or len(names) < 2):
        raise refuse(f"channel has {LABEL} once, before the first column")


class TaskRows:
    """A normaliser (hfcourse.data) of raw rows of a task: columns `fields`, `choices` and `gold`.

    Rows with the same fields are the same row to the check of the splits' overlap, whatever their labels.
    """

    features = Features({"fields": List(Value("string")), "choices": List(Value("string")), "gold": Value("int64")})
    compared = ("fields",)

    def __init__(self, task: Task):
        self.task = task
        self.columns = {*task.fields, task.label, *task.choices, *task.columns}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        task = self.task
        row = {task.columns.get(name, name): value for name, value in row.items() if task.columns.get(name) not in row}
        fields = [_text(row, name) for name in task.fields]
        if not any(text.strip() for text in fields):
            raise InputError(f"no input: {', '.join(task.fields)} empty")
        if task.kind == "classification":
            value = _text(row, task.label)
            if value not in task.labels:
                raise InputError(f"unknown label: {value!r}, expected one of {', '.join(map(repr, task.labels))}")
            return {"fields": fields, "choices": list(task.words), "gold": task.words.index(task.labels[value])}
        if task.kind == "generation":
            answer = _text(row, task.label).strip()
            if not answer:
                raise InputError(f"no answer: {task.label} is empty")
            return {"fields": fields, "choices": [answer], "gold": 0}
        choices = self._choices(row)
        value = _text(row, task.label)
        if value in choices:
            gold = choices.index(value)
        elif value.isdecimal() and int(value) < len(choices):
            gold = int(value)
        else:
            raise InputError(f"no such choice: {value!r}, expected the number (from 0) or the text of one")
        return {"fields": fields, "choices": choices, "gold": gold}

    def _choices(self, row: dict[str, Any]) -> list[str]:
        names = self.task.choices
        found = row.get(names[0])
        choices = list(map(str, found)) if isinstance(found, list) else [_text(row, name) for name in names]
        if len(set(choices)) < max(len(choices), 2):
            raise InputError(f"choices not told apart: {choices}")
        return choices


def _text(row: dict[str, Any], name: str) -> str:
    if name not in row:
        raise InputError(f"no column {name!r}: the row has {', '.join(row)}")
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"no text: {name} is {value!r}")
    return str(value)


def examples(dataset: Any, split: str) -> list[Example]:
    """The rows of a normalised data set."""
    rows = dataset.select_columns(["row", "fields", "choices", "gold"]).to_list()
    return [Example(f"{split} {r['row']}", tuple(r["fields"]), tuple(r["choices"]), r["gold"]) for r in rows]
