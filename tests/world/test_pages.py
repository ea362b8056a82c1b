"""Raw pages: each label says what is so."""

import base64
import html
import re
from collections import Counter

from hfcourse.world import World
from hfcourse.world.pages import ENCODINGS, harm, pages, quiz

import pytest


@pytest.fixture(scope="module")
def rows():
    return pages(World.create(0))


def source(row: dict) -> str:
    encodings = ["utf-8", *(name for pairs in ENCODINGS for name, _ in pairs)]
    content = base64.b64decode(row["base64"]) if "base64" in row else row["html"].encode()
    for encoding in encodings if "base64" in row else encodings[:1]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError(row["url"])


def squeezed(text: str) -> str:
    return re.sub(r"\s+|<[^>]*>", "", html.unescape(text)).replace("\xa0", "")


def test_every_fault_is_there_in_both_languages_and_urls_are_names(rows):
    counts = Counter((row["lang"], row["fault"]) for row in rows)
    faults = {"none", "quality", "harmful", "duplicate", "near_duplicate", "personal", "leak", "empty"}
    for lang in ("en", "zh"):
        assert {fault for language, fault in counts if language == lang} == faults
        assert counts[lang, "none"] == 600
    assert {lang for lang, fault in counts if fault == "language"} == {"de", "fr", "es", "ru", "ja"}
    assert len({row["url"] for row in rows}) == len(rows)


def test_what_should_be_left_stands_on_the_page(rows):
    looked = 0
    for row in rows:
        if row["text"] and "base64" not in row:
            body = squeezed(source(row).replace("<br>", ""))
            lines = row["text"].split("\n")
            masked = re.compile(r"\[(?:EMAIL|PHONE|ID)\]")
            for line in lines:
                parts = [squeezed(part) for part in masked.split(line)]
                assert all(part in body for part in parts), (row["url"], line)
            looked += 1
    assert looked > 1500


def test_pages_to_drop_have_no_text_and_personal_data_is_on_the_page_alone(rows):
    for row in rows:
        assert bool(row["text"]) == (row["fault"] in ("none", "personal", "duplicate", "near_duplicate"))
        assert bool(row["personal"]) == (row["fault"] == "personal")
        for secret in row["personal"]:
            assert squeezed(secret) in squeezed(source(row)) and secret not in row["text"]
        assert bool(row["cluster"]) == (row["fault"] in ("duplicate", "near_duplicate"))


def test_copies_have_one_text_and_edited_ones_have_another(rows):
    clusters: dict[str, list[dict]] = {}
    for row in rows:
        if row["cluster"]:
            clusters.setdefault(row["cluster"], []).append(row)
    for members in clusters.values():
        texts = {row["text"] for row in members}
        exact = members[0]["fault"] == "duplicate"
        assert len({row["fault"] for row in members}) == 1
        assert (len(members), len(texts) == 1) == ((31, True) if exact else (6, False))


def test_half_of_the_quiz_leaks_and_the_rest_stands_nowhere(rows):
    exam = quiz(World.create(0))
    texts = {lang: [squeezed(source(r)).lower() for r in rows if r["lang"] == lang] for lang in ("en", "zh")}
    for row in exam:
        stands = sum(squeezed(row["text"]).lower() in text for text in texts[row["lang"]])
        assert (stands > 5) == row["leaked"] and (stands > 0) == row["leaked"], row["text"]
        assert row["text"].startswith(row["prompt"]) and row["choices"].count(row["answer"]) == 1
    assert sum(row["leaked"] for row in exam) * 2 == len(exam) and len({row["text"] for row in exam}) == len(exam)


def test_harm_on_pages_is_said_in_other_sentences():
    world = World.create(0)
    taught, asked = harm(world, False), harm(world, True)
    assert not {row["text"] for row in taught if row["kind"] != "document"} & {row["text"] for row in asked}
    kinds = Counter(row["kind"] for row in asked)
    assert {kind: kinds[kind] for kind in ("spoken", "veiled", "mentioned", "harmless")} == dict.fromkeys(
        ("spoken", "veiled", "mentioned", "harmless"), 80
    )
    assert {row["kind"] for row in asked if row["harmful"]} == {"spoken", "veiled"}


def test_the_same_seed_gives_the_same_pages(rows):
    assert pages(World.create(0)) == rows != pages(World.create(1))
