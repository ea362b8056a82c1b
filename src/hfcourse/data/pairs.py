"""Pairs of texts, one to read and one to write: their columns, and the tasks that can be made of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hfcourse.data.load import Split
from hfcourse.errors import InputError

from datasets import Features, IterableDataset, Value


# The first pair whose columns a row has: rich sets carry a title beside their summary.
LONG = ("document", "article", "dialogue", "abstract", "text", "content")
SHORT = ("summary", "highlights", "headline", "title")
PLAIN = (("source", "target"), ("input", "output"))
# ISO 639-1 codes with the names that T5's prefixes give a language (Raffel et al. 2020, appendix D).
NAMES = """
    ar=Arabic bg=Bulgarian bn=Bengali ca=Catalan cs=Czech da=Danish de=German el=Greek en=English es=Spanish
    et=Estonian eu=Basque fa=Persian fi=Finnish fr=French ga=Irish gl=Galician gu=Gujarati he=Hebrew hi=Hindi
    hr=Croatian hu=Hungarian id=Indonesian is=Icelandic it=Italian ja=Japanese ka=Georgian kk=Kazakh km=Khmer
    ko=Korean lo=Lao lt=Lithuanian lv=Latvian mk=Macedonian mn=Mongolian ms=Malay mt=Maltese my=Burmese ne=Nepali
    nl=Dutch no=Norwegian pl=Polish pt=Portuguese ro=Romanian ru=Russian sk=Slovak sl=Slovenian sq=Albanian
    sr=Serbian sv=Swedish sw=Swahili ta=Tamil te=Telugu th=Thai tr=Turkish uk=Ukrainian ur=Urdu vi=Vietnamese
    zh=Chinese
"""
LANGUAGES = dict(name.split("=") for name in NAMES.split())
# Columns that hold a number more often than Indonesian or Norwegian.
NO_LANGUAGES = ("id", "no")
TRANSLATION = re.compile(r"translation_([A-Za-z-]+)_to_([A-Za-z-]+)")
PREFIXES = {"summarization": "summarize: ", "correction": "correct: ", "text2text": ""}
EXPECTED = (
    "a column for each of two languages (en, zh), translation with both in it, source and target, input and output, "
    f"or one of {', '.join(LONG)} with one of {', '.join(SHORT)}; --columns names any other two"
)


@dataclass(frozen=True)
class Task:
    """What a model does with a text: name (translation_en_to_zh, summarization, ...), prefix, and the way round.

    `reverse`: it reads the second column and writes the first. `languages`: source and target, of a translation.
    """

    name: str
    prefix: str
    reverse: bool = False
    languages: tuple[str, str] | None = None

    @property
    def pipeline_tag(self) -> str:
        """The Hub's name for what it does."""
        kind = "summarization" if self.name == "summarization" else "text2text-generation"
        return "translation" if self.languages else kind


class Pairs:
    """The normaliser for two texts a row, brought to `source` and `target`.

    `detect` finds the two columns and remembers them in `names`. Two rows with the same source are the same row: with
    another target it would still be training that tells an evaluation's answer.
    """

    def __init__(self, columns: Sequence[str] | None = None):
        if columns and (len(columns) != 2 or columns[0] == columns[1]):
            raise InputError(f"--columns takes two different names, of source and target: found {' '.join(columns)}")
        self.columns = tuple(columns) if columns else None
        self.names = ("", "")

    def detect(self, row: dict[str, Any]) -> "Columns":
        """The normaliser for the columns that `row` has; raises InputError where they can't be told."""
        nested = row["translation"] if isinstance(row.get("translation"), dict) else {}
        there = nested or row
        languages = [name for name in there if _code(name) in LANGUAGES and name not in NO_LANGUAGES]
        long, short = (next((name for name in names if name in row), "") for names in (LONG, SHORT))
        if self.columns:
            names = self.columns
        elif nested and len(nested) == 2:
            names = tuple(nested)
        elif len(languages) == 2:
            names = tuple(languages)
        elif long and short:
            names = (long, short)
        else:
            names = next((pair for pair in PLAIN if set(pair) <= row.keys()), ())
        if not names or not set(names) <= there.keys():
            missing = f"no column '{min(set(names) - there.keys())}'" if names else "unknown columns"
            raise InputError(f"{missing}: found {', '.join(map(str, there)) or 'none'}, expected {EXPECTED}")
        self.names = (names[0], names[1])
        return Columns(self.names, bool(nested))


