"""The model card: its metadata can be parsed and holds the results, and no sample can break its text."""

import json

from hfcourse.run.card import write_card

import pytest
from huggingface_hub import ModelCard


RESULTS = {
    "recipe": "sft", "config": "tiny", "metrics": {"eval_loss_before": 5.5, "eval_loss": 0.123456789, "truth_en": 1.0},
    "steps": 150, "seconds": 12.34, "tokens_per_second": 9.0, "peak_memory_mb": 3.0, "finished": True,
}  # fmt: skip


@pytest.fixture
def card(tmp_path):
    def card(repo=None, command=("sft.py", "--config", "configs/sft/tiny.yaml"), **content):
        (tmp_path / "environment.json").write_text(json.dumps({"command": command}))
        write_card(tmp_path, RESULTS, repo, content)
        return ModelCard.load(tmp_path / "README.md")

    return card


def test_metadata(card):
    data = card(
        "me/x", base_model="openai-community/gpt2", dataset="tatsu-lab/alpaca", pipeline_tag="text-generation"
    ).data
    assert {r.metric_type: r.metric_value for r in data.eval_results} == RESULTS["metrics"]
    assert {r.dataset_name for r in data.eval_results} == {"tatsu-lab/alpaca"}
    assert (data.model_name, data.base_model, data.datasets) == ("x", "openai-community/gpt2", "tatsu-lab/alpaca")
    assert data.tags == ["hfcourse", "sft"] and data.library_name == "transformers"


def test_local_paths_are_no_names_on_the_hub(card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my" / "base").mkdir(parents=True)
    for name in ("my/base", "/some/folder", "~/model", "./x", "runs/pretrain/gpt2-tiny", None):
        data = card(base_model=name, dataset=name).data
        assert (data.base_model, data.datasets) == (None, None)
        assert {r.dataset_type for r in data.eval_results} == {"local"}


def test_text(card):
    text = card(what="Does it?", data=["3 rows read", "two\nlines"]).text
    assert text.lstrip().startswith("# sft-tiny\n\nDoes it?\n")
    assert (
        "| metric | before | after |\n| --- | --- | --- |\n| `eval_loss` | 5.5 | 0.1235 |\n| `truth_en` |  | 1 |"
        in text
    )
    assert "150 optimiser steps in 12.3 s of training." in text and "![curves](curves.png)" in text
    assert "```\npython recipes/sft.py --config configs/sft/tiny.yaml\n```" in text
    assert "- 3 rows read\n- two lines" in text and "## Samples" not in text


def test_commands_can_be_copied(card):
    assert (
        "python recipes/sft.py --dataset_name 'my data.jsonl'\n"
        in card(command=["sft.py", "--dataset_name", "my data.jsonl"]).text
    )


def test_samples_can_not_break_the_table(card):
    sample = {"question": "a | b\nc", "expected": "<script>", "before": "[x](http://y) `z`", "after": "# 好 *b* _c_"}
    rows = card(samples=[sample, sample]).text.split("## Samples\n\n")[1].split("\n\n")[0].split("\n")
    assert len(rows) == 4 and rows[2] == rows[3]
    assert rows[2] == r"| a \| b c | \<script\> | \[x\](http://y) \`z\` | \# 好 \*b\* \_c\_ |"


def test_a_name_that_yaml_would_take_for_something_else(card):
    assert card("me/1e3").data.model_name == "1e3"
