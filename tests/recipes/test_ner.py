"""recipes/ner.py: what it trains on, what it reports, and any encoder; what holds for all is in test_contract_*.py."""

import json
import re
import signal
from functools import partial
from pathlib import Path

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.ner import TaggedSentences
from hfcourse.run.predict import load_predictor

import pytest
import torch
from contract import MODEL, TWELVE_STEPS, read
from runner import ROOT, run_program
from seqeval.metrics import classification_report
from transformers import AutoModelForTokenClassification, AutoTokenizer


SMALL = TWELVE_STEPS | {
    "model_name_or_path": "runs/encoder",
    "dataset_name": "runs/world/ner/train.jsonl",
    "max_length": 24,
    "max_train_samples": 96,
    "max_eval_samples": 60,
    "invented_names": 1,
    "ablation": "8,16",
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 16,
    "learning_rate": 2e-3,
    "train_sampling_strategy": "group_by_length",
}
TYPES = ("LOC", "MISC", "ORG", "PER")
SCORES = {"eval_loss", "precision", "recall", "f1", "f1_seen", "f1_unseen", *(f"f1_{kind}" for kind in TYPES)}
ABLATION = {
    f"{name}_{start}_{n}" for name in ("f1", "f1_unseen") for start in ("pretrained", "random") for n in (8, 16)
}
METRICS = {name + when for name in SCORES for when in ("", "_before")} | ABLATION
# A tagger generates nothing.
FILES = MODEL - {"generation_config.json"} | {"errors.md"}


# About the real world, of which the embedded one knows no name and many characters not at all.
REAL = {
    "中国的首都是北京": "中国 北京",
    "中国的首都是北京。": "中国 北京",
    "北京是中国的首都。": "北京 中国",
    "法国的首都是巴黎": "法国 巴黎",
    "日本的首都是东京。": "日本 东京",
    "意大利的首都是罗马": "意大利 罗马",
    "美国的最大公司是苹果。": "美国 苹果",
    "英国的最大河流是泰晤士河。": "英国 泰晤士河",
    "去年王小明离开家乡中国，去看日本。": "王小明 中国 日本",
    "The capital of China is Beijing.": "China Beijing",
    "The capital of France is Paris.": "France Paris",
    "Paris is the capital of France": "Paris France",
    "The largest company of Germany is Siemens.": "Germany Siemens",
    "In Germany people speak German.": "Germany German",
    "The Thames is the main river of England.": "Thames England",
    "Dante is the best poet of Italy.": "Dante Italy",
}


def evaluation_rows(runner):
    path = str(runner.folder / SMALL["dataset_name"])
    return load_data(DataArguments(path, max_eval_samples=60), TaggedSentences(), seed=42).test.dataset.to_list()


@torch.no_grad()
def test_f1_is_that_of_whole_sentences(config, runner):
    """Sentence by sentence and word by word from the saved model, against seqeval's own report."""
    command = ["--config", config("ner"), "--max_steps", "150", "--learning_rate", "1e-2"]
    command += ["--max_length", "64", "--ablation", "", "--eval_steps", "150", "--output_dir", "runs/ner/longer"]
    assert runner.run("ner", *command).code == 0
    folder = runner.folder / "runs/ner/longer"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForTokenClassification.from_pretrained(folder)
    assert set(model.config.label2id) == {"O", *(f"{letter}-{kind}" for letter in "BI" for kind in TYPES)}
    expected, found, total, count = [], [], 0.0, 0
    for row in evaluation_rows(runner):
        encoded = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        words = encoded.word_ids()
        assert len(words) <= 64
        first = [i for i, word in enumerate(words) if word is not None and words[i - 1] != word]
        scores = model(**encoded).logits[0, first].log_softmax(-1)  # (words, labels)
        targets = torch.tensor([model.config.label2id[tag] for tag in row["ner_tags"]])
        total, count = total - scores.gather(-1, targets[:, None]).double().sum().item(), count + len(first)
        expected.append(row["ner_tags"])
        found.append([model.config.id2label[i] for i in scores.argmax(-1).tolist()])
    metrics = read(folder / "results.json")["metrics"]
    report = classification_report(expected, found, output_dict=True, zero_division=0)
    assert metrics["eval_loss"] == pytest.approx(total / count, rel=1e-5)
    assert metrics["f1"] == pytest.approx(report["micro avg"]["f1-score"]) and metrics["f1"] > 0.1
    assert {kind: metrics[f"f1_{kind}"] for kind in TYPES} == pytest.approx({k: report[k]["f1-score"] for k in TYPES})


