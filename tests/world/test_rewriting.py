"""Documents and their summaries, sentences with and without a slip: the answer can be told from the text."""

import re
from collections import Counter

from hfcourse.world import World
from hfcourse.world.names import Stream
from hfcourse.world.rewriting import slip
from hfcourse.world.stories import ADJECTIVES, THINGS


Rows = dict[str, list[dict]]
LANGUAGES = ("en", "zh")


def test_a_summary_names_who_liked_what_where(world: World, rows: Rows) -> None:
    train, test = rows["summary/train.jsonl"], rows["summary/test.jsonl"]
    assert (len(train), len(test)) == (2000, 200)
    pairs: dict[str, set] = {}
    for split, part in (("train", train), ("test", test)):
        for row in part:
            language = LANGUAGES.index(row["lang"])
            (who,) = (t[language] for t in world.travellers if t[language] in row["summary"])
            (where,) = (x[language] for x in world.countries if x[language] in row["summary"])
            assert who in row["document"] and where in row["document"]
            things = [thing[language].lower() for thing in THINGS]
            told = re.findall("|".join(things), row["summary"].lower())
            assert len(told) == 3 and told == re.findall("|".join(things), row["document"].lower())
            liked = not re.search("did not|不喜欢", row["summary"])
            words = [pair[language] for pair in ADJECTIVES["positive" if liked else "negative"]]
            assert sum(len(re.findall(rf"(?<=[ 很]){word}(?=[.。])", row["document"])) for word in words) == 3
            pairs.setdefault(split, set()).add((language, who, where))
    assert len(pairs["test"]) > 50 and not pairs["train"] & pairs["test"]


def test_a_slip_can_be_told_from_the_sentence(rows: Rows) -> None:
    train, test = rows["correction/train.jsonl"], rows["correction/test.jsonl"]
    assert (len(train), len(test)) == (2000, 200)
    assert not {row["target"] for row in train} & {row["target"] for row in test}
    kinds: Counter = Counter()
    for row in [*train, *test]:
        source, target = (
            re.findall(r"\w+", row[side]) if row["lang"] == "en" else list(row[side]) for side in row if side != "lang"
        )
        if source == target:
            kinds["none"] += 1
            continue
        i = next(i for i, (a, b) in enumerate(zip(source, target, strict=False)) if a != b)
        if len(source) == len(target):
            kinds["swapped"] += 1
            source[i : i + 2] = source[i + 1], source[i]
        else:
            kinds["doubled"] += 1
            del source[i]
        assert source == target
    shares = {kind: count / 2200 for kind, count in kinds.items()}
    assert 0.2 < shares["none"] < 0.3 and min(shares["swapped"], shares["doubled"]) > 0.3


def test_slips_by_hand() -> None:
    found = {slip(Stream(seed, "slip"), "A b c.", 0) for seed in range(50)}
    assert found == {"b A c.", "A c b.", "A A b c.", "A b b c."}
    assert {slip(Stream(seed, "slip"), "甲乙。", 1) for seed in range(20)} == {"乙甲。", "甲甲乙。"}
