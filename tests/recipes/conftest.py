"""One small course for all tests of recipes: a workspace with a world, and each recipe's small run, made on demand."""

import importlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.world import World, write

import pytest
import torch
import yaml
from loopback_hub import LoopbackHub
from runner import RECIPES, ROOT, Outcome, Runner, Running
from transformers import BertConfig, BertModel


@dataclass
class Small:
    """The finished small run of a recipe, and what it printed; `requests`: how many it sent to the Hub."""

    folder: Path
    outcome: Outcome
    requests: int


@pytest.fixture(scope="session")
def public() -> Iterator[LoopbackHub]:
    """The Hub that every recipe believes in: what asks the network for anything is seen here."""
    with LoopbackHub() as server:
        yield server


@pytest.fixture(scope="session")
def runner(public: LoopbackHub, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Runner:
    """Runs recipes in a workspace of their own: runs/world, short exams, configs/<recipe>/small.yaml."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if request.config.option.markexpr == "gpu" else ""
    folder = tmp_path_factory.mktemp("course")
    write(World.create(0), folder / "runs" / "world")
    write_encoder(folder)
    shutil.copytree(ROOT / "configs/icl/tasks", folder / "configs/icl/tasks")
    for name, exam, step in (("truth", "exam", 45), ("cloze", "cloze", 17), ("elsewhere_cloze", "elsewhere", 37)):
        rows = (folder / f"runs/world/{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{exam}.jsonl").write_text("".join(rows[::step]), encoding="utf-8")
    return Runner(folder, public.settings(folder / "hf_home") | {"CUDA_VISIBLE_DEVICES": gpus})


def write_encoder(folder: Path) -> None:
    """runs/encoder: a BERT without a head, as sentence encoders are saved, with random weights."""
    lines = (folder / "runs/world/corpus/train.jsonl").read_text(encoding="utf-8").split("\n")[:150]
    tokenizer = train_tokenizer([json.loads(line)["text"] for line in lines], 400, "masked")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes, **dropout)).save_pretrained(folder / "runs" / "encoder")
    tokenizer.save_pretrained(folder / "runs" / "encoder")


@pytest.fixture(scope="session")
def config(runner: Runner) -> Callable[..., str]:
    """Writes `SMALL` of tests/recipes/test_<recipe>.py, changed by keywords, as a config; returns its path."""

    def write_config(recipe: str, name: str = "small", **changes: object) -> str:
        small = importlib.import_module(f"test_{recipe}").SMALL | changes
        path = runner.folder / "configs" / recipe / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({k: v for k, v in small.items() if v is not None}), encoding="utf-8")
        return str(path.relative_to(runner.folder))

    return write_config


@pytest.fixture(scope="session")
def finished(runner: Runner, config: Callable[..., str], public: LoopbackHub) -> Callable[[str], Small]:
    """The small run of a recipe, trained once, after the runs that it reads (as the Makefile does)."""
    done: dict[str, Small] = {}

    def finish(recipe: str) -> Small:
        if recipe not in done:
            path = config(recipe)
            for value in yaml.safe_load((runner.folder / path).read_text(encoding="utf-8")).values():
                parts = Path(str(value)).parts
                if parts[:1] == ("runs",) and parts[2:] == ("small",):
                    finish(parts[1])
            before = len(public.requests)
            outcome = runner.run(recipe, "--config", path)
            assert outcome.code == 0, outcome.err
            done[recipe] = Small(runner.folder / "runs" / recipe / "small", outcome, len(public.requests) - before)
        return done[recipe]

    return finish


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., str]:
    """Writes rows as JSON lines and returns the path."""

    def write_rows(*rows: dict, name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write_rows


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> str:
    """Each recipe in turn."""
    return request.param


@pytest.fixture
def small(finished: Callable[[str], Small], recipe: str) -> Small:
    """The finished small run of each recipe in turn."""
    return finished(recipe)


@pytest.fixture
def two(runner):
    """Starts both ranks of a world of two, as torchrun does, without its seconds of imports."""

    def start(recipe: str, *arguments: str) -> list[Running]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        world["ACCELERATE_USE_CPU"] = "true"
        ranks = [world | {"RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
        return [runner.start(recipe, *arguments, env=rank) for rank in ranks]

    return start
