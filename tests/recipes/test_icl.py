"""recipes/icl.py: its numbers, its input, its push; what holds for all recipes is in test_contract_*.py."""

import json
import os
import subprocess
import sys

from hfcourse.icl.engine import Query, score_alone

import pytest
import yaml
from contract import assert_refused, read
from runner import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer


TASKS = ("sentiment_en", "kinds_zh", "capital_en")
CONDITIONS = ("none", "gold", "random", "wrong", "permuted", "ood", "words", "inputs", "labels")
SMALL = {
    "model_name_or_path": "runs/pretrain/small",
    "tasks": ",".join(f"configs/icl/tasks/{task}.yaml" for task in TASKS),
    "conditions": ",".join(CONDITIONS),
    "unrelated_text": "runs/world/icl/unrelated.jsonl",
    "max_eval_samples": 8,
    "shots": 4,
    "curve": "1",
    "seeds": "100,13",
    "scoring": "direct,normalised,calibrated,channel",
    "batch_tokens": 256,
}
CELLS = {"none_k0"} | {f"{condition}_k4" for condition in CONDITIONS[1:]} | {"gold_k1", "random_k1"}


def promised(task: str) -> set[str]:
    """The names of a task's metrics without the ends of their intervals. Only labels that are the same for all items
    can be calibrated and have a macro-F1."""
    own = {"accuracy", "ece", "brier", "macro_f1"} - ({"macro_f1"} if task == "capital_en" else set())
    rules = {"normalised", "calibrated", "channel"} - ({"calibrated"} if task == "capital_en" else set())
    names = {f"{cell}_{measure}" for cell in CELLS for measure in (*own, "exact_match")}
    names |= {f"{cell}_{rule}_{m}" for cell in ("none_k0", "gold_k4") for rule in rules for m in own}
    return {f"{task}_{name}" for name in names}


VALUES = {name for task in (*TASKS, "mean") for name in promised(task)}
METRICS = {name + end for name in VALUES for end in ("", "_low", "_high")}


def samples(folder) -> tuple[dict, list]:
    """Groups by number, and items."""
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["group"]: row for row in rows if "task" in row}, [row for row in rows if "item" in row]


