"""Every YAML in configs/ parses against its recipe, and the launch configurations against accelerate."""

import runpy
from pathlib import Path

from hfcourse.run.arguments import Parser

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser


ROOT = Path(__file__).parents[2]
CONFIGS = sorted(p for p in ROOT.glob("configs/*/*.yaml") if p.parent.name != "accelerate")
LAUNCHES = sorted(ROOT.glob("configs/accelerate/*.yaml"))


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 5
    assert {path.stem for path in LAUNCHES} == {"ddp", "fsdp2", "zero3", "multi_node"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_config_is_one_of_its_recipe(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed on a CPU, where the public ones' bf16 has to be off."""
    recipe = path.parent.name
    called: list[tuple[type, ...]] = []

    class Stop(Exception):
        pass

    def start(name: str, *dataclasses: type):
        called.append(dataclasses)
        raise Stop

    main = runpy.run_path(str(ROOT / "recipes" / f"{recipe}.py"))["main"]
    monkeypatch.setitem(main.__globals__, "start", start)
    with pytest.raises(Stop):
        main()
    parsed = Parser(*called[0], recipe=recipe).parse(["--config", str(path), "--bf16", "false"])
    training = next(a for a in parsed if hasattr(a, "output_dir"))
    assert training.output_dir == str(Path("runs", recipe, path.stem))
    assert len(type(parsed[0]).__dataclass_fields__) <= 20, "a recipe's own arguments"


@pytest.mark.parametrize("path", LAUNCHES, ids=lambda p: p.stem)
def test_accelerate_reads_the_launch_configurations(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.num_processes in (8, 16)
    assert config.mixed_precision == "bf16"
    launch_command_parser().parse_args(["--config_file", str(path), "recipes/sft.py"])
    if path.stem == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
    if path.stem == "zero3":
        assert config.deepspeed_config["zero_stage"] == 3
