"""recipes/clean_data.py: what is kept, what is learnt; what every recipe does is in test_contract_*.py."""

import base64
import json

import pytest
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from transformers import AutoModelForCausalLM, AutoTokenizer


GPT2 = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 32, "n_positions": 64}
GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SMALL = TWELVE_STEPS | {
    "dataset_name": "runs/world/pages",
    "harmful": "runs/world/harm/test.jsonl",
    "exam": "runs/world/quiz.jsonl",
    "eval_dataset_name": "runs/world/corpus",
    "max_train_samples": 120,
    "max_eval_samples": 30,
    "tasks": 2,
    "cleaning": {
        "languages": ["en", "zh"],
        "min_words": 20,
        "min_sentences": 2,
        "bands": 4,
        "hashes": 3,
        "harm_words": ["kill", "bomb", "杀", "炸弹"],
    },
    "vocab_size": 400,
    "block_size": 64,
    "architecture": GPT2,
    "prompt_tokens": 8,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
}
FILES = MODEL - {"config.json", "generation_config.json"} | {"raw", "clean", "cleaned", "cleaning.png"}
STAGES = ("html", "language", "quality", "harm", "copies", "near_copies", "leaks")
JUDGED = {f"{name}_{part}" for name in (*STAGES, "lines", "personal", "words") for part in ("precision", "recall")}
CLEANING = {"documents", "kept", "lost"} | {f"dropped_{name}" for name in STAGES} | JUDGED
KNOWN = ("perplexity", "recited_copied", "recited_single", "exam_leaked", "exam_unseen")
PROOF = {f"{name}_{side}" for name in KNOWN for side in ("raw", "clean")}
METRICS = CLEANING | PROOF | {f"{name}_before" for name in PROOF}