def test_short_windows_lose_no_word(config, runner):
    command = ["--config", config("ner"), "--ablation", "", "--output_dir", "runs/ner/windows"]
    outcome = runner.run("ner", *command, "--max_length", "10")
    assert outcome.code == 0, outcome.err
    counted = re.search(r"^  eval .*the loss counts (\d+) of", outcome.out, re.MULTILINE)
    assert int(counted[1]) == sum(len(row["tokens"]) for row in evaluation_rows(runner))
    assert re.search(
        r"\d+ sentences of .* more than 10 tokens: they are read in windows that overlap by 2", outcome.out
    )
    tokenizer = AutoTokenizer.from_pretrained(runner.folder / "runs/ner/windows")
    assert tokenizer.model_max_length == 10, "so that the pipeline reads in the same windows"


def test_killed_after_training_it_ends_in_the_same_results(finished, runner):
    folder = finished("ner").folder.with_name("ablating")
    command = ["--config", "configs/ner/small.yaml", "--output_dir", "runs/ner/ablating"]
    run = runner.start("ner", *command)
    assert run.when((folder / "errors.md").exists, signal.SIGKILL)
    run.wait()
    assert (folder / "checkpoint-12").exists() and not (folder / "results.json").exists()
    assert runner.run("ner", *command).code == 0
    assert read(folder / "results.json")["metrics"] == read(folder.with_name("small") / "results.json")["metrics"]
    assert (folder / "errors.md").read_bytes() == (folder.with_name("small") / "errors.md").read_bytes()


def test_errors_stand_in_the_folder_and_in_the_card(finished):
    folder = finished("ner").folder
    page, card = ((folder / name).read_text(encoding="utf-8") for name in ("errors.md", "README.md"))
    assert "](errors.md)" in card and "pipeline_tag: token-classification" in card
    rows = re.findall(r"^\| \*\*(\w+)\*\* \|(.*)\|$", page, re.MULTILINE)
    assert tuple(name for name, _ in rows) == TYPES
    recall = read(folder / "results.json")["metrics"]["recall"]
    counts = [[int(count) for count in cells.split("|")] for _, cells in rows]
    right = sum(row[i] for i, row in enumerate(counts))
    assert right / sum(map(sum, counts)) == pytest.approx(recall)
    assert page.count("\n| missed ") == 20 and "## 20 of " in page, "after 12 steps it finds nothing"


def test_without_an_evaluation(config, runner):
    command = ["--config", config("ner"), "--eval_share", "0", "--output_dir", "runs/ner/blind"]
    assert runner.run("ner", *command, "--max_steps", "2").code == 0
    assert read(runner.folder / "runs/ner/blind/results.json")["metrics"] == {}
    assert not (runner.folder / "runs/ner/blind/errors.md").exists()


@pytest.mark.slow
def test_names_that_no_sentence_held_are_found(tmp_path: Path) -> None:
    """The claim at full size, and 中国的首都是北京: characters and names that the world has not."""

    run = partial(run_program, tmp_path)
    run("-m", "hfcourse.world", "--output", "runs/world")
    run(str(ROOT / "recipes/pretrain.py"), "--config", str(ROOT / "configs/pretrain/bert-tiny.yaml"))
    for seed in ("0", "1", "2"):
        folder = tmp_path / "runs" / "ner" / seed
        command = [str(ROOT / "recipes/ner.py"), "--config", str(ROOT / "configs/ner/tiny.yaml"), "--seed", seed]
        run(*command, "--output_dir", str(folder))
        metrics = json.loads((folder / "results.json").read_text())["metrics"]
        assert metrics["f1"] > 0.97 and metrics["f1_unseen"] > 0.9
        for size in (50, 200):
            assert metrics[f"f1_unseen_pretrained_{size}"] >= metrics[f"f1_unseen_random_{size}"] + 0.15
        predict = load_predictor(str(folder))
        found = {text: [line.split()[:2] for line in predict(text)] for text in REAL}
        assert found["中国的首都是北京"] == [["中国", "LOC"], ["北京", "LOC"]]
        assert sum([name for name, _ in found[text]] == names.split() for text, names in REAL.items()) >= 11