def test_every_prompt_of_the_samples_file_has_the_score_of_the_plain_model(finished):
    folder = finished("icl").folder
    base = folder.parents[1] / "pretrain" / "small"
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base).eval()
    groups, items = samples(folder)
    looked = 0
    for row in items[:: len(items) // 60]:
        group = groups[row["group"]]
        contexts = row["prompt"] if group["channel"] else [row["prompt"]] * len(row["choices"])
        for context, target, logprob in zip(contexts, row["choices"], row["logprobs"], strict=True):
            text = (group["demonstrations"] + context).rstrip()
            whole = tokenizer(group["demonstrations"] + context + target)["input_ids"]
            read_ = tokenizer(text)["input_ids"]
            score = score_alone(model, Query(tuple(read_), tuple(whole[len(read_) :])))
            assert logprob == pytest.approx(score.logprob, abs=1e-4)
            looked += 1
    assert looked > 100


def test_accuracy_is_that_of_the_samples_file(finished):
    folder = finished("icl").folder
    metrics, (groups, items) = read(folder / "results.json")["metrics"], samples(folder)
    for condition, k in (("none", 0), ("gold", 4), ("random", 1)):
        right = [
            row["logprobs"].index(max(row["logprobs"])) == row["gold"]
            for row in items
            for group in [groups[row["group"]]]
            if (group["task"], group["condition"], group["k"], group["channel"]) == ("kinds_zh", condition, k, False)
            and row["gold"] is not None
        ]
        assert len(right) == 8 * (1 if k == 0 else 2)
        value, low, high = (metrics[f"kinds_zh_{condition}_k{k}_accuracy{end}"] for end in ("", "_low", "_high"))
        assert value == pytest.approx(sum(right) / len(right), abs=1e-6) and low <= value <= high


def test_no_item_stands_among_its_demonstrations(finished):
    small = finished("icl")
    groups, items = samples(small.folder)
    looked = 0
    for row in items:
        if row["item"] != "content free":
            group = groups[row["group"]]
            looked += len(group["from"])
            assert row["item"] not in group["from"]
    assert looked > 500
    assert "by row and by letters and digits: 0 equal" in small.outcome.out


def test_data_without_a_split_of_its_own_to_draw_from_leaks_nothing(runner, config, rows):
    """lm-evaluation-harness#4145: the rows that are asked are the pool. Here some are held out, and none is shown."""
    path = rows(*({"text": f"It was day {i}.", "label": ("good", "bad")[i % 2]} for i in range(40)))
    task = {"dataset_name": path, "template": "{text} So {label}", "label": "label"}
    task |= {"labels": {"good": "positive", "bad": "negative"}}
    (runner.folder / "leak.yaml").write_text(yaml.safe_dump(task))
    command = ["--config", config("icl"), "--tasks", "leak.yaml", "--scoring", "direct"]
    outcome = runner.run("icl", *command, "--shots", "30", "--output_dir", "runs/icl/leak")
    assert outcome.code == 0, outcome.err
    groups, items = samples(runner.folder / "runs/icl/leak")
    shown = {line for group in groups.values() for line in group["demonstrations"].splitlines()}
    asked = {row["prompt"].removesuffix(" So ") for row in items}
    assert len(asked) >= 1 and not [line for line in shown for text in asked if text in line]


def test_what_does_not_fit_is_said_and_the_question_stays_whole(runner, config, finished):
    finished("icl")
    command = ["--config", config("icl"), "--conditions", "none,gold", "--output_dir", "runs/icl/long"]
    outcome = runner.run("icl", *command, "--scoring", "direct", "--curve", "", "--shots", "60")
    assert outcome.code == 0, outcome.err
    assert "sentiment_en, k = 60: " in outcome.out and "demonstrations dropped" in outcome.out
    assert "capital_en, k = 60: 42 to 42 demonstrations dropped" in outcome.out, "a pool of 18 rows"
    groups, items = samples(runner.folder / "runs/icl/long")
    tokenizer = AutoTokenizer.from_pretrained(runner.folder / "runs/pretrain/small")
    lengths = [len(tokenizer(groups[r["group"]]["demonstrations"] + r["prompt"])["input_ids"]) for r in items]
    assert 400 < max(lengths) <= 512
    assert all(row["prompt"].startswith("Item: ") and row["prompt"].endswith(" Class: ") for row in items)


def test_it_is_pushed_with_its_samples(runner, config, public, finished):
    finished("icl")
    command = ["--config", config("icl"), "--push_to_hub", "true", "--hub_model_id", "me/icl"]
    outcome = runner.run("icl", *command)
    assert outcome.code == 0 and "pushed to " in outcome.out, outcome.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": {"good": "positive", "bad": "positive,"}}, "the tokens of the label 'positive' begin those of"),
        ({"labels": {"good": " ", "bad": "bad"}}, "the label 'good' has no words: it would tokenise to nothing"),
        ({"lables": {}}, "task.yaml: unknown field 'lables'; did you mean 'labels'?"),
        ({"template": "{txet} {label}"}, "no column 'txet': the row has text, label"),
        ({"template": "{text}"}, "the template ends with {label}"),
        ({"template": "{text {label}"}, "template is broken"),
        ({"labels": {"good": "good"}}, "labels has fewer than two different words"),
        ({"labels": {"good": "good", "nice": "nice"}}, "unknown label: 'bad', expected one of 'good', 'nice'"),
        ({"kind": "ranking"}, "kind is one of classification, choice, generation"),
        ({"template": "{text}" * 300 + " {label}"}, "2 of 2 questions are longer than the 512 tokens of this model"),
    ],
)
def test_a_bad_task_is_one_sentence(runner, config, rows, tmp_path, change, said):
    path = rows(*({"text": f"It was day {i}.", "label": ("good", "bad")[i % 2]} for i in range(40)))
    task = {"dataset_name": path, "template": "{text} So {label}", "label": "label"}
    task |= {"labels": {"good": "good", "bad": "bad"}} | change
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    command = ["--config", config("icl"), "--scoring", "direct", "--output_dir", str(tmp_path / "run")]
    assert_refused(runner.run("icl", *command, "--tasks", str(tmp_path / "task.yaml")), said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tasks", "configs/icl/tasks/kinds_zn.yaml"], "did you mean configs/icl/tasks/kinds_zh.yaml?"),
        (["--conditions", "none,god"], "--conditions takes none, gold, random"),
        (["--scoring", "chanel"], "--scoring takes direct, normalised, calibrated, channel, not 'chanel'"),
        (["--unrelated_text", ""], "the condition ood needs --unrelated_text"),
        (["--shots", "0"], "--shots is a number of demonstrations from 1 on"),
        (["--seeds", "1,x"], "--seeds takes whole numbers with commas, not 'x'"),
        (["--dataset_name", "runs/world/sft"], "--dataset_name goes with one task, not with several"),
        (["--model_name_or_path", "runs/nothing/here"], "runs/nothing/here does not exist"),
    ],
)
def test_refusals(runner, config, tmp_path, arguments, said):
    command = ["--config", config("icl"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("icl", *command), said)


@pytest.mark.slow
def test_random_labels_cost_little_and_one_demonstration_shows_what_is_asked(tmp_path):
    """The claim at full size: base model and lab, as `make icl` runs them."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for command in (
        ["-m", "hfcourse.world", "--output", "runs/world"],
        [ROOT / "recipes/pretrain.py", "--config", ROOT / "configs/pretrain/llama-icl-medium.yaml"],
        [ROOT / "recipes/icl.py", "--config", ROOT / "configs/icl/tiny.yaml"],
    ):
        subprocess.run([sys.executable, *map(str, command)], cwd=tmp_path, env=environment, check=True)
    metrics = read(tmp_path / "runs/icl/tiny/results.json")["metrics"]
    exact = {cell: metrics[f"mean_{cell}_exact_match"] for cell in ("none_k0", "gold_k1", "gold_k8", "random_k8")}
    assert exact["gold_k1"] > exact["none_k0"] + 0.1
    assert exact["random_k8"] > exact["gold_k8"] - 0.05
    assert metrics["capital_en_gold_k8_accuracy"] > metrics["capital_en_wrong_k8_accuracy"] + 0.3
