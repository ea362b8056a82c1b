"""recipes/scaling.py: runs of equal compute; what every recipe does is in test_contract_*.py."""

import json

import pytest
import torch
from contract import MODEL, TWELVE_STEPS, assert_refused, log, read
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer


COMMON = {"model_type": "hfcourse", "family": "gpt2", "num_hidden_layers": 1, "num_attention_heads": 2}
COMMON |= {"max_position_embeddings": 32, "dropout": 0.0}
SIZES = {f"d{width}": COMMON | {"hidden_size": width} for width in (16, 18, 20, 24)}
SMALL = TWELVE_STEPS | {
    "dataset_name": "runs/world/endless",
    "endless_world": 0,
    "max_train_samples": 150,
    "max_eval_samples": 30,
    "vocab_size": 400,
    "sizes": SIZES,
    "budgets": [1.0, 1.3],
    "rate_probes": [2.0],
    "rate_power": 3.0,  # so that the smallest surely wins
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 2,
}
FILES = MODEL - {"config.json", "generation_config.json"} | {"models", "emergence.png"}
RUNS = [f"{size}_c{budget}" for budget in (1, 2) for size in SIZES] + [f"{size}_c1_rate_2" for size in SIZES]
METRICS = {f"loss_{run}" for run in RUNS} | {f"rule_of_thumb_{size}" for size in SIZES}
METRICS |= {f"{what}_c{n}" for what in ("best_parameters", "best_tokens", "best_loss", "bracketed") for n in (1, 2)}
METRICS |= {f"late_share_{length}" for length in (1, 2, 4, 8, 16)}
METRICS |= {f"{what}_{length}" for what in ("effective_length", "explained") for length in (2, 4, 8, 16)}
METRICS |= {"rate_regret", "budget_error", "counter_difference"}