class Columns:
    """The normaliser for two named columns, or the two of a column `translation`."""

    features = Features({"source": Value("string"), "target": Value("string")})
    compared = ("source",)

    def __init__(self, names: tuple[str, str], nested: bool):
        self.names, self.nested = names, nested
        self.columns = ("translation",) if nested else names

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        nested = row.get("translation") if self.nested else None
        there = nested if isinstance(nested, dict) else row
        if not set(self.names) <= there.keys():
            raise InputError(f"no columns {' and '.join(self.names)}: found {', '.join(map(str, there)) or 'none'}")
        return {kind: _text(there[name], name) for kind, name in zip(self.features, self.names, strict=True)}


def _code(name: str) -> str:
    """The language of zh, zh-CN, zh_TW or de_DE."""
    return re.split("[-_]", str(name), maxsplit=1)[0].lower()


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"no text: {name} is {type(value).__name__}, expected a string")
    if not value.strip():
        raise InputError(f"empty {name}: expected a text")
    return value.strip()


def find_tasks(names: tuple[str, str], wanted: Sequence[str] | None, prefix: str | None) -> list[Task]:
    """The tasks for two columns: those `wanted` by name, else both directions of two languages, or one by the columns.

    `prefix` takes the place of the one that a single task has. Raises InputError for a task that these columns do not
    have, or that has no prefix.
    """
    translated = all(_code(name) in LANGUAGES for name in names)
    if not wanted:
        forth, back = (f"translation_{a}_to_{b}" for a, b in (names, names[::-1]))
        one = "summarization" if names[0] in LONG and names[1] in SHORT else "text2text"
        wanted = [one] if not translated else [forth] if prefix is not None else [forth, back]
    if len(set(wanted)) < len(wanted) or len(wanted) > 1 and (prefix is not None or not translated):
        raise InputError(f"--tasks {' '.join(wanted)}: several tasks are the two directions between two languages")
    return [_task(name, names, translated, prefix) for name in wanted]


def _task(name: str, names: tuple[str, str], translated: bool, prefix: str | None) -> Task:
    match = TRANSLATION.fullmatch(name)
    if match is None:
        if name not in PREFIXES:
            known = ", ".join([*PREFIXES, "translation_<code>_to_<code>"])
            raise InputError(f"--tasks {name}: expected one of {known}")
        return Task(name, PREFIXES[name] if prefix is None else prefix)
    languages = (match[1], match[2])
    if translated and sorted(languages) != sorted(names):
        raise InputError(f"--tasks {name}: the columns are {' and '.join(names)}")
    if prefix is None:
        unknown = next((code for code in languages if _code(code) not in LANGUAGES), None)
        if unknown is not None:
            raise InputError(f"--tasks {name}: unknown language code {unknown}: give the --prefix as well")
        source, target = (LANGUAGES[_code(code)] for code in languages)
        prefix = f"translate {source} to {target}: "
    return Task(name, prefix, translated and languages != names, languages)


def with_tasks(split: Split, tasks: list[Task]) -> Split:
    """Each pair once for each task: it reads `source` and writes `target`; `task` is its number.

    The rows of a pair stand side by side. Raises InputError for a stream.
    """
    if isinstance(split.dataset, IterableDataset):
        raise InputError("--streaming does not go with pairs of texts: batches of similar length are made from all")

    def apply(rows: dict[str, list]) -> dict[str, list]:
        out: dict[str, list] = {name: [] for name in ("source", "target", "task", "row")}
        for source, target, row in zip(rows["source"], rows["target"], rows["row"], strict=True):
            for number, task in enumerate(tasks):
                read, write = (target, source) if task.reverse else (source, target)
                for name, value in (("source", read), ("target", write), ("task", number), ("row", row)):
                    out[name].append(value)
        return out

    features = Features({**Columns.features, "task": Value("int32"), "row": Value("int64")})
    split.dataset = split.dataset.map(apply, batched=True, features=features)
    return split
