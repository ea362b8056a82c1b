"""recipes/seq2seq.py: what is written and how it is scored; what every recipe does is in test_contract_*.py."""

import json
import re
from functools import partial
from pathlib import Path

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.pairs import Pairs
from hfcourse.run.predict import load_predictor

import pytest
import torch
from contract import TWELVE_STEPS, losses, read
from runner import ROOT, run_program
from sacrebleu.metrics import BLEU
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer


T5 = {"model_type": "t5", "num_layers": 1, "num_heads": 2, "d_model": 32, "d_kv": 16, "d_ff": 64, "dropout_rate": 0.0}
SMALL = TWELVE_STEPS | {
    "architecture": T5 | {"vocab_size": 600},
    "dataset_name": "runs/world/translation",
    "max_train_samples": 150,
    "max_eval_samples": 8,
    "max_source_length": 64,
    "max_target_length": 24,
    "predict_with_generate": True,
    "generation_num_beams": 2,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
    "optim": "adafactor",
    "optim_args": "scale_parameter=true",
    "train_sampling_strategy": "group_by_length",
}
MEASURED = {"loss", "bleu_en_zh", "bleu_zh_en"}
METRICS = MEASURED | {f"{name}_before" for name in MEASURED} | {"bleu_en_zh_beam2", "bleu_zh_en_beam2"}
SENTENCE = "Last year Messo visited Bisiga."


@torch.no_grad()
def test_scores_are_those_of_the_texts_that_the_saved_model_writes(config, runner):
    """Text by text with transformers alone, against sacrebleu's own corpus score; and the loss, row by row."""
    command = ["--config", config("seq2seq"), "--max_steps", "120", "--learning_rate", "1e-1"]
    command += ["--eval_steps", "120", "--save_steps", "120", "--output_dir", "runs/seq2seq/longer"]
    outcome = runner.run("seq2seq", *command)
    assert outcome.code == 0, outcome.err
    folder = runner.folder / "runs/seq2seq/longer"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    pairs = Pairs()
    arguments = DataArguments(str(runner.folder / SMALL["dataset_name"]), max_eval_samples=8)
    rows = load_data(arguments, pairs, seed=42).test.dataset.to_list()
    assert pairs.names == ("en", "zh")
    metrics, total, count = read(folder / "results.json")["metrics"], 0.0, 0
    sides = (
        ("translate English to Chinese: ", "source", "target"),
        ("translate Chinese to English: ", "target", "source"),
    )
    for (prefix, read_, written), name, words in zip(sides, ("en_zh", "zh_en"), ("zh", "13a"), strict=True):
        for beams, suffix in ((1, ""), (2, "_beam2")):
            texts = []
            for row in rows:
                ids = tokenizer(prefix + row[read_], return_tensors="pt")["input_ids"]
                output = model.generate(input_ids=ids, max_new_tokens=24, num_beams=beams, do_sample=False)
                texts.append(tokenizer.decode(output[0], skip_special_tokens=True).strip())
            expected = BLEU(tokenize=words).corpus_score(texts, [[row[written] for row in rows]]).score
            assert metrics[f"bleu_{name}{suffix}"] == pytest.approx(expected)
        for row in rows:
            ids = tokenizer(prefix + row[read_], return_tensors="pt")["input_ids"]
            labels = tokenizer(row[written], return_tensors="pt")["input_ids"]
            assert labels[0, -1] == tokenizer.eos_token_id
            total += model(input_ids=ids, labels=labels).loss.item() * labels.numel()
            count += labels.numel()
    assert metrics["loss"] == pytest.approx(total / count, rel=1e-4)
    assert max(metrics["bleu_en_zh"], metrics["bleu_zh_en"]) > 0.1


def test_the_optimiser_is_the_one_that_was_asked_for(finished):
    state = torch.load(finished("seq2seq").folder / "checkpoint-12/optimizer.pt", weights_only=True)
    assert all(group["scale_parameter"] and not group["relative_step"] for group in state["param_groups"])


def test_predict_knows_the_tasks_of_a_run(finished):
    folder = finished("seq2seq").folder
    predict = load_predictor(str(folder))
    (english,), (chinese,) = predict(SENTENCE), predict("去年梅斯索去了比西加。")
    assert english.startswith("translation_en_to_zh  ") and chinese.startswith("translation_zh_to_en  ")
    assert load_predictor(str(folder), "translation_en_to_zh")(SENTENCE) == [english.split("  ", 1)[1].strip()]


def test_no_label_is_cut_where_sources_and_targets_are_as_wide(config, runner, rows):
    """Long sources with short targets and the other way round; a batch of one row is never computed in parts."""
    long = " ".join("abcdefgh" * 20)
    path = rows(
        *({"source": long, "target": f"a {i}"} if i % 2 else {"source": f"b {i}", "target": long} for i in range(8))
    )
    given = ["--config", config("seq2seq"), "--dataset_name", path, "--eval_share", "0", "--max_steps", "2"]
    given += ["--max_source_length", "512", "--max_target_length", "512", "--train_sampling_strategy", "sequential"]
    sizes = {"whole": ("4", "1"), "rows": ("1", "4")}
    for name, (size, accumulated) in sizes.items():
        batches = ["--per_device_train_batch_size", size, "--gradient_accumulation_steps", accumulated]
        outcome = runner.run("seq2seq", *given, *batches, "--output_dir", f"runs/seq2seq/{name}")
        assert outcome.code == 0, outcome.err
    whole, apart = (losses(runner.folder / "runs/seq2seq" / name) for name in sizes)
    assert len(whole) == 2 and whole == pytest.approx(apart, rel=1e-5)


