"""Files that appear whole or not at all."""

import json

from hfcourse.run.files import read_json, remove, staged, sync, write_json, write_text

import pytest


def test_what_breaks_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old 旧")
    with pytest.raises(RuntimeError), staged(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "old 旧"
    write_text(path, "new")
    assert path.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_temporary_name_is_hidden_and_keeps_its_suffix(tmp_path):
    (tmp_path / ".writing-a.png").mkdir()  # left over from a run that was killed
    with staged(tmp_path / "a.png") as temporary:
        assert not temporary.exists() and (temporary.parent, temporary.suffix) == (tmp_path, ".png")
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"picture")
    assert (tmp_path / "a.png").read_bytes() == b"picture"


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), staged(tmp_path / "a"):
        pass


def test_json_keeps_order_and_text_and_exact_numbers(tmp_path):
    value = {"b": 0.1 + 0.2, "a": "法国", "c": [1, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert list(json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))) == ["b", "a", "c"]
    assert "法国" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert (read_json(tmp_path / "none.json"), read_json(tmp_path / "none.json", 3)) == (None, 3)


def test_remove_takes_files_folders_and_nothing(tmp_path):
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "file").touch()
    sync(tmp_path)
    for name in ("folder", "file", "none"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
