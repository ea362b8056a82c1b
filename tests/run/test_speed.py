"""Timing both sides: the FLOP formula, the cards, what is measured and where."""

from hfcourse.run.speed import PEAKS, SIDES, Case, compare, flops_per_token, measure, memory, peak_flops

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel


COMMON = {"vocab_size": 200, "pad_token_id": 0, "eos_token_id": 1}
GPT2 = COMMON | {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64}
CONFIGS = {
    "bert": COMMON | {"model_type": "bert", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32},
    "gpt2": GPT2,
    "t5": COMMON
    | {"model_type": "t5", "num_layers": 1, "num_heads": 2, "d_model": 32, "d_kv": 16, "d_ff": 64}
    | {"decoder_start_token_id": 0},
}


def case(family, **changes):
    sizes = {"batch_size": 2, "length": 16, "generated": 5, "rounds": 2}
    return Case(CONFIGS[family], **sizes | changes)


@pytest.mark.parametrize("family", CONFIGS)
def test_both_sides_are_one_model_on_one_batch(family):
    both, batch = case(family).sides(), case(family).batch()
    losses = [model.eval()(**batch).loss.item() for model in both.values()]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert tuple(both) == SIDES and [type(m).__module__.split(".")[0] for m in both.values()] == [
        "hfcourse",
        "transformers",
    ]


@pytest.mark.parametrize("family", CONFIGS)
def test_every_part_is_timed(family):
    found = compare(case(family))
    assert found.keys() == {"forward", "backward", "step"} | ({"generation"} if family != "bert" else set())
    for values in found.values():
        assert values["least"] <= values["ratio"] <= values["most"]
        assert min(values[side] for side in SIDES) > 0
    tokens = 2 * (16 + (4 if family == "t5" else 0))
    seconds = {part: tokens / found[part]["reference"] for part in ("forward", "backward", "step")}
    assert seconds["forward"] < seconds["step"] and seconds["backward"] < seconds["step"]


def test_variants_are_what_they_say(monkeypatch):
    for variant, attention in (("eager", "eager"), ("sdpa", "sdpa"), ("compiled", "sdpa")):
        for model in case("gpt2", variant=variant).sides().values():
            assert model.config._attn_implementation == attention
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    assert compare(case("gpt2", variant="compiled")).keys() == {"forward", "backward", "step"}
    assert len(compiled) == 2


def test_processes_of_their_own_tell_their_memory():
    (small,) = measure([case("gpt2")])
    assert small["memory_mb"]["ratio"] == pytest.approx(
        small["memory_mb"]["transformers"] / small["memory_mb"]["reference"]
    )
    assert min(small["memory_mb"][side] for side in SIDES) > 50
    assert small["generation"].keys() == {*SIDES, "ratio", "least", "most"}
    assert memory(case("gpt2"), "reference") > 50


def test_a_process_that_fails_is_noticed(monkeypatch, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\ncat > /dev/null\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(RuntimeError, match=r"hfcourse\.run\.speed ended with code 3"):
        list(measure([case("gpt2")]))


@pytest.mark.parametrize("length", [16, 48])
def test_the_formula_counts_what_the_counter_counts(length):
    """Of forward and backward, by torch's own counter of matrix products; attention's are in it in the eager way."""
    model = GPT2LMHeadModel(GPT2Config(**GPT2 | {"n_embd": 64, "n_head": 4}, attn_implementation="eager"))
    ids = torch.randint(200, (3, length))
    with FlopCounterMode(display=False) as counter:
        model(ids, labels=ids).loss.backward()
    # Biases and norms are in the formula's N and in no matrix product.
    assert counter.get_total_flops() == pytest.approx(3 * length * flops_per_token(model, length), rel=0.02)


def test_gpt2_124m_by_hand():
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    # 124,439,808 parameters, 786,432 of them positions; 12 x 12 x 768 x 1,024 for attention.
    assert flops_per_token(model, 1024) == 6 * 123_653_376 + 113_246_208


def test_cards_are_found_by_their_names():
    for name, peak in {
        "NVIDIA H100 80GB HBM3": 989e12,
        "NVIDIA H100 PCIe": 756e12,
        "NVIDIA A100-SXM4-80GB": 312e12,
        "NVIDIA L40S": 362e12,
        "NVIDIA L4": 121e12,
        "NVIDIA GeForce RTX 4090": 165e12,
        "NVIDIA RTX A1000": None,
        "Tesla T4": None,
    }.items():
        assert peak_flops(name) == peak, name
    assert len(PEAKS) >= 10
