"""Sentences with named entities, from any source and any tagging scheme, brought to words and BIO tags."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hfcourse.data.load import Data, Split
from hfcourse.data.tags import OUTSIDE, TagError, find_scheme, to_bio
from hfcourse.errors import InputError

from datasets import Dataset, Features, IterableDataset, List, Value


# In a scheme that marks both ends, more of the tags than this share without their letter are those of another scheme.
MIXED = 0.1
TOKENS, TAGS = ("tokens", "words"), ("ner_tags", "tags", "ner", "labels")


class TaggedSentences:
    """A normaliser: a list of words and a list of tags a row, from JSON, Parquet, the Hub, or columns.

    `names` are the columns of words and of tags where they are none of TOKENS and TAGS; `tag_names` are the names of
    tags that are numbers (a Hub data set or a Parquet file may bring them along).
    """

    features = Features(
        {"tokens": List(Value("string")), "ner_tags": List(Value("string")), "docstarts": Value("int32")}
    )
    # The same sentence with other tags, or in another scheme, is the same sentence.
    compared = ("tokens",)
    reads_columns = True

    def __init__(self, names: Sequence[str] | None = None, tag_names: Sequence[str] | None = None):
        if names and len(names) != 2:
            raise InputError(f"--columns takes two names, of the words and of the tags: found {' '.join(names)}")
        self.names, self.tag_names = names, tag_names
        self.columns = [*(names or ()), "docstarts"]

    def detect(self, row: dict[str, Any]) -> "TaggedSentences":
        """The normaliser for the columns that `row` has."""
        found = [next((name for name in known if name in row), known[0]) for known in (TOKENS, TAGS)]
        return TaggedSentences(self.names or found, self.tag_names)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        tokens, tags = (self._list(row, name) for name in self.names or ())
        if not tokens:
            raise InputError("an empty sentence: it has no tokens")
        if len(tokens) != len(tags):
            raise InputError(f"columns that disagree: {len(tokens)} tokens and {len(tags)} tags")
        if wrong := [token for token in tokens if not isinstance(token, str) or not token]:
            raise InputError(f"a token that is no text: {wrong[0]!r}")
        return {"tokens": tokens, "ner_tags": [self._name(tag) for tag in tags], "docstarts": row.get("docstarts")}

    def _list(self, row: dict[str, Any], name: str) -> list[Any]:
        if not isinstance(row.get(name), list):
            wanted = "expected lists of tokens and of tags (--columns names them)"
            raise InputError(f"no list '{name}': found {', '.join(row)}, {wanted}")
        return row[name]

    def _name(self, tag: Any) -> str:
        if isinstance(tag, str):
            return tag
        if type(tag) is not int:
            raise InputError(f"a tag that is neither a name nor a number: {tag!r}")
        if not self.tag_names:
            raise InputError(f"tags without names: found {tag!r}, give --tag_names the names in the order of the ids")
        if not 0 <= tag < len(self.tag_names):
            raise InputError(f"a tag without a name: {tag!r}, and --tag_names has {len(self.tag_names)} names")
        return self.tag_names[tag]


def tags_to_bio(data: Data, strict: bool = False, skip_bad_rows: bool = False) -> list[str]:
    """Bring the tags of both splits to BIO, in place, and note how; returns the labels: O, then B and I of each type.

    The scheme is that of the training rows as a whole. Raises InputError with the place of the first row that does not
    follow it (see `to_bio`) or, in the evaluation split, has a type that training never shows; with `skip_bad_rows`
    such rows are dropped and counted.
    """
    if isinstance(data.train.dataset, IterableDataset):
        raise InputError("--streaming does not go with tagged sentences: their scheme is told from all of them")
    scheme = _scheme(data.train)
    for split in filter(None, (data.train, data.test)):
        count = _docstarts(split.dataset["docstarts"][:])
        note = f"{_source(split)} has {count} documents: its -DOCSTART- lines were skipped."
        if count and note not in data.notes:
            data.notes.append(note)
    data.notes.append("Tags: BIO." if scheme == "BIO" else f"Tags: {scheme}, brought to BIO.")
    data.train, types = _split_to_bio(data.train, scheme, None, strict, skip_bad_rows, data.notes)
    first = Counter(tag[2:] for tags in data.train.dataset["tags"] for tag in tags if tag[0] == "B")
    data.notes.append(f"Entities to learn from: {', '.join(f'{first[name]:,} {name}' for name in sorted(types))}.")
    if data.test is not None:
        data.test, _ = _split_to_bio(data.test, scheme, types, strict, skip_bad_rows, data.notes)
    return [OUTSIDE, *(f"{letter}-{name}" for name in sorted(types) for letter in "BI")]


def _scheme(split: Split) -> str:
    """`find_scheme` of the rows of a split, with the place of what it can't read where it finds no entity."""
    try:
        return find_scheme(split.dataset["ner_tags"][:])
    except InputError as error:
        for row in split.dataset:
            try:
                to_bio(row["ner_tags"], "BIO")
            except TagError as wrong:
                raise InputError(f"{_place(split, row, wrong.index)}: {wrong}.") from None
        raise InputError(f"{_source(split)}: {error}.") from None


