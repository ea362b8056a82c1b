"""Words of tokenised text: spaces, pieces and Chinese words; and the words that a corpus teaches."""

import random
from collections import defaultdict

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.data.words import Words, new_words
from hfcourse.errors import InputError

import pytest
from tiny_tokenizers import gpt2_like
from transformers import BertTokenizer


TEXTS = ["The capital of Velmora is Nesta. 维尔莫拉的首都是内斯塔。", "Its river flows north to the sea."] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 90, "masked")


def grouped(words: Words, tokenizer, text: str) -> list[str]:
    """The text's words as they are numbered, each as its tokens joined."""
    encoding = tokenizer([text], add_special_tokens=False).encodings[0]
    numbers = words.number(text, encoding)
    assert numbers == sorted(numbers) and set(numbers) == set(range(numbers[-1] + 1))
    found = [""] * (numbers[-1] + 1)
    for number, token in zip(numbers, encoding.tokens, strict=True):
        found[number] += token.removeprefix("##")
    return found


def test_english_words_are_the_tokenizers_and_chinese_words_the_dictionarys(tokenizer):
    assert len(tokenizer.tokenize("Nesta")) > 1
    words = grouped(Words(tokenizer, []), tokenizer, "The sea of Nesta. 首都是大的 Nesta.")
    assert words == ["The", "sea", "of", "Nesta", ".", "首都", "是", "[UNK]", "的", "Nesta", "."]


def test_byte_level_pieces_of_a_chinese_word_belong_together():
    tokenizer = gpt2_like()
    text = "the 学校河流"
    encoding = tokenizer([text], add_special_tokens=False).encodings[0]
    assert len(encoding.tokens) > 10, "a character is several tokens"
    owned: dict[int, set[str]] = defaultdict(set)
    for number, (start, end) in zip(Words(tokenizer, []).number(text, encoding), encoding.offsets, strict=True):
        owned[number] |= set(text[start:end])
    assert [set("the"), {" "}, set("学校"), set("河流")] == list(owned.values())


def test_a_foreign_name_is_one_word_with_its_dot(tokenizer):
    words = Words(tokenizer, [])
    text = "诗人卡尔·马克思写书"
    assert "".join(words.segment(text)) == text
    assert any("·马克思" in word and not word.startswith("·") for word in words.segment(text))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """60 lines of 40 random characters, with 戈杜波 in the middle."""
    draw = random.Random(0)
    return [
        "戈杜波".join("".join(draw.choices("天地玄黄宇宙洪荒日月盈昃辰宿列张", k=20)) for _ in "ab") for _ in range(60)
    ]


def test_new_words_are_what_three_counts_say(lines):
    """By hand: 戈 and 杜波 are found 60 times each among 2580 characters, and 戈杜波 60 x 2580 / (60 x 60) = 43 times
    as often as by chance; its neighbours are any of 16, with an entropy near log 16 = 2.8.
    """
    assert new_words(lines) == ["戈杜波"]
    assert new_words(lines[:9]) == [], "nine times are too few"
    apart = [line.replace("戈杜波", part) for line in 2 * lines for part in ("戈", "杜波")]
    assert new_words([*lines, *apart]) == ["杜波"], "戈杜波: 60 x 12540 / (180 x 180) = 23 times as often as by chance"
    always_before_the_same = [line.replace("戈杜波", "戈杜波河") for line in lines]
    assert new_words(always_before_the_same) == ["戈杜波河"]
    # The end of a run is a neighbour unlike any other: 60 runs of nothing else have an entropy of log 60.
    assert new_words([*["戈杜"] * 60, *(line.replace("戈杜波", "") for line in lines)]) == ["戈杜"]


def test_words_of_the_corpus_are_added_to_the_dictionary(tokenizer, lines):
    text = "人人爱读戈杜波的诗"
    assert "戈杜波" not in Words(tokenizer, []).segment(text)
    assert "戈杜波" in Words(tokenizer, lines).segment(text)


def test_a_slow_tokenizer_tells_no_words(tmp_path):
    class Slow(BertTokenizer):
        is_fast = False

    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with pytest.raises(InputError, match="--whole_word_masking needs a tokenizer that tells its words: Slow"):
        Words(Slow(str(tmp_path / "vocab.txt")), [])
