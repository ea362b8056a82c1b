"""The corpus that does not run out: by number, never twice, and about what the corpus is about."""

from hfcourse.data.endless import fill_blocks, first_blocks
from hfcourse.data.load import Split
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.world import World
from hfcourse.world.documents import corpus
from hfcourse.world.endless import (
    DOCUMENTS,
    PROFILE_NUMBERS,
    PROFILES,
    STORIES,
    TEST_SAMPLE,
    TRAIN_SAMPLE,
    Digits,
    document,
    documents,
    sample,
    scatter,
)

import pytest
from datasets import Dataset


NUMBER = 12_000


@pytest.fixture(scope="module")
def rows():
    return list(documents(0, 0, NUMBER))


def test_no_document_twice_and_none_of_those_held_out(rows):
    texts = {row["text"] for row in rows}
    assert len(texts) == NUMBER
    world = World.create(0)
    held_out = [row["text"] for row in sample(world, test=True)]
    assert not texts & {row["text"] for row in corpus(world, test=True)} and not texts & set(held_out)
    assert len(set(held_out)) == TEST_SAMPLE and sample(world, test=False) == rows[:TRAIN_SAMPLE]
    assert [row["lang"] for row in rows[:4]] == ["en", "zh", "en", "zh"]


def test_a_document_is_a_function_of_seed_and_number(rows):
    world = World.create(0)
    assert [document(world, number) for number in (11_999, 7, 0)] == [rows[11_999], rows[7], rows[0]]
    assert list(documents(0, 5000, 5003)) == rows[5000:5003]
    assert next(documents(1, 0, 1)) != rows[0]


def test_the_far_end_is_like_the_beginning(rows):
    world = World.create(0)
    last = [document(world, DOCUMENTS - 1 - i)["text"] for i in range(2000)]
    assert len(set(last)) == 2000 and not set(last) & {row["text"] for row in rows}
    with pytest.raises(InputError, match="ends at 76,646,400 documents, and this run takes 76,646,401"):
        documents(0, 0, DOCUMENTS + 1)


def test_every_country_is_met_as_often(rows):
    english = " ".join(row["text"] for row in rows if row["lang"] == "en" and "traveller" not in row["text"])
    counts = [english.count(country.en) for country in World.create(0).countries]
    assert min(counts) > 0.7 * max(counts)


def test_numbers_are_scattered_one_to_one():
    for size in (1, 2, 17, 64, 1000):
        assert sorted(scatter(number, size, "a") for number in range(size)) == list(range(size))
    first = [scatter(number, 10**9, "a") for number in range(200)]
    assert max(abs(a - b) for a, b in zip(first, first[1:], strict=False)) > 10**8
    assert first != [scatter(number, 10**9, "b") for number in range(200)]


def test_digits_tell_numbers_apart_as_long_as_the_bases_reach():
    seen = {(d.below(3), d.below(5), tuple(d.sample("abc", 2))) for d in map(Digits, range(3 * 5 * 6))}
    assert len(seen) == 90
    assert STORIES[False] * PROFILES < PROFILE_NUMBERS  # so that no profile comes twice before the stories are used up


def test_blocks_are_as_many_as_asked_and_the_same_however_many(rows):
    tokenizer = train_tokenizer([row["text"] for row in rows[:400]], 400, "causal")
    calls = []

    def made(first, last):
        calls.append(last)
        return documents(0, first, last)

    few, many = (
        fill_blocks(
            made,
            tokenizer,
            32,
            40,
        ),
        fill_blocks(made, tokenizer, 32, 300),
    )
    assert (len(few.dataset), few.tokens, len(many.dataset)) == (40, 1280, 300)
    assert few.dataset["input_ids"][:] == many.dataset["input_ids"][:40]
    assert few.rows_read == calls[1] and few.rows_read < 60
    texts = Dataset.from_dict({"text": [row["text"] for row in rows[:100]], "row": list(range(100))})
    split = Split(texts, 100, {}, "here, row")
    assert first_blocks(split, tokenizer, 32, 40).dataset["input_ids"][:] == few.dataset["input_ids"][:]
    with pytest.raises(
        InputError, match="here, row: the longest run takes 32,000,000 tokens and there are [0-9,]+, of"
    ):
        first_blocks(split, tokenizer, 32, 10**6)
