"""The commands of the front door: each is a command of this tree, and in the slow suite each is run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub


ROOT = Path(__file__).parents[1]
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
# GPUs and the Hub: their configs are parsed by test_configs.py, and the first is run against a Hub by test_sft_hub.py.
ELSEWHERE = ("NPROC=8", "qlora")


def commands(path: Path) -> list[str]:
    """The lines of the bash blocks of a page, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert len(lines) > 5, path
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


def make(command: str, *options: str) -> list[str]:
    """The arguments of a make command that uses this very environment and installs nothing."""
    given = shlex.split(command)[1:]
    return ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.installed", *options, *given]


def test_both_languages_name_the_same_commands():
    assert commands(README) == commands(CHINESE)


def test_each_make_command_is_one_of_the_makefile():
    looked = 0
    for command in commands(README):
        if command.startswith("make "):
            looked += 1
            done = subprocess.run(make(command, "--dry-run"), cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, (command, done.stderr)
            for config in re.findall(r"configs/\S+\.yaml", done.stdout):
                assert (ROOT / config).is_file(), (command, config)
        else:
            module = command.split()[2]
            assert (ROOT / "src" / (module.replace(".", "/") + ".py")).is_file(), command
    assert looked > 5


@pytest.mark.slow
def test_each_command_does_what_it_says(tmp_path):
    """One after another in a copy of the tree, as a newcomer would; `make push` against a Hub of this machine."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    rows = [{"instruction": f"Add {i} and {i}.", "output": str(2 * i)} for i in range(60)]
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = 0
    with LoopbackHub() as hub:
        environment = os.environ | hub.settings(tmp_path / "hf_home") | {"PYTHONPATH": str(tmp_path / "src")}
        for command in commands(README):
            if command == "make test" or any(word in command for word in ELSEWHERE):
                continue
            program = make(command) if command.startswith("make ") else [sys.executable, *shlex.split(command)[1:]]
            if "RUN=runs/ner" in command:  # made by the row of the table that it stands for
                subprocess.run(make("make ner"), cwd=tmp_path, env=environment, capture_output=True, check=True)
            said = "What is the capital of France?\n"
            done = subprocess.run(program, cwd=tmp_path, env=environment, input=said, capture_output=True, text=True)
            assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-2000:])
            ran += 1
        assert "model.safetensors" in hub.files("me/my-model")
    for made in ("runs/sft/tiny/results.json", "runs/sft/mine/results.json", "maps.png"):
        assert (tmp_path / made).is_file(), made
    assert ran >= 6
