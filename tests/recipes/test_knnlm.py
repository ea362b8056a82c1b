"""recipes/knnlm.py: its numbers and its store; what every evaluation does is in test_contract_evaluation.py."""

import json
import math

import numpy as np
import pytest
import torch
from contract import assert_refused, log, read
from transformers import AutoModelForCausalLM, AutoTokenizer


SMALL = {
    "model_name_or_path": "runs/pretrain/small",
    "dataset_name": "runs/world/corpus",
    "other_dataset_name": "runs/world/elsewhere",
    "exam": "elsewhere.jsonl",
    "max_train_samples": 50,
    "max_eval_samples": 12,
    "block_size": 64,
    "shard_entries": 1024,
    "search": ["exact", "ivfpq"],
    "shares": [0.25],
    "k": [4, 16],
    "temperatures": [1.0, 10.0, 100.0],
    "lambdas": [0.0, 0.25, 0.5],
    "lists": 8,
    "code_bytes": 4,
    "probe": 2,
    "batch_size": 8,
}
FILES = {"store", "speed.json", "speed.png"}
MEMORIES = ("exact", "exact_25", "ivfpq", "codes", "foreign", "defaults")
CHOSEN = ("perplexity", "entries", "k", "temperature", "lambda")
WAYS = {f"{prefix}{way}_{measure}" for prefix in ("", "other_") for way in MEMORIES for measure in CHOSEN}
METRICS = WAYS | {f"{prefix}{name}" for prefix in ("", "other_") for name in ("plain_perplexity", "ivfpq_recall")}
METRICS |= {f"other_{way}_truth_{lang}" for way in ("plain", "exact", "ivfpq") for lang in ("en", "zh")}


@pytest.fixture
def small(finished):
    return finished("knnlm").folder


@pytest.fixture
def base(small):
    folder = small.parents[1] / "pretrain" / "small"
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


def stream(runner, tokenizer, path: str, rows: int) -> list[int]:
    lines = (runner.folder / path).read_text(encoding="utf-8").splitlines()[:rows]
    return [i for line in lines for i in [*tokenizer(json.loads(line)["text"])["input_ids"], tokenizer.eos_token_id]]


@torch.no_grad()
def test_the_plain_perplexity_is_that_of_the_usual_evaluation(small, runner, base):
    """Blocks of pre-training's evaluation, both parts together, by transformers' own loss."""
    tokenizer, model = base
    ids = stream(runner, tokenizer, "runs/world/corpus/test.jsonl", 12)
    blocks = torch.tensor(ids[: len(ids) // 64 * 64]).view(-1, 64)
    loss = model(blocks, labels=blocks).loss.item()
    row = next(row for row in log(small) if row.get("way") == "plain")
    tokens = [row[f"{part}_tokens"] for part in ("validation", "test")]
    assert sum(tokens) == blocks.shape[0] * 63
    mean = sum(n * math.log(row[f"{part}_perplexity"]) for n, part in zip(tokens, ("validation", "test"), strict=True))
    assert mean / sum(tokens) == pytest.approx(loss, rel=1e-4)
    assert row["test_perplexity"] == read(small / "results.json")["metrics"]["plain_perplexity"]


@torch.no_grad()
def test_the_perplexity_with_a_memory_is_the_papers_formula(small, runner, base):
    """Equations 1 to 3 written down once more, on the whole store, for the last block of the test part."""
    tokenizer, model = base
    metrics = read(small / "results.json")["metrics"]
    shards = sorted(small.glob("store/other/shard-*"))
    keys, tokens = (
        torch.cat([torch.from_numpy(np.load(shard / f"{name}.npy")).float() for shard in shards])
        for name in ("keys", "tokens")
    )
    assert len(keys) == metrics["other_exact_entries"] > 2 * 1024
    ids = stream(runner, tokenizer, "runs/world/elsewhere/test.jsonl", 12)
    blocks = torch.tensor(ids[: len(ids) // 64 * 64]).view(-1, 64)
    seen = []
    hook = model.transformer.h[-1].ln_2.register_forward_hook(lambda module, args, output: seen.append(output))
    test = blocks[len(blocks) // 2 :]
    lm = model(test).logits.softmax(-1)[:, :-1].flatten(0, 1).double()
    hook.remove()
    queries, came = seen[0][:, :-1].flatten(0, 1), test[:, 1:].flatten()
    distances, nearest = (
        torch.cdist(queries.double(), keys.double()).square().topk(int(metrics["other_exact_k"]), largest=False)
    )
    weights = (-distances / metrics["other_exact_temperature"]).softmax(-1)
    knn = (weights * (tokens[nearest] == came[:, None])).sum(-1)
    share = metrics["other_exact_lambda"]
    mixed = share * knn + (1 - share) * lm.gather(1, came[:, None])[:, 0]
    # Blocks that begin with one token have equal keys there: which of those that share the k-th place count is open.
    assert share > 0 and metrics["other_exact_perplexity"] == pytest.approx(math.exp(-mixed.log().mean()), rel=5e-3)


def test_validation_chooses_and_the_test_part_has_no_say(small):
    rows = log(small)
    for stem in ("exact", "other_ivfpq", "other_codes"):
        choices = [row for row in rows if row.get("choice_of") == stem]
        assert len(choices) == 2 * 3 * 3
        best = min(choices, key=lambda row: row["validation_perplexity"])
        way = next(row for row in rows if row.get("way") == stem)
        assert all(way[name] == best[name] for name in ("k", "temperature", "lambda", "test_perplexity"))
        plain = next(row for row in rows if row.get("way") == ("other_" if "other" in stem else "") + "plain")
        for row in choices:
            if row["lambda"] == 0:
                assert row["test_perplexity"] == pytest.approx(plain["test_perplexity"], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--k", "4", "100000"], "--k 100000: the store, or the part of it that is to be searched, has 1"),
        (["--block_size", "100000"], "runs/world/corpus: the text has"),
        (["--stride", "65"], "--block_size 64 and --stride 65: expected a stride from 1"),
        (["--code_bytes", "7"], "--code_bytes 7: expected a divisor of the"),
        (["--lambdas", "1.5"], "--lambdas 1.5: expected shares, from 0 to 1"),
        (["--search", "flat"], "invalid choice: 'flat'"),
        (["--streaming", "true"], "--streaming: the whole text has to be there"),
        (
            ["--dataset_name", "runs/world/cloze.jsonl", "--eval_share", "0"],
            "runs/world/cloze.jsonl has no text to pre",
        ),
        (["--dataset_name", "runs/nothing"], "runs/nothing"),
        (["--model_name_or_path", "runs/seq2seq/small"], "is an encoder-decoder"),
    ],
)
def test_refusals(small, finished, runner, config, tmp_path, arguments, said):
    if "seq2seq" in arguments[1]:
        finished("seq2seq")
    given = ["--config", config("knnlm"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("knnlm", *given), said)


def test_an_empty_domain_is_refused(small, runner, config, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "train.jsonl").write_text("")
    given = ["--config", config("knnlm"), "--output_dir", str(tmp_path / "run")]
    outcome = runner.run("knnlm", *given, "--other_dataset_name", str(tmp_path / "empty"))
    assert_refused(outcome, "train.jsonl is empty: it has no rows")
