"""sacrebleu's BLEU as an `evaluate` module that loads from this file, without a network.

    module = evaluate.load(hfcourse.metrics.bleu.__file__)
    module.compute(predictions=["我们赢了比赛。"], references=["我们赢了比赛。"], language="zh")

`evaluate.load("sacrebleu")` would download the same from the Hub, and leave the tokenizer to the caller.
"""

from typing import Any

from hfcourse.metrics.texts import bleu, bleu_tokenizer

import evaluate
from datasets import Features, Value


CITATION = "Papineni et al. 2002, BLEU; Post 2018, A call for clarity in reporting BLEU scores"
DESCRIPTION = "Corpus BLEU of texts against one reference each, 0 to 100."
INPUTS = """
Args:
    predictions, references: a text each.
    language: code of their language, which chooses sacrebleu's tokenizer: zh for Chinese, char for others that write
        no spaces, 13a for all the rest.
    tokenize: one of sacrebleu's tokenizers by name, instead.
Returns:
    bleu.
"""


class Bleu(evaluate.Metric):
    """The module that `evaluate.load` finds in this file."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(  # type: ignore[override]
        self, predictions: Any, references: Any, language: str = "en", tokenize: str | None = None
    ) -> dict[str, float]:
        return {"bleu": bleu(predictions, references, tokenize or bleu_tokenizer(language))}
