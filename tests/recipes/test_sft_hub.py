"""The public path: configs/sft/gpt2-alpaca.yaml against a Hub on this machine, pushed, and pulled back."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from contract import MODEL, assert_refused
from huggingface_hub import ModelCard, constants, snapshot_download
from huggingface_hub.utils import close_session
from loopback_hub import READ
from runner import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor


CONFIG = ROOT / "configs" / "sft" / "gpt2-alpaca.yaml"
ON_A_CPU = ["--bf16", "false", "--max_steps", "4"]


@pytest.fixture(scope="module")
def served(finished, public):
    """A tiny GPT-2 and a tiny Alpaca under the names and the revision that the config gives."""
    wanted = yaml.safe_load(CONFIG.read_text())
    folder = finished("pretrain").folder
    public.add_repo(
        wanted["model_name_or_path"],
        {name: (folder / name).read_bytes() for name in MODEL},
        revision=wanted["model_revision"],
    )
    public.add_repo(wanted["model_name_or_path"], {"README.md": "main has moved on"})
    rows = [{"instruction": f"Add {i} and {i}.", "input": "", "output": str(2 * i), "text": ""} for i in range(200)]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    content = {"data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": file.getvalue()}
    public.add_repo(wanted["dataset_name"], content, repo_type="dataset")
    return public


@pytest.fixture(scope="module")
def pushed(served, runner):
    """The run whose push failed for good, then was pushed by the same command while the Hub stumbled."""
    command = ["--config", str(CONFIG), *ON_A_CPU, "--push_to_hub", "true", "--hub_model_id", "me/x"]
    refused = runner.run("sft", *command, env={"HF_TOKEN": READ})
    nothing = not (runner.folder / "runs/sft/gpt2-alpaca").exists()
    served.fail("POST", "me/x/commit/", 403)
    failed = runner.run("sft", *command)
    for method, path, status in (
        ("POST", "me/x/commit/", 500),
        ("POST", "me/x/commit/", "drop"),
        ("POST", "me/x.*/preupload/", 503),
    ):
        served.fail(method, path, status)
    again = runner.run("sft", *command)
    return refused, nothing, failed, again


def test_a_read_only_token_is_refused_before_training(pushed):
    refused, nothing, *_ = pushed
    assert_refused(refused, "the token of me may only read", "me/x")
    assert nothing and "step " not in refused.err


def test_a_push_that_fails_leaves_the_run_whole_and_names_the_command(pushed):
    failed = pushed[2]
    assert failed.code == 1 and "Traceback" not in failed.err, failed.err
    said = failed.err.splitlines()[-1]
    assert said.startswith("hfcourse: ") and "the Hub answered 403" in said
    assert said.endswith("push it later with: make push RUN=runs/sft/gpt2-alpaca REPO=me/x")
    assert "eval_loss" in failed.out and "4 steps in" in failed.out


def test_the_same_command_pushes_later_through_500s_and_dropped_connections(pushed, served, runner):
    again = pushed[3]
    assert again.code == 0, again.err
    assert "step 1/4" not in again.err, "it was trained again"
    assert f"pushed to {served.url}/me/x/commit/{served.commits('me/x')[-1]}" in again.out
    answers = {request.answered for request in served.requests if "me/x" in request.path or "/lfs/" in request.path}
    assert {403, 500, 503, "drop", 200} <= answers
    folder = runner.folder / "runs/sft/gpt2-alpaca"
    pulled = served.files("me/x")
    assert pulled["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert not [name for name in pulled if "checkpoint" in name or name.startswith(".")]


def test_pulled_back_it_is_the_same_model_and_it_stops(pushed, served, runner, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    close_session()
    pulled = snapshot_download("me/x", endpoint=served.url, local_dir=tmp_path / "pulled")
    close_session()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(pulled), AutoTokenizer.from_pretrained(pulled)
    own = AutoModelForCausalLM.from_pretrained(runner.folder / "runs/sft/gpt2-alpaca")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), own.parameters(), strict=True))
    base = AutoModelForCausalLM.from_pretrained(runner.folder / "runs/pretrain/small")
    assert not torch.equal(model.transformer.wte.weight, base.transformer.wte.weight)
    assert tokenizer.chat_template and model.generation_config.eos_token_id == [tokenizer.eos_token_id]

    class EndsItsAnswer(LogitsProcessor):
        def __call__(self, ids, scores):
            if ids.shape[1] == length + 3:
                scores[:, tokenizer.eos_token_id] = scores.max() + 1
            return scores

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Add 2 and 2."}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    length = prompt["input_ids"].shape[1]
    output = model.generate(**prompt, max_new_tokens=20, do_sample=False, logits_processor=[EndsItsAnswer()])
    assert output.shape[1] == length + 4 and output[0, -1] == tokenizer.eos_token_id


def test_the_card_tells_what_was_measured(pushed, served, tmp_path):
    files = served.files("me/x")
    (tmp_path / "README.md").write_bytes(files["README.md"])
    card = ModelCard.load(tmp_path / "README.md")
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert measured == json.loads(files["results.json"])["metrics"]
    assert measured.keys() == {"eval_loss", "eval_loss_before"}
    assert (card.data.base_model, card.data.datasets) == ("openai-community/gpt2", "tatsu-lab/alpaca")
    assert card.data.model_name == "x" and card.data.pipeline_tag == "text-generation"
    assert files["README.md"].decode().count("python recipes/sft.py --config ") == 1


def test_only_what_the_config_names_was_asked_for(pushed, served):
    wanted = yaml.safe_load(CONFIG.read_text())
    resolved = [r.path for r in served.requests if f"{wanted['model_name_or_path']}/resolve/" in r.path]
    assert resolved and all(f"/resolve/{wanted['model_revision']}/" in path for path in resolved)
    assert not [r.path for r in served.requests if "telemetry" in r.path]


def test_the_token_stands_in_no_file_and_no_output(pushed, runner):
    refused, _, failed, again = pushed
    for outcome in (refused, failed, again):
        assert "hf_loopback" not in outcome.out + outcome.err
    written = [path for path in (runner.folder / "runs/sft/gpt2-alpaca").rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if b"hf_loopback" in path.read_bytes()]
