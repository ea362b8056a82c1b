"""rouge_score's ROUGE as an `evaluate` module that loads from this file, without a network.

    evaluate.load(hfcourse.metrics.rouge.__file__).compute(predictions=["今天很好"], references=["今天真好"])

`evaluate.load("rouge")` would download the same from the Hub, and find no word in Chinese.
"""

from typing import Any

from hfcourse.metrics.texts import rouge

import evaluate
from datasets import Features, Value


CITATION = "Lin 2004, ROUGE: a package for automatic evaluation of summaries"
DESCRIPTION = "ROUGE-1, ROUGE-2 and ROUGE-L, F-measures from 0 to 100; each Chinese character is a word."
INPUTS = """
Args:
    predictions, references: a text each.
    use_stemmer: English words are stemmed.
Returns:
    rouge1, rouge2, rougeL.
"""


class Rouge(evaluate.Metric):
    """The module that `evaluate.load` finds in this file."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(  # type: ignore[override]
        self, predictions: Any, references: Any, use_stemmer: bool = False
    ) -> dict[str, float]:
        return rouge(predictions, references, use_stemmer)
