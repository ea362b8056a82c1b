"""Tagging schemes against an encoder of our own: entities in every scheme come back as the same BIO."""

from hfcourse.data.tags import TagError, find_scheme, to_bio
from hfcourse.errors import InputError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def encode(row, scheme):
    """Tags of a row of (length, type) with type "" for words outside, straight from the schemes' definitions."""
    tags = []
    for i, (length, kind) in enumerate(row):
        if not kind:
            tags += ["O"] * length
            continue
        before = row[i - 1][1] if i else ""
        after = row[i + 1][1] if i + 1 < len(row) else ""
        letters = ["I"] * length
        if scheme == "BIO" or (scheme == "IOB1" and before == kind):
            letters[0] = "B"
        if scheme == "IOE2" or (scheme == "IOE1" and after == kind):
            letters[-1] = "E"
        if scheme in ("BIOES", "BMES", "BILOU"):
            begin, inside, end, single = {"BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}[scheme]
            letters = [single] if length == 1 else [begin, *[inside] * (length - 2), end]
        tags += [f"{letter}-{kind}" for letter in letters]
    return tags


ROWS = st.lists(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["", "PER", "LOC"])), max_size=6), max_size=4)
SCHEMES = ("BIO", "IOB1", "IOE1", "IOE2", "BIOES", "BMES", "BILOU")


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, scheme=st.sampled_from(SCHEMES))
def test_every_scheme_comes_back_as_the_same_entities(rows, scheme):
    tagged = [encode(row, scheme) for row in rows]
    if not any(tag != "O" for tags in tagged for tag in tags):
        with pytest.raises(InputError, match="every tag is O"):
            find_scheme(tagged)
        return
    found = find_scheme(tagged)
    assert [to_bio(tags, scheme, strict=True) for tags in tagged] == [(encode(row, "BIO"), []) for row in rows]
    # With little to see, another scheme may explain the same tags, and then it means the same entities.
    assert [to_bio(tags, found)[0] for tags in tagged] == [encode(row, "BIO") for row in rows]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_is_known_by_what_it_alone_does(scheme):
    rows = [[(1, "PER"), (2, "PER"), (1, ""), (3, "LOC")]]
    assert find_scheme([encode(row, scheme) for row in rows]) == scheme


LOOSE = {
    ("BIO", "O I-PER I-PER I-LOC B-LOC"): ("O B-PER I-PER B-LOC B-LOC", [1, 3]),
    ("IOB1", "B-PER I-PER B-PER"): ("B-PER I-PER B-PER", [0]),
    ("IOE2", "I-PER I-PER O E-PER"): ("B-PER I-PER O B-PER", [1]),
    ("IOE1", "I-PER E-PER O"): ("B-PER I-PER O", [1]),
    ("BMES", "M-ORG E-ORG B-PER O S-PER"): ("B-ORG I-ORG B-PER O B-PER", [0, 2]),
}


@pytest.mark.parametrize(("scheme", "tags"), LOOSE)
def test_what_is_not_to_the_letter_is_read_as_conlleval_reads_it_and_told(scheme, tags):
    bio, loose = LOOSE[scheme, tags]
    assert to_bio(tags.split(), scheme) == (bio.split(), loose)
    with pytest.raises(TagError) as refused:
        to_bio(tags.split(), scheme, strict=True)
    assert refused.value.index == loose[0]


def test_the_scheme_is_what_the_fewest_tags_go_against():
    assert find_scheme([["B-PER", "O", "I-PER", "O", "B-LOC"]]) == "BIO"
    assert find_scheme([["B-PER", "O", "I-PER", "O", "I-LOC"]]) == "IOB1"
    assert find_scheme([["B-PER", "M-PER", "E-PER", "B-PER"], ["Q"]]) == "BMES"
    assert find_scheme([["B-PER", "I-PER", "B-PER", "E-PER"]]) == "BIO"


REFUSED = {
    ("BIO", "O X-PER"): (1, "a tag outside every scheme: 'X-PER', expected O, or a letter of B I E S M L U"),
    ("BIO", "B-"): (0, "a tag outside every scheme: 'B-'"),
    ("BIO", "PER"): (0, "a tag outside every scheme: 'PER'"),
    ("IOB1", "O O S-PER"): (2, "mixed schemes: S-PER is no tag of IOB1, which the training rows follow"),
    ("BMES", "B-PER I-PER"): (1, "mixed schemes: I-PER is no tag of BMES"),
}


@pytest.mark.parametrize(("scheme", "tags"), REFUSED)
def test_tags_of_another_scheme_or_of_none(scheme, tags):
    index, said = REFUSED[scheme, tags]
    with pytest.raises(TagError) as refused:
        to_bio(tags.split(), scheme)
    assert refused.value.index == index and str(refused.value).startswith(said)


def test_strict_names_the_i_after_o():
    with pytest.raises(TagError, match="^I- after O: I-PER stands where BIO asks for B-PER$"):
        to_bio(["B-PER", "O", "I-PER"], "BIO", strict=True)