def _split_to_bio(
    split: Split, scheme: str, known: set[str] | None, strict: bool, skip_bad_rows: bool, notes: list[str]
) -> tuple[Split, set[str]]:
    rows: dict[str, list] = {"tokens": [], "tags": [], "row": []}
    dropped, types = Counter(split.dropped), set(known or ())
    loose: list[str] = []
    entity_tags = 0
    for row in split.dataset.to_list():
        try:
            tags, odd = to_bio(row["ner_tags"], scheme, strict)
            new = next((i for i, tag in enumerate(tags) if known is not None and tag[2:] not in {"", *known}), None)
            if new is not None:
                unseen = f"label unseen in training: {tags[new][2:]} (--skip_bad_rows true leaves such rows out)"
                raise TagError(unseen, new)
        except TagError as error:
            if not skip_bad_rows:
                raise InputError(f"{_place(split, row, error.index)}: {error}.") from None
            dropped[str(error).split(":")[0]] += 1
            continue
        loose += [_place(split, row, index) for index in odd]
        entity_tags += sum(tag != OUTSIDE for tag in tags)
        types |= {tag[2:] for tag in tags if tag != OUTSIDE}
        for name, value in (("tokens", row["tokens"]), ("tags", tags), ("row", row["row"])):
            rows[name].append(value)
    if not rows["tokens"]:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in dropped.items())
        raise InputError(f"{_source(split)} has no row that can be used: {reasons}.")
    if scheme in ("BIOES", "BMES", "BILOU") and len(loose) > MIXED * entity_tags:
        found = f"{len(loose)} of {entity_tags} tags are not what {scheme} asks for, this one first"
        raise InputError(f"{loose[0]}: mixed schemes: {found}.")
    if loose:
        notes.append(
            f"{len(loose)} tags are not what {scheme} asks for and were read as conlleval reads them, "
            f"first {loose[0]}; --strict refuses them."
        )
    features = Features({"tokens": List(Value("string")), "tags": List(Value("string")), "row": Value("int64")})
    return replace(split, dataset=Dataset.from_dict(rows, features=features), dropped=dict(dropped)), types


def _docstarts(counts: Sequence[int | None]) -> int:
    """The sum over files of the -DOCSTART- lines; within a file a row counts all that stand before it."""
    numbers = [count or 0 for count in counts]
    return sum(here for here, following in zip(numbers, [*numbers[1:], 0], strict=True) if following < here)


def _source(split: Split) -> str:
    return split.place.rsplit(",", 1)[0]


def _place(split: Split, row: dict[str, Any], index: int) -> str:
    """Where the token `index` of a row stands: its own line in a file of columns."""
    if row["docstarts"] is not None:
        return f"{split.place} {row['row'] + index}"
    return f"{split.place} {row['row']}, token {index + 1} ({row['tokens'][index]})"
