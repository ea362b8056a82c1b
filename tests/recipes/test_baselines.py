"""recipes/baselines.py: every model on the same tokens; what every recipe does is in test_contract_*.py."""

import json
import math

from hfcourse.baselines.ngram import Counts, KneserNey
from hfcourse.run.baselines import log_probabilities, write
from hfcourse.run.baselines_report import until

import numpy as np
import pytest
import torch
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer


GPT2 = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 32, "n_positions": 128}
GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
TRANSFORMER = {"model_type": "hfcourse", "family": "vaswani", "stacks": "decoder", "hidden_size": 32}
TRANSFORMER |= {"num_hidden_layers": 1, "num_attention_heads": 2, "dropout": 0.0}
ARCHITECTURES = {cell: {"model_type": "recurrent", "cell": cell, "hidden_size": 32} for cell in ("bag", "rnn", "lstm")}
ARCHITECTURES |= {"transformer": TRANSFORMER, "gpt2": GPT2 | {"learning_rate": "4e-3"}}

SMALL = TWELVE_STEPS | {
    "dataset_name": "runs/world/histories",
    "max_train_samples": 60,
    "max_eval_samples": 16,
    "vocab_size": 400,
    "block_size": 64,
    "orders": 3,
    "architectures": ARCHITECTURES,
    "generated_tokens": 8,
    "speed_rounds": 0,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
}
NGRAMS = [f"ngram_{order}" for order in (1, 2, 3)]
MODELS = [*NGRAMS, *ARCHITECTURES]
FILES = MODEL - {"config.json", "generation_config.json"} | {*ARCHITECTURES, "distance.png"}
PLACES = ("", "_elsewhere", "_sentence", "_earlier", "_start")
METRICS = {f"perplexity_{model}{place}" for model in MODELS for place in PLACES}
METRICS |= {f"perplexity_{model}_before" for model in ARCHITECTURES} | {f"parameters_{model}" for model in MODELS}
# The table on the terminal has a row for each model.
ROWS = MODELS


def tokens_of(folder, tokenizer, split, documents) -> list[list[int]]:
    """The rows of token ids that the small run made of the first documents of a split, made anew."""
    lines = (folder.parents[1] / f"world/histories/{split}.jsonl").read_text(encoding="utf-8").split("\n")[:documents]
    rows, end = [], tokenizer.eos_token_id
    for line in lines:
        ids = [*tokenizer(json.loads(line)["text"], add_special_tokens=False)["input_ids"], end]
        rows += [[end, *ids[i : i + 63]] for i in range(0, len(ids), 63)]
    return rows


def test_every_perplexity_is_that_of_its_checkpoint_on_the_same_tokens(finished):
    folder = finished("baselines").folder
    metrics, tokenizer = read(folder / "results.json")["metrics"], AutoTokenizer.from_pretrained(folder)
    rows = tokens_of(folder, tokenizer, "test", 16)
    for name in ARCHITECTURES:
        model = AutoModelForCausalLM.from_pretrained(folder / name)
        losses = [model(ids, labels=ids).loss.item() for ids in (torch.tensor([row]) for row in rows)]
        counts = [len(row) - 1 for row in rows]
        mean = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
        assert metrics[f"perplexity_{name}"] == pytest.approx(math.exp(mean), rel=1e-4)
        assert math.exp(log(folder)[-1][f"eval_loss_{name}"]) == pytest.approx(math.exp(mean), rel=1e-4)
        assert metrics[f"perplexity_{name}"] < metrics[f"perplexity_{name}_before"]
        assert sum(p.numel() for p in model.parameters()) == metrics[f"parameters_{name}"]
    counts = Counts(tokens_of(folder, tokenizer, "train", 60), 3, len(tokenizer))
    for order, name in enumerate(NGRAMS, 1):
        model = KneserNey(counts, order)
        one_by_one = [math.log(model.distribution(row[:i])[row[i]]) for row in rows for i in range(1, len(row))]
        assert metrics[f"perplexity_{name}"] == pytest.approx(math.exp(-np.mean(one_by_one)))
        assert metrics[f"parameters_{name}"] == model.size


def test_perplexities_by_distance_are_parts_of_the_whole(finished):
    folder = finished("baselines").folder
    metrics = read(folder / "results.json")["metrics"]
    logs = {m: [math.log(metrics[f"perplexity_{m}{place}"]) for place in PLACES] for m in MODELS}
    # The shares of the four distances are the same for all models, and make up the whole of each.
    parts = np.array([own[1:] for own in logs.values()])
    shares, *_ = np.linalg.lstsq(parts, np.array([own[0] for own in logs.values()]), rcond=None)
    assert shares.sum() == pytest.approx(1, abs=1e-6) and (shares > 0.01).all()


@pytest.mark.parametrize("name", ["bag", "rnn", "lstm", "transformer", "gpt2"])
@torch.no_grad()
def test_writing_with_a_state_is_writing_with_all_read_again(finished, name):
    model = AutoModelForCausalLM.from_pretrained(finished("baselines").folder / name).eval()
    random, row = np.random.default_rng(3), [0, 5, 9]
    for _ in range(20):
        below = model(torch.tensor([row])).logits[0, -1].double().softmax(-1).cumsum(0)
        row.append(int(np.searchsorted(below.numpy(), random.random() * float(below[-1]), side="right")))
    assert write(model, [0, 5, 9], 20, np.random.default_rng(3)) == row[3:]


