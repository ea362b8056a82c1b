"""Quality rules: which lines are no part of a text, and which texts are none to learn from, each with its reason.

Most are those of Gopher (Rae et al. 2021, appendix A.1) and C4 (Raffel et al. 2020, section 2.2), which are made for
English; where they count words, these count characters of Chinese too, and where they ask for English stop words,
these ask for those of the text's own language.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hfcourse.clean.words import HAN, grams, words

from datatrove.pipeline.filters.gopher_repetition_filter import find_all_duplicate, find_duplicates


STOP_WORDS = {
    "en": frozenset(("the", "be", "to", "of", "and", "that", "have", "with", "is", "in", "a", "it", "was", "for")),
    "zh": frozenset("的是在了有和这那不人我他们也就"),
}
SENTENCE_END = re.compile(r"[.!?。！？][\"'”’」』)]*(?=\s|$|[^\x00-\x7f])")
BULLET = re.compile(r"\s*(?:[-•*·▪‣]|\d{1,3}[.)])\s")
# C4's phrases, and their like in Chinese: a short line with one of them is a notice.
NOTICE = re.compile(
    r"terms of use|privacy policy|cookie policy|uses? (?:of )?cookies|all rights reserved|enable javascript|"
    r"javascript is (?:off|disabled)|subscribe to our|share this page|sign up for|"
    r"使用条款|隐私政策|服务条款|Cookie|版权所有|保留所有权利|订阅我们|分享给朋友|分享到",
    re.IGNORECASE,
)
# Short items with one and the same sign between them: a menu.
MENU = re.compile(r"[^|»›·/-]{1,24}(?:\s+([|»›·/-])\s+[^|»›·/-]{1,24})(?:\s+\1\s+[^|»›·/-]{1,24})+[\s|»›·/-]*")
NOTICE_LENGTH = 120
LOREM = re.compile(r"lorem ipsum", re.IGNORECASE)
# (words in an n-gram, share of the characters): Gopher, table A1. A Chinese word has about two characters.
TOP_GRAMS = ((2, 0.20), (3, 0.18), (4, 0.16))
REPEATED_GRAMS = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))


@dataclass
class Text:
    """A text with what the rules ask of it, and the thresholds that they compare it with."""

    text: str
    lang: str
    min_words: int
    min_sentences: int
    words: list[str] = field(init=False)
    lines: list[str] = field(init=False)
    length: int = field(init=False)  # characters that are not white space

    def __post_init__(self) -> None:
        self.words = words(self.text)
        self.lines = [line for line in self.text.split("\n") if line.strip()]
        self.length = max(sum(map(len, self.text.split())), 1)

    def share(self, characters: int) -> float:
        return characters / self.length


def drop_lines(text: str) -> str:
    """The text without lines that are menus or notices. What is left keeps its line breaks."""
    kept = [line for line in text.split("\n") if not is_around(line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def is_around(line: str) -> bool:
    """Whether a line is a menu or a notice, which no structure of the page told apart."""
    return len(line) <= NOTICE_LENGTH and bool(MENU.fullmatch(line.strip()) or NOTICE.search(line))


def _mean_word(text: Text) -> float:
    latin = [word for word in text.words if word[0].isalpha() and not HAN.match(word)]
    return sum(map(len, latin)) / len(latin) if len(latin) > len(text.words) / 2 else 5.0


def _stop_words(text: Text) -> int:
    known = STOP_WORDS.get(text.lang)
    return len(known.intersection(word.lower() for word in text.words)) if known else 2


def _broken_off(lines: list[str]) -> float:
    return sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines)


def _repeated_lines(text: Text) -> bool:
    lines, characters = find_duplicates(text.lines)
    return lines > 0.3 * len(text.lines) or text.share(characters) > 0.2


def _repeated_phrases(text: Text) -> bool:
    scale = 2 if sum(map(bool, map(HAN.match, text.words))) > len(text.words) / 2 else 1
    for size, most in TOP_GRAMS:
        found = grams(text.words, n := scale * size)
        top, times = Counter(found).most_common(1)[0]
        # Of a short text any two words are a large part; they are repeated where they stand there three times.
        if times > 2 and text.share(times * (len(top) - n + 1)) > most:
            return True
    return any(text.share(find_all_duplicate(text.words, scale * size)) > most for size, most in REPEATED_GRAMS)


# Asked in this order; the first that holds is the reason.
RULES: dict[str, Callable[[Text], bool]] = {
    "too few words": lambda t: len(t.words) < t.min_words,
    "too many words": lambda t: len(t.words) > 100_000,
    "lorem ipsum": lambda t: bool(LOREM.search(t.text)),
    "a program": lambda t: t.share(sum(t.text.count(sign) for sign in "{};=")) > 0.03 and "{" in t.text,
    "a word of 1,000 letters": lambda t: max(map(len, t.words)) > 1000,
    "words too short or too long": lambda t: not 3 <= _mean_word(t) <= 10,
    "too few letters": lambda t: t.share(sum(map(str.isalpha, t.text))) < 0.6,
    "symbols": lambda t: (t.text.count("#") + t.text.count("...") + t.text.count("…")) / len(t.words) > 0.1,
    "a list": lambda t: sum(map(bool, map(BULLET.match, t.lines))) > 0.9 * len(t.lines),
    "lines that break off": lambda t: _broken_off(t.lines) > 0.3,
    "repeated lines": _repeated_lines,
    "repeated phrases": _repeated_phrases,
    "too few stop words": lambda t: _stop_words(t) < 2,
    "too few sentences": lambda t: len(SENTENCE_END.findall(t.text)) < t.min_sentences,
}


def judge(text: str, lang: str, min_words: int, min_sentences: int) -> str | None:
    """The first rule by which a text is dropped, or None."""
    asked = Text(text, lang, min_words, min_sentences)
    return next((name for name, holds in RULES.items() if holds(asked)), None)
