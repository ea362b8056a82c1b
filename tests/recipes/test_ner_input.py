"""recipes/ner.py with input that can't be used: exit code 2, one sentence that tells the place, nothing written."""

import json

import pytest
import torch
from contract import assert_refused
from transformers import BertConfig, BertModel, CanineTokenizer


GOOD = "EU B-ORG\nto O\n\nAnn B-PER\nLee I-PER\nran O\n\nBo B-PER\n\n"


def columns(content, *arguments, name="a.conll"):
    def make(folder):
        (folder / name).write_text(content, encoding="utf-8")
        return ["--dataset_name", str(folder / name), *arguments]

    return make


def rows(*rows, arguments=()):
    return columns("".join(json.dumps(row) + "\n" for row in rows), *arguments, name="a.jsonl")


def two_files(folder):
    (folder / "train.conll").write_text(GOOD)
    (folder / "test.conll").write_text("It O\n\nOslo B-LOC\n")
    return ["--dataset_name", str(folder)]


def without_word_ids(folder):
    """A model whose tokenizer reads characters and has no fast version."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=50, **sizes)).save_pretrained(folder / "model")
    CanineTokenizer().save_pretrained(folder / "model")
    return ["--model_name_or_path", str(folder / "model")]


ROW = {"tokens": ["Ann", "ran"], "ner_tags": ["B-PER", "O"]}
CASES = {
    "columns that disagree": (columns(GOOD + "a b O\n"), "a.conll, line 10: columns that disagree: found 3 (a b O)"),
    "one column": (columns("EU\nto\n"), "a.conll, line 1: columns that disagree: found 1 (EU), expected a token"),
    "a tag outside the scheme": (
        columns(GOOD + "Cy Q-PER\n"),
        "a.conll, line 10: a tag outside every scheme: 'Q-PER'",
    ),
    "mixed schemes": (columns(GOOD + "to O\nCy S-PER\n"), "a.conll, line 11: mixed schemes: S-PER is no tag of BIO"),
    "I- after O": (
        columns(GOOD + "to O\nCy I-PER\n", "--strict", "true"),
        "a.conll, line 11: I- after O: I-PER stands",
    ),
    "unseen in training": (two_files, "test.conll, line 3: label unseen in training: LOC (--skip_bad_rows true"),
    "an empty sentence": (rows(ROW, {"tokens": [], "ner_tags": []}), "a.jsonl, line 2: an empty sentence"),
    "too few tags": (rows(ROW | {"ner_tags": ["O"]}), "a.jsonl, line 1: columns that disagree: 2 tokens and 1 tags"),
    "numbers": (rows(ROW | {"ner_tags": [1, 0]}), "a.jsonl, line 1: tags without names: found 1, give --tag_names"),
    "too few names": (
        rows(ROW | {"ner_tags": [3, 0]}, arguments=["--tag_names", "O", "B-PER"]),
        "a.jsonl, line 1: a tag without a name: 3, and --tag_names has 2 names",
    ),
    "other columns": (rows({"text": "Ann ran"}), "a.jsonl, line 1: no list 'tokens': found text"),
    "no entity": (columns("EU O\nto O\n"), "a.conll: there is no entity to learn: every tag is O."),
    "one column name": (
        lambda folder: ["--columns", "words"],
        "--columns takes two names, of the words and of the tags",
    ),
    "no word ids": (without_word_ids, "CanineTokenizer does not say which word a token belongs to: it has no fast"),
    "too short": (lambda folder: ["--max_length", "2"], "--max_length 2 is too short for windows that overlap by 0"),
    "too long": (
        lambda folder: ["--max_length", "600"],
        "--max_length 600 is more than the 512 tokens that this model",
    ),
    "an ablation of words": (lambda folder: ["--ablation", "50,all"], "--ablation takes numbers of sentences such as"),
    "no model": (lambda folder: ["--model_name_or_path", f"{folder}/no"], "/no does not exist"),
    "adapters": (lambda folder: ["--use_peft", "true"], "--use_peft does not go with tagging"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence(config, runner, tmp_path, case):
    make, said = CASES[case]
    given = ["--config", config("ner"), "--output_dir", str(tmp_path / "run")]
    assert_refused(runner.run("ner", *given, *make(tmp_path)), said)
    assert not (tmp_path / "run" / "results.json").exists()


def test_bad_rows_are_skipped_and_counted(config, runner, tmp_path):
    content = GOOD + "a b O\n\nCy Q-PER\n\nCy S-PER\n"
    given = ["--config", config("ner"), "--output_dir", str(tmp_path / "run"), "--dry_run"]
    outcome = runner.run("ner", *given, *columns(content, "--skip_bad_rows", "true", "--eval_share", "0")(tmp_path))
    assert outcome.code == 0, outcome.err
    dropped = "1 columns that disagree, 1 a tag outside every scheme, 1 mixed schemes"
    assert f"6 rows read, 3 dropped ({dropped})" in outcome.out
