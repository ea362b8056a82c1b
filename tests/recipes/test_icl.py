"""recipes/icl.py: its numbers, its input, its push; what holds for all recipes is in test_contract_*.py."""

import json

from hfcourse.icl.engine import Query, score_alone

import pytest
import yaml
from contract import read
from huggingface_hub import ModelCard
from runner import ROOT, run_program
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
CELLS = {"none_k0"} | {f"{condition}_k{k}" for condition in CONDITIONS[1:] for k in (1, 4)}


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


def test_the_card_tells_each_condition_and_in_its_metadata_the_main_ones(finished):
    folder = finished("icl").folder
    card, metrics = ModelCard.load(folder / "README.md"), read(folder / "results.json")["metrics"]
    assert {result.metric_type for result in card.data.eval_results} == {
        f"{task}_{cell}_{measure}"
        for task in (*TASKS, "mean") for cell in ("none_k0", "gold_k4") for measure in ("accuracy", "exact_match")
    }  # fmt: skip
    rows = [line.split(" | ") for line in card.text.splitlines() if line.startswith("| ")]
    head = ["| demonstrations", "k", *(f"`{task}`" for task in (*TASKS, "mean"))]
    assert rows[0] == [*head[:-1], head[-1] + " |"]
    assert {f"{row[0][2:]}_k{row[1]}" for row in rows[2:] if len(row) == 6 and row[1].isdecimal()} == CELLS
    value = f"{metrics['mean_gold_k4_channel_accuracy']:.3f}".lstrip("0")
    assert any(row[:2] == ["| gold", "4"] and row[5].startswith(value) for row in rows)


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


@pytest.mark.slow
def test_random_labels_cost_little_and_one_demonstration_shows_what_is_asked(tmp_path):
    """The claim at full size: base model and lab, as `make icl` runs them."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for command in (
        ["-m", "hfcourse.world", "--output", "runs/world"],
        [ROOT / "recipes/pretrain.py", "--config", ROOT / "configs/pretrain/llama-icl-medium.yaml"],
        [ROOT / "recipes/icl.py", "--config", ROOT / "configs/icl/tiny.yaml"],
    ):
        run_program(tmp_path, *command)
    metrics = read(tmp_path / "runs/icl/tiny/results.json")["metrics"]
    exact = {cell: metrics[f"mean_{cell}_exact_match"] for cell in ("none_k0", "gold_k1", "gold_k8", "random_k8")}
    assert exact["gold_k1"] > exact["none_k0"] + 0.1
    assert exact["random_k8"] > exact["gold_k8"] - 0.05
    assert metrics["capital_en_gold_k8_accuracy"] > metrics["capital_en_wrong_k8_accuracy"] + 0.3
