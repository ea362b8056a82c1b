"""Histories: every name that comes back is marked, by where it was last said."""

import re
from collections import Counter

from hfcourse.world import World
from hfcourse.world.histories import CARRIED, OFFERED, TEST_HISTORIES, TRAIN_HISTORIES, told
from hfcourse.world.names import Pair

import pytest


SPLITS = {"train": TRAIN_HISTORIES, "test": TEST_HISTORIES}


def test_marks_of_a_history_written_by_hand() -> None:
    velmora, tola, tea = Pair("Velmora", "维尔莫拉"), Pair("Tola", "托拉"), Pair("tea", "茶")
    sentences = [
        (Pair("Here is {t} from {a}.", "{t}来自{a}。"), {"t": tola, "a": velmora}),
        (Pair("All of {h} is {h}.", "{h}是{h}。"), {"h": tea}),
        (Pair("The {h} was good.", "{h}很好。"), {"h": tea}),
        (Pair("Back in {a} came {t}.", "{t}回了{a}。"), {"t": tola, "a": velmora}),
    ]
    text, marks = told(sentences, 0)
    assert text == "Here is Tola from Velmora. All of tea is tea. The tea was good. Back in Velmora came Tola."
    found = [(text[m["start"] : m["end"]], m["start"], m["distance"]) for m in marks]
    assert found == [("tea", 41, "sentence"), ("tea", 50, "earlier"), ("Velmora", 72, "start"), ("Tola", 85, "start")]
    text, marks = told(sentences, 1)
    assert text == "托拉来自维尔莫拉。茶是茶。茶很好。托拉回了维尔莫拉。"
    assert [text[m["start"] : m["end"]] for m in marks] == ["茶", "茶", "托拉", "维尔莫拉"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_repeated_name_of_every_history_is_marked_and_nothing_else(
    world: World, rows: dict[str, list[dict]], split: str
) -> None:
    histories = rows[f"histories/{split}.jsonl"]
    assert Counter(row["lang"] for row in histories) == dict(zip(("en", "zh"), SPLITS[split], strict=True))
    capitals = [fact.object for fact in world.facts if fact.relation == "capital"]
    known = (*world.countries, *world.travellers, *capitals, *CARRIED, *OFFERED)
    names = {lang: [name[i] for name in known] for i, lang in enumerate(("en", "zh"))}
    end = {"en": re.compile(r"\. "), "zh": re.compile("。")}
    looked: Counter[str] = Counter()
    for row in histories[:300]:
        text, marks = row["text"], {(m["start"], m["end"]): m["distance"] for m in row["marks"]}
        said: dict[str, int] = {}
        for found in re.finditer("|".join(names[row["lang"]]), text):
            sentence = len(end[row["lang"]].findall(text[: found.start()]))
            before = said.get(found[0])
            said[found[0]] = sentence
            if before is None:
                assert found.span() not in marks
                continue
            distance = "sentence" if before == sentence else "start" if before == 0 else "earlier"
            assert marks.pop(found.span()) == distance
            looked[distance] += 1
        assert not marks
    assert min(looked.values()) > 100 and len(looked) == 3


def test_no_test_history_combines_a_trader_and_a_home_as_training_does(
    world: World, rows: dict[str, list[dict]]
) -> None:
    """Both are said in the first sentence, of which the friend comes last."""
    pairs: dict[str, set[tuple[int, int]]] = {}
    for split in SPLITS:
        for row in rows[f"histories/{split}.jsonl"]:
            language = ("en", "zh").index(row["lang"])
            first = row["text"].split(". " if language == 0 else "。")[0]
            trader, *_ = sorted(
                (i for i, name in enumerate(world.travellers) if name[language] in first),
                key=lambda i, first=first, language=language: first.index(world.travellers[i][language]),
            )
            (home,) = (i for i, name in enumerate(world.countries) if name[language] in first)
            pairs.setdefault(split, set()).add((home, trader))
    assert len(pairs["train"]) > 80 and len(pairs["test"]) > 8
    assert not pairs["train"] & pairs["test"]
    texts = {row["text"] for split in SPLITS for row in rows[f"histories/{split}.jsonl"]}
    assert len(texts) == sum(map(sum, SPLITS.values()))
