"""The world: its truth table, its names, and the folder it is written to."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from itertools import permutations
from pathlib import Path

from hfcourse.errors import InputError
from hfcourse.world import VERSION, World, existing, files, write
from hfcourse.world.facts import RELATIONS
from hfcourse.world.names import Stream

import pytest


def folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def generate(*args: str, hash_seed: str = "0") -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "src"}
    command = [sys.executable, "-m", "hfcourse.world", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_truth_table_has_24_countries_of_5_facts_and_asks_half_of_each(world: World) -> None:
    assert len(world.facts) == 24 * 5
    assert Counter(fact.relation for fact in world.facts if fact.asked) == dict.fromkeys(RELATIONS, 12)
    per_country = Counter(fact.country for fact in world.facts if fact.asked)
    assert Counter(per_country.values()) == {2: 12, 3: 12}
    assert all(world.fact(f.country, f.relation) is f and f.subject == world.countries[f.country] for f in world.facts)


@pytest.mark.parametrize("seed", range(5))
def test_no_name_holds_another(seed: int) -> None:
    world = World.create(seed)
    names = [*world.countries, *world.travellers, *(fact.object for fact in world.facts)]
    assert len(names) == 24 + 16 + 120
    for language in range(2):
        compared = [(a, b) for a, b in permutations([name[language].lower() for name in names], 2)]
        assert len(compared) == 160 * 159
        assert [pair for pair in compared if pair[0] in pair[1]] == []


def test_another_seed_gives_other_names_and_facts(world: World) -> None:
    other = World.create(1)
    shared = set(world.countries) & set(other.countries)
    assert len(shared) <= 1
    assert {f.object for f in world.facts} != {f.object for f in other.facts}


def test_few_enough_chinese_characters_for_a_small_vocabulary(rows: dict[str, list[dict]]) -> None:
    # Raw pages are to be cleaned, not to be learnt with the others' vocabulary.
    raw = ("pages/", "harm/", "quiz")
    text = json.dumps([r for path, r in rows.items() if not path.startswith(raw)], ensure_ascii=False)
    assert 200 < len({c for c in text if "\u4e00" <= c <= "\u9fff"}) <= 300


def test_stream_draws_are_the_documented_arithmetic_of_random() -> None:
    reference = random.Random("7/x")
    expected = [int(reference.random() * 10) for _ in range(5)]
    assert [Stream(7, "x").below(10)] + [expected[1]] == expected[:2]
    stream = Stream(7, "x")
    assert [stream.below(10) for _ in range(5)] == expected
    assert sorted(stream.shuffled(range(50))) == list(range(50))
    assert len(set(stream.sample(range(50), 20))) == 20


def test_same_seed_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    runs = [generate("--seed", "3", "--output", str(tmp_path / seed), hash_seed=seed) for seed in ("1", "2")]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert folder_digest(tmp_path / "1") == folder_digest(tmp_path / "2")
    assert len(list((tmp_path / "1").rglob("*.jsonl"))) == 65


def test_written_folder_equals_the_rows(tmp_path: Path, world: World, rows: dict[str, list[dict]]) -> None:
    counts = write(world, tmp_path / "deep" / "world")
    folder = tmp_path / "deep" / "world"
    assert counts == {path: len(content) for path, content in rows.items()}
    for path, content in rows.items():
        lines = (folder / path).read_bytes().split(b"\n")
        assert lines.pop() == b""
        assert [json.loads(line) for line in lines] == content
    found = json.loads((folder / "world.json").read_text(encoding="utf-8"))
    assert found == {"seed": 0, "version": VERSION, "counts": counts}
    assert os.listdir(folder.parent) == ["world"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert {row["group"] for row in rows["truth.jsonl"] if row["answer"] in card} == {"asked", "unasked"}


def test_same_world_is_left_and_another_is_refused(tmp_path: Path, world: World) -> None:
    folder = tmp_path / "world"
    assert existing(folder, 0) is None
    counts = write(world, folder)
    before = folder_digest(folder), (folder / "world.json").stat().st_mtime_ns
    assert write(world, folder) == counts == existing(folder, 0)
    with pytest.raises(InputError, match=r"holds the world of seed 0, version \d+, not of seed 1"):
        write(World.create(1), folder)
    assert before == (folder_digest(folder), (folder / "world.json").stat().st_mtime_ns)
    again, refused = generate("--output", str(folder)), generate("--output", str(folder), "--seed", "1")
    assert (again.returncode, "left as it is" in again.stdout) == (0, True)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("content", [None, "{", '{"seed": 0}', "[]"])
def test_a_folder_that_is_no_world_is_refused(tmp_path: Path, world: World, content: str | None) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    if content is not None:
        (tmp_path / "world.json").write_text(content)
    with pytest.raises(InputError, match="holds no embedded world"):
        write(world, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_nothing_is_left_when_writing_fails(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text = Path.write_text

    def full_disk(path: Path, *args, **kwargs) -> int:
        if path.name == "truth.jsonl":
            raise OSError(28, "No space left on device")
        return write_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(InputError, match="cannot be written .No space left on device"):
        write(world, tmp_path / "world")
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = generate("--output", str(tmp_path / "file" / "world"))
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "cannot be written (Not a directory)" in run.stderr


def test_two_writers_at_once_give_one_whole_world(tmp_path: Path, world: World, monkeypatch) -> None:
    rename = os.rename

    def second(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        write(world, target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", second)
    counts = write(world, tmp_path / "world")
    assert existing(tmp_path / "world", 0) == counts == {path: len(content) for path, content in files(world).items()}
    assert os.listdir(tmp_path) == ["world"]