def test_a_sample_ends_with_its_text():
    assert until([3, 0, 5, 0], 0) == [3, 0] and until([3, 5], 0) == [3, 5]


def test_places_are_scored_in_the_order_of_the_rows_whatever_the_batch(finished):
    model = AutoModelForCausalLM.from_pretrained(finished("baselines").folder / "lstm").eval()
    rows = [[0, *range(1, n)] for n in (9, 2, 30, 1, 4)]
    plain = []
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row])
            plain += (-F.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none")).tolist()
    for size in (1, 2, 5):
        assert log_probabilities(model, rows, size) == pytest.approx(plain, abs=1e-5)


def test_each_model_learns_at_its_own_rate_and_as_it_would_alone(finished, runner, config):
    alone = {"gpt2": ARCHITECTURES["gpt2"]}
    outcome = runner.run("baselines", "--config", config("baselines", "alone", architectures=alone, orders=1))
    assert outcome.code == 0, outcome.err
    lines = [log(folder) for folder in (runner.folder / "runs/baselines/alone", finished("baselines").folder)]
    losses = [[line["loss_gpt2"] for line in own if "loss" in line] for own in lines]
    assert len(losses[0]) == 12 and losses[0] == pytest.approx(losses[1], rel=1e-3)
    rates = [max(line["learning_rate"] for line in own if "loss" in line) for own in lines]
    assert rates == pytest.approx([4e-3, 2e-3])  # the log has the first model's


def test_documents_of_one_token_and_without_marks_and_speeds(runner, config, rows, tmp_path):
    """Then there is no perplexity by distance, and the plan says so; a document longer than a row makes several."""
    train = rows(*({"text": "a b c d e f g h " * n} for n in range(1, 9)), name="train.jsonl")
    rows({"text": "a"}, {"text": "b c d e f g h i a b c d " * 9}, name="test.jsonl")
    path = config(
        "baselines", "plain", dataset_name=str(tmp_path), max_train_samples=None, vocab_size=260, speed_rounds=1
    )
    outcome = runner.run("baselines", "--config", path, "--max_steps", "1", env={"COLUMNS": "200"})
    assert outcome.code == 0, outcome.err
    assert "No document has marks of distance" in outcome.out and train not in outcome.err
    assert "2 documents of" in outcome.out and "of what stands before a cut, no model sees anything" in outcome.out
    folder = runner.folder / "runs/baselines/plain"
    metrics = read(folder / "results.json")["metrics"]
    assert {name.removeprefix("perplexity_") for name in metrics} >= set(MODELS)
    assert not [name for name in metrics if name.endswith(PLACES[1:])]
    speeds = read(folder / "speed.json")["models"]
    assert all(speed > 0 for own in speeds.values() for speed in own.values())
    assert speeds.keys() == set(MODELS) and "training, tokens/s" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--architectures", "{}"], "--architectures is missing"),
        (["--architectures", "[rnn]"], "--architectures [rnn]: expected a mapping"),
        (["--architectures", "{Rnn: {model_type: gpt2}}"], "small letters and digits, and not ngram, unlike 'Rnn'"),
        (["--architectures", "{rnn: {cell: rnn}}"], "rnn needs a mapping with a model_type"),
        (["--architectures", "{gru: {model_type: recurrent, cell: gru}}"], "no cell 'gru', but bag, rnn, lstm"),
        (
            ["--architectures", "{a: {model_type: gpt2, n_positions: 40}}"],
            "a has 40 positions, but --block_size or",
        ),
        (
            ["--generated_tokens", "120"],
            "gpt2 has 128 positions, but --block_size or --generated_tokens behind a text take 152",
        ),
        (["--block_size", "1"], "--block_size must be at least 2, not 1"),
        (["--orders", "0"], "--orders must be at least 1, not 0"),
        (["--streaming", "true"], "--streaming has no effect here"),
        (["--dataset_name", "runs/world/facts.jsonl"], "no column 'text'"),
    ],
)
def test_refusals(runner, config, tmp_path, arguments, said):
    given = ["--config", config("baselines"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("baselines", *given), said)


def test_nothing_to_evaluate_on_and_wrong_marks_are_refused(runner, config, rows, tmp_path):
    given = ["--config", config("baselines"), "--output_dir", str(tmp_path / "run"), "--dataset_name"]
    row = {"text": "a b c"}
    outcome = runner.run("baselines", *given, rows(row), "--eval_share", "0")
    assert_refused(outcome, "there is nothing to evaluate on")
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "dev.jsonl").write_text("")
    assert_refused(runner.run("baselines", *given, str(folder)), "dev.jsonl", "empty")
    for mark, said in (
        ({"start": 0, "end": 9, "distance": "start"}, "is no span of 5 characters"),
        ({"start": 0, "end": 1, "distance": "far"}, "a distance (sentence, earlier, start)"),
    ):
        path = rows({"text": "a b c", "marks": [mark]}, name=f"{mark['distance']}.jsonl")
        assert_refused(runner.run("baselines", *given, path), said)
