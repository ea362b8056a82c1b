"""recipes/seq2seq.py with input that can't be used: exit code 2, one sentence, nothing written."""

import json

import pytest
from contract import assert_refused
from tokenizers import Tokenizer, models
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast


ROW = {"en": "Hi.", "zh": "嗨。"}


def rows(*rows, arguments=()):
    def make(folder):
        path = folder / "a.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return ["--dataset_name", str(path), *arguments]

    return make


def given(*arguments):
    return lambda folder: list(arguments)


def bart(folder, *arguments, **tokens):
    """A model with forty positions, and a tokenizer of one token more than it names."""
    sizes = {f"{side}_{n}": 1 for side in ("encoder", "decoder") for n in ("layers", "attention_heads", "ffn_dim")}
    config = BartConfig(vocab_size=8, d_model=8, max_position_embeddings=40, forced_eos_token_id=None, **sizes)
    model = BartForConditionalGeneration(config)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder / "bart")
    backend = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "a": 2}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", **tokens).save_pretrained(folder / "bart")
    return ["--architecture", "null", "--model_name_or_path", str(folder / "bart"), *arguments]


def too_long(folder):
    return bart(folder, "--max_source_length", "64", eos_token="</s>")


def never_ending(folder):
    return bart(folder, "--max_source_length", "32")


CASES = {
    "one column": (
        rows({"en": "Hi."}),
        "a.jsonl, line 1: unknown columns: found en, expected a column for each of two",
    ),
    "a column missing later": (rows(ROW, {"en": "No."}), "a.jsonl, line 2: no columns en and zh: found en."),
    "no such column": (
        rows(ROW, arguments=["--columns", "en", "de"]),
        "a.jsonl, line 1: no column 'de': found en, zh",
    ),
    "the same column twice": (given("--columns", "en", "en"), "--columns takes two different names"),
    "an empty source": (rows(ROW, {"en": " ", "zh": "嗨。"}), "a.jsonl, line 2: empty en: expected a text."),
    "an empty target": (rows(ROW, {"en": "Hi.", "zh": ""}), "a.jsonl, line 2: empty zh: expected a text."),
    "no text": (rows(ROW, {"en": "Hi.", "zh": None}), "a.jsonl, line 2: no text: zh is NoneType, expected a string."),
    "a decoder": (
        given("--architecture", "null", "--model_name_or_path", "runs/pretrain/small"),
        "runs/pretrain/small is a gpt2, no encoder-decoder such as t5",
    ),
    "an encoder": (
        given("--architecture", "null", "--model_name_or_path", "runs/encoder"),
        "runs/encoder is a bert, no encoder-decoder such as t5",
    ),
    "a decoder's architecture": (
        given("--architecture", '{"model_type": "gpt2"}'),
        "--architecture {'model_type': 'gpt2'}",
    ),
    "no model": (given("--architecture", "null"), "--model_name_or_path is missing"),
    "two models": (given("--model_name_or_path", "runs/encoder"), "--architecture makes new weights"),
    "broken sizes": (
        given("--architecture", "{"),
        "--architecture {: expected a mapping, as YAML or JSON",
    ),
    "no model_type": (given("--architecture", "{}"), "--architecture {}: expected a mapping with a model_type"),
    "too long": (too_long, "--max_source_length 64 is out of range: this model takes 2 to 40 tokens"),
    "too short": (
        given("--max_target_length", "1"),
        "--max_target_length 1 is out of range: this model takes 2 to any",
    ),
    "without an end": (never_ending, "the tokenizer has no end-of-sequence token"),
    "another language": (
        given("--tasks", "translation_en_to_de"),
        "--tasks translation_en_to_de: the columns are en and zh",
    ),
    "no language": (
        given("--columns", "en", "zh", "--tasks", "translation_qq_to_zh"),
        "--tasks translation_qq_to_zh: the columns are en and zh",
    ),
    "an unknown language": (
        rows({"source": "a", "target": "b"}, arguments=["--tasks", "translation_qq_to_zh"]),
        "--tasks translation_qq_to_zh: unknown language code qq: give the --prefix as well",
    ),
    "no task": (
        given("--tasks", "translate"),
        "--tasks translate: expected one of summarization, correction, text2text",
    ),
    "no beams": (given("--generation_num_beams", "0"), "--generation_num_beams must be at least 1, not 0"),
    "beams for nothing": (
        given("--predict_with_generate", "false"),
        "--generation_num_beams needs --predict_with_generate",
    ),
    "a stream": (given("--streaming", "true"), "--streaming does not go with pairs of texts"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence(finished, config, runner, tmp_path, case):
    make, said = CASES[case]
    if "runs/pretrain/small" in make(tmp_path):
        finished("pretrain")
    command = ["--config", config("seq2seq"), "--output_dir", str(tmp_path / "run")]
    assert_refused(runner.run("seq2seq", *command, *make(tmp_path)), said)
    assert not (tmp_path / "run" / "results.json").exists()


def test_bad_rows_are_skipped_and_counted(config, runner, tmp_path):
    bad = [{"en": "", "zh": "嗨。"}, {"en": "No.", "zh": 3}, {"en": "Go."}]
    arguments = rows(ROW, *bad, ROW | {"en": "Yes."}, arguments=["--skip_bad_rows", "true", "--eval_share", "0"])
    command = ["--config", config("seq2seq"), "--output_dir", str(tmp_path / "run"), "--dry_run"]
    outcome = runner.run("seq2seq", *command, *arguments(tmp_path))
    assert outcome.code == 0, outcome.err
    assert "5 rows read, 3 dropped (1 empty en, 1 no text, 1 no columns en and zh), 0 truncated" in outcome.out
