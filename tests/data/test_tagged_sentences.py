"""Tagged sentences from every source, and one sentence with file and line for each that can't be used."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.ner import TaggedSentences, tags_to_bio
from hfcourse.errors import InputError

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value


NAMES = ["O", "B-PER", "I-PER"]
ROW = {"tokens": ["Ann", "Lee", "ran"], "ner_tags": ["B-PER", "I-PER", "O"]}
IDS = {"tokens": ROW["tokens"], "ner_tags": [1, 2, 0]}
CLASSES = Features({"id": Value("string"), "tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=NAMES))})


def load(path, columns=None, names=None, strict=False, **settings):
    arguments = DataArguments(dataset_name=str(path), **{"eval_share": 0, **settings})
    data = load_data(arguments, TaggedSentences(columns, names), seed=0)
    return data, tags_to_bio(data, strict, arguments.skip_bad_rows)


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def class_labels(path):
    Dataset.from_list([{"id": "1", **IDS}], features=CLASSES).to_parquet(path)
    return path


SOURCES = {
    "names": lambda folder: load(jsonl(folder / "a.jsonl", ROW)),
    "numbers": lambda folder: load(jsonl(folder / "a.jsonl", IDS), names=NAMES),
    "other columns": lambda folder: load(jsonl(folder / "a.jsonl", {"words": ROW["tokens"], "tags": ROW["ner_tags"]})),
    "named columns": lambda folder: load(
        jsonl(folder / "a.jsonl", {"w": ROW["tokens"], "fine": ROW["ner_tags"], "tags": [0, 0, 0]}), ("w", "fine")
    ),
    "parquet with class labels": lambda folder: load(class_labels(folder / "a.parquet")),
}


@pytest.mark.parametrize("name", SOURCES)
def test_words_and_tags_from_every_source(tmp_path, name):
    data, labels = SOURCES[name](tmp_path)
    assert data.train.dataset.to_list() == [{"tokens": ROW["tokens"], "tags": ROW["ner_tags"], "row": 1}]
    assert labels == NAMES and "Tags: BIO." in data.notes


def test_class_labels_of_the_hub_come_as_names(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    content = class_labels(tmp_path / "train.parquet").read_bytes()
    hub.add_repo("me/names", {"data/train-00000-of-00001.parquet": content}, repo_type="dataset")
    data, labels = load("me/names")
    assert data.train.dataset["tags"][:] == [ROW["ner_tags"]] and labels == NAMES
    assert "Columns that are not used: id." in data.notes


def test_columns_of_two_schemes_and_the_documents_between_them(tmp_path):
    (tmp_path / "train.txt").write_text("-DOCSTART- O\n\nEU I-ORG\n\nAnn I-PER\nLee B-PER\n\n-DOCSTART- O\n\nto O\n")
    (tmp_path / "dev.txt").write_text("Bo B-PER\nran O\n")
    data, labels = load(tmp_path)
    assert data.train.dataset["tags"][:] == [["B-ORG"], ["B-PER", "B-PER"], ["O"]]
    assert data.test.dataset["tags"][:] == [["B-PER", "O"]]
    assert labels == ["O", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert data.notes == [
        f"Evaluation: the split dev of {tmp_path}.",
        f"{tmp_path}/train.txt has 2 documents: its -DOCSTART- lines were skipped.",
        "Tags: IOB1, brought to BIO.",
        "Entities to learn from: 1 ORG, 2 PER.",
        f"1 tags are not what IOB1 asks for and were read as conlleval reads them, first {tmp_path}/dev.txt, line 1; "
        "--strict refuses them.",
    ]


def test_the_same_sentence_in_another_scheme_is_the_same_sentence(tmp_path):
    (tmp_path / "train.conll").write_text("EU B-PER\n\nAnn B-PER\nran O\n")
    (tmp_path / "test.jsonl").write_text(json.dumps({"tokens": ["Ann", "ran"], "ner_tags": ["I-PER", "O"]}))
    data, _ = load(tmp_path)
    assert data.train.dataset["tokens"][:] == [["EU"]] and data.train.dropped == {"also an evaluation row": 1}


ROWS = {
    "no tags": (
        {"tokens": ["a"]},
        "no list 'ner_tags': found tokens, expected lists of tokens and of tags (--columns",
    ),
    "text": ({"text": "a", "ner_tags": []}, "no list 'tokens': found text, ner_tags"),
    "too few tags": (ROW | {"ner_tags": ["O"]}, "columns that disagree: 3 tokens and 1 tags"),
    "an empty sentence": ({"tokens": [], "ner_tags": []}, "an empty sentence: it has no tokens"),
    "an empty token": (ROW | {"tokens": ["Ann", "", "ran"]}, "a token that is no text: ''"),
    "numbers": (IDS, "tags without names: found 1, give --tag_names the names"),
    "null": (ROW | {"ner_tags": ["B-PER", None, "O"]}, "a tag that is neither a name nor a number: None"),
    "a fraction": (ROW | {"ner_tags": ["B-PER", 2.0, "O"]}, "a tag that is neither a name nor a number: 2.0"),
    "no tag": (ROW | {"ner_tags": ["B-PER", "I-PER", "Q"]}, "token 3 (ran): a tag outside every scheme: 'Q'"),
    "mixed": (ROW | {"ner_tags": ["B-PER", "E-PER", "O"]}, "token 2 (Lee): mixed schemes: E-PER is no tag of BIO"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_can_not_be_used(tmp_path, name):
    bad, said = ROWS[name]
    good = [ROW | {"tokens": ["Bo", "Li", str(i)]} for i in range(3)]
    path = jsonl(tmp_path / "a.jsonl", *good, bad)
    with pytest.raises(InputError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}, line 4") and said in str(refused.value)
    data, _ = load(path, skip_bad_rows=True)
    assert len(data.train.dataset) == 3 and sum(data.train.dropped.values()) == 1
    assert next(iter(data.train.dropped)) in said


COLUMNS = {
    "I- after O": ("a O\n\nAnn B-PER\nran O\nBo I-PER\n", "a.conll, line 5: I- after O: I-PER stands where BIO asks"),
    "mixed": (
        "Ann B-PER\nLee E-PER\n\nBo S-PER\n\nCy B-PER\nLi I-PER\n",
        "a.conll, line 7: mixed schemes: I-PER stands where BIOES asks for E-PER",
    ),
    "no entity": ("a O\n\nb O\n", "a.conll: there is no entity to learn: every tag is O."),
    "no scheme at all": ("to O\n\nat O\nEU B_ORG\n", "a.conll, line 4: a tag outside every scheme: 'B_ORG', expected"),
    "the tag first": ("O\tto\nB-ORG\tEU\n", "a.conll, line 1: a tag outside every scheme: 'to', expected O, or"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_strict_refuses_what_is_not_to_the_letter(tmp_path, name):
    content, said = COLUMNS[name]
    (tmp_path / "a.conll").write_text(content)
    with pytest.raises(InputError) as refused:
        load(tmp_path / "a.conll", strict=True)
    assert said in str(refused.value)


def test_half_a_file_in_another_scheme_is_refused_and_one_slip_is_not(tmp_path):
    good, slip = "Ann B-PER\nLee E-PER\n\nBo S-PER\n\n", "Cy B-PER\nLi I-PER\n\n"
    (tmp_path / "half.bmes").write_text(good + slip)
    with pytest.raises(InputError, match=r"half.bmes, line 7: mixed schemes: 1 of 5 tags are not what BIOES asks for"):
        load(tmp_path / "half.bmes")
    (tmp_path / "slip.bmes").write_text(good * 9 + slip)
    data, _ = load(tmp_path / "slip.bmes")
    assert data.train.dataset["tags"][-1] == ["B-PER", "I-PER"]
    assert data.notes[-2].startswith("1 tags are not what BIOES asks for") and "line 47;" in data.notes[-2]


def test_a_label_that_only_the_evaluation_has(tmp_path):
    (tmp_path / "train.conll").write_text("Ann B-PER\nran O\n")
    (tmp_path / "test.conll").write_text("Bo B-PER\n\nto O\nEU B-ORG\nCo I-ORG\n")
    with pytest.raises(InputError, match=r"test.conll, line 4: label unseen in training: ORG \(--skip_bad_rows"):
        load(tmp_path)
    data, labels = load(tmp_path, skip_bad_rows=True)
    assert data.test.dropped == {"label unseen in training": 1} and labels == NAMES


def test_a_stream_has_no_scheme(tmp_path):
    with pytest.raises(InputError, match="--streaming does not go with tagged sentences"):
        load(jsonl(tmp_path / "a.jsonl", ROW), streaming=True)
