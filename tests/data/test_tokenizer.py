"""Trained tokenizers: lossless, deterministic, and no merge across two Chinese names."""

from hfcourse.data.tokenizer import SENTINELS, train_tokenizer

import pytest


TEXTS = ["The capital of Velmora is Nesta.", "维尔莫拉的首都是内斯塔。", "内斯塔在维尔莫拉。"] * 20


@pytest.mark.parametrize("objective", ["causal", "span"])
def test_byte_level_bpe_loses_no_text(objective):
    tokenizer = train_tokenizer(TEXTS, 500, objective)
    text = "Velmora 首都 \n\tnaïve 🙂 a  b"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer) <= 500
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


@pytest.mark.parametrize("objective", ["causal", "masked", "span"])
def test_training_is_deterministic(objective):
    one, two = (train_tokenizer(TEXTS, 420, objective) for _ in range(2))
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()


@pytest.mark.parametrize("objective", ["causal", "masked"])
def test_no_token_holds_two_han_characters(objective):
    tokenizer = train_tokenizer(TEXTS, 500, objective)
    ids = tokenizer("维尔莫拉的首都", add_special_tokens=False)["input_ids"]
    pieces = [tokenizer.decode([i]) for i in ids]
    assert pieces == list("维尔莫拉的首都")


def test_masked_frames_a_text_as_bert_does():
    tokenizer = train_tokenizer(TEXTS, 300, "masked")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("Nesta")["input_ids"])
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
    assert tokenizer.mask_token == "[MASK]"


def test_span_has_a_hundred_sentinels():
    tokenizer = train_tokenizer(TEXTS, 400, "span")
    ids = tokenizer.convert_tokens_to_ids(SENTINELS)
    assert len(set(ids)) == 100
    assert tokenizer.unk_token_id not in ids
    assert tokenizer("Nesta")["input_ids"][-1] == tokenizer.eos_token_id
