"""Pairs of texts: the shapes that they come in, the tasks that are made of them, and their tokens."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import Split, load_data
from hfcourse.data.pairs import Pairs, Task, find_tasks, with_tasks
from hfcourse.data.sequences import Sequences, all_texts, to_sequences
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError

import pytest
from datasets import Dataset


TEXTS = ["translate English to Chinese: Hi there.", "translate Chinese to English: 你好啊。", "a b c d e f g h i j"]
TOKENIZER = train_tokenizer(TEXTS, 600, "span")
SHAPES = {
    "two languages": ({"en": "Hi.", "zh": "嗨。"}, ("en", "zh")),
    "two languages and more": ({"id": 3, "zh_CN": "嗨。", "en": "Hi."}, ("zh_CN", "en")),
    "opus, wmt": ({"translation": {"de": "Ja.", "en": "Yes."}, "id": "1"}, ("de", "en")),
    "xsum": ({"document": "Long.", "summary": "Short.", "id": "7"}, ("document", "summary")),
    "cnn_dailymail": ({"article": "Long.", "highlights": "Short.", "id": "7"}, ("article", "highlights")),
    "dialogsum": ({"dialogue": "Long.", "summary": "Short.", "topic": "t"}, ("dialogue", "summary")),
    "billsum": ({"text": "Long.", "title": "T.", "summary": "Short."}, ("text", "summary")),
    "csl": ({"title": "短", "abstract": "长"}, ("abstract", "title")),
    "plain": ({"source": "a", "target": "b", "lang": "en"}, ("source", "target")),
    "input": ({"input": "a", "output": "b"}, ("input", "output")),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_columns_are_told_by_their_names(shape):
    row, names = SHAPES[shape]
    pairs = Pairs()
    there = row.get("translation", row)
    assert pairs.detect(row)(row) == {"source": there[names[0]], "target": there[names[1]]}
    assert pairs.names == names


@pytest.mark.parametrize(
    ("columns", "row", "said"),
    [
        (
            None,
            {"en": "a", "de": "b", "zh": "c"},
            "unknown columns: found en, de, zh, expected a column for each of two",
        ),
        (None, {"document": "a"}, "unknown columns: found document"),
        (None, {}, "unknown columns: found none"),
        (["a", "c"], {"a": "x", "b": "y"}, "no column 'c': found a, b"),
        (None, {"en": "Hi.", "zh": "  "}, "empty zh: expected a text"),
        (None, {"en": "", "zh": "嗨。"}, "empty en: expected a text"),
        (None, {"source": ["a"], "target": "b"}, "no text: source is list, expected a string"),
        (None, {"translation": {"en": "Hi."}}, "unknown columns: found en"),
    ],
)
def test_what_is_no_pair_is_refused(columns, row, said):
    with pytest.raises(InputError, match=said):
        Pairs(columns).detect(row)(row)


def test_rows_of_another_shape_than_the_first_are_refused():
    normalise = Pairs().detect({"translation": {"de": "Ja.", "en": "Yes."}})
    with pytest.raises(InputError, match="no columns de and en: found en, fr"):
        normalise({"translation": {"en": "Yes.", "fr": "Oui."}})
    with pytest.raises(InputError, match="no columns de and en: found text"):
        normalise({"text": "a"})


@pytest.mark.parametrize("columns", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_columns_are_two_different_ones(columns):
    with pytest.raises(InputError, match="--columns takes two different names"):
        Pairs(columns)


FORTH = Task("translation_en_to_zh", "translate English to Chinese: ", False, ("en", "zh"))
BACK = Task("translation_zh_to_en", "translate Chinese to English: ", True, ("zh", "en"))
LANGUAGES, PLAIN = ("en", "zh"), ("source", "target")


@pytest.mark.parametrize(
    ("names", "wanted", "prefix", "tasks"),
    [
        (LANGUAGES, None, None, [FORTH, BACK]),
        (LANGUAGES, ["translation_zh_to_en"], None, [BACK]),
        (LANGUAGES, None, "", [Task(FORTH.name, "", False, LANGUAGES)]),
        (PLAIN, ["translation_en_to_zh"], None, [FORTH]),
        (PLAIN, None, None, [Task("text2text", "")]),
        (PLAIN, ["correction"], None, [Task("correction", "correct: ")]),
        (("abstract", "title"), None, None, [Task("summarization", "summarize: ")]),
        (PLAIN, ["translation_xx_to_en"], "go: ", [Task("translation_xx_to_en", "go: ", False, ("xx", "en"))]),
    ],
)
def test_tasks(names, wanted, prefix, tasks):
    assert find_tasks(names, wanted, prefix) == tasks


@pytest.mark.parametrize(
    ("names", "wanted", "prefix", "said"),
    [
        (LANGUAGES, ["translation_en_to_de"], None, "the columns are en and zh"),
        (LANGUAGES, ["translation_en_to_zh", "translation_zh_to_en"], "x", "several tasks are the two directions"),
        (PLAIN, ["correction", "summarization"], None, "several tasks are the two directions"),
        (PLAIN, ["translation_xx_to_en"], None, "unknown language code xx: give the --prefix as well"),
        (
            PLAIN,
            ["summary"],
            None,
            "--tasks summary: expected one of summarization, correction, text2text, translation_",
        ),
    ],
)
def test_tasks_that_are_none(names, wanted, prefix, said):
    with pytest.raises(InputError, match=said):
        find_tasks(names, wanted, prefix)


def split_of(*rows):
    columns = [{"source": a, "target": b, "row": i} for i, (a, b) in enumerate(rows, 1)]
    return Split(Dataset.from_list(columns), len(rows), {}, "a.jsonl, line")


def test_both_directions_of_each_pair():
    rows = with_tasks(split_of(("Hi.", "嗨。"), ("No.", "不。")), [FORTH, BACK]).dataset.to_list()
    assert [(row["source"], row["target"], row["task"], row["row"]) for row in rows] == [
        ("Hi.", "嗨。", 0, 1),
        ("嗨。", "Hi.", 1, 1),
        ("No.", "不。", 0, 2),
        ("不。", "No.", 1, 2),
    ]


def test_tokens_are_cut_and_counted_and_a_target_ends():
    split = with_tasks(
        split_of(("a b c", "a b c d e f"), ("a", "b"), ("a b c d e f g h i j", "a")), [Task("t", "do: ")]
    )
    assert list(all_texts(split, [Task("t", "do: ")]))[:2] == ["do: a b c", "a b c d e f"]
    notes: list[str] = []
    sequences = Sequences(TOKENIZER, [Task("t", "do: ")], 12, 4, [TOKENIZER.eos_token_id])
    found = to_sequences(split, sequences, notes, shortest_first=True)
    rows = found.dataset.to_list()
    assert [row["source"] for row in rows] == ["a", "a b c", "a b c d e f g h i j"]
    for row in rows:
        ids, labels = row["input_ids"], row["labels"]
        assert len(ids) <= 12 and len(labels) <= 4 and row["length"] == len(ids) + len(labels)
        assert ids[-1] == labels[-1] == TOKENIZER.eos_token_id
        assert ("do: " + row["source"]).startswith(TOKENIZER.decode(ids, skip_special_tokens=True))
        assert row["target"].startswith(TOKENIZER.decode(labels, skip_special_tokens=True))
    assert notes == [
        "1 of 3 sources of a.jsonl were cut at 12 tokens (--max_source_length).",
        "1 of 3 targets of a.jsonl were cut at 4 tokens (--max_target_length).",
    ]
    assert found.rows_truncated == 2
    assert found.counted_tokens == sum(len(row["labels"]) for row in rows)
    assert found.tokens == sum(row["length"] for row in rows)


def test_a_tokenizer_that_ends_no_text_gets_an_end():
    plain = train_tokenizer(TEXTS, 400, "causal")
    sequences = Sequences(plain, [Task("t", "")], 8, 3, [plain.eos_token_id])
    rows = sequences({"source": ["a", "b"], "target": ["a", "a b c d e f"], "task": [0, 0]})
    assert [labels[-1] for labels in rows["labels"]] == [plain.eos_token_id] * 2
    assert [len(labels) for labels in rows["labels"]] == [2, 3] and rows["cut"] == [0, 2]


def test_the_same_source_is_never_on_both_sides(tmp_path):
    """Another translation of an evaluation sentence would tell its words."""
    rows = [{"en": "Hi.", "zh": "嗨。"}, {"en": "Hi!", "zh": "你好。"}, {"en": "No.", "zh": "不。"}]
    for name, part in (("train", rows), ("test", rows[:1])):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    data = load_data(DataArguments(str(tmp_path)), Pairs(), 0)
    assert data.train.dataset["source"][:] == ["No."]
    stream = load_data(DataArguments(str(tmp_path), streaming=True), Pairs(), 0)
    with pytest.raises(InputError, match="--streaming does not go with pairs of texts"):
        with_tasks(stream.train, [FORTH])
