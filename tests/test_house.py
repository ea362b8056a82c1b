"""The house keeps its own promises: sizes, arrows, links, configs. Each guard asserts that it looked at something."""

import ast
import re
from pathlib import Path

import pytest
import yaml


ROOT = Path(__file__).parents[1]
LIMITS = {"src/**/*.py": 300, "recipes/*.py": 120, "configs/**/*.yaml": 40, "tests/**/*.py": 200}
# What a part of the library may import besides itself; metrics are pure functions that any of them may use.
SHARED = {"errors", "metrics"}
# Only run/ knows files and the Hub, so it is what loads, converts and writes the reference Transformer's checkpoints:
# docs/decisions/0009-who-loads-the-transformer.md.
LOADS_TRANSFORMER = {"run/models.py", "run/convert.py"}
HASH = re.compile(r"[0-9a-f]{40}")


def sources(pattern: str) -> list[Path]:
    found = sorted(ROOT.glob(pattern))
    assert found, f"no file matches {pattern}"
    return found


@pytest.mark.parametrize("pattern", LIMITS)
def test_files_stay_small(pattern: str) -> None:
    for path in sources(pattern):
        # The loopback Hub is one program that is read as one.
        limit = 300 if path.name == "loopback_hub.py" else LIMITS[pattern]
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= limit, f"{path.relative_to(ROOT)} has {lines} lines, at most {limit}"


def test_arrows_run_one_way() -> None:
    looked = 0
    for path in sources("src/hfcourse/*/*.py"):
        part = path.parent.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.startswith("hfcourse."):
                    looked += 1
                    allowed = {part, *SHARED}
                    if f"{part}/{path.name}" in LOADS_TRANSFORMER:
                        allowed.add("transformer")
                    assert name.split(".")[1] in allowed, f"{path.relative_to(ROOT)} imports {name}"
    assert looked > 20


def test_configs_that_name_the_hub_pin_a_revision_or_say_why_not() -> None:
    looked = 0
    for path in sources("configs/*/*.yaml"):
        if path.parent.name == "accelerate":
            continue
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
        for name, revision in (("model_name_or_path", "model_revision"), ("dataset_name", "dataset_revision")):
            if name in config and not config[name].startswith("runs/"):
                looked += 1
                pinned = HASH.fullmatch(config.get(revision, "")) is not None
                assert pinned or config.get(revision) == "main", f"{path}: {name} without {revision}"
                assert re.search(r"^# .*[Rr]evision", text, re.MULTILINE), (
                    f"{path}: where does its revision come from?"
                )
    assert looked >= 6


def test_links_in_pages_lead_somewhere() -> None:
    looked = 0
    for path in [*sources("*.md"), *sources("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                looked += 1
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
    assert looked >= 15


def test_every_page_is_there_in_chinese() -> None:
    for path in sources("docs/concepts/*.md"):
        assert (ROOT / "docs/zh/concepts" / path.name).is_file(), path.name


def test_the_readme_lists_every_recipe() -> None:
    for path in sources("recipes/*.py"):
        for readme in ("README.md", "README.zh-CN.md"):
            assert f"recipes/{path.name}" in (ROOT / readme).read_text(encoding="utf-8"), (readme, path.name)


def test_no_place_of_one_machine_stands_in_the_project() -> None:
    place = re.compile(r"/(?:work|root|farm)/|pypi\.|files\.python")
    looked = 0
    for pattern in ("src/**/*.py", "recipes/*.py", "configs/**/*.yaml", "docs/**/*.md", "*.md", "Makefile", "*.t*"):
        for path in sources(pattern):
            looked += 1
            assert not place.search(path.read_text(encoding="utf-8")), path.relative_to(ROOT)
    assert looked > 60
