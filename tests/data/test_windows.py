"""Windows of tokens: every word is predicted once, with its own label, whatever the lengths."""

from hfcourse.data.load import Split
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.data.windows import IGNORED, Windows, to_windows, window_bounds
from hfcourse.errors import InputError

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers


LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TOKENIZER = train_tokenizer(["aa bb 中国 北京", "a b"] * 3, 40, "masked")


def split_of(*sentences):
    rows = [{"tokens": [t for t, _ in s], "tags": [tag for _, tag in s], "row": i} for i, s in enumerate(sentences, 1)]
    return Split(Dataset.from_list(rows), len(rows), {}, "a.conll, line")


WORDS = st.text("ab", min_size=1, max_size=5)
SENTENCES = st.lists(
    st.lists(st.tuples(WORDS, st.sampled_from(LABELS)), min_size=1, max_size=30), min_size=1, max_size=4
)


@settings(max_examples=100, deadline=None)
@given(sentences=SENTENCES, max_length=st.integers(8, 20), stride=st.integers(0, 5))
def test_each_word_is_predicted_once_by_its_first_token(sentences, max_length, stride):
    split = split_of(*sentences)
    windows = to_windows(split, Windows(TOKENIZER, LABELS, max_length, stride), [])
    seen = {}
    for row in windows.dataset:
        assert row["length"] == len(row["input_ids"]) == len(row["labels"]) <= max_length
        assert (row["input_ids"][0], row["input_ids"][-1]) == (TOKENIZER.cls_token_id, TOKENIZER.sep_token_id)
        counted = [i for i, label in enumerate(row["labels"]) if label != IGNORED]
        for i, word in zip(counted, row["words"], strict=True):
            token, tag = sentences[row["sentence"]][word]
            first = TOKENIZER(token, add_special_tokens=False)["input_ids"][0]
            assert (row["input_ids"][i], LABELS[row["labels"][i]]) == (first, tag)
            assert seen.setdefault((row["sentence"], word), i) == i
    assert len(seen) == sum(map(len, sentences)) == windows.counted_tokens
    assert windows.tokens == sum(len(row["input_ids"]) for row in windows.dataset) and windows.rows_truncated == 0


@pytest.mark.parametrize(
    ("words", "size", "stride", "bounds"),
    [
        ([0, 1, 2, 3], 9, 2, [(0, 4)]),
        ([0, 1, 2, 3, 4, 5, 6], 4, 2, [(0, 4), (2, 6), (4, 7)]),
        ([0, 0, 1, 1, 2, 2], 5, 1, [(0, 4), (2, 6)]),  # a stride of one token takes the whole word
        ([0, 0, 0, 0, 1], 3, 1, [(0, 3), (4, 5)]),  # a word too long for a window is cut, and the next one is whole
    ],
)
def test_where_windows_begin_and_end(words, size, stride, bounds):
    found, cut = window_bounds(words, size, stride)
    assert found == bounds and cut == (words.count(0) > size)


def test_an_entity_at_a_border_is_read_with_what_is_around_it():
    """Ten words, windows of six that share two: each is predicted where the nearest cut is farthest."""
    split = split_of([(letter, "O") for letter in "ababababab"])
    rows = to_windows(split, Windows(TOKENIZER, LABELS, 8, 2), notes := []).dataset
    assert [row["words"] for row in rows] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert [row["length"] for row in rows] == [8, 8]
    assert notes == [
        "1 sentences of a.conll have more than 8 tokens: they are read in windows that overlap by 2, "
        "and each word counts once."
    ]


def test_labels_on_all_tokens_of_a_word():
    split = split_of([("abab", "B-PER"), ("ab", "I-PER"), ("aba", "O")])
    (row,) = to_windows(split, Windows(TOKENIZER, LABELS, 20, 2, label_all_tokens=True), []).dataset
    pieces = [len(TOKENIZER(word, add_special_tokens=False)["input_ids"]) for word in ("abab", "ab", "aba")]
    inside = [3, *[4] * (pieces[0] - 1), *[4] * pieces[1], *[0] * pieces[2]]
    assert row["labels"] == [IGNORED, *inside, IGNORED] and max(pieces) > 1 and row["words"] == [0, 1, 2]


def test_words_without_a_token_and_words_too_long_are_told():
    cleaning = train_tokenizer(["a b"] * 3, 20, "masked")
    cleaning.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    split = split_of([("\u200b", "O"), ("a", "B-LOC")], [("ab" * 9, "B-PER"), ("b", "O")])
    windows = to_windows(split, Windows(cleaning, LABELS, 6, 0), notes := [])
    assert [row["words"] for row in windows.dataset if row["sentence"] == 0] == [[1]]
    assert "1 words of a.conll have no token in this vocabulary: they stay O." in notes
    assert windows.rows_truncated == 1 and windows.counted_tokens == 3


def test_a_tokenizer_without_word_ids_and_a_stride_without_room():
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="Slow does not say which word a token belongs to: it has no fast version"):
        Windows(Slow(), LABELS, 8, 2)
    with pytest.raises(InputError, match="--max_length 8 is too short for windows that overlap by 6 tokens"):
        Windows(TOKENIZER, LABELS, 8, 6)
