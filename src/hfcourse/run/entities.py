"""Entities in a text as somebody writes it: its words, transformers' pipeline over them, places in the text."""

import re
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hfcourse.run.ner import window_size

from transformers import TokenClassificationPipeline


HAN = "\u3400-\u9fff\U00020000-\U0003ffff"
# A Han character; U.N.; letters and digits with what may stand between them (al-Qaeda, AT&T, 6,500); any other sign.
_WORD = re.compile(
    rf"[{HAN}]|(?:[^\W\d_]\.){{2,}}(?![^\W{HAN}])"
    rf"|[^\W{HAN}]+(?:(?:[.'\u2019&-]|(?<=\d)[,:](?=\d))[^\W{HAN}]+)*|\S"
)
_SUFFIX = re.compile(r"['\u2019](?:s|re|ve|ll|d|m)$", re.IGNORECASE)


def split_words(text: str) -> list[tuple[int, int]]:
    """[start, end) of the words of a text, cut as corpora of entities cut them: punctuation apart, Han one by one.

    What stands inside a word stays there (U.N., al-Qaeda), as it does in CoNLL-2003, but for an English 's.
    """
    found = []
    for match in _WORD.finditer(text):
        suffix = _SUFFIX.search(text, *match.span())
        cut = suffix.start() if suffix else match.end()
        found += [(start, end) for start, end in ((match.start(), cut), (cut, match.end())) if start < end]
    return found


class WordPipeline(TokenClassificationPipeline):
    """The pipeline for texts in words, which then decides a word by its first token, as training does.

    transformers takes every token without a mark of continuation for a word: the parts of "U.N." would be four, of
    which training never labelled three, and a byte-level tokenizer would have no words.
    """

    def gather_pre_entities(self, *args: Any, **kwargs: Any) -> list[dict]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that this tokenizer has no words
            tokens = super().gather_pre_entities(*args, **kwargs)
        words = kwargs["word_ids"]
        for before, token in pairwise(tokens):
            token["is_subword"] = words[before["index"]] == words[token["index"]]
        return tokens


def find_entities(model: Any, tokenizer: Any) -> Callable[[str], list[dict[str, Any]]]:
    """Finds entities in a text: {"text", "type", "score", "start", "end"}, characters of the text from start to end.

    A text that is longer than the model's input is read in windows.
    """
    _, stride = window_size(model, tokenizer)
    pipe = WordPipeline(model=model, tokenizer=tokenizer, stride=stride, aggregation_strategy="first")

    def find(text: str) -> list[dict[str, Any]]:
        spans = split_words(text)
        if not spans:
            return []
        # The pipeline counts characters of the words joined by spaces.
        places = [place for start, end in spans for place in range(start, end + 1)]
        rows: Any = pipe([text[start:end] for start, end in spans], is_split_into_words=True)
        return [
            {
                "text": text[places[e["start"]] : places[e["end"]]],
                "type": e["entity_group"],
                "score": float(e["score"]),
                "start": places[e["start"]],
                "end": places[e["end"]],
            }
            for e in rows[0]
        ]

    return find
