"""The key is what the paper says, in each family, or the model is refused."""

from hfcourse.errors import InputError
from hfcourse.knn.capture import Capture, last_feed_forward

import pytest
import torch
from knn_models import MODELS, make_model
from transformers import OPTConfig, OPTForCausalLM, T5Config, T5ForConditionalGeneration


NORMS = {
    "gpt2": "transformer.h.1.ln_2",
    "llama": "model.layers.1.post_attention_layernorm",
    "gpt_neox": "gpt_neox.layers.1.post_attention_layernorm",
    "qwen2": "model.layers.1.post_attention_layernorm",
    "reference": "model.layers.1.feed_forward_norm",
}


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_the_key_is_what_the_norm_before_the_last_feed_forward_gives(name):
    model, ids = make_model(name), torch.randint(2, 60, (2, 9))
    given = []
    hook = model.get_submodule(NORMS[name]).register_forward_hook(lambda module, args, output: given.append(output))
    with Capture(model, "ffn_input", name) as capture:
        logits = model(ids).logits
        keys = capture.keys
        assert torch.equal(keys, given[0]) and keys.shape == (2, 9, capture.width)
        assert torch.equal(capture.of(ids), keys)  # without the output layer
        # A key is that of its context alone: with a cache, the last token's is the same.
        cached = model(ids[:, :-1], use_cache=True).past_key_values
        model(ids[:, -1:], past_key_values=cached)
        assert capture.keys.shape[1] == 1 and capture.keys[:, 0] == pytest.approx(keys[:, -1], abs=1e-4)
    hook.remove()
    assert torch.equal(model(ids).logits, logits)
    assert not any(module._forward_pre_hooks for module in model.modules())


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_the_other_key_is_what_the_output_layer_reads(name):
    model, ids = make_model(name), torch.randint(2, 60, (2, 9))
    with Capture(model, "hidden_state", name) as capture:
        logits = model(ids).logits
        assert model.get_output_embeddings()(capture.keys) == pytest.approx(logits, abs=1e-5)


def test_a_model_without_such_a_layer_is_refused_and_told_what_works():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 16}
    opt = OPTForCausalLM(OPTConfig(vocab_size=20, word_embed_proj_dim=16, **sizes))
    said = r"my/opt: no feed-forward network found in its last OPTDecoderLayer \(looked for mlp, .*--key hidden_state"
    with pytest.raises(InputError, match=said):
        last_feed_forward(opt, "my/opt")
    assert Capture(opt, "hidden_state", "my/opt").width == 16


def test_an_encoder_decoder_is_refused():
    model = T5ForConditionalGeneration(T5Config(vocab_size=20, d_model=8, num_layers=1, num_heads=1, d_kv=8, d_ff=8))
    with pytest.raises(InputError, match="my/t5 is an encoder-decoder"):
        Capture(model, "ffn_input", "my/t5")
