"""The whole of cleaning as phases of datatrove, which local workers or Slurm run one after another."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hfcourse.clean.stages import (
    Decontaminate,
    Extract,
    Harm,
    JsonLines,
    Language,
    Lines,
    Personal,
    Quality,
    Rows,
    Words,
)
from hfcourse.clean.words import SAME
from hfcourse.errors import InputError

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig


# Where a document may be dropped, in this order; each has a folder of that name below dropped/.
STAGES = ("html", "language", "quality", "harm", "copies", "near_copies", "leaks")
CLASSIFIER = "harm.npz"
# By their names the files of a folder are those to train on.
TRAIN = "train-${rank}.jsonl"


@dataclass(frozen=True)
class Cleaning:
    """The settings of all stages. Defaults are those of large English crawls."""

    languages: tuple[str, ...] = ("en",)
    language_threshold: float = 0.0
    min_words: int = 50  # Gopher
    min_sentences: int = 3
    harm_threshold: float = 0.5
    harm_words: tuple[str, ...] = ()  # for the comparison with the classifier
    shingle: int = 5  # words in an n-gram whose sets are compared
    bands: int = 14  # two texts are near copies where all hashes of any band are equal
    hashes: int = 8  # in a band
    leak_words: int = 8  # PaLM
    leak_share: float = 0.7

    @classmethod
    def read(cls, value: Mapping[str, Any] | None) -> "Cleaning":
        """From a mapping; raises InputError for a key or a value that is none."""
        known = {f.name: f for f in fields(cls)}
        given: dict[str, Any] = {}
        for key, content in (value or {}).items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known)}"
                raise InputError(f"--cleaning: unknown key '{key}'; {hint}")
            default: Any = known[key].default
            listed = isinstance(default, tuple)
            kinds: tuple[type, ...] = (
                (list, tuple) if listed else (int, float) if isinstance(default, float) else (int,)
            )
            if not isinstance(content, kinds) or isinstance(content, bool):
                raise InputError(f"--cleaning: {key} can't be {content!r}, its default is {default!r}")
            given[key] = tuple(map(str, content)) if isinstance(content, list | tuple) else content
        cleaning = cls(**given)
        cleaning._check()
        return cleaning

    def _check(self) -> None:
        for name in ("shingle", "bands", "hashes", "leak_words"):
            if getattr(self, name) < 1:
                raise InputError(f"--cleaning: {name} must be at least 1, not {getattr(self, name)}")
        if not self.languages:
            raise InputError("--cleaning: languages names none, so nothing would be kept")
        for name in ("language_threshold", "harm_threshold", "leak_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--cleaning: {name} is a share, from 0 to 1, not {getattr(self, name)}")

    def minhash(self) -> MinhashConfig:
        return MinhashConfig(self.shingle, self.bands, self.hashes, norm_config=SAME, hash_config=HASH)

    def found(self, similarity: float) -> float:
        """Probability that MinHash takes two texts for near copies whose sets of n-grams have this Jaccard similarity.

        1 - (1 - s^hashes)^bands (Leskovec, Rajaraman and Ullman, "Mining of massive datasets", section 3.4.2).
        """
        return 1 - (1 - similarity**self.hashes) ** self.bands


@dataclass
class Phase:
    """What one executor runs: `steps` in each of so many tasks."""

    name: str
    tasks: int
    steps: list[PipelineStep] = field(repr=False)


def text_of(doc: Document) -> str:
    """What makes two documents the same."""
    return doc.text


# datatrove 0.10 hands xxhash, its default, strings, and xxhash 4 takes bytes alone.
HASH = HashConfig(hash_fc="sha1")
EXACT = ExactDedupConfig(content_getter=text_of, hash_config=HASH)


def phases(
    rows: Any, folder: Path, cleaning: Cleaning, tasks: int, harm: bool, leaks: Sequence[str], raw: bool = False
) -> list[Phase]:
    """All phases, to be run in this order; they read `rows` (see `stages.Rows`).

    Below `folder` they write kept/train-*.jsonl, dropped/<stage>/*.jsonl and, with `raw`, raw/train-*.jsonl, the text
    of all pages with nothing done but mark-up taken out. `harm`: the classifier lies in CLASSIFIER. `leaks`: texts of
    the evaluation set, none for no decontamination.
    """
    signatures, found = folder / "signatures", folder / "found"
    minhash = cleaning.minhash()

    def dropped(stage: str) -> JsonLines:
        return JsonLines(folder / "dropped" / stage)

    filters: list[PipelineStep] = [
        Extract(dropped("html")),
        Language(cleaning.languages, cleaning.language_threshold, dropped("language")),
        Quality(cleaning.min_words, cleaning.min_sentences, dropped("quality")),
    ]
    if harm:
        filters.append(Harm(folder / CLASSIFIER, cleaning.harm_threshold, dropped("harm")))
    last: list[PipelineStep] = [
        Lines(folder / "distinct"),
        MinhashDedupFilter(str(found / "near"), dropped("near_copies"), load_cluster_sizes=True),
        Personal(),
    ]
    if leaks:
        last.append(Decontaminate(leaks, cleaning.leak_words, cleaning.leak_share, dropped("leaks")))
    done = [
        Phase(
            "filters",
            tasks,
            [
                Rows(rows),
                *filters,
                JsonLines(folder / "filtered"),
                ExactDedupSignature(str(signatures / "exact"), EXACT),
            ],
        ),
        Phase("copies", 1, [ExactFindDedups(str(signatures / "exact"), str(found / "exact"), EXACT)]),
        Phase(
            "signatures",
            tasks,
            [
                Lines(folder / "filtered"),
                ExactDedupFilter(str(found / "exact"), EXACT, dropped("copies")),
                JsonLines(folder / "distinct"),
                MinhashDedupSignature(str(signatures / "near"), minhash, language=Words()),
            ],
        ),
        Phase(
            "near copies",
            cleaning.bands,
            [MinhashDedupBuckets(str(signatures / "near"), str(found / "pairs"), config=minhash)],
        ),
        Phase(
            "clusters",
            1,
            [MinhashDedupCluster(str(found / "pairs"), str(found / "near"), minhash, save_cluster_size=True)],
        ),
        Phase("kept", tasks, [*last, JsonLines(folder / "kept", TRAIN)]),
    ]
    if raw:
        seen = [Rows(rows), Extract(boilerplate=True), JsonLines(folder / "raw", TRAIN)]
        done.insert(0, Phase("raw", tasks, seen))
    return done
