"""Named entities as spans: which a sequence of tags holds, and precision, recall and F1 of predicted ones.

What counts as an entity is decided by the seqeval library, in the default mode (that of conlleval) or strictly.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import Entities, Token


class Span(NamedTuple):
    """An entity: the number of its sentence, its first word, the word after its last one, and its type."""

    sentence: int
    start: int
    end: int
    type: str


def spans(tags: Sequence[Sequence[str]], scheme: type[Token] | None = None) -> set[Span]:
    """The entities in the tags of each sentence; with a scheme only those that keep to its letter (strict mode)."""
    if scheme is not None:
        found = Entities([list(row) for row in tags], scheme).entities
        return {Span(e.sent_id, e.start, e.end, e.tag) for row in found for e in row}
    return {
        Span(number, start, last + 1, kind)
        for number, row in enumerate(tags)
        if any(tag != "O" for tag in row)
        for kind, start, last in get_entities(list(row))
    }


def span_scores(references: set[Span], predictions: set[Span]) -> dict[str, float]:
    """`precision`, `recall`, `f1` over all spans, and `f1_<type>`; 0 where there is nothing to divide by.

    A predicted span is right where a reference has the same sentence, type, start and end.
    """
    scores = dict(zip(("precision", "recall", "f1"), _scores(references, predictions), strict=True))
    by_type = {kind: _scores(*sides) for kind, sides in _grouped(references, predictions, lambda span: span.type)}
    return scores | {f"f1_{kind}": f1 for kind, (_, _, f1) in sorted(by_type.items())}


def group_f1(references: set[Span], predictions: set[Span], group: Callable[[Span], str]) -> dict[str, float]:
    """F1 of each group of spans, predicted ones grouped as the references are, in order of the groups' names."""
    grouped = _grouped(references, predictions, group)
    return {name: _scores(*sides)[2] for name, sides in sorted(grouped)}


def _grouped(
    references: set[Span], predictions: set[Span], group: Callable[[Span], str]
) -> Iterable[tuple[str, tuple[set[Span], set[Span]]]]:
    groups: dict[str, tuple[set[Span], set[Span]]] = defaultdict(lambda: (set(), set()))
    for side, found in enumerate((references, predictions)):
        for span in found:
            groups[group(span)][side].add(span)
    return groups.items()


def _scores(references: set[Span], predictions: set[Span]) -> tuple[float, float, float]:
    right = len(references & predictions)
    precision = right / len(predictions) if predictions else 0.0
    recall = right / len(references) if references else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0
