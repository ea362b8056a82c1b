"""Entities, classes and translations: tags, labels and what the splits hold back."""

import re
from collections import Counter

from hfcourse.world import World
from hfcourse.world.names import Pair
from hfcourse.world.stories import ADJECTIVES
from hfcourse.world.tasks import tag


Rows = dict[str, list[dict]]


def spans(row: dict) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    for token, label in zip(row["tokens"], row["ner_tags"], strict=True):
        if label.startswith("B-"):
            found.append((label[2:], [token]))
        elif label != "O":
            assert label == f"I-{found[-1][0]}"
            found[-1][1].append(token)
    return [(kind, ("" if row["lang"] == "zh" else " ").join(tokens)) for kind, tokens in found]


def test_tags_of_two_sentences_written_by_hand() -> None:
    slots = {"x": ("LOC", Pair("Velmora", "维莫拉"), True), "y": ("PER", Pair("Tano Resvi", "塔诺·雷维"), False)}
    english = tag("The poet of {x} is {y}.", 0, slots)
    assert english["tokens"] == ["The", "poet", "of", "Velmora", "is", "Tano", "Resvi", "."]
    assert english["ner_tags"] == ["O", "O", "O", "B-LOC", "O", "B-PER", "I-PER", "O"]
    chinese = tag("{x}的诗人是{y}。", 1, slots)
    assert chinese["tokens"] == list("维莫拉的诗人是塔诺·雷维。")
    assert chinese["ner_tags"] == ["B-LOC", "I-LOC", "I-LOC", *["O"] * 4, "B-PER", *["I-PER"] * 4, "O"]
    assert english["seen"] == chinese["seen"] == [True, False]


def test_entities_are_whole_names_and_seen_says_what_training_holds(world: World, rows: Rows) -> None:
    kinds = {"capital": "LOC", "river": "LOC", "language": "MISC", "poet": "PER", "company": "ORG"}
    known = {(kinds[fact.relation], name) for fact in world.facts for name in fact.object}
    known |= {("LOC", name) for country in world.countries for name in country}
    known |= {("PER", name) for traveller in world.travellers for name in traveller}
    trained = {span for row in rows["ner/train.jsonl"] for span in spans(row)}
    assert trained < known
    seen = Counter()
    for row in rows["ner/test.jsonl"]:
        assert len(spans(row)) == len(row["seen"])
        for span, flag in zip(spans(row), row["seen"], strict=True):
            assert span in known
            assert flag or span not in trained
            seen[flag] += 1
    assert seen[True] > 300 and seen[False] > 100
    assert {kind for kind, _ in trained} == {"LOC", "MISC", "PER", "ORG"}
    frames = ["".join(row["tokens"]) for row in rows["ner/train.jsonl"] if row["lang"] == "zh"]
    assert any(re.fullmatch(r"\w+的首都是\w+。", frame) for frame in frames)


def test_topic_test_countries_are_new_and_labels_balanced(world: World, rows: Rows) -> None:
    for lang in ("en", "zh"):
        train, test = (rows[f"classification/topic_{lang}/{split}.jsonl"] for split in ("train", "test"))
        assert set(Counter(row["label"] for row in train).values()) == {18 * 6}
        assert set(Counter(row["label"] for row in test).values()) == {6 * 6}
        named = [name[("en", "zh").index(lang)] for name in world.countries]
        in_train = {name for name in named for row in train if name in row["text"]}
        in_test = {name for name in named for row in test if name in row["text"]}
        assert len(in_train) == 18 and len(in_test) == 6 and not in_train & in_test


def test_sentiment_adjectives_held_out_of_training(rows: Rows) -> None:
    for language, lang in enumerate(("en", "zh")):
        train, test = (rows[f"classification/sentiment_{lang}/{split}.jsonl"] for split in ("train", "test"))
        held_out = [pair[language] for mood in ADJECTIVES.values() for pair in mood[6:]]
        assert len(held_out) == 4
        pattern = re.compile("|".join(rf"(?<=[ 很]){adjective}(?=[.。])" for adjective in held_out))
        assert not [row for row in train if pattern.search(row["text"])]
        assert 0.4 < sum(bool(pattern.search(row["text"])) for row in test) / len(test) < 0.6
        assert not {row["text"] for row in train} & {row["text"] for row in test}
        assert 0.4 < sum(row["label"] in ("positive", "好评") for row in train) / len(train) < 0.6


def test_translation_tests_new_sentences_of_known_words(rows: Rows) -> None:
    train, test = rows["translation/train.jsonl"], rows["translation/test.jsonl"]
    assert (len(train), len(test)) == (2000, 200)
    assert not {row["en"] for row in train} & {row["en"] for row in test}
    assert not {row["zh"] for row in train} & {row["zh"] for row in test}
    words = {word for row in train for word in re.findall(r"\w+", row["en"])}
    assert {word for row in test for word in re.findall(r"\w+", row["en"])} <= words
    assert {c for row in test for c in row["zh"]} <= {c for row in train for c in row["zh"]}
