"""Scores of tagged entities against the seqeval library itself, in both of its modes; the module for `evaluate`."""

from hfcourse.metrics import seqeval as module
from hfcourse.metrics.spans import Span, group_f1, span_scores, spans

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import scheme as schemes
from seqeval.metrics import classification_report


LETTERS = {"IOB1": "BI", "IOB2": "BI", "IOE1": "IE", "IOE2": "IE", "IOBES": "BIES", "BILOU": "BILU"}


@st.composite
def tagged(draw, letters):
    """Gold and predicted tags of the same sentences: any sequence, however broken, and often a slip of the other."""
    tag = st.sampled_from(
        ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("PER", "LOC", "creative-work"))]
    )
    sentences = draw(st.lists(st.lists(tag, min_size=1, max_size=8), min_size=1, max_size=5))
    slip = st.tuples(st.integers(0, 99), tag)
    predicted = [list(sentence) for sentence in sentences]
    for sentence in predicted:
        for place, other in draw(st.lists(slip, max_size=3)):
            sentence[place % len(sentence)] = other
    return sentences, predicted


def expected(references, predictions, **options):
    """What seqeval's own report says; it has none where there is no entity on either side."""
    try:
        report = classification_report(references, predictions, output_dict=True, zero_division=0, **options)
    except (ValueError, ZeroDivisionError):
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    whole = report.pop("micro avg")
    types = {f"f1_{kind}": row["f1-score"] for kind, row in report.items() if not kind.endswith(" avg")}
    return {"precision": whole["precision"], "recall": whole["recall"], "f1": whole["f1-score"]} | types


@settings(max_examples=100, deadline=None)
@given(data=st.data(), letters=st.sampled_from(["BI", "IE", "BIES"]))
def test_the_default_mode_is_seqevals(data, letters):
    references, predictions = data.draw(tagged(letters))
    assert span_scores(spans(references), spans(predictions)) == pytest.approx(expected(references, predictions))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(LETTERS)))
def test_the_strict_mode_is_seqevals(data, name):
    scheme = getattr(schemes, name)
    references, predictions = data.draw(tagged(LETTERS[name]))
    found = span_scores(spans(references, scheme), spans(predictions, scheme))
    assert found == pytest.approx(expected(references, predictions, mode="strict", scheme=scheme))


def test_both_modes_on_a_case_worked_by_hand():
    """An I- after O is an entity for conlleval and none for the strict mode; a wrong border is a wrong entity."""
    references = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "O"]]
    predictions = [["B-PER", "I-PER", "O", "I-LOC"], ["B-ORG", "I-ORG", "O"]]
    assert spans(predictions) == {Span(0, 0, 2, "PER"), Span(0, 3, 4, "LOC"), Span(1, 0, 2, "ORG")}
    assert spans(predictions, schemes.IOB2) == {Span(0, 0, 2, "PER"), Span(1, 0, 2, "ORG")}
    default = span_scores(spans(references), spans(predictions))
    assert default == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "f1_LOC": 1, "f1_ORG": 0, "f1_PER": 1}
    )
    strict = span_scores(spans(references), spans(predictions, schemes.IOB2))
    assert strict == pytest.approx(
        {"precision": 0.5, "recall": 1 / 3, "f1": 0.4, "f1_LOC": 0, "f1_ORG": 0, "f1_PER": 1}
    )


def test_groups_part_the_expected_and_the_predicted_entities():
    references = {Span(0, 0, 1, "PER"), Span(0, 4, 5, "PER"), Span(1, 0, 2, "LOC")}
    predictions = {Span(0, 0, 1, "PER"), Span(0, 4, 6, "PER"), Span(1, 0, 2, "LOC"), Span(1, 3, 4, "LOC")}
    found = group_f1(references, predictions, lambda span: "near" if span.start < 3 else "far")
    assert found == pytest.approx({"near": 1.0, "far": 0.0})
    by_sentence = group_f1(references, predictions, lambda span: str(span.sentence))
    assert by_sentence == pytest.approx({"0": 0.5, "1": 2 / 3})


def test_evaluate_loads_the_module_from_its_file():
    """This process has no network (tests/conftest.py)."""
    metric = evaluate.load(module.__file__)
    sides = {"references": [["B-PER", "O", "B-LOC"]], "predictions": [["I-PER", "O", "B-LOC"]]}
    assert metric.compute(**sides) == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "f1_LOC": 1.0, "f1_PER": 1.0}
    strict = metric.compute(**sides, mode="strict", scheme="IOB2")
    assert strict == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "f1_LOC": 1.0, "f1_PER": 0.0})
    metric.add_batch(predictions=[["E-PER", "S-LOC"]], references=[["E-PER", "S-LOC"]])
    assert metric.compute(mode="strict", scheme="IOBES")["f1"] == 1.0
