"""Words and n-grams of text in any language without a tokenizer of any: what duplicates and leaks are told by."""

import re
from functools import lru_cache

from datatrove.utils.text import TextNormConfig, simplify_text


# Han, kana and their extensions are written without spaces: each character is a word.
WORD = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]|[^\W_]+(?:['’][^\W_]+)?")
HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]")
# Case, spaces, punctuation and accents make no difference. Numbers do: datatrove would make 0 of each, and sums in an
# exam would all be the same.
SAME = TextNormConfig(norm_numbers=False)


@lru_cache(8)  # the rules of one document ask for its words in turn
def words(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, and single characters of scripts without spaces."""
    return WORD.findall(text)


def normalised(text: str) -> list[str]:
    """The words of a text as `SAME` has them."""
    return WORD.findall(simplify_text(text, SAME))


def grams(items: list[str], n: int) -> list[str]:
    """All n-grams of words, joined by spaces; a text of fewer words is one of them as a whole."""
    return [" ".join(items[i : i + n]) for i in range(max(len(items) - n, 0) + 1)] if items else []
