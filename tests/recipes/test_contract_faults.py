"""Every recipe on a machine that fails: damaged checkpoints, a full disk, a second signal, another world."""

import os
import random
import shutil
import signal
import time

import pytest
import torch
from contract import assert_refused, assert_same_run, losses, read
from runner import LARGEST_FILE, TRAININGS
from safetensors.torch import load_file, save_file


trainings = pytest.mark.parametrize("recipe", TRAININGS)
# One recipe in the fast suite stands for all of them where the code is the same.
one_of_them = pytest.mark.parametrize(
    "recipe", [name if name == "sft" else pytest.param(name, marks=pytest.mark.slow) for name in TRAININGS]
)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


DAMAGES = {"is not what was written": flip, " were written": cut, "is missing": os.remove}


@trainings
def test_damaged_checkpoints_are_named_and_the_one_before_is_used(small, runner, recipe):
    """The last with one bit flipped in the optimiser's state, the one before with its weights cut short."""
    folder, command = small.folder.with_name("damaged"), ["--config", f"configs/{recipe}/small.yaml"]
    shutil.copytree(small.folder, folder)
    (folder / "results.json").unlink()
    flip(folder / "checkpoint-12/optimizer.pt")
    weights = next((folder / "checkpoint-8").glob("*model.safetensors"))
    cut(weights)
    outcome = runner.run(recipe, *command, "--output_dir", f"runs/{recipe}/damaged")
    assert outcome.code == 0, outcome.err
    assert "checkpoint-12 is damaged (optimizer.pt is not what was written): moved to damaged-1-" in outcome.out
    assert f"checkpoint-8 is damaged ({weights.name} has " in outcome.out
    assert f"  resume     from runs/{recipe}/damaged/checkpoint-4" in outcome.out
    assert_same_run(small.folder, folder)
    aside = {path.name for path in folder.glob("damaged-*")}
    assert aside == {"damaged-1-checkpoint-12", "damaged-1-checkpoint-8"}


@pytest.mark.slow
@trainings
def test_every_file_of_a_checkpoint_is_watched(small, runner, recipe):
    folder = small.folder.with_name("watched")
    names = sorted(read(small.folder / "checkpoint-12/hashes.json"))
    assert len(names) > 5
    for number, name in enumerate(names):
        said, spoil = list(DAMAGES.items())[number % 3]
        shutil.copytree(small.folder, folder)
        (folder / "results.json").unlink()
        spoil(folder / "checkpoint-12" / name)
        run = runner.run(recipe, "--config", f"configs/{recipe}/small.yaml", "--output_dir", str(folder))
        assert run.code == 0, run.err
        assert name in run.out and said in run.out
        assert_same_run(small.folder, folder)
        shutil.rmtree(folder)


@trainings
def test_a_full_disk_is_one_sentence_and_costs_nothing(small, runner, recipe):
    folder, command = small.folder.with_name("full"), ["--config", f"configs/{recipe}/small.yaml"]
    command += ["--output_dir", f"runs/{recipe}/full"]
    weights = next(small.folder.glob("checkpoint-4/*model.safetensors")).stat().st_size
    outcome = runner.run(recipe, *command, env={LARGEST_FILE: str(weights - 1)})
    assert outcome.code == 2 and "Traceback" not in outcome.err, outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"hfcourse: runs/{recipe}/full/.writing-") and " can't be written: " in last, last
    assert "the same command continues from " in last
    assert not list(folder.glob("*checkpoint*"))
    assert runner.run(recipe, *command).code == 0
    assert_same_run(small.folder, folder)


@one_of_them
def test_a_second_signal_stops_at_once_and_the_run_goes_on_later(small, runner, recipe):
    folder, command = small.folder.with_name("twice"), ["--config", f"configs/{recipe}/small.yaml"]
    command += ["--output_dir", f"runs/{recipe}/twice"]
    run = runner.start(recipe, *command)
    assert run.when(lambda: len(losses(folder)) >= 5, signal.SIGSTOP)
    for signum in (signal.SIGTERM, signal.SIGCONT):
        run._send(signum)
    assert run.when(lambda: "finishing this step" in run.log.with_suffix(".err").read_text(), signal.SIGTERM)
    outcome = run.wait()
    stopped = "stopped at once" in outcome.err
    assert outcome.code == 143 and "Traceback" not in outcome.err
    assert stopped or "the same command continues from the last checkpoint" in outcome.err
    assert runner.run(recipe, *command).code == 0
    assert_same_run(small.folder, folder)


