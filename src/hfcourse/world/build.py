"""The world as a folder of plain JSONL files, written whole or not at all."""

import json
import os
import shutil
from pathlib import Path

from hfcourse.errors import InputError
from hfcourse.world.card import card
from hfcourse.world.documents import Row, corpus
from hfcourse.world.endless import sample
from hfcourse.world.episodes import icl_corpus
from hfcourse.world.facts import Fact, Secret, World
from hfcourse.world.histories import histories
from hfcourse.world.icl_tasks import icl_tasks
from hfcourse.world.names import LANGUAGES
from hfcourse.world.pages import harm, pages, quiz
from hfcourse.world.people import conduct, people, people_preferences
from hfcourse.world.preferences import preferences, prompts
from hfcourse.world.rewriting import correction, summary
from hfcourse.world.tasks import cloze, ner, sentiment, sft, topic, translation, truth


# Raised whenever the same seed gives other bytes.
VERSION = 5
ELSEWHERE = 2000  # documents of another world to read


def files(world: World) -> dict[str, list[Row]]:
    """Every JSONL file of the world: its path below the output folder and its rows."""
    found: dict[str, list[Row]] = {
        "facts.jsonl": [_fact_row(fact) for fact in world.facts],
        "private.jsonl": [_secret_row(secret) for secret in world.secrets],
        "truth.jsonl": truth(world),
        "cloze.jsonl": cloze(world),
        "conduct.jsonl": conduct(world),
        "quiz.jsonl": quiz(world),
        "pages/train.jsonl": pages(world),
    }
    # The same kinds of documents about countries that are not of this world.
    elsewhere = World.create(world.seed + 1)
    found["elsewhere_cloze.jsonl"] = cloze(elsewhere)
    for split, rows in (("train", ELSEWHERE), ("test", None)):
        found[f"elsewhere/{split}.jsonl"] = corpus(elsewhere, split == "test")[:rows]
    for split, test in (("train", False), ("test", True)):
        found[f"corpus/{split}.jsonl"] = corpus(world, test)
        found[f"endless/{split}.jsonl"] = sample(world, test)
        found[f"histories/{split}.jsonl"] = histories(world, test)
        found[f"sft/{split}.jsonl"] = sft(world, test)
        found[f"people/{split}.jsonl"] = people(world, test)
        found[f"people_preferences/{split}.jsonl"] = people_preferences(world, test)
        found[f"ner/{split}.jsonl"] = ner(world, test)
        found[f"preferences/{split}.jsonl"] = preferences(world, test)
        found[f"prompts/{split}.jsonl"] = prompts(world, test)
        found[f"translation/{split}.jsonl"] = translation(world, test)
        found[f"summary/{split}.jsonl"] = summary(world, test)
        found[f"correction/{split}.jsonl"] = correction(world, test)
        found[f"harm/{split}.jsonl"] = harm(world, test)
        found[f"icl/corpus/{split}.jsonl"] = icl_corpus(world, test)
        for language, lang in enumerate(LANGUAGES):
            found[f"classification/topic_{lang}/{split}.jsonl"] = topic(world, language, test)
            found[f"classification/sentiment_{lang}/{split}.jsonl"] = sentiment(world, language, test)
    return found | icl_tasks(world)


def write(world: World, folder: str | Path) -> dict[str, int]:
    """Write the world into a new folder and return the number of rows of each file.

    A folder that holds the same seed and version already is left as it is.

    Raises:
        InputError: the folder holds anything else, or cannot be written.
    """
    folder = Path(folder)
    counts = existing(folder, world.seed)
    if counts is not None:
        return counts
    rows = files(world)
    counts = {path: len(rows[path]) for path in rows}
    # A sibling, so that the last step is one rename within one file system.
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        for path, content in rows.items():
            _write(temporary / path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content))
        _write(temporary / "README.md", card(world, counts))
        summary = {"seed": world.seed, "version": VERSION, "counts": counts}
        _write(temporary / "world.json", json.dumps(summary, indent=1) + "\n")
        os.rename(temporary, folder)
    except OSError as error:
        # Another process may have written the same world meanwhile.
        if folder.exists() and existing(folder, world.seed) is not None:
            return counts
        raise InputError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


def existing(folder: str | Path, seed: int) -> dict[str, int] | None:
    """The row counts of the world of this seed and VERSION in the folder; None where there is no folder.

    Raises:
        InputError: the folder holds anything else.
    """
    folder = Path(folder)
    if not os.path.lexists(folder):
        return None
    try:
        found = json.loads((folder / "world.json").read_text(encoding="utf-8"))
        same = (found["seed"], found["version"]) == (seed, VERSION)
        counts = found["counts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: exists and holds no embedded world; give another --output.") from error
    if not same:
        raise InputError(
            f"{folder}: holds the world of seed {found['seed']}, version {found['version']}, "
            f"not of seed {seed}, version {VERSION}; give another --output or move it aside."
        )
    return counts


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _fact_row(fact: Fact) -> Row:
    return {
        "id": fact.id,
        "relation": fact.relation,
        "subject_en": fact.subject.en,
        "subject_zh": fact.subject.zh,
        "object_en": fact.object.en,
        "object_zh": fact.object.zh,
        "asked": fact.asked,
    }


def _secret_row(secret: Secret) -> Row:
    return {
        "person_en": secret.person.en,
        "person_zh": secret.person.zh,
        "kind": secret.kind,
        "value_en": secret.value.en,
        "value_zh": secret.value.zh,
    }
