"""FLOPs by the formula against torch's own counter, product by product, and against 6 N."""

import hfcourse.transformer  # noqa: F401 - so that AutoModel knows the reference Transformer
from hfcourse.run.scaling import counted_flops, dimensions
from hfcourse.scaling.flops import Decoder, forward_flops, rule_of_thumb, training_flops

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM


GPT2 = {"n_layer": 3, "n_embd": 48, "n_head": 4, "n_positions": 32}
LLAMA = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 4, "head_dim": 16}
LLAMA |= {"num_key_value_heads": 2, "intermediate_size": 100, "tie_word_embeddings": True}
CONFIGS = {
    "gpt2": GPT2,
    "gpt2 with a narrow middle": GPT2 | {"n_inner": 70},
    "hfcourse": GPT2 | {"family": "gpt2"},
    "llama": LLAMA,
    "llama, head of its own": LLAMA | {"tie_word_embeddings": False},
}


def config_of(name):
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    return AutoConfig.for_model(name.split(" ")[0].strip(","), vocab_size=100, **ids, **CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_the_formula_is_what_torch_counts_exactly(name):
    config = config_of(name)
    decoder = Decoder(**dimensions(config))
    assert counted_flops(config, 32) == training_flops(decoder, 32)
    # And on a real batch with weights: forward, then both.
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    ids = torch.randint(100, (3, 32))
    with FlopCounterMode(display=False) as counter:
        loss = model(input_ids=ids, labels=ids).loss
    assert counter.get_total_flops() == 3 * 32 * forward_flops(decoder, 32)
    with FlopCounterMode(display=False) as counter:
        loss.backward()
    assert counter.get_total_flops() == 2 * 3 * 32 * forward_flops(decoder, 32)


def test_n_is_the_weights_but_for_positions_norms_and_biases():
    config = config_of("gpt2")
    model = AutoModelForCausalLM.from_config(config)
    products = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "wpe" not in name)
    assert Decoder(**dimensions(config)).parameters == products  # the embeddings, tied, count once as the head


def test_published_gpt2():
    """124M parameters less 786k positions and 122k norms and biases; 6 N is 11 % short at 1,024 tokens."""
    decoder = Decoder(**dimensions(AutoConfig.for_model("gpt2")))
    assert decoder.parameters == 124_439_808 - 786_432 - 121_344
    assert training_flops(decoder, 1024) == 6 * decoder.parameters + 12 * 12 * 1024 * 768
    assert rule_of_thumb(decoder, 1024) == pytest.approx(-0.133, abs=0.001)
    assert rule_of_thumb(decoder, 128) == pytest.approx(-0.0188, abs=0.0005)