@pytest.mark.slow
@trainings
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["evaluation", "save", "final"])
def test_signals_at_any_moment(small, runner, recipe, moment, signum):
    folder = small.folder.with_name(f"at-{moment}-{signum}")
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir", str(folder)]
    there = {
        "evaluation": lambda: (folder / "metrics.jsonl").exists(),
        "save": lambda: any(folder.glob(".writing-checkpoint-8/*/*")),
        "final": lambda: any(folder.glob(".writing-final/*")),
    }[moment]
    run = runner.start(recipe, *command)
    assert run.when(there, signum)
    outcome = run.wait()
    assert outcome.code == 128 + signum and "Traceback" not in outcome.err, outcome.err
    assert "the same command continues from the last checkpoint" in outcome.err.splitlines()[-1]
    outcome = runner.run(recipe, *command)
    assert outcome.code == 0, outcome.err
    assert_same_run(small.folder, folder)


@one_of_them
def test_a_run_that_goes_on_in_another_world_says_so(small, runner, two, recipe):
    folder, command = small.folder.with_name("world"), ["--config", f"configs/{recipe}/small.yaml"]
    command += ["--output_dir", f"runs/{recipe}/world"]
    ranks = two(recipe, *command)
    assert ranks[0].when((folder / "checkpoint-4").exists, signal.SIGKILL)
    ranks[1].process.kill()
    assert [rank.wait().code for rank in ranks] == [-9, -9]
    outcome = runner.run(recipe, *command)
    assert outcome.code == 0, outcome.err
    assert "so its end may be another one: 1 process, not 2" in outcome.out
    assert f"  resume     from runs/{recipe}/world/checkpoint-" in outcome.out
    assert read(folder / "results.json")["steps"] == 12


@pytest.mark.slow
@trainings
def test_killed_twenty_times_at_random_moments(small, runner, recipe):
    """Anywhere: in imports, data, steps, evaluations, and while files are written; each run that ends is compared."""
    draw, kills, number = random.Random(recipe), 0, 0
    command = ["--config", f"configs/{recipe}/small.yaml", "--output_dir"]
    began = time.monotonic()
    assert runner.run(recipe, *command, f"runs/{recipe}/timed").code == 0
    whole = time.monotonic() - began
    while kills < 20:
        folder = small.folder.with_name(f"random-{number}")
        run = runner.start(recipe, *command, str(folder))
        until = time.monotonic() + draw.uniform(0, whole)
        if run.when(lambda until=until: time.monotonic() > until, signal.SIGKILL):
            kills += run.wait().code == -signal.SIGKILL
        elif run.wait().code == 0:
            assert_same_run(small.folder, folder)
            number += 1
    outcome = runner.run(recipe, *command, str(folder))
    assert outcome.code == 0, outcome.err
    assert_same_run(small.folder, folder)


def test_a_loss_that_is_no_number_names_its_rows(finished, runner, rows):
    """A base whose 90th position is no number: rows that reach it spoil the loss, and no others."""
    base = shutil.copytree(finished("pretrain").folder, runner.folder / "runs/pretrain/spoilt")
    weights = load_file(base / "model.safetensors")
    weights["transformer.wpe.weight"][90] = torch.nan
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    chats = [{"instruction": f"q{i}", "output": "long " * 99 if i == 30 else f"a{i}"} for i in range(40)]
    command = ["--config", "configs/sft/small.yaml", "--dataset_name", rows(*chats), "--eval_share", "0"]
    command += ["--model_name_or_path", "runs/pretrain/spoilt", "--output_dir", "runs/sft/spoilt", "--exam", "none"]
    outcome = runner.run("sft", *command, "--save_steps", "50", "--eval_strategy", "no", "--num_train_epochs", "1")
    assert outcome.code == 2 and "Traceback" not in outcome.err, outcome.err
    last = outcome.err.splitlines()[-1]
    assert " is nan: look at the rows of that step (" in last and "no checkpoint yet" in last
    named = last.split("(")[1].split(")")[0].split(", ")
    assert len(named) == 4 and "31" in named
    stopped = runner.run("sft", *command, "--save_steps", "1", "--eval_strategy", "no", "--fresh")
    assert_refused_at_the_end(stopped, "the weights after step 1 are no numbers: ")


def assert_refused_at_the_end(outcome, *said):
    outcome.err = outcome.err.splitlines()[-1] + "\n"
    assert_refused(outcome, *said)
