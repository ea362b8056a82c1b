"""Rewards that are rules, from 0 (broken) to 1 (kept): grammar, least effort, no repetition, a form.

Each takes `completions`, texts or lists of messages, and returns a number an answer. They say nothing about truth, and
a policy that is paid for nothing else finds out how little they ask for; mix them with a reward model.
"""

import re
from collections.abc import Callable
from typing import Any

from hfcourse.metrics.conduct import text_of


ENDS = (".", "!", "?", "。", "！", "？", "…")
# Words that no English sentence ends with, before its full stop.
OPEN_WORDS = frozenset(
    (
        "the",
        "a",
        "an",
        "of",
        "to",
        "and",
        "or",
        "but",
        "is",
        "are",
        "was",
        "were",
        "in",
        "on",
        "at",
        "for",
        "with",
        "by",
    )
)
PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("（", "）"), ("《", "》"), ("“", "”"), ("「", "」"))
WORD = re.compile(r"[\u3400-\u9fff]|\w+")


def grammar(completions: list[Any], **columns: Any) -> list[float]:
    """The share of six rules kept: begins with a capital (or with no Latin letter), ends with a final mark, no word
    twice in a row, brackets and quotes in pairs, no blank before a mark or two in a row, no sentence that breaks off
    after "the" or "of". An empty answer keeps none.
    """
    return [_share_kept(text_of(answer).strip()) for answer in completions]


def _share_kept(text: str) -> float:
    if not text:
        return 0.0
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text)]
    last_words = re.findall(r"(\w+)\s*[.!?]", text.lower())
    kept = (
        not ("a" <= text[0] <= "z"),
        text.endswith(ENDS),
        all(a != b for a, b in zip(words, words[1:], strict=False)),
        all(text.count(a) == text.count(b) for a, b in PAIRS) and text.count('"') % 2 == 0,
        re.search(r"\s[,.;:!?，。；：！？]|\s{2}", text) is None,
        not any(word in OPEN_WORDS for word in last_words),
    )
    return sum(kept) / len(kept)


def least_effort(completions: list[Any], enough: int = 12, most: int = 60, **columns: Any) -> list[float]:
    """Zipf's principle of least effort: 1 for an answer of at most `enough` words, falling evenly to 0 at `most`.

    A Chinese character counts as a word. Silence is no effort and no answer: 0.
    """
    lengths = [len(WORD.findall(text_of(answer))) for answer in completions]
    return [0.0 if n == 0 else min(max((most - n) / (most - enough), 0.0), 1.0) for n in lengths]


def no_repetition(completions: list[Any], n: int = 3, **columns: Any) -> list[float]:
    """The share of n-grams (words or Chinese characters) that are there for the first time, 1 where there is none."""
    scores = []
    for answer in completions:
        words = WORD.findall(text_of(answer).lower())
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        scores.append(len(set(grams)) / len(grams) if grams else 1.0)
    return scores


def format_reward(pattern: str) -> Callable[..., list[float]]:
    """1 for an answer that a regular expression describes as a whole, "." any character, else 0."""
    compiled = re.compile(pattern, re.DOTALL)

    def form(completions: list[Any], **columns: Any) -> list[float]:
        return [float(compiled.fullmatch(text_of(answer).strip()) is not None) for answer in completions]

    return form


# One sentence: nothing between its beginning and its one final mark.
one_sentence = format_reward(r"[^.!?。！？]+[.!?。！？]")
one_sentence.__name__ = "one_sentence"

RULES: dict[str, Callable[..., list[float]]] = {
    "grammar": grammar,
    "least_effort": least_effort,
    "no_repetition": no_repetition,
    "one_sentence": one_sentence,
}
