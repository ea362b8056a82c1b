"""Invented names: other words in the place of each entity, the rest as it was, and the tags of what stands there."""

from hfcourse.data.load import Split
from hfcourse.data.mentions import with_invented_names

from datasets import Dataset


ROWS = [
    {"tokens": list("在洛马德城"), "tags": ["O", "B-LOC", "I-LOC", "I-LOC", "O"], "row": 1},
    {
        "tokens": ["IBM", "met", "Ann", "Lee", "and", "Bo", "in", "1999", "."],
        "tags": ["B-ORG", "O", "B-PER", "I-PER", "O", "B-PER", "O", "B-DATE", "O"],
        "row": 2,
    },
    {"tokens": ["北京", "市"], "tags": ["B-LOC", "B-LOC"], "row": 3},
]


def renamed(copies, seed=0):
    split = Split(Dataset.from_list(ROWS), 3, {}, "a.jsonl, line")
    notes = []
    return with_invented_names(split, copies, seed, notes).dataset.to_list(), notes


def test_only_names_change_and_keep_their_shape():
    rows, notes = renamed(40)
    assert rows[:3] == ROWS and len(rows) == 123
    assert notes == ["120 training sentences more: each one 40 times with invented names."]
    lengths = set()
    for chinese, english, words in zip(rows[3::3], rows[4::3], rows[5::3], strict=True):
        name = chinese["tokens"][1:-1]
        lengths.add(len(name))
        assert (chinese["tokens"][0], chinese["tokens"][-1]) == ("在", "城")
        assert chinese["tags"] == ["O", "B-LOC", *["I-LOC"] * (len(name) - 1), "O"]
        assert all(len(token) == 1 and "\u4e00" <= token <= "\u9fa5" for token in name)
        assert [english["tokens"][i] for i in (1, 4, 6, 7, 8)] == ["met", "and", "in", "1999", "."]
        assert english["tags"] == ROWS[1]["tags"] and english["row"] == 2
        assert english["tokens"][0].isupper() and all(english["tokens"][i].istitle() for i in (2, 3, 5))
        assert [len(token) for token in words["tokens"]] in ([2, *[1] * n] for n in (2, 3, 4))
    assert lengths == {2, 3, 4}
    assert len({row["tokens"][0] for row in rows[4::3]}) > 5
    seen = {token for row in ROWS for token in row["tokens"]}
    fresh = [token for row in rows[3::3] for token in row["tokens"][1:-1] if token not in "".join(seen)]
    assert 0.1 < len(fresh) / sum(len(row["tokens"]) - 2 for row in rows[3::3]) < 0.4


def test_the_names_are_those_of_the_seed():
    assert renamed(1) == renamed(1) != renamed(1, seed=1)
    assert renamed(2)[0][:6] == renamed(1)[0], "the first copy does not depend on how many there are"
    assert renamed(0) == (ROWS, [])
