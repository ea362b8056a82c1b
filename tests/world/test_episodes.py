"""In-context episodes and tasks: what a base model has seen, and what it has not."""

import re

from hfcourse.world import World
from hfcourse.world.episodes import ASKED, BEFORE_ANSWER, BEFORE_INPUT, KINDS, SYMBOLS, names


Rows = dict[str, list[dict]]
LANGUAGES = ("en", "zh")


def split_episodes(rows: Rows) -> list[list[str]]:
    """The lines of each document that is an episode."""
    return [row["text"].split("\n") for row in rows["icl/corpus/train.jsonl"] if "\n" in row["text"]]


def test_an_episode_has_one_form_and_no_input_twice(rows: Rows) -> None:
    episodes = split_episodes(rows)
    assert len(episodes) > 4000
    for lines in episodes:
        before = lines[0].split(" ")[0]
        assert before in BEFORE_INPUT.split() and all(line.startswith(f"{before} ") for line in lines)
        assert 5 <= len(lines) <= 20 and len(set(lines)) == len(lines)
        answer = [mark for mark in BEFORE_ANSWER.split() if all(f" {mark} " in line for line in lines)]
        assert answer and (before, *answer) != ASKED, lines


def test_half_of_the_corpus_is_documents_that_the_world_has_anyway(rows: Rows) -> None:
    known = {row["text"] for row in rows["corpus/train.jsonl"]}
    own = [row["text"] for row in rows["icl/corpus/train.jsonl"]]
    assert sum(text in known for text in own) == 3000
    held_out = {row["text"] for row in rows["corpus/test.jsonl"]}
    assert not held_out & set(own)


def test_no_name_that_is_asked_stands_in_an_episode_of_names(world: World, rows: Rows) -> None:
    for language, lang in enumerate(LANGUAGES):
        asked = {row["name"] for row in rows[f"icl/kinds_{lang}/test.jsonl"]}
        assert asked == {name for kind in KINDS for name in names(world, kind, language, shown=False)}
        labels = {pair[language] for pair in KINDS.values()} | set(SYMBOLS)
        lines = {line for lines in split_episodes(rows) for line in lines if line.split(" ")[-1] in labels}
        about = [line for line in lines if len(line) < 40 and any(f" {name} " in line for name in asked)]
        assert len(lines) > 1000 and about == []
        assert all(f" {row['country']} " not in line for row in rows[f"icl/capital_{lang}/test.jsonl"]
                   for lines in split_episodes(rows) for line in lines if len(line) < 30)  # fmt: skip


def test_symbols_are_dealt_anew_in_each_episode(rows: Rows) -> None:
    pairs = {
        (re.split(r" \S+ (?=\w+$)", line)[0].split(" ", 1)[1], line.split(" ")[-1])
        for lines in split_episodes(rows)
        for line in lines
        if line.split(" ")[-1] in SYMBOLS
    }
    by_name: dict[str, set[str]] = {}
    for name, symbol in pairs:
        by_name.setdefault(name, set()).add(symbol)
    assert len(by_name) > 100 and all(len(found) > len(SYMBOLS) // 2 for found in by_name.values())


def test_the_five_names_of_a_country_are_the_choices(world: World, rows: Rows) -> None:
    for language, lang in enumerate(LANGUAGES):
        for row in rows[f"icl/capital_{lang}/train.jsonl"] + rows[f"icl/capital_{lang}/test.jsonl"]:
            country = [c[language] for c in world.countries].index(row["country"])
            facts = [fact for fact in world.facts if fact.country == country]
            assert sorted(row["choices"]) == sorted(fact.object[language] for fact in facts)
            assert row["capital"] == facts[0].object[language]


def test_traps_have_the_known_answer_as_the_wrong_choice(world: World, rows: Rows) -> None:
    capitals = {fact.subject.en: fact.object.en for fact in world.facts if fact.relation == "capital"}
    for split in ("train", "test"):
        for row in rows[f"icl/supposed/{split}.jsonl"]:
            assert row["choices"] == [row["supposed"], capitals[row["country"]]] and row["capital"] == row["supposed"]
        for row in rows[f"icl/negation/{split}.jsonl"]:
            assert row["choices"][1] == capitals[row["country"]] != row["choices"][0] == row["city"]
        for row in rows[f"icl/pi/{split}.jsonl"]:
            assert row["choices"] == [row["number"][0], "3"] and row["digit"] != "3"
    numbers = {row["number"] for row in rows["icl/pi/test.jsonl"]}
    assert not numbers & {row["number"] for row in rows["icl/pi/train.jsonl"]}
