"""recipes/sft.py: exact resume in the ways of training that keep more state than the plain one."""

import json
import shutil
import signal

import pytest
from contract import assert_same_run, log, run_with_kills


PACKING = {"packing": True, "max_length": 64, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 1}
LORA = {"use_peft": True, "lora_dropout": 0.1, "lora_target_modules": ["c_attn", "c_proj"]}
WAYS = {
    "packing-accumulation": PACKING,
    "lora": LORA,
    "packing": {"packing": True, "max_length": 64, "per_device_train_batch_size": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "packing-lora": PACKING | LORA,
    "streamed": {"streaming": True},
}
FAST = ("packing-accumulation", "lora")


@pytest.fixture(scope="module")
def base(finished, runner):
    """The base model with dropout: a resumed run must draw the same random numbers."""
    folder = shutil.copytree(finished("pretrain").folder, runner.folder / "runs" / "pretrain" / "dropout")
    model = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(model | dict.fromkeys(("resid_pdrop", "attn_pdrop"), 0.1)))
    return "runs/pretrain/dropout"


def check(runner, config, base, way, **kills):
    path = config("sft", way, model_name_or_path=base, exam=None, **WAYS[way])
    folder = runner.folder / "runs" / "sft" / way
    if not (folder / "results.json").exists():
        outcome = runner.run("sft", "--config", path)
        assert outcome.code == 0, outcome.err
        assert ("Rows are packed" in outcome.out) == ("packing" in WAYS[way])
    again = folder.with_name(f"{way}-{kills.get('seed', 0)}")
    run_with_kills(runner, "sft", again, "--config", path, **kills)
    assert_same_run(folder, again, "adapter_model.safetensors" if "lora" in way else "model.safetensors")


@pytest.mark.parametrize("way", FAST)
def test_killed_once(runner, config, base, way):
    check(runner, config, base, way, seed=2)


def test_the_losses_since_the_last_log_line_are_not_forgotten(runner, config, base):
    path = config("sft", "sparse", model_name_or_path=base, exam=None, logging_steps=5, save_steps=3)
    folder = runner.folder / "runs" / "sft" / "sparse"
    assert runner.run("sft", "--config", path).code == 0
    run = runner.start("sft", "--config", path, "--output_dir", "runs/sft/sparse-killed")
    killed = folder.with_name("sparse-killed")
    assert run.when((killed / "checkpoint-6").exists, signal.SIGKILL) and run.wait().code == -signal.SIGKILL
    assert runner.run("sft", "--config", path, "--output_dir", "runs/sft/sparse-killed").code == 0
    assert_same_run(folder, killed)
    assert [line["step"] for line in log(folder) if "loss" in line] == [5, 10]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", [3, 4])
def test_killed_again_and_again(runner, config, base, way, seed):
    check(runner, config, base, way, seed=seed, kills=3)
