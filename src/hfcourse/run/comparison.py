"""What `make compare` finds besides losses, as comparison.json and as rows of a table: speed, memory, size, lines."""

import inspect
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.files import write_json
from hfcourse.run.show import number
from hfcourse.run.speed import SIDES, Case, measure
from hfcourse.run.twins import Twins, TwinTrainer

import torch
from tqdm.auto import tqdm


FILE = "comparison.json"
UNITS = {"memory_mb": "peak memory, MB", "mfu": "MFU"}


def count_lines(model: Any) -> int:
    """Lines, all of them, of the files that define a model: its config, its own class and its package's modules."""
    package = type(model).__module__.rpartition(".")[0]
    kinds = {type(part) for part in model.modules()} | {type(model.config)}
    files = {inspect.getfile(kind) for kind in kinds if kind.__module__.rpartition(".")[0] == package}
    return sum(len(Path(file).read_text(encoding="utf-8").splitlines()) for file in files)


def check_positions(twins: Twins, length: int, generated: int) -> None:
    """Raises InputError where a model has fewer positions than training, or a timed generation, takes."""
    for family, pair in twins.pairs.items():
        most = pair["reference"].config.max_position_embeddings
        needed = length if family == "bert" else max(length, length // 4 + generated)
        if most is not None and needed > most:
            given = f"--block_size {length} and --generated_tokens {generated}"
            raise InputError(f"--architectures: {family} has {most} positions, but {given} take {needed}")


def measure_speed(
    trainer: TwinTrainer, length: int, generated: int, rounds: int, variants: list[str]
) -> dict[str, dict[str, dict]]:
    """{family: {variant: what `hfcourse.run.speed` found}}, for the trainer's sizes, batches and precision."""
    args = trainer.args
    cases = [
        Case(
            config=pair["transformers"].config.to_dict(),
            batch_size=args.per_device_train_batch_size,
            length=length,
            generated=generated,
            rounds=rounds,
            variant=variant,
            bf16=args.bf16,
            device=args.device.type,
        )
        for pair in trainer.twins.pairs.values()
        for variant in variants
    ]
    torch.cuda.empty_cache()  # what training has left is for the processes that measure; without a GPU nothing
    found: dict[str, dict[str, dict]] = {}
    for case, speeds in zip(cases, tqdm(measure(cases), "speed", len(cases), unit="case"), strict=True):
        found.setdefault(case.family, {})[case.variant] = speeds
    return found


def write_comparison(
    folder: Path, trainer: TwinTrainer, differences: dict[str, float], speeds: dict[str, dict[str, dict]]
) -> list[dict[str, str]]:
    """Write FILE; returns the same as rows, with a column a family: reference / transformers (times as good)."""
    whole: dict[str, Any] = {"device": device_name(trainer), "threads": torch.get_num_threads(), "families": {}}
    rows: dict[str, dict[str, str]] = {}  # {what: {family: cell}}
    for family, pair in trainer.twins.pairs.items():
        sizes = {
            "parameters": {side: pair[side].num_parameters() for side in SIDES},
            "lines of code": {side: count_lines(pair[side]) for side in SIDES},
        }
        whole["families"][family] = {"difference": differences[family], **sizes, **speeds.get(family, {})}
        named = sizes | {
            f"{UNITS.get(part, f'{part}, tokens/s')} ({variant})": values
            for variant, parts in speeds.get(family, {}).items()
            for part, values in parts.items()
        }
        for name, values in named.items():
            rows.setdefault(name, {})[family] = both(values)
    write_json(folder / FILE, whole)
    return [
        {"reference / transformers": name} | {family: cells.get(family, "") for family in trainer.families}
        for name, cells in rows.items()
    ]


def both(values: dict[str, float]) -> str:
    """Two numbers and, where one was measured, their ratio."""
    text = " / ".join(number(values[side]) for side in SIDES)
    return f"{text} ({values['ratio']:.2f})" if "ratio" in values else text


def device_name(trainer: TwinTrainer) -> str:
    return torch.cuda.get_device_name() if trainer.args.device.type == "cuda" else trainer.args.device.type