def test_summaries_are_scored_beside_the_first_sentences(config, runner):
    command = ["--config", config("seq2seq"), "--dataset_name", "runs/world/summary", "--max_steps", "2"]
    outcome = runner.run("seq2seq", *command, "--max_source_length", "32", "--output_dir", "runs/seq2seq/summary")
    assert outcome.code == 0, outcome.err
    metrics = read(runner.folder / "runs/seq2seq/summary/results.json")["metrics"]
    rouges = {f"{name}{end}" for name in ("rouge1", "rougeL") for end in ("", "_before", "_beam2", "_lead1", "_lead3")}
    assert metrics.keys() == {"loss", "loss_before"} | rouges
    assert 20 < metrics["rougeL_lead3"] <= metrics["rouge1_lead3"] < 90
    assert "summarization: 'summarize: ' before each source." in outcome.out
    cut = r"\d+ of 150 sources of runs/world/summary/train.jsonl were cut at 32 tokens \(--max_source_length\)."
    assert re.search(cut, outcome.out) and re.search(r"^  train .*, [1-9]\d* truncated, ", outcome.out, re.MULTILINE)


def test_corrections_are_scored_beside_the_copy(config, runner):
    command = ["--config", config("seq2seq"), "--dataset_name", "runs/world/correction", "--tasks", "correction"]
    outcome = runner.run("seq2seq", *command, "--max_steps", "2", "--output_dir", "runs/seq2seq/correction")
    assert outcome.code == 0, outcome.err
    metrics = read(runner.folder / "runs/seq2seq/correction/results.json")["metrics"]
    matches = {f"exact_match{end}" for end in ("", "_before", "_beam2", "_copy")}
    assert metrics.keys() == {"loss", "loss_before"} | matches
    path = runner.folder / "runs/world/correction/test.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:8]]
    assert metrics["exact_match_copy"] == pytest.approx(100 * sum(row["source"] == row["target"] for row in rows) / 8)


def test_without_generation_only_the_loss_is_measured(config, runner):
    command = ["--config", config("seq2seq"), "--predict_with_generate", "false", "--generation_num_beams", "1"]
    outcome = runner.run("seq2seq", *command, "--max_steps", "2", "--output_dir", "runs/seq2seq/loss")
    assert outcome.code == 0, outcome.err
    assert read(runner.folder / "runs/seq2seq/loss/results.json")["metrics"].keys() == {"loss", "loss_before"}


def test_adapters_are_trained_and_saved(config, runner):
    command = ["--config", config("seq2seq"), "--use_peft", "true", "--lora_target_modules", "q", "v"]
    outcome = runner.run("seq2seq", *command, "--max_steps", "2", "--output_dir", "runs/seq2seq/lora")
    assert outcome.code == 0, outcome.err
    assert (runner.folder / "runs/seq2seq/lora/adapter_model.safetensors").exists()
    assert re.search(r"^  model .* trained \([\d.]+%\)", outcome.out, re.MULTILINE)


def test_the_reference_transformer_with_the_schedule_of_2017(config, runner):
    """Label smoothing counts in training alone; the rates are those of Vaswani et al. 2017, equation 3."""
    sizes = {
        "model_type": "hfcourse",
        "family": "vaswani",
        "hidden_size": 32,
        "num_attention_heads": 2,
        "vocab_size": 600,
    }
    rate, warmup = 32**-0.5 * 4**-0.5, 4
    changes = {"label_smoothing_factor": 0.1, "lr_scheduler_type": "inverse_sqrt", "warmup_steps": warmup}
    path = config("seq2seq", "vaswani", architecture=sizes, learning_rate=rate, predict_with_generate=False,
                  generation_num_beams=None, **changes)  # fmt: skip
    outcome = runner.run("seq2seq", "--config", path)
    assert outcome.code == 0, outcome.err
    folder = runner.folder / "runs/seq2seq/vaswani"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    # The Trainer logs the rate of the next step.
    expected = [32**-0.5 * min(step**-0.5, step * warmup**-1.5) for step in range(1, 13)]
    assert rates == pytest.approx(expected) or rates == pytest.approx([0.0, *expected[:-1]])
    assert len(losses(folder)) == 12
    assert "model      hfcourse: TransformerForConditionalGeneration" in outcome.out


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_new_combinations_of_known_words_are_translated(seed, tmp_path: Path) -> None:
    """The claim at full size."""

    run = partial(run_program, tmp_path)
    run("-m", "hfcourse.world", "--output", "runs/world")
    for recipe, name in (("pretrain", "t5-tiny"), ("seq2seq", "tiny"), ("seq2seq", "vaswani-tiny")):
        config = str(ROOT / "configs" / recipe / f"{name}.yaml")
        run(str(ROOT / "recipes" / f"{recipe}.py"), "--config", config, "--seed", seed)
    for name in ("tiny", "vaswani-tiny"):
        metrics = read(tmp_path / "runs" / "seq2seq" / name / "results.json")["metrics"]
        assert metrics["bleu_en_zh"] > 60 and metrics["bleu_zh_en"] > 60
