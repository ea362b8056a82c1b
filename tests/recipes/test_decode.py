"""recipes/decode.py: what it writes and scores; what every evaluation does is in test_contract_evaluation.py."""

import json
import math

import pytest
import torch
from contract import assert_refused, files, read
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer


STRATEGIES = ["greedy", "beam=2", "top_p=0.9+temperature=0.7", "no_repeat_ngram=2", "contrastive=0.6"]
SMALL = {
    "model_name_or_path": "runs/pretrain/small",
    "judge": "runs/pretrain/small",
    "dataset_name": "runs/world/corpus",
    "exam": "cloze.jsonl",
    "max_eval_samples": 12,
    "prompt_tokens": 8,
    "max_new_tokens": 8,
    "batch_size": 10,
    "strategies": STRATEGIES,
}
FILES = {"distribution.png", "speed.png"}
WAYS = ["greedy", "beam_2", "top_p_0_9_temperature_0_7", "no_repeat_ngram_2", "contrastive_0_6"]
COUNTED = {"repetition", "doubled", "distinct_2", "self_bleu", "length"}
TEXTS = COUNTED | {"perplexity", "judge_perplexity"}
METRICS = {f"{way}_{measure}" for way in ("document", *WAYS) for measure in TEXTS}
METRICS |= {f"{way}_truth_{lang}" for way in WAYS for lang in ("en", "zh")}


def samples(folder, **wanted: str) -> list[dict]:
    lines = map(json.loads, (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if all(line[key] == value for key, value in wanted.items())]


@torch.no_grad()
def test_a_greedy_text_is_what_plain_generate_writes_and_its_perplexity_that_of_the_plain_model(finished):
    folder = finished("decode").folder
    base = folder.parents[1] / "pretrain" / "small"
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base).eval()
    rows = samples(folder, part="texts", way="greedy")
    total = count = 0
    for row in rows:
        ids = torch.tensor([row["prompt_ids"]])
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        assert whole[0, ids.shape[1] :].tolist() == row["ids"]
        assert tokenizer.decode(row["ids"], skip_special_tokens=True).strip() == row["text"]
        logprobs = model(whole).logits[0, :-1].log_softmax(-1).gather(1, whole[0, 1:, None])[:, 0]
        total, count = total - logprobs[ids.shape[1] - 1 :].sum().item(), count + whole.shape[1] - ids.shape[1]
    metrics = read(folder / "results.json")["metrics"]
    assert len(rows) == 12 and metrics["greedy_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)


def test_the_measures_are_as_they_should_be(finished):
    metrics = read(finished("decode").folder / "results.json")["metrics"]
    for way in ("document", *WAYS):  # the judge is the same model here
        assert metrics[f"{way}_judge_perplexity"] == pytest.approx(metrics[f"{way}_perplexity"])
    assert metrics["beam_2_perplexity"] < metrics["document_perplexity"]
    assert metrics["no_repeat_ngram_2_repetition"] == 0 and metrics["document_length"] == 8


def test_truth_is_the_share_of_openings_whose_answer_stands_in_what_follows(finished):
    folder = finished("decode").folder
    metrics = read(folder / "results.json")["metrics"]
    for way, text in zip(WAYS, STRATEGIES, strict=True):
        rows = samples(folder, part="truth", way=text)
        assert len(rows) == 26 and all(row["right"] == (row["answer"] in row["text"]) for row in rows)
        shares = [metrics[f"{way}_truth_{lang}"] for lang in ("en", "zh")]
        assert min(shares) <= sum(row["right"] for row in rows) / len(rows) <= max(shares)


def test_what_is_drawn_does_not_depend_on_what_else_is(finished, runner, config):
    """A strategy writes the same texts alone as among others."""
    small = finished("decode").folder
    alone = config("decode", "alone", strategies=["top_p=0.9+temperature=0.7"], exam=None)
    outcome = runner.run("decode", "--config", alone)
    assert outcome.code == 0, outcome.err
    mine = {"part": "texts", "way": "top_p=0.9+temperature=0.7"}
    assert samples(small.with_name("alone"), **mine) == samples(small, **mine)


def test_all_at_once_in_passes_and_one_by_one(finished, runner, config):
    finished("decode"), finished("mlm")
    given = config("decode", "passes", infiller="runs/mlm/small", exam=None, strategies=["greedy"])
    outcome = runner.run("decode", "--config", given)
    assert outcome.code == 0, outcome.err
    folder = runner.folder / "runs" / "decode" / "passes"
    metrics = read(folder / "results.json")["metrics"]
    ways = ("passes_1", "passes_2", "passes_4", "passes_8", "left_to_right")
    assert {name for name in metrics if name.startswith(ways)} == {
        f"{way}_{measure}" for way in ways for measure in COUNTED | {"judge_perplexity"}
    }
    assert all(metrics[f"{way}_length"] == 8 and metrics[f"{way}_judge_perplexity"] > 1 for way in ways)
    assert len(samples(folder, part="passes", way="4")) == 12
    for name in ("curves.png", *FILES):
        with Image.open(folder / name) as picture:
            assert picture.width > 300 and len(set(picture.convert("L").getdata())) > 10


def test_a_model_that_changed_since_is_noticed(finished, runner, config, tmp_path):
    """The texts that a run has already are not mixed with those of other prompts."""
    finished("decode")
    folder = tmp_path / "run"
    given = ["--config", config("decode"), "--output_dir", str(folder)]
    run = runner.start("decode", *given)
    assert run.when(lambda: any(p.stat().st_size for p in folder.glob("scored-*")), 9) and run.wait().code == -9
    journal = next(folder.glob("scored-*"))
    journal.write_bytes(journal.read_bytes().replace(b'"texts/document/0/', b'"texts/document/0/0'))
    before = files(folder)
    assert_refused(runner.run("decode", *given), "holds scores of other work (texts/document/0/", "--fresh")
    assert {name: content for name, content in files(folder).items() if name.startswith("scored")} == {
        name: content for name, content in before.items() if name.startswith("scored")
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategies", "gredy"], "unknown strategy 'gredy'; did you mean 'greedy'?"),
        (["--strategies", "top_k=100000"], "--strategies top_k=100000: the vocabulary has"),
        (
            ["--prompt_tokens", "505"],
            "--prompt_tokens 505 and --max_new_tokens 8: each is 1 or more, and together at most",
        ),
        (["--prompt_tokens", "400"], "none of the 12 documents has 408 tokens or more in runs/pretrain/small"),
        (["--exam", "nothing.jsonl"], "exam nothing.jsonl does not exist"),
        (["--judge", "runs/nothing"], "model folder runs/nothing does not exist"),
        (
            ["--infiller", "runs/encoder"],
            "runs/encoder is no checkpoint of AutoModelForMaskedLM: it has no weights for",
        ),
        (["--dataset_name", "runs/world/translation"], "no column 'text'"),
        (["--use_peft", "true"], "--use_peft"),
    ],
)
def test_refusals(finished, runner, config, tmp_path, arguments, said):
    finished("decode")
    given = ["--config", config("decode"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("decode", *given), said)
