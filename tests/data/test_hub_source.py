"""Hub data sets through the loopback Hub: splits, revision, streaming, and one sentence for each refusal."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.load import load_data
from hfcourse.errors import InputError

import datasets
import pytest


OLD = "1" * 40


def jsonl(*numbers):
    rows = [{"instruction": f"double {n}", "input": None, "output": str(2 * n)} for n in numbers]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def chats(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    hub.add_repo("me/chats", {"train.jsonl": jsonl(1, 2)}, repo_type="dataset", revision=OLD)
    hub.add_repo("me/chats", {"train.jsonl": jsonl(1, 2, 3, 4), "valid.jsonl": jsonl(3, 9)}, repo_type="dataset")
    return hub


def load(name="me/chats", **settings):
    return load_data(DataArguments(dataset_name=name, **settings), Conversations(), seed=0)


def answers(split):
    return [row["messages"][1]["content"] for row in split.dataset]


@pytest.mark.parametrize("streaming", [False, True])
def test_splits_of_the_hub_without_their_overlap(chats, streaming):
    data = load(streaming=streaming)
    assert answers(data.train) == ["2", "4", "8"]
    assert answers(data.test) == ["6", "18"]
    assert [row["row"] for row in data.train.dataset] == [1, 2, 4]
    assert data.train.rows_read == (None if streaming else 4)
    assert "Evaluation: the split validation of me/chats." in data.notes


def test_a_revision_is_what_is_read(chats):
    assert answers(load(dataset_revision=OLD, eval_share=0).train) == ["2", "4"]


def test_a_bad_row_is_named_by_split_and_number(chats):
    chats.add_repo("me/bad", {"train.jsonl": jsonl(1) + '{"instruction": "x", "output": ""}\n'}, repo_type="dataset")
    with pytest.raises(InputError, match=r"^me/bad, split train, row 2: no answer"):
        load("me/bad")
    assert load("me/bad", skip_bad_rows=True).train.dropped == {"no answer": 1}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "me/none"}, "me/none is no local path, and there is no such data set on the Hub"),
        ({"dataset_revision": "2" * 40}, f"me/chats has no revision {'2' * 40}"),
        ({"dataset_train_split": "sft"}, "me/chats has no split sft, it has train, validation"),
        ({"dataset_config": "other"}, "me/chats can't be loaded: BuilderConfig 'other' not found"),
        ({"name": "me/bad id"}, "neither a local path that exists nor a valid id"),
    ],
)
def test_refusals(chats, settings, sentence):
    with pytest.raises(InputError) as error:
        load(**settings)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_no_network(chats, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="^me/other is no local path, and the Hub can't be reached"):
        load("me/other")
