"""Which tokens make up a word: by the tokenizer's own words, and by a segmentation for Chinese, which has no spaces.

The segmentation is jieba's (a dictionary, and a hidden Markov model for what is not in it), with the words added that
the training texts show by themselves; docs/decisions/0008 has the measurements.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any

from hfcourse.data.tokenizer import HAN_CHARACTER
from hfcourse.errors import InputError

from rjieba import Jieba


HAN_RUN = re.compile(f"{HAN_CHARACTER.pattern}+")
# Between the parts of a foreign name (GB/T 15834-2011, 4.14).
INTERPUNCT = "·"
# Texts that new words are looked for in, and what makes a run of characters one: see `new_words`.
TEXTS = 20_000
LONGEST = 6
LEAST_COUNT = 10
LEAST_COHESION = 30.0
LEAST_ENTROPY = 1.5


def new_words(texts: Iterable[str]) -> list[str]:
    """Words that the texts show whatever a dictionary holds: runs of 2 to 6 Han characters that keep together.

    Such a run comes up at least 10 times; wherever it is cut in two, it is at least 30 times as frequent as if its two
    parts met by chance; and before it as behind it the characters change, with an entropy of at least 1.5 nats. This
    is how the field finds new words: mutual information (Sproat and Shih 1990) and entropy of the neighbours (Jin and
    Tanaka-Ishii 2006).
    """
    runs = [run for text in texts for run in HAN_RUN.findall(text)]
    counts = Counter(character for run in runs for character in run)
    total = counts.total()
    for size in range(2, LONGEST + 1):
        # A run is no more frequent than what it begins and ends with: others need not be counted.
        grams = Counter(
            run[i : i + size]
            for run in runs
            for i in range(len(run) - size + 1)
            if min(counts[run[i : i + size - 1]], counts[run[i + 1 : i + size]]) >= LEAST_COUNT
        )
        counts.update({gram: count for gram, count in grams.items() if count >= LEAST_COUNT})

    def cohesion(word: str) -> float:
        return min(counts[word] * total / (counts[word[:i]] * counts[word[i:]]) for i in range(1, len(word)))

    candidates = {word for word in counts if len(word) > 1 and cohesion(word) >= LEAST_COHESION}
    before: dict[str, Counter[str | int]] = defaultdict(Counter)
    behind: dict[str, Counter[str | int]] = defaultdict(Counter)
    for number, run in enumerate(runs):
        for start in range(len(run)):
            for end in range(start + 2, min(start + LONGEST, len(run)) + 1):
                if (word := run[start:end]) in candidates:
                    # The end of a run is a neighbour unlike any other.
                    before[word][run[start - 1] if start else number] += 1
                    behind[word][run[end] if end < len(run) else number] += 1
    varied = (w for w in candidates if min(_entropy(before[w]), _entropy(behind[w])) >= LEAST_ENTROPY)
    return sorted(varied, key=lambda word: (len(word), word))


def _entropy(counts: Counter[Any]) -> float:
    total = counts.total()
    return -sum(count / total * math.log(count / total) for count in counts.values())


class Words:
    """Numbers the words of tokenised texts; the first 20,000 of `texts` teach it the words of this corpus.

    Raises InputError for a tokenizer that does not tell its words.
    """

    def __init__(self, tokenizer: Any, texts: Iterable[str]):
        if not tokenizer.is_fast:
            raise InputError(
                f"--whole_word_masking needs a tokenizer that tells its words: {type(tokenizer).__name__} is none of "
                "the tokenizers library (a fast one)"
            )
        self._jieba = Jieba()
        for word in new_words(islice(texts, TEXTS)):
            self._jieba.add_word(word, None, None)

    def segment(self, text: str) -> list[str]:
        """The text in Chinese words and what stands between them; joined, it is the text again."""
        words: list[str] = []
        for piece in self._jieba.cut(text):
            if words and (piece == INTERPUNCT or words[-1].endswith(INTERPUNCT)):
                words[-1] += piece
            else:
                words.append(piece)
        return words

    def number(self, text: str, encoding: Any) -> list[int]:
        """For each token of `encoding`, the `tokenizers` encoding of `text`, the number of its word, from 0."""
        words: list[tuple[int, int | None]] = [(-1, word) for word in encoding.word_ids]
        if HAN_CHARACTER.search(text):
            segment_of = [
                index if HAN_CHARACTER.search(segment) else -1
                for index, segment in enumerate(self.segment(text))
                for _ in segment
            ]
            for token, (start, end) in enumerate(encoding.offsets):
                if start < end and segment_of[start] >= 0:
                    words[token] = (segment_of[start], None)
        numbers, number = [], -1
        for previous, word in zip([None, *words], words, strict=False):
            number += word != previous
            numbers.append(number)
        return numbers
