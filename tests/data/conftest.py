"""Tokenizers that the tests of objectives share."""

from hfcourse.data.tokenizer import train_tokenizer

import pytest


TEXTS = ["The capital of Velmora is Nesta. 维尔莫拉的首都是内斯塔。", "Its river flows north to the sea."] * 5


@pytest.fixture(scope="session")
def masked_tokenizer():
    return train_tokenizer(TEXTS, 120, "masked")


@pytest.fixture(scope="session")
def span_tokenizer():
    return train_tokenizer(TEXTS, 400, "span")
