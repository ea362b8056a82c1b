"""Scores of whole texts against one reference each: BLEU, ROUGE, the share of equal ones. All from 0 to 100.

BLEU is sacrebleu's (Papineni et al. 2002, Post 2018), ROUGE is rouge_score's (Lin 2004); what is added here is what a
word is in a language that writes none.
"""

import re
from collections.abc import Sequence

from hfcourse.metrics.exact_match import exact_match

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics import BLEU


ROUGES = ("rouge1", "rouge2", "rougeL")
HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Han, Kana, Hangul, Thai, Lao, Khmer and Burmese text has no space between words, or none that ROUGE could use.
UNSPACED = rf"[{HAN}\u3040-\u30ff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
WORD = re.compile(rf"{UNSPACED}|(?:(?!{UNSPACED})[^\W_])+")
SENTENCE = re.compile(r".+?(?:[.!?]+(?=\s|$)|[。！？]+|\n|$)", re.DOTALL)
# sacrebleu's tokenizer for a target language; 13a for others.
TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}


class Words(Tokenizer):
    """ROUGE's words: runs of letters and digits in lower case, but each Chinese character is a word of its own.

    On English text this is rouge_score's own tokenizer, which would leave nothing of a Chinese one.
    """

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


def bleu_tokenizer(language: str) -> str:
    """sacrebleu's tokenizer for a language code such as zh, zh-CN or de."""
    return TOKENIZERS.get(re.split("[-_]", language)[0].lower(), "13a")


def bleu(predictions: Sequence[str], references: Sequence[str], tokenize: str = "13a") -> float:
    """sacrebleu's corpus BLEU of texts against one reference each."""
    return BLEU(tokenize=tokenize).corpus_score(list(predictions), [list(references)]).score


def rouge(predictions: Sequence[str], references: Sequence[str], use_stemmer: bool = False) -> dict[str, float]:
    """`rouge1`, `rouge2` and `rougeL`: the mean F-measure over the texts, of the words that `Words` finds.

    With `use_stemmer` rouge_score's own tokenizer finds and stems English words.
    """
    scorer = RougeScorer(ROUGES, use_stemmer=use_stemmer, tokenizer=None if use_stemmer else Words())
    scores = [scorer.score(*pair) for pair in zip(references, predictions, strict=True)]
    return {name: 100 * sum(score[name].fmeasure for score in scores) / max(len(scores), 1) for name in ROUGES}


def equal_share(predictions: Sequence[str], references: Sequence[str]) -> float:
    """The share of texts that are their reference, white space and final punctuation aside."""
    pairs = zip(predictions, references, strict=True)
    return 100 * sum(exact_match(*pair) for pair in pairs) / max(len(references), 1)


def lead(text: str, sentences: int) -> str:
    """The first sentences of a text, English or Chinese: the baseline that a summary has to beat."""
    found = [match.strip() for match in SENTENCE.findall(text) if match.strip()]
    gap = "" if re.search(f"[{HAN}]", text) else " "
    return gap.join(found[:sentences])