def rows_of(folder) -> list[dict]:
    lines = [line for path in sorted(folder.rglob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def test_pages_are_kept_or_dropped_with_a_reason(finished):
    folder = finished("clean_data").folder
    metrics = read(folder / "results.json")["metrics"]
    kept, dropped = rows_of(folder / "cleaned/kept"), rows_of(folder / "cleaned/dropped")
    assert len(kept) == metrics["kept"] and len(kept) + len(dropped) == metrics["documents"] == 120
    assert {p.name for p in (folder / "cleaned").iterdir()} == {
        "kept",
        "dropped",
        "raw",
        "logs",
        "harm.npz",
        "plan.json",
    }
    assert sum(metrics[f"dropped_{name}"] for name in STAGES) == len(dropped)


def test_what_is_kept_is_read_by_path(finished, runner, config):
    kept = finished("clean_data").folder / "cleaned" / "kept"
    given = ["--config", config("pretrain"), "--dataset_name", str(kept), "--max_steps", "1"]
    outcome = runner.run("pretrain", *given, "--output_dir", "runs/pretrain/cleaned")
    assert outcome.code == 0, outcome.err


def test_both_sides_start_alike_and_each_is_a_checkpoint(finished):
    folder = finished("clean_data").folder
    metrics = read(folder / "results.json")["metrics"]
    for name in ("perplexity", "exam_leaked", "exam_unseen"):
        assert metrics[f"{name}_raw_before"] == metrics[f"{name}_clean_before"]
    for line in log(folder):
        if "loss" in line:
            assert line["loss_raw"] + line["loss_clean"] == pytest.approx(line["loss"], rel=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(folder / "clean")
    sizes = {AutoModelForCausalLM.from_pretrained(folder / side).num_parameters() for side in ("raw", "clean")}
    assert len(sizes) == 1 and len(tokenizer) == 400


def test_without_a_proof_it_only_cleans(finished, runner, config):
    small = finished("clean_data").folder
    given = config("clean_data", "only", proof=False, architecture=None, eval_dataset_name=None, workers=1)
    dry = runner.run("clean_data", "--config", given, "--dry_run")
    assert (dry.code, dry.err) == (0, "") and "[quality: " in dry.out
    folder = runner.folder / "runs/clean_data/only"
    assert not folder.exists()
    outcome = runner.run("clean_data", "--config", given)
    assert outcome.code == 0, outcome.err
    results = read(folder / "results.json")
    assert set(results["metrics"]) == CLEANING and results["documents"] == 120
    assert rows_of(folder / "cleaned/kept") == rows_of(small / "cleaned/kept")
    assert not (folder / "cleaned/raw").exists() and "120 documents in" in outcome.out
    assert "| near copies |" in (folder / "README.md").read_text(encoding="utf-8")


def test_pages_of_any_kind(runner, tmp_path):
    text = "The town lies on a hill, and the streets of the town are wide. Few of those who live there have a car. "
    chinese = "<p>" + "这座城市在山上，城里的街道很宽。住在那里的人很少有车。春天的时候，船把木头运到海边。" + "</p>"
    found = [
        {"html": f"<p>{text}</p>"},
        {"html": "<div><!-- nothing --></div>"},
        {"text": text.replace("town", "village") + "\ud83d \x00 end."},
        {"base64": base64.b64encode(chinese.encode("gb18030")).decode()},
        {"html": ""},
        {"base64": base64.b64encode(bytes(range(256)) * 4).decode()},
    ]
    pages = tmp_path / "pages.jsonl"
    pages.write_text("".join(json.dumps(row) + "\n" for row in found))  # half a surrogate pair, as JSON can have it
    given = ["--dataset_name", str(pages), "--proof", "false", "--tasks", "9", "--output_dir", str(tmp_path / "run")]
    settings = '{"languages": ["en", "zh"], "min_words": 20, "min_sentences": 2, "bands": 2}'
    outcome = runner.run("clean_data", *given, "--cleaning", settings)
    assert outcome.code == 0, outcome.err
    assert [row["text"][:5] for row in rows_of(tmp_path / "run/cleaned/kept")] == ["The t", "The v", "这座城市在"]
    assert "\x00" not in rows_of(tmp_path / "run/cleaned/kept")[1]["text"]
    assert set(read(tmp_path / "run/results.json")["metrics"]) == {"documents", "kept"} | {
        f"dropped_{name}" for name in STAGES
    }


def test_other_data_under_the_same_name_is_noticed(finished, runner, config, tmp_path):
    finished("clean_data")
    given = ["--config", config("clean_data"), "--output_dir", str(tmp_path / "run")]
    run = runner.start("clean_data", *given)
    assert run.when(lambda: (tmp_path / "run/cleaned").exists(), 9) and run.wait().code == -9
    assert_refused(
        runner.run("clean_data", *given, "--max_train_samples", "100"),
        "holds the cleaning of other data or settings: --fresh moves it aside",
    )


def test_refusals(runner, config, rows, tmp_path):
    given = ["--config", config("clean_data"), "--output_dir"]
    one = rows({"text": "a", "harmful": True}, {"text": "b", "harmful": True})
    runs = {
        ("--cleaning: unknown key 'min_word'; did you mean 'min_words'?",): ["--cleaning", "{min_word: 3}"],
        ("--cleaning [1]: expected a mapping",): ["--cleaning", "[1]"],
        ("--slurm: ", "partition"): ["--slurm", "{time: 1}"],
        ("--harmful: all of its texts have one label",): ["--harmful", one],
        ("no column html, text, bytes, base64: found prompt",): ["--dataset_name", "runs/world/prompts"],
        ("--tasks and --workers are 1 or more, not 0 and 1",): ["--tasks", "0"],
        ("a proof takes --architecture and --eval_dataset_name",): ["--eval_dataset_name", ""],
        ("no column 'harmful'",): ["--harmful", "runs/world/quiz.jsonl"],
        ("expected text, or question and answer",): ["--exam", rows({"x": "1"}, name="exam.jsonl")],
    }
    started = {
        said: runner.start("clean_data", *given, str(tmp_path / f"run-{i}"), *more)
        for i, (said, more) in enumerate(runs.items())
    }
    later = {  # what shows when the pages are clean, behind lines of progress
        "nothing was kept of 120 pages: look at what": ["--cleaning", "{languages: [fi]}"],
        "--prompt_tokens 33: expected 1 to 32": ["--prompt_tokens", "33"],
    }
    for i, (said, more) in enumerate(later.items()):
        outcome = runner.run("clean_data", *given, str(tmp_path / f"later-{i}"), *more)
        assert outcome.code == 2 and said in outcome.err.splitlines()[-1]
    for said, run in started.items():
        assert_refused(run.wait(), *said)
