"""How much texts repeat themselves and one another, on token ids."""

from collections.abc import Sequence

from sacrebleu.metrics import BLEU


Text = Sequence[int]


def _ngrams(text: Text, n: int) -> list[tuple[int, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def repetition(texts: Sequence[Text], n: int = 4) -> float:
    """The share of a text's n-grams that it has had before, averaged over texts (Welleck et al. 2020, seq-rep-n).

    Texts of fewer than n tokens repeat nothing.
    """
    shares = [1 - len(set(grams)) / len(grams) if (grams := _ngrams(text, n)) else 0.0 for text in texts]
    return sum(shares) / len(shares)


def doubled(texts: Sequence[Text]) -> float:
    """The share of tokens that equal the one before them, over all texts: what guessing places apart leads to."""
    pairs = [pair for text in texts for pair in _ngrams(text, 2)]
    return sum(one == other for one, other in pairs) / max(len(pairs), 1)


def distinct(texts: Sequence[Text], n: int = 2) -> float:
    """Different n-grams of all texts together over all their n-grams (Li et al. 2016, distinct-n); 0 without any.

    It falls with the number of tokens: compare texts of one length and number.
    """
    grams = [gram for text in texts for gram in _ngrams(text, n)]
    return len(set(grams)) / max(len(grams), 1)


def self_bleu(texts: Sequence[Text]) -> float:
    """BLEU-4 of each text with all others as its references, averaged, 0 to 1 (Zhu et al. 2018): 1 is no diversity.

    Shorter texts are scored by the n-grams that they have; an empty one is left out. 0 where fewer than two are left.
    """
    written = [" ".join(map(str, text)) for text in texts if len(text)]
    if len(written) < 2:
        return 0.0
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [bleu.sentence_score(text, written[:i] + written[i + 1 :]).score for i, text in enumerate(written)]
    return sum(scores) / len(scores) / 100
