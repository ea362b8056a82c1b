"""Command line and YAML of every recipe, on TRL's TrlParser: an unknown key is an error that names the nearest."""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hfcourse.errors import InputError

import yaml
from trl import TrlParser


@dataclass
class RunArguments:
    """What every recipe understands besides its libraries' own arguments."""

    dry_run: bool = field(default=False, metadata={"help": "Print the plan and two decoded batches, then stop."})
    fresh: bool = field(default=False, metadata={"help": "Move an earlier run of this folder aside and start anew."})


class Parser(TrlParser):
    """TrlParser that accepts no abbreviations, no unknown keys, and checks YAML values by the types of the fields.

    After parsing, `given` holds each field that differs from its library's default, as plain YAML values.
    """

    def __init__(self, *dataclasses: type, recipe: str):
        super().__init__(list(dataclasses), prog=f"recipes/{recipe}.py", allow_abbrev=False)  # type: ignore[arg-type]
        self.add_argument("--config", metavar="FILE", help="YAML file with any of these arguments.")
        self.recipe, self.count = recipe, len(dataclasses)
        self.given: dict[str, Any] = {}
        self._defaults = vars(super().parse_known_args([])[0])
        self._types = {action.dest: action.type for action in self._actions}
        self._lists = {action.dest for action in self._actions if action.nargs in ("+", "*")}

    def error(self, message: str) -> NoReturn:
        raise InputError(message.removeprefix("argument ").strip() + f" (see python {self.prog} --help)")

    def parse(self, argv: list[str]) -> tuple[Any, ...]:
        """The dataclasses filled from `--config FILE` and then the command line; raises InputError."""
        argv = [part for a in argv for part in (a.split("=", 1) if a.startswith("--config=") else [a])]
        config: dict[str, Any] = {}
        name = "default"
        if "--config" in argv:
            at = argv.index("--config")
            if at + 1 == len(argv):
                self.error("--config needs the path of a YAML file")
            path = Path(argv[at + 1])
            config, name = read_yaml(path), path.stem
            del argv[at : at + 2]
            for key in config:
                if key not in self._defaults or key in ("help", "config"):
                    raise InputError(f"{path}: unknown key '{key}'{self._nearest(key)}")
                numeric = getattr(self._types[key], "__name__", "") in ("int", "float", "string_to_bool")
                if key in self._lists and config[key] is not None:
                    config[key] = self._list(path, key, config[key])
                elif numeric and isinstance(config[key], (list, dict)):
                    raise InputError(f"{path}: {key} takes one value, not {config[key]}")
        # argparse converts and checks string defaults with the field's own type, and no others.
        defaults = {k: str(v) if isinstance(v, (int, float)) else v for k, v in config.items()}
        self.set_defaults(**{"output_dir": str(Path("runs", self.recipe, name))})
        self.set_defaults_with_config(**defaults)
        try:
            parsed = self.parse_args_into_dataclasses(argv, return_remaining_strings=True, look_for_args_file=False)
        except InputError:
            raise
        except (ValueError, TypeError) as e:  # a library's dataclass refuses a value
            raise InputError(" ".join(str(e).split())) from e
        return tuple(parsed[: self.count])

    def _list(self, path: Path, key: str, value: Any) -> list[Any]:
        """The values of a field that takes several: argparse checks no default that is a list."""
        kind: Any = self._types[key] or str
        try:
            return [kind(str(one)) for one in (value if isinstance(value, list) else [value])]
        except ValueError as e:
            name = getattr(kind, "__name__", "")
            raise InputError(f"{path}: {key}: expected {name} values, found {value}") from e

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[override]
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            key = unknown[0].split("=")[0]
            near = self._nearest(key.lstrip("-").replace("-", "_"))
            raise InputError(f"unknown argument '{key}'{near if key.startswith('--') else ': a value without a key'}")
        self.given = {k: v for k, v in vars(known).items() if k != "config" and v != self._defaults.get(k)}
        return known, unknown

    def _nearest(self, key: str) -> str:
        near = difflib.get_close_matches(key, self._defaults, n=1)
        return f"; did you mean '{near[0]}'?" if near else f"; python {self.prog} --help lists the keys"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises InputError where it is missing, broken or no mapping."""
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1)
        raise InputError(
            f"config {path} does not exist" + (f"; did you mean {path.parent / near[0]}?" if near else "")
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InputError(f"config {path} is not valid YAML: {' '.join(str(e).split())}") from e
    if not isinstance(content, dict):
        raise InputError(f"config {path} must be a mapping of argument: value")
    return content


def read_mapping(value: Any, name: str) -> dict[str, Any] | None:
    """A mapping from a config or, as YAML or JSON, from the command line; None for none; InputError for others."""
    try:
        found = yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        found = value
    if found is not None and not isinstance(found, dict):
        raise InputError(f"--{name} {value}: expected a mapping, as YAML or JSON")
    return found
