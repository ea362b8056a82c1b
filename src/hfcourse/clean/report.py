"""What cleaning did, counted in the files that it wrote; and, where faults are labelled, how right each stage was."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from hfcourse.clean.harm import word_list
from hfcourse.clean.pipeline import STAGES
from hfcourse.clean.stages import read_lines


Document = dict[str, Any]
# The fault that each stage is there for. Copies are told by their cluster.
FAULTS = {"html": "empty", "language": "language", "quality": "quality", "harm": "harmful", "leaks": "leak"}
MASK_NAMES = ("[EMAIL]", "[PHONE]", "[ID]")


@dataclass
class Stage:
    """What came to a stage, and what it dropped by reason; with labels, how much of that was right.

    precision: share of the dropped that have the fault of this stage; recall: share of those with it that are dropped;
    lost: documents without any fault that are dropped.
    """

    name: str
    arrived: int
    reasons: dict[str, int]
    precision: float | None = None
    recall: float | None = None
    lost: int | None = None

    @property
    def dropped(self) -> int:
        return sum(self.reasons.values())


@dataclass
class Report:
    """All stages, how many documents were kept, and further measures by name (see `_measures`).

    `kept` and `dropped` hold the documents themselves, or the first of each only: see `read`.
    """

    documents: int
    left: int
    stages: list[Stage]
    kept: list[Document] = field(repr=False)
    dropped: dict[str, list[Document]] = field(repr=False)
    measures: dict[str, float]

    def leaked(self) -> set[int]:
        """Numbers of the exam's rows that stood in some text."""
        return {row for document in self.dropped["leaks"] for row in document["leaks"]}

    def metrics(self) -> dict[str, float]:
        """Numbers by name: documents, kept, dropped_<stage>, <stage>_precision, <stage>_recall, lost, measures."""
        found: dict[str, float] = {"documents": self.documents, "kept": self.left}
        for stage in self.stages:
            found[f"dropped_{stage.name}"] = stage.dropped
            if stage.precision is not None and stage.recall is not None:
                found |= {f"{stage.name}_precision": stage.precision, f"{stage.name}_recall": stage.recall}
        if all(stage.lost is not None for stage in self.stages):
            found["lost"] = sum(stage.lost or 0 for stage in self.stages)
        return found | self.measures


def read(folder: Path, documents: int, words: Sequence[str] = (), whole: bool = False) -> Report:
    """The report on a folder that all phases have written.

    `words` are compared with the classifier of harm. Without labels and unless `whole`, no more than one document of
    each stage is held in memory. Raises ValueError where a document is lost.
    """
    kept_files = sorted((folder / "kept").glob("*.jsonl"))
    dropped_files = {name: sorted((folder / "dropped" / name).glob("*.jsonl")) for name in STAGES}
    first = next(read_lines(*kept_files, *chain(*dropped_files.values())), {})
    labelled = "fault" in first
    most = None if labelled or whole else 1

    kept, left = _some(read_lines(*kept_files), most, Counter())
    dropped, stages, arrived = {}, [], documents
    for name in STAGES:
        reasons: Counter[str] = Counter()
        dropped[name], gone = _some(read_lines(*dropped_files[name]), most, reasons, name.replace("_", " "))
        stages.append(Stage(name, arrived, dict(reasons.most_common())))
        arrived -= gone
    if arrived != left:
        raise ValueError(f"of {documents} documents {left} were kept and {documents - arrived} dropped")
    if labelled:
        for index, stage in enumerate(stages):
            _judge(stage, [doc for later in STAGES[index:] for doc in dropped[later]] + kept, dropped[stage.name])
    return Report(documents, left, stages, kept, dropped, _measures(kept, dropped, words) if labelled else {})


def _some(
    found: Iterable[Document], most: int | None, reasons: Counter[str], default: str = ""
) -> tuple[list[Document], int]:
    """The first `most` documents, or all, and how many there are; counts their reasons."""
    some: list[Document] = []
    count = 0
    for doc in found:
        count += 1
        reasons[doc.get("filter_reason", default)] += 1
        if most is None or len(some) < most:
            some.append(doc)
    return some, count


def _judge(stage: Stage, arrived: list[Document], dropped: list[Document]) -> None:
    if stage.name in FAULTS:
        right = sum(doc["fault"] == FAULTS[stage.name] for doc in dropped)
        wanted = sum(doc["fault"] == FAULTS[stage.name] for doc in arrived)
        stage.lost = sum(doc["fault"] in ("none", "personal") for doc in dropped)
    else:
        right, wanted = _copies(stage.name, arrived, dropped)
        stage.lost = len(dropped) - right
    stage.precision = right / len(dropped) if dropped else 1.0
    stage.recall = right / wanted if wanted else 1.0


def _copies(name: str, arrived: list[Document], dropped: list[Document]) -> tuple[int, int]:
    """Of how many dropped documents another of their cluster is left, and how many have one too many.

    Exact copies are those whose text is the same when they arrive; near copies are all of a cluster.
    """

    def key(doc: Document) -> Any:
        return (doc["cluster"], doc["text"]) if name == "copies" else doc["cluster"]

    clusters = Counter(key(doc) for doc in arrived if doc["cluster"])
    gone = Counter(key(doc) for doc in dropped if doc["cluster"])
    right = sum(min(count, clusters[cluster] - 1) for cluster, count in gone.items())
    return right, sum(count - 1 for count in clusters.values())


def _measures(kept: list[Document], dropped: dict[str, list[Document]], words: Sequence[str]) -> dict[str, float]:
    """Precision and recall of lines (mark-up), of masks, and of a list of words in the place of the classifier."""
    whole = [doc for doc in kept if doc["clean"]]
    found = _overlap([(_lines(doc["text"]), _lines(doc["clean"])) for doc in whole], "lines")
    found |= _overlap([(_masks(doc["text"]), _masks(doc["clean"])) for doc in whole], "personal")
    arrived = [doc for name in STAGES[STAGES.index("harm") :] for doc in dropped[name]] + kept
    if words:
        listed = word_list(words)
        hit = [bool(listed.search(doc["text"])) for doc in arrived]
        harmful = [doc["fault"] == "harmful" for doc in arrived]
        both = sum(h and f for h, f in zip(hit, harmful, strict=True))
        found |= {"words_precision": both / max(sum(hit), 1), "words_recall": both / max(sum(harmful), 1)}
    return found


def _lines(text: str) -> Counter[str]:
    return Counter(line for line in text.split("\n") if line)


def _masks(text: str) -> Counter[str]:
    return Counter({mask: text.count(mask) for mask in MASK_NAMES})


def _overlap(pairs: list[tuple[Counter[str], Counter[str]]], name: str) -> dict[str, float]:
    """Precision and recall of what was found against what there is, in all documents together."""
    both = sum((found & true).total() for found, true in pairs)
    found, true = (sum(pair[side].total() for pair in pairs) for side in (0, 1))
    return {f"{name}_precision": both / max(found, 1), f"{name}_recall": both / max(true, 1)}
