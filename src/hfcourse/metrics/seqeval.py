"""seqeval's scores of tagged entities as an `evaluate` module that loads from this file, without a network.

    evaluate.load(hfcourse.metrics.seqeval.__file__).compute(predictions=[["B-PER", "O"]], references=[["B-PER", "O"]])

`evaluate.load("seqeval")` would download the same from the Hub.
"""

from typing import Any

from hfcourse.metrics.spans import span_scores, spans

import evaluate
import seqeval.scheme
from datasets import Features, List, Value


CITATION = "Nakayama 2018, seqeval: a Python framework for sequence labeling evaluation"
DESCRIPTION = "Precision, recall and F1 of entities: overall, and F1 of each type."
INPUTS = """
Args:
    predictions, references: a list of tags for each sentence.
    mode: "strict" counts only entities that keep to the letter of the scheme; by default as conlleval does.
    scheme: in strict mode IOB1, IOB2, IOE1, IOE2, IOBES or BILOU.
Returns:
    precision, recall, f1, f1_<type>.
"""


class Seqeval(evaluate.Metric):
    """The module that `evaluate.load` finds in this file."""

    def _info(self) -> evaluate.MetricInfo:
        tags = List(Value("string"))
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": tags, "references": tags}),
        )

    def _compute(  # type: ignore[override]
        self, predictions: Any, references: Any, mode: str | None = None, scheme: str = "IOB2"
    ) -> dict[str, float]:
        strict = getattr(seqeval.scheme, scheme) if mode == "strict" else None
        return span_scores(spans(references, strict), spans(predictions, strict))
