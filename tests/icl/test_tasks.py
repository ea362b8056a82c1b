"""Every file of configs/icl/tasks is a task, small, and says where the revision of its data comes from."""

import re
from pathlib import Path

from hfcourse.icl.task import TaskRows, read_task
from hfcourse.world import World, files

import pytest
import yaml


ROOT = Path(__file__).parents[2]
PATHS = sorted(ROOT.glob("configs/icl/tasks/*.yaml"))
WORLD = files(World.create(0))


def test_there_are_tasks():
    public = {"sst2", "mr", "subj", "cr", "trec", "ag_news", "rte", "cb", "mrpc", "sick", "financial_phrasebank"}
    public |= {"tweet_emotion", "tweet_irony", "codah", "fewclue_eprstmt", "fewclue_bustm", "fewclue_tnews"}
    embedded = {
        f"{name}_{lang}" for name in ("sentiment", "topic", "kinds", "capital", "symbols") for lang in ("en", "zh")
    }
    assert {path.stem for path in PATHS} >= public | embedded | {"pi", "supposed", "negation"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_file_is_a_task(path):
    text = path.read_text(encoding="utf-8")
    task = read_task(path.stem, yaml.safe_load(text), path.name)
    assert len(text.splitlines()) <= 40
    if not task.dataset_name.startswith("runs/"):
        assert re.fullmatch("[0-9a-f]{40}|main", task.dataset_revision)
        assert re.search(r"^# Revision: (main|.*[a-z])", text, re.MULTILINE)
        return
    folder = task.dataset_name.removeprefix("runs/world/")
    for split in ("train", "test"):
        rows = [TaskRows(task)(row) for row in WORLD[f"{folder}/{split}.jsonl"]]
        assert len(rows) > 5
    assert task.channel, "so that every rule can score it"