@torch.no_grad()
def test_the_figures_of_a_run_are_those_of_its_checkpoint(finished):
    """Held-out loss by the library's own loss, and rows of tokens that are all the likeliest, counted one by one."""
    folder = finished("scaling").folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = (folder.parents[1] / "world/endless/test.jsonl").read_text(encoding="utf-8").split("\n")[:30]
    documents = [tokenizer(json.loads(text)["text"], add_special_tokens=False)["input_ids"] for text in texts]
    stream = [token for document in documents for token in [*document, tokenizer.eos_token_id]]
    blocks = torch.tensor(stream[: len(stream) // 32 * 32]).view(-1, 32)
    metrics, last = read(folder / "results.json")["metrics"], log(folder)[-1]
    assert {path.name for path in (folder / "models").iterdir()} == set(RUNS)
    for run in ("d16_c1", "d24_c2", "d20_c1_rate_2"):
        model = AutoModelForCausalLM.from_pretrained(folder / "models" / run)
        output = model(blocks, labels=blocks)
        assert output.loss.item() == pytest.approx(metrics[f"loss_{run}"], rel=1e-5)
        right = (output.logits[:, :-1].argmax(-1) == blocks[:, 1:]).tolist()
        for length in (1, 2, 4):
            rows = [all(row[i : i + length]) for row in right for i in range(31 - length + 1)]
            assert sum(rows) / len(rows) == pytest.approx(last[f"eval_exact_{length}_{run}"], rel=1e-6)


def test_a_run_ends_with_its_budget_and_stays_as_it_is(finished):
    lines = log(finished("scaling").folder)
    steps = {run: sum(f"loss_{run}" in line for line in lines) for run in RUNS}
    assert steps["d16_c2"] == 12 and steps["d16_c1"] == steps["d16_c1_rate_2"] == 9
    assert steps["d24_c1"] == 5 and steps["d24_c2"] == 7
    for line in lines:
        if "loss" in line:
            active = [line[f"loss_{run}"] for run in RUNS if line["step"] <= steps[run]]
            assert line["loss"] == pytest.approx(sum(active) / len(active))
    _, middle, last = (line for line in lines if "eval_loss_d16_c1" in line)  # of steps 0, 6 and 12
    for run in RUNS:
        assert (middle[f"eval_loss_{run}"] == last[f"eval_loss_{run}"]) == (steps[run] <= 6)


def test_rates_follow_the_rule_and_fall_over_the_steps_of_their_own_run(finished):
    folder = finished("scaling").folder
    lines = log(folder)
    order = [f"{size}_c1{probe}" for size in SIZES for probe in ("", "_rate_2")] + [f"{size}_c2" for size in SIZES]
    for step in (4, 8, 12):
        state = torch.load(folder / f"checkpoint-{step}" / "scheduler.pt", weights_only=True)
        for run, rate in zip(order, state["_last_lr"][::2], strict=True):
            steps = sum(f"loss_{run}" in line for line in lines)
            peak = 2e-3 * (int(run[1:3]) / 16) ** -3 * (2 if "rate" in run else 1)
            assert rate == pytest.approx(peak * max(0, steps - step) / (steps - 2))  # two of them warm up


def test_a_run_is_trained_as_it_is_among_fewer(finished, runner, config):
    """Other runs of the same schedule, finished or not, with other rates, move nothing."""
    folder = finished("scaling").folder
    fewer = {size: SIZES[size] for size in ("d16", "d18", "d24")}
    outcome = runner.run("scaling", "--config", config("scaling", "fewer", sizes=fewer, rate_probes=None))
    assert outcome.code == 0, outcome.err
    alone, among = (read(where / "results.json")["metrics"] for where in (folder.with_name("fewer"), folder))
    runs = [name for name in alone if name.startswith("loss_")]
    assert len(runs) == 6 and [alone[name] for name in runs] == pytest.approx([among[name] for name in runs], rel=1e-5)


def test_what_is_reported_follows_from_the_losses(finished):
    small = finished("scaling")
    metrics = read(small.folder / "results.json")["metrics"]
    assert metrics["counter_difference"] == 0 and all(-0.5 < metrics[f"rule_of_thumb_{size}"] < 0 for size in SIZES)
    regrets = [metrics[f"loss_{size}_c1"] / metrics[f"loss_{size}_c1_rate_2"] - 1 for size in SIZES]
    assert metrics["rate_regret"] == pytest.approx(max(0, *regrets))
    assert (
        metrics["best_parameters_c2"] == pytest.approx(12 * 16**2 + 400 * 16) and metrics["bracketed_c2"] == 0
    )  # the smallest
    card = (small.folder / "README.md").read_text(encoding="utf-8")
    assert (
        card.count(" won (") == 2
        and "No exponent is fitted" in card
        and "![](emergence.png)" in card
        and small.outcome.out.count(" *") == 2
    )
    with Image.open(small.folder / "emergence.png") as picture:
        assert picture.width > 500 and len(set(picture.convert("L").getdata())) > 10


def test_a_corpus_that_runs_out_is_refused_before_or_when_it_does(runner, config, tmp_path):
    given = ["--config", config("scaling", "finite", endless_world=None, max_train_samples=10)]
    said = "the longest run takes 1,536 tokens and there are"
    assert_refused(runner.run("scaling", *given, "--output_dir", str(tmp_path / "run")), said, "seen twice")
    streamed = runner.run("scaling", *given, "--streaming", "true", "--output_dir", str(tmp_path / "streamed"))
    assert streamed.code == 2 and "Traceback" not in streamed.err
    assert "the corpus ran out after" in streamed.err.splitlines()[-1] and len(log(tmp_path / "streamed")) > 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sizes", "{broken"], "--sizes {broken: expected a mapping"),
        (["--sizes", json.dumps({"a": COMMON, "b": COMMON})], "--sizes: 2 are too few: a parabola needs three"),
        (["--sizes", json.dumps({"x": {"model_type": "bloom"}})], "FLOPs are counted for gpt2, hfcourse, llama, not"),
        (["--sizes", json.dumps(SIZES | {"x": COMMON | {"n_positions": 64}})], "as many positions in each"),
        (["--sizes", json.dumps({"x": COMMON | {"num_attention_heads": 5, "hidden_size": 16}})], "into 5 heads"),
        (["--sizes", json.dumps({"0.5b": COMMON})], "a name has letters, digits, _ and - alone, not '0.5b'"),
        (["--budgets", "1", "100"], "FLOPs do not pay for one step of d16"),
        (["--budgets", "1", "many"], "invalid float value: 'many'"),
        (["--lr_scheduler_type", "reduce_lr_on_plateau"], "expected one that is a function of the step alone"),
        (["--endless_world", "0", "--max_steps", "900000000"], "the endless corpus ends at 76,646,400 documents"),
        (["--eval_share", "0", "--dataset_name", "runs/world/cloze.jsonl"], "documents that none of them has read"),
    ],
)
def test_refusals(runner, config, tmp_path, arguments, said):
    given = ["--config", config("scaling"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("scaling", *given), said)
