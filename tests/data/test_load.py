"""load_data on local data: which rows train, which evaluate, what is dropped, and what is said about it."""

import json
import os

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.load import load_data
from hfcourse.errors import InputError

import pytest


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def load(path, seed=0, **settings):
    return load_data(DataArguments(dataset_name=str(path), **settings), Conversations(), seed)


def texts(split):
    return [row["text"] for row in split.dataset]


LETTERS = [f"row {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_with_overlap_and_strays(tmp_path, streaming):
    write(tmp_path / "train.jsonl", ["One!", "two", "三 号", "four", "1 + 1", "..."])
    write(tmp_path / "dev.jsonl", ["one", "三号。", "other", "!!"])
    write(tmp_path / "kept_rows.jsonl", ["no"])
    (tmp_path / "README.txt").write_text("no")
    data = load(tmp_path, streaming=streaming)
    assert texts(data.train) == ["two", "four", "1 + 1", "..."]  # punctuation alone is compared as it stands
    assert texts(data.test) == ["one", "三号。", "other", "!!"]
    assert data.train.dataset.column_names == ["text", "row"]
    assert [row["row"] for row in data.train.dataset] == [2, 4, 5, 6]
    assert data.notes[:2] == [
        f"Not read in {tmp_path}: README.txt, kept_rows.jsonl.",
        f"Evaluation: the split dev of {tmp_path}.",
    ]
    if streaming:
        assert (data.train.rows_read, data.train.dropped) == (None, {})
    else:
        assert (data.train.rows_read, data.train.dropped) == (6, {"also an evaluation row": 2})
        assert (
            data.notes[2] == "Overlap: 2 training rows equal to an evaluation row were taken out of the training rows."
        )


def test_the_held_out_share_is_seeded_disjoint_and_the_same_in_a_stream(tmp_path):
    write(tmp_path / "a.jsonl", [*LETTERS, *LETTERS])
    data, again = (load(tmp_path / "a.jsonl", eval_share=0.3) for _ in range(2))
    streamed = load(tmp_path / "a.jsonl", eval_share=0.3, streaming=True)
    other = load(tmp_path / "a.jsonl", seed=1, eval_share=0.3)
    train, test = texts(data.train), texts(data.test)
    assert (train, test) == (texts(again.train), texts(again.test)) == (texts(streamed.train), texts(streamed.test))
    assert sorted(train + test) == sorted(LETTERS * 2)
    assert not set(train) & set(test)  # each letter stands twice: both copies are on one side
    assert 4 <= len(test) <= 28
    assert data.train.rows_read == len(train)
    assert texts(other.test) != test


def test_a_share_of_few_rows_holds_out_one_and_none_when_there_is_one(tmp_path):
    write(tmp_path / "a.jsonl", ["a", "b", "c"])
    assert len(load(tmp_path / "a.jsonl", eval_share=1e-9).test.dataset) == 1
    write(tmp_path / "b.jsonl", ["a", "A."])
    data = load(tmp_path / "b.jsonl")
    assert data.test is None
    assert texts(data.train) == ["a", "A."]
    assert data.notes == ["There are too few different rows to hold some out: no evaluation."]


@pytest.mark.parametrize("streaming", [False, True])
def test_limits_take_the_first_usable_rows(tmp_path, streaming):
    write(tmp_path / "train.jsonl", ["a", "", "b", "c", "d"])
    write(tmp_path / "test.jsonl", ["a", "c", "d"])
    data = load(tmp_path, max_train_samples=2, max_eval_samples=2, skip_bad_rows=True, streaming=streaming)
    assert texts(data.test) == ["a", "c"]
    assert texts(data.train) == ["b", "d"]
    assert streaming or data.train.dropped == {"no text": 1, "also an evaluation row": 2}


def test_bad_rows_stop_or_are_counted_by_reason_again_from_the_cache(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "\\ud800"}\n{"text": 1}\n[]\n{"text": "b"}\n{"text": " "}\n')
    for streaming in (False, True):
        with pytest.raises(InputError) as error:
            texts(load(path, eval_share=0, streaming=streaming).train)
        assert str(error.value).startswith(f"{path}, line 2: half of a surrogate pair: '\\ud800' can't be stored")
    for _ in range(2):
        train = load(path, eval_share=0, skip_bad_rows=True).train
        assert texts(train) == ["a", "b"]
        assert train.rows_read == 6
        assert train.dropped == {"half of a surrogate pair": 1, "no text": 2, "no JSON object": 1}
    assert texts(load(path, eval_share=0, skip_bad_rows=True, streaming=True).train) == ["a", "b"]


def test_a_changed_file_is_read_anew(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, ["a", "b"])
    before = path.stat()
    assert texts(load(path, eval_share=0).train) == ["a", "b"]
    write(path, ["c", "d"])  # as long as before
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert texts(load(path, eval_share=0).train) == ["c", "d"]


def test_mixed_rows_of_one_kind_have_one_schema(tmp_path):
    rows = [
        {"instruction": "a", "output": "b"},
        {"conversations": [{"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}], "tools": [{"name": "f"}]},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    dataset = load(tmp_path / "a.json", eval_share=0).train.dataset
    assert [[m["content"] for m in row["messages"]] for row in dataset] == [["a", "b"], ["c", "d"]]
    assert dataset[0]["tools"] == ""
    write(tmp_path / "b.jsonl", ["plain"])
    with pytest.raises(InputError, match=r"b.jsonl, line 1: not a conversation like the first row: .* text\.$"):
        load(tmp_path / "a.json", eval_dataset_name=str(tmp_path / "b.jsonl"))


def test_a_second_source_and_shards(tmp_path):
    train, other = tmp_path / "t", tmp_path / "e"
    train.mkdir()
    other.mkdir()
    for number, pair in enumerate((["a", "b"], ["c", "d"])):
        write(train / f"train-{number}-of-2.jsonl", pair)
    write(train / "test.jsonl", ["x"])
    write(other / "training.jsonl", ["y"])
    write(other / "valid_1.jsonl", ["d", "z"])
    data = load(train, eval_dataset_name=str(other))
    assert texts(data.train) == ["a", "b", "c"]
    assert texts(data.test) == ["d", "z"]
    assert f"Evaluation: the split valid of {other}." in data.notes
    assert texts(load(train, eval_dataset_name=str(train / "test.jsonl")).test) == ["x"]
    assert load(train / "test.jsonl", eval_share=0).test is None


WRONG = [
    ({"name": None}, "No data: give --dataset_name"),
    ({"name": "nowhere.jsonl"}, "The data file or folder nowhere.jsonl does not exist."),
    ({"name": "~/no/such/folder"}, "The data file or folder ~/no/such/folder does not exist."),
    ({"name": "{}/empty.jsonl"}, "{}/empty.jsonl is empty: it has no rows."),
    ({"name": "{}/ok.jsonl", "eval_dataset_name": "{}/empty.jsonl"}, "{}/empty.jsonl is empty: it has no rows."),
    ({"name": "{}/blank.jsonl", "skip_bad_rows": True}, "{}/blank.jsonl, line 2: no text: "),
    ({"name": "{}/none"}, "The folder {}/none has no data file, expected one that ends in .json, "),
    ({"name": "{}/many"}, "{}/many has several data files (a.csv, b.json) and none is named train*: "),
    ({"name": "{}/kinds"}, "{}/kinds has files of different kinds for train (train.csv, train.json): keep one kind."),
    ({"name": "{}/test"}, "{}/test has no split train, it has test: set --dataset_train_split."),
    ({"name": "{}/ok.jsonl", "dataset_test_split": "dev"}, "{}/ok.jsonl has no split dev, it has train: set "),
    ({"name": "{}/ok.jsonl", "dataset_test_split": "train"}, "--dataset_test_split is train, which is trained on"),
    (
        {"name": "{}/ok.jsonl", "eval_dataset_name": "{}/ok.jsonl"},
        "Each of the 2 training rows is also an evaluation ",
    ),
    ({"name": "{}/ok.jsonl", "dataset_revision": "abc"}, "{}/ok.jsonl is a local path, which has no --dataset_config"),
    ({"name": "{}/ok.jsonl", "eval_share": 1.0}, "--eval_share is a share, from 0 to below 1, not 1.0."),
    ({"name": "{}/ok.jsonl", "max_train_samples": 0}, "--max_train_samples must be at least 1, not 0."),
]


@pytest.mark.parametrize(("settings", "says"), WRONG, ids=[says[:40] for _, says in WRONG])
def test_what_cannot_be_loaded_is_one_sentence(tmp_path, settings, says):
    write(tmp_path / "ok.jsonl", ["a", "b"])
    write(tmp_path / "empty.jsonl", [])
    write(tmp_path / "blank.jsonl", ["", " "])
    for path in (
        "none/README.md",
        "many/a.csv",
        "many/b.json",
        "kinds/train.csv",
        "kinds/train.json",
        "test/test.csv",
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    values = {k: v.replace("{}", str(tmp_path)) if isinstance(v, str) else v for k, v in settings.items()}
    with pytest.raises(InputError) as error:
        load_data(DataArguments(dataset_name=values.pop("name"), **values), Conversations(), 0)
    assert str(error.value).startswith(says.replace("{}", str(tmp_path)))
    assert "\n" not in str(error.value)
