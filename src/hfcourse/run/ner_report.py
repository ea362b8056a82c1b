"""What a tagger gets wrong: a confusion table and errors in their context, as errors.md in the run folder."""

from collections import Counter
from pathlib import Path

from hfcourse.metrics.spans import Span, spans
from hfcourse.run.card import cell, table
from hfcourse.run.files import write_text
from hfcourse.run.ner import Judge


MISSED, SPURIOUS = "(missed)", "(spurious)"
ERRORS = "errors.md"
CONTEXT = 10


def confusion(expected: set[Span], predicted: set[Span]) -> Counter[tuple[str, str]]:
    """How often an entity of one type was found as another: {(expected type, found type): count}.

    An entity is found where a prediction has its very words; others are MISSED, and predictions of other words are
    SPURIOUS. So a row adds up to the expected entities of its type, a column to the predicted ones.
    """
    sides = [{(s.sentence, s.start, s.end): s.type for s in side} for side in (expected, predicted)]
    return Counter((sides[0].get(place, SPURIOUS), sides[1].get(place, MISSED)) for place in sides[0] | sides[1])


def find_errors(judge: Judge) -> list[dict[str, str]]:
    """Each entity that was not found as it should be, and each that should not be there, in order of the sentences.

    Keys: kind (type, boundary, missed or spurious), in context (the words in question in brackets), expected, found,
    and whether its words are an entity of the training data.
    """
    predicted = spans(judge.predicted, judge.scheme)
    rows = []
    for span in sorted(judge.expected ^ predicted):
        other = predicted if span in judge.expected else judge.expected
        near = sorted(s for s in other if s.sentence == span.sentence and s.start < span.end and span.start < s.end)
        if span in predicted and near:
            continue  # told with the expected entity that it overlaps
        same_words = [s for s in near if (s.start, s.end) == (span.start, span.end)]
        kind = "spurious" if span in predicted else "type" if same_words else "boundary" if near else "missed"
        sides = [_named(judge, [span]), _named(judge, near)]
        expected, found = sides if span in judge.expected else sides[::-1]
        known = {"f1_seen": "yes", "f1_unseen": "no"}[judge.novelty(span)]
        row = {"kind": kind, "in context": _context(judge.tokens[span.sentence], span)}
        rows.append(row | {"expected": expected, "found": found, "in training": known})
    return rows


def write_errors(folder: Path, judge: Judge, most: int = 20) -> list[dict[str, str]]:
    """Write the confusion table and `most` errors, spread evenly over all, to ERRORS; returns these errors."""
    predicted = spans(judge.predicted, judge.scheme)
    counts = confusion(judge.expected, predicted)
    types = sorted({s.type for s in judge.expected | predicted})
    confused = [[f"**{a}**", *(str(counts[a, b]) for b in [*types, MISSED])] for a in types]
    confused.append([f"*{SPURIOUS}*", *(str(counts[SPURIOUS, b]) for b in types), ""])
    errors = find_errors(judge)
    kinds = Counter(error["kind"] for error in errors).most_common()
    chosen = [errors[i * len(errors) // most] for i in range(most)] if len(errors) > most else errors
    parts = [
        "# What was found, and what was not",
        "A row is an expected type, a column the type that was found for the very same words.",
        table(["expected", *types, MISSED], confused),
        f"## {len(chosen)} of {len(errors)} errors",
        "Of all: " + ", ".join(f"{count} {kind}" for kind, count in kinds) + "." if errors else "There are none.",
        table(
            ["kind", "in context", "expected", "found", "in training"], [list(map(cell, e.values())) for e in chosen]
        )
        if chosen
        else "",
    ]
    write_text(folder / ERRORS, "\n\n".join(filter(None, parts)) + "\n")
    return chosen


def _named(judge: Judge, found: list[Span]) -> str:
    return ", ".join(f"{_text(judge.tokens[s.sentence][s.start : s.end])} ({s.type})" for s in found) or "-"


def _context(tokens: list[str], span: Span) -> str:
    before, after = tokens[max(span.start - CONTEXT, 0) : span.start], tokens[span.end : span.end + CONTEXT]
    parts = [_text(before), f"[{_text(tokens[span.start : span.end])}]", _text(after)]
    gap = "" if _is_chinese(tokens) else " "
    cut = ["..." if span.start > CONTEXT else "", "..." if span.end + CONTEXT < len(tokens) else ""]
    return gap.join(part for part in [cut[0], *parts, cut[1]] if part)


def _text(tokens: list[str]) -> str:
    return ("" if _is_chinese(tokens) else " ").join(tokens)


def _is_chinese(tokens: list[str]) -> bool:
    return any("\u3400" <= character <= "\u9fff" for token in tokens for character in token)
