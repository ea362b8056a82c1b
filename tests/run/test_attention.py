"""Pictures of attention: the maps, the tokens at their edges, the command."""

import sys

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run import attention
from hfcourse.run.attention import attention_maps, load_for_maps
from hfcourse.run.models import from_scratch

import pytest
import torch
from PIL import Image


TEXTS = ["The capital of Kisoho is Godapi.", "赫法索的首都是赫霍哈。"] * 20
SIZES = {"hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 40}
KINDS = {"bert": "masked", "gpt2": "causal", "t5": "span"}


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a model with random weights and its tokenizer; returns the folder."""

    def write(family, model_type="hfcourse"):
        torch.manual_seed(0)
        tokenizer = train_tokenizer(TEXTS, 400, KINDS[family])
        of = {"model_type": model_type} | ({"family": family} if model_type == "hfcourse" else {}) | SIZES
        model = from_scratch(KINDS[family], of, tokenizer)
        for part in (model, tokenizer):
            part.save_pretrained(tmp_path / family)
        return str(tmp_path / family)

    return write


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["attention", *arguments])
    try:
        attention.main()
        code = 0
    except SystemExit as e:
        code = e.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(("family", "model_type"), [("gpt2", "hfcourse"), ("gpt2", "gpt2"), ("bert", "hfcourse")])
def test_maps_are_what_each_token_sees(checkpoint, family, model_type):
    model, tokenizer = load_for_maps(checkpoint(family, model_type))
    maps, rows, columns = attention_maps(model, tokenizer, TEXTS[0])
    assert (
        maps.shape == (2, 2, len(rows), len(columns))
        if family == "bert"
        else len(maps) == model.config.num_hidden_layers
    )
    assert torch.allclose(maps.sum(-1), torch.ones(()), atol=1e-6)
    assert rows == columns and "".join(rows).replace("[CLS]", "").startswith("The")
    assert bool((maps.triu(1) == 0).all()) == (family == "gpt2")


def test_an_encoder_decoder_has_three_kinds(checkpoint):
    model, tokenizer = load_for_maps(checkpoint("t5"))
    source, target = len(tokenizer(TEXTS[0])["input_ids"]), len(tokenizer(TEXTS[1])["input_ids"])
    sizes = {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
    for stack, size in sizes.items():
        maps, rows, columns = attention_maps(model, tokenizer, TEXTS[0], TEXTS[1], stack)
        assert maps.shape[2:] == size == (len(rows), len(columns))
        assert bool((maps.triu(1) == 0).all()) == (stack == "decoder")
    own, rows, _ = attention_maps(model, tokenizer, TEXTS[0], stack="cross")
    assert own.shape[2] == len(rows) > 1


def test_the_command_draws_a_picture(checkpoint, monkeypatch, capsys, tmp_path):
    path = tmp_path / "new" / "maps.png"
    code, out, _ = run(monkeypatch, capsys, "--load", checkpoint("gpt2"), "--text", TEXTS[1], "--output", str(path))
    assert code == 0 and out.startswith(f"{path}: 2 layers, 2 heads, ")
    with Image.open(path) as picture:
        assert picture.width > 200 and len(set(picture.convert("L").getdata())) > 20
    assert [p.name for p in path.parent.iterdir()] == ["maps.png"]


def test_refusals(checkpoint, monkeypatch, capsys, tmp_path):
    given = ["--load", checkpoint("gpt2"), "--output", str(tmp_path / "maps.png")]
    for arguments, said in {
        ("--text", "Godapi " * 50): "tokens, and this model takes 40",
        ("--text", "a", "--output", "maps.txt"): "--output maps.txt: a picture's name ends in .png, .svg or .pdf",
        ("--text", "a", "--load", "runs/no"): "model folder runs/no does not exist",
    }.items():
        code, _, err = run(monkeypatch, capsys, *given, *arguments)
        assert code == 2 and said in err and err.startswith("hfcourse: ") and len(err.splitlines()) == 1
    with pytest.raises(InputError, match="400|tokens"):
        attention_maps(*load_for_maps(checkpoint("gpt2")), "Godapi " * 50)
