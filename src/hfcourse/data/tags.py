"""Tagging schemes of named entities, told apart over a whole split and brought to BIO.

BIO is IOB2 of Tjong Kim Sang and Veenstra 1999, who also define IOE1 and IOE2; IOB1 is that of Ramshaw and Marcus
1995, BILOU that of Ratinov and Roth 2009. BMES is BIOES with another letter for the inside.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from hfcourse.errors import InputError


OUTSIDE = "O"
# The letters that each scheme uses.
SCHEMES = {
    "BIO": "BI", "IOB1": "BI", "IOE2": "IE", "IOE1": "IE", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU",
}  # fmt: skip
# What a letter means, whatever the scheme calls it.
_MEANING = {"M": "I", "L": "E", "U": "S"}
_TAG = re.compile(r"([BIESMLU])-(\S.*)")
_NONE = (OUTSIDE, "")


class TagError(InputError):
    """A tag that can't be used, as "reason: detail"; `index` is its place in the row."""

    def __init__(self, message: str, index: int):
        super().__init__(message)
        self.index = index


class Place(NamedTuple):
    """Where in an entity a tag stands, and whether a tag of the same type comes directly before or after it."""

    begins: bool
    ends: bool
    same_before: bool
    same_after: bool


def find_scheme(rows: Iterable[Sequence[str]]) -> str:
    """The scheme that the fewest tags of all rows go against; the first of SCHEMES where several explain them all.

    Where the tags do not tell two schemes apart, they mean the same entities in both. Raises InputError where there is
    no entity at all.
    """
    found: Counter[tuple[str, Place]] = Counter()
    for tags in rows:
        found.update((tag[0], place) for tag, place in zip(tags, _places(tags), strict=True) if place is not None)
    if not found:
        raise InputError("there is no entity to learn: every tag is O")
    against = {
        scheme: sum(n for (letter, place), n in found.items() if letter != _expected(scheme, place))
        for scheme in SCHEMES
    }
    return min(SCHEMES, key=lambda scheme: against[scheme])


def to_bio(tags: Sequence[str], scheme: str, strict: bool = False) -> tuple[list[str], list[int]]:
    """The tags of one row in BIO, and the indices of those that are not what the letter of the scheme asks for.

    Such tags are read as conlleval reads them: an I- after O, or after another type, begins an entity.

    Raises:
        TagError: a tag of no scheme, or with a letter of another; with `strict` any that the scheme does not ask for.
    """
    bio: list[str] = []
    loose: list[int] = []
    for index, (tag, place) in enumerate(zip(tags, _places(tags), strict=True)):
        if place is None and tag != OUTSIDE:
            wanted = "expected O, or a letter of B I E S M L U, a dash and a type"
            raise TagError(f"a tag outside every scheme: {tag!r}, {wanted}", index)
        if place is None:
            bio.append(OUTSIDE)
            continue
        if tag[0] not in SCHEMES[scheme]:
            raise TagError(f"mixed schemes: {tag} is no tag of {scheme}, which the training rows follow", index)
        if tag[0] != (wanted := _expected(scheme, place)):
            if strict:
                outside = index == 0 or tags[index - 1] == OUTSIDE
                reason = "I- after O" if scheme == "BIO" and outside else "mixed schemes"
                raise TagError(f"{reason}: {tag} stands where {scheme} asks for {wanted}{tag[1:]}", index)
            loose.append(index)
        bio.append(f"{'B' if place.begins else 'I'}{tag[1:]}")
    return bio, loose


def _places(tags: Sequence[str]) -> list[Place | None]:
    """Where in its entity each tag stands; None for O and for what is no tag."""
    pairs = [_NONE, *(_parsed(tag) for tag in tags), _NONE]
    places: list[Place | None] = []
    for before, (letter, kind), after in zip(pairs, pairs[1:], pairs[2:], strict=False):
        same_before, same_after = before[1] == kind, after[1] == kind
        begins = letter in "BS" or before[0] in "ES" or not same_before
        ends = letter in "ES" or after[0] in "BS" or not same_after
        places.append(None if letter == OUTSIDE else Place(begins, ends, same_before, same_after))
    return places


@cache
def _parsed(tag: str) -> tuple[str, str]:
    """The meaning and the type of a tag, ("I", "PER") of "M-PER"."""
    match = _TAG.fullmatch(tag)
    return (_MEANING.get(match[1], match[1]), match[2]) if match else _NONE


def _expected(scheme: str, place: Place) -> str:
    """The letter that a scheme asks for."""
    if scheme in ("BIO", "IOB1"):
        return "B" if place.begins and (place.same_before or scheme == "BIO") else "I"
    if scheme in ("IOE2", "IOE1"):
        return "E" if place.ends and (place.same_after or scheme == "IOE2") else "I"
    begin, inside, end, single = list(SCHEMES[scheme])
    return single if place.begins and place.ends else begin if place.begins else end if place.ends else inside
