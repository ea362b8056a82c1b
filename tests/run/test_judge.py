"""How predicted tags are judged: over whole sentences, by entities, and what is told of the errors."""

from hfcourse.metrics.spans import Span
from hfcourse.run.ner import IGNORED, Judge
from hfcourse.run.ner_report import MISSED, SPURIOUS, confusion, find_errors, write_errors

import numpy as np
import pytest
from datasets import Dataset
from transformers import EvalPrediction


LABELS = ["O", "B-LOC", "I-LOC"]
SENTENCES = Dataset.from_dict(
    {
        "tokens": [["Oslo", "is", "in", "Norway"], ["New", "York", "is", "big"]],
        "tags": [["B-LOC", "O", "O", "B-LOC"], ["B-LOC", "I-LOC", "O", "O"]],
    }
)
TRAIN = Dataset.from_dict({"tokens": [["Oslo", "and", "Oslo", "Norway"]], "tags": [["B-LOC", "O", "B-LOC", "I-LOC"]]})


def judged(rows, strict=False):
    """A judge of SENTENCES that has heard `rows` of (sentence, words, label ids at these words)."""
    windows = Dataset.from_dict({"sentence": [r[0] for r in rows], "words": [r[1] for r in rows]})
    judge = Judge(SENTENCES, windows, LABELS, TRAIN, strict)
    predictions, label_ids = (np.full((len(rows), 9), fill) for fill in (1, IGNORED))
    for i, (_, words, found) in enumerate(rows):
        places = [1 + 2 * k for k in range(len(words))]  # every other token continues a word
        predictions[i, places], label_ids[i, places] = found, 0
    judge(EvalPrediction(predictions, label_ids))
    return judge


ROWS = [(1, [0, 1, 2, 3], [2, 2, 0, 0]), (0, [2, 3], [0, 0]), (0, [0, 1], [1, 0])]


def test_windows_in_any_order_become_the_tags_of_sentences():
    judge = judged(ROWS)
    assert judge.predicted == [["B-LOC", "O", "O", "O"], ["I-LOC", "I-LOC", "O", "O"]]
    assert judge.scores == pytest.approx(
        # Oslo is an entity of the training data; Norway, there only within "Oslo Norway", and New York are not.
        {"precision": 1, "recall": 2 / 3, "f1": 0.8, "f1_LOC": 0.8, "f1_seen": 1, "f1_unseen": 2 / 3}
    )
    assert judged(ROWS, strict=True).scores == pytest.approx(
        {"precision": 1, "recall": 1 / 3, "f1": 0.5, "f1_LOC": 0.5, "f1_seen": 1, "f1_unseen": 0}
    )


def test_a_word_in_no_window_stays_outside():
    judge = judged([(1, [0, 1, 2, 3], [1, 2, 0, 0]), (0, [1, 2, 3], [0, 0, 1])])
    assert judge.predicted[0] == ["O", "O", "O", "B-LOC"] and judge.scores["recall"] == pytest.approx(2 / 3)


def test_confusions_add_up_to_both_sides():
    expected = {Span(0, 0, 1, "LOC"), Span(0, 3, 4, "LOC"), Span(1, 0, 2, "PER")}
    predicted = {Span(0, 0, 1, "LOC"), Span(1, 0, 2, "LOC"), Span(1, 3, 4, "PER")}
    assert confusion(expected, predicted) == {
        ("LOC", "LOC"): 1, ("PER", "LOC"): 1, ("LOC", MISSED): 1, (SPURIOUS, "PER"): 1,
    }  # fmt: skip


def test_errors_are_told_once_and_in_context(tmp_path):
    judge = judged([(1, [0, 1, 2, 3], [0, 1, 0, 1]), (0, [0, 1, 2, 3], [1, 0, 0, 0])])
    errors = find_errors(judge)
    assert [(e["kind"], e["in context"], e["expected"], e["found"], e["in training"]) for e in errors] == [
        ("missed", "Oslo is in [Norway]", "Norway (LOC)", "-", "no"),
        ("boundary", "[New York] is big", "New York (LOC)", "York (LOC)", "no"),
        ("spurious", "New York is [big]", "-", "big (LOC)", "no"),
    ]
    assert write_errors(tmp_path, judge, most=2) == errors[:2]
    page = (tmp_path / "errors.md").read_text(encoding="utf-8")
    assert "| **LOC** | 1 | 2 |" in page and "| *(spurious)* | 2 |  |" in page
    assert "## 2 of 3 errors\n\nOf all: 1 missed, 1 boundary, 1 spurious.\n\n| kind" in page
