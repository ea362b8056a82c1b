"""A small language model that several test files start from."""

from hfcourse.data.tokenizer import train_tokenizer

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Its folder, with its tokenizer, as sft leaves it."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(["what is one and one? two", "the answer is two."], 300, "causal")
    torch.manual_seed(0)
    sizes = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 32}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
