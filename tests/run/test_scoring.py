"""A text is scored exactly as it was trained: the ids of TRL's trainer, whatever stands beside it in a batch."""

import sys
from types import SimpleNamespace

from hfcourse.data.template import ensure_chat_template
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run import predict
from hfcourse.run.scoring import Reader, Scorer

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification
from trl import RewardTrainer


TEXTS = ["### User:\nwhat is one and one?\n\n### Assistant:\nThe answer is two.", "一加一是二"] * 3
ANSWERS = ["two", "The answer is two.", "one and one is one and one is one"]


def save(folder, labels=1, template=True, pad_is_eos=False):
    tokenizer = train_tokenizer(TEXTS, 320, "causal")
    ensure_chat_template(tokenizer)
    if pad_is_eos:
        tokenizer.pad_token = tokenizer.eos_token
    if not template:
        tokenizer.chat_template = None
    torch.manual_seed(0)
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 64, "initializer_range": 0.5}
    pads = {"num_labels": labels, "pad_token_id": tokenizer.pad_token_id}
    GPT2ForSequenceClassification(GPT2Config(vocab_size=len(tokenizer), **sizes, **pads)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def scorer(folder):
    return Scorer(GPT2ForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize("kind", ["chat", "plain"])
def test_the_ids_are_those_of_trl(tmp_path, kind):
    tokenizer = AutoTokenizer.from_pretrained(save(tmp_path))
    if kind == "chat":
        rows = [{"prompt": [{"role": "user", "content": "一加一"}]} for _ in ANSWERS]
        answers = [[{"role": "assistant", "content": text}] for text in ANSWERS]
    else:
        rows, answers = [{"prompt": "one and"} for _ in ANSWERS], [f" {text}" for text in ANSWERS]
        answers[1] += tokenizer.eos_token
    pairs = [row | {"chosen": answer, "rejected": answers[0]} for row, answer in zip(rows, answers, strict=True)]
    args = SimpleNamespace(dataset_num_proc=None, max_length=None)
    expected = RewardTrainer._prepare_dataset(None, Dataset.from_list(pairs), tokenizer, args, "train")["chosen_ids"]
    read = Reader(tokenizer)
    assert [read(row["prompt"], answer) for row, answer in zip(rows, answers, strict=True)] == list(expected)
    assert all(ids[-1] == tokenizer.eos_token_id for ids in expected)


@pytest.mark.parametrize("pad_is_eos", [False, True])
def test_a_batch_changes_no_score(tmp_path, pad_is_eos):
    judge = scorer(save(tmp_path, pad_is_eos=pad_is_eos))
    together = judge("one and one?", ANSWERS)
    assert together == pytest.approx([judge("one and one?", [answer])[0] for answer in ANSWERS], abs=1e-5)
    assert len({round(value, 4) for value in together}) == 3


def test_the_token_at_the_end_belongs_to_the_score(tmp_path):
    """The pitfall of PPO on reward models: text without the end of its turn is another text."""
    judge = scorer(save(tmp_path))
    ids = judge.read([{"role": "user", "content": "one"}], [{"role": "assistant", "content": "two"}])
    with torch.no_grad():
        whole, cut = (judge.model(torch.tensor([x])).logits.item() for x in (ids, ids[:-1]))
    assert judge("one", ["two"])[0] == pytest.approx(whole, abs=1e-6) and abs(whole - cut) > 1e-3


def test_what_has_no_score(tmp_path):
    judge = scorer(save(tmp_path / "one"))
    with pytest.raises(InputError, match="an empty answer has no score"):
        judge("one", ["two", " "])
    with pytest.raises(InputError, match=r"prompt and answer have \d+ tokens, and this model takes 64"):
        judge("one", ["two " * 99])
    with pytest.raises(InputError, match="two is a classifier of 2 labels, and a reward model has one"):
        scorer(save(tmp_path / "two", labels=2))


def test_predict_scores_answers_to_a_question(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["predict", "--run", *arguments])
        predict.main()
        return capsys.readouterr().out

    chat = save(tmp_path / "chat")
    scores = scorer(chat)("one and one?", ANSWERS)
    out = run(chat, "--question", "one and one?", *ANSWERS)
    assert out == "".join(f"{text}\n  {value:+.3f}\n" for text, value in zip(ANSWERS, scores, strict=True))
    with pytest.raises(InputError, match="a reward model scores answers: give --question"):
        predict.load_predictor(chat)
    plain = save(tmp_path / "plain", template=False)
    assert predict.load_predictor(plain)("one two") == [f"{scorer(plain)('', ['one two'])[0]:+.3f}"]
    assert predict.load_predictor(plain, question="one ")("two") == predict.load_predictor(plain)("one two")
