"""recipes/sft.py with input that can't be used: exit code 2, one sentence that tells the place, nothing written."""

import gzip
import json
import os
import shutil
import subprocess
import sys

import pytest
from contract import assert_refused
from runner import ROOT


GOOD = json.dumps({"instruction": "double 2", "output": "4"}) + "\n"


def write_file(name, content):
    def make(folder, base):
        (folder / name).write_bytes(content)
        return ["--dataset_name", str(folder / name)]

    return make


def model_folder(*keep, **more):
    """The small base model with only the files in `keep`, and those in `more`."""

    def make(folder, base):
        (folder / "model").mkdir()
        for name in keep:
            shutil.copy(base / name, folder / "model" / name)
        for name, content in more.items():
            (folder / "model" / name.replace("__", ".")).write_bytes(content)
        return ["--model_name_or_path", str(folder / "model")]

    return make


CONFIG = ("config.json", "tokenizer.json", "tokenizer_config.json")
STARTS_WRONG = {"messages": [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "a"}]}
CASES = {
    "missing file": (lambda folder, base: ["--dataset_name", f"{folder}/no.jsonl"], "no.jsonl does not exist"),
    "empty file": (write_file("a.jsonl", b""), "a.jsonl is empty"),
    "truncated gzip": (write_file("a.jsonl.gz", gzip.compress(GOOD.encode() * 99)[:-20]), "truncated or damaged gzip"),
    "broken line": (write_file("a.jsonl", (GOOD * 2 + '{"instruction": \n').encode()), "a.jsonl, line 3: broken JSON"),
    "no answer": (write_file("a.jsonl", (GOOD + GOOD.replace("4", "")).encode()), "a.jsonl, line 2: no answer"),
    "wrong columns": (
        write_file("a.jsonl", b'{"q": "x", "a": "y"}\n'),
        "found q, a, expected messages (role, content), conversations (from, value)",
    ),
    "not UTF-8": (
        write_file("a.jsonl", (GOOD + GOOD.replace("double", "caf\u00e9")).encode("latin-1")),
        "line 2: not UTF-8",
    ),
    "assistant first": (
        write_file("a.jsonl", json.dumps(STARTS_WRONG).encode()),
        "the first message is the assistant's",
    ),
    "no model folder": (lambda folder, base: ["--model_name_or_path", f"{folder}/no"], "/no does not exist"),
    "no weights": (model_folder(*CONFIG), "holds no weights (expected model.safetensors)"),
    "a pickle": (model_folder(*CONFIG, pytorch_model__bin=b"x"), "only pytorch_model.bin, a pickle"),
    "no config": (model_folder("model.safetensors"), "holds no config.json"),
    "damaged weights": (model_folder(*CONFIG, model__safetensors=b"\x00" * 64), "can't load"),
    "bf16 without a GPU": (lambda folder, base: ["--bf16", "true"], "bf16"),
    "no exam": (lambda folder, base: ["--exam", f"{folder}/exam.jsonl"], "exam.jsonl does not exist"),
    "LoRA of nothing": (
        lambda folder, base: ["--use_peft", "true", "--lora_target_modules", "a_proj", "b_proj"],
        "a_proj",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence(finished, runner, tmp_path, case):
    finished("sft")
    make, said = CASES[case]
    arguments = make(tmp_path, runner.folder / "runs/pretrain/small")
    given = ["--config", "configs/sft/small.yaml", "--output_dir", str(tmp_path / "run")]
    assert_refused(runner.run("sft", *given, *arguments), said)
    assert not (tmp_path / "run" / "results.json").exists()


def test_names_on_the_hub_that_are_not_there(finished, runner, tmp_path):
    finished("sft")
    given = ["--config", "configs/sft/small.yaml", "--output_dir", str(tmp_path / "run")]
    assert_refused(
        runner.run("sft", *given, "--dataset_name", "me/nothing"), "me/nothing", "no such data set on the Hub"
    )
    assert_refused(
        runner.run("sft", *given, "--model_name_or_path", "me/nothing"), "can't load me/nothing as a Hub model"
    )


def test_a_name_on_the_hub_without_a_network(runner, tmp_path):
    """A program of its own: the switch is read when the libraries are imported."""
    program = [sys.executable, str(ROOT / "recipes" / "sft.py"), "--dataset_name", "tatsu-lab/alpaca"]
    program += ["--model_name_or_path", "openai-community/gpt2", "--bf16", "false", "--output_dir", str(tmp_path)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("hfcourse: can't load openai-community/gpt2 as a Hub model (is there a network")
