"""Small causal models of each family with random weights, and a store of random entries."""

from typing import Any

from hfcourse.knn.store import Store
from hfcourse.run.convert import from_hf

import numpy as np
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)


MODELS = ["gpt2", "llama", "gpt_neox", "qwen2", "reference"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TOKENS = {"vocab_size": 61, "bos_token_id": 1, "eos_token_id": 1}


def make_model(name: str) -> Any:
    torch.manual_seed(0)
    grouped = SIZES | {"num_key_value_heads": 2}
    if name in ("gpt2", "reference"):
        model: Any = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **TOKENS))
    elif name == "llama":
        model = LlamaForCausalLM(LlamaConfig(**grouped, **TOKENS))
    elif name == "gpt_neox":
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **TOKENS))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**grouped, **TOKENS))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return (from_hf(model) if name == "reference" else model).eval()


def make_store(entries: int, width: int, shards: int = 1, vocabulary: int = 7, dtype: str = "float32") -> Store:
    random = np.random.default_rng(0)
    keys, tokens = random.standard_normal((entries, width)).astype(dtype), random.integers(0, vocabulary, entries)
    return Store(np.array_split(keys, shards), np.array_split(tokens.astype(np.int32), shards))
