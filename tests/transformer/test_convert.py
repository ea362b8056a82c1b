"""Weights of transformers' models into the Transformer and back, from memory, folders and the command line."""

import sys

from hfcourse.errors import InputError
from hfcourse.run import convert
from hfcourse.run.convert import from_hf, to_hf
from hfcourse.transformer import TransformerConfig
from hfcourse.transformer.model import TransformerForCausalLM, TransformerForConditionalGeneration

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import MODELS, batch, build, difference, pair
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForTokenClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2ForSequenceClassification,
    GPT2Model,
    PreTrainedTokenizerFast,
    T5Model,
)


BACKBONES = {
    BertModel: "bert",
    BertForTokenClassification: "bert",
    GPT2Model: "gpt2",
    GPT2ForSequenceClassification: "gpt2",
    T5Model: "t5",
}


def perturbed(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a model with a tokenizer of its 61 tokens; returns the folder."""

    def write(model, name="theirs"):
        tokens = {"<pad>": 0, "</s>": 1} | {f"t{i}": i for i in range(2, 61)}
        tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="<pad>"))
        model.save_pretrained(tmp_path / name)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>").save_pretrained(tmp_path / name)
        return tmp_path / name

    return write


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["convert", *map(str, arguments)])
    try:
        convert.main()
        code = 0
    except SystemExit as e:
        code = e.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_there_and_back_changes_no_bit(name, dtype, tmp_path):
    theirs = pair(name)[0].to(dtype)
    back = to_hf(from_hf(theirs))
    back.save_pretrained(tmp_path)
    for again in (back, type(theirs).from_pretrained(tmp_path, dtype="auto").eval()):
        weights, expected = again.state_dict(), theirs.state_dict()
        assert weights.keys() == expected.keys() and len(weights) > 20
        assert all(torch.equal(weights[key], expected[key]) and weights[key].dtype is dtype for key in expected)
    inputs = batch(name)
    assert difference(theirs(**inputs).logits, again(**inputs).logits) < (1e-6 if dtype is torch.float32 else 0.05)


@pytest.mark.parametrize("kind", BACKBONES)
@torch.no_grad()
def test_other_heads(kind):
    theirs = perturbed(kind(build(BACKBONES[kind]).config))
    ours, inputs = from_hf(theirs), batch(BACKBONES[kind], "right")
    inputs.pop("position_ids", None)
    expected, found = theirs(**inputs)[0], ours(**inputs)[0]
    there = ... if expected.dim() < 3 or "decoder_input_ids" in inputs else inputs["attention_mask"].bool()
    assert difference(expected[there], found[there]) < 1e-5
    weights, expected = to_hf(ours).state_dict(), theirs.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_a_command_converts_a_folder_with_its_tokenizer_and_another_converts_it_back(checkpoint, monkeypatch, capsys):
    theirs = pair("gpt2")[0]
    folder = checkpoint(theirs)
    ours, back = folder.with_name("ours"), folder.with_name("back")
    code, out, _ = run(monkeypatch, capsys, "--load", folder, "--output", ours)
    assert code == 0 and out == f"{ours}: TransformerForCausalLM, 29,984 parameters, from GPT2LMHeadModel {folder}\n"
    assert theirs.num_parameters() == 29984
    assert run(monkeypatch, capsys, "--load", ours, "--output", back, "--to_hf")[0] == 0
    assert (back / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert {path.name for path in back.iterdir()} == {path.name for path in folder.iterdir()}
    assert AutoTokenizer.from_pretrained(ours).get_vocab() == AutoTokenizer.from_pretrained(folder).get_vocab()
    assert type(AutoModelForCausalLM.from_pretrained(ours)) is TransformerForCausalLM
    code, _, err = run(monkeypatch, capsys, "--load", folder, "--output", ours)
    assert (code, err) == (2, f"hfcourse: {ours} is there already: give another --output\n")


def test_a_pre_training_checkpoint_loads_without_its_second_objective(checkpoint):
    theirs = perturbed(BertForPreTraining(build("bert").config))
    ours, inputs = from_hf(str(checkpoint(theirs))), batch("bert")
    assert difference(theirs(**inputs).prediction_logits, ours(**inputs).logits) < 1e-5


def test_a_model_of_the_hub_at_a_revision(checkpoint, hub):
    theirs = pair("t5-v1.1")[0]
    files = {path.name: path.read_bytes() for path in checkpoint(theirs).iterdir()}
    first = hub.add_repo("me/t5", files)
    hub.add_repo("me/t5", {**files, "config.json": b"{}"})
    ours, inputs = from_hf("me/t5", first), batch("t5")
    assert difference(theirs(**inputs).logits, ours.eval()(**inputs).logits) < 1e-5


def test_missing_and_unknown_weights_are_named(checkpoint):
    folder = checkpoint(pair("t5")[0])
    weights = load_file(folder / "model.safetensors")
    left = {key: value for key, value in weights.items() if "decoder.block.1.layer.0.SelfAttention.k" not in key}
    save_file(left, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"theirs lacks the weights decoder\.block\.1\.layer\.0\.SelfAttention\.k"):
        from_hf(str(folder))
    save_file(weights | {"encoder.adapter.weight": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"theirs has unknown weights encoder\.adapter\.weight"):
        from_hf(str(folder))


def test_other_families_heads_and_options_are_refused(checkpoint):
    distil = DistilBertForMaskedLM(DistilBertConfig(vocab_size=61, dim=32, n_layers=1, n_heads=2, hidden_dim=32))
    decoder = type(build("gpt2").config)(**build("gpt2").config.to_dict() | {"scale_attn_by_inverse_layer_idx": True})
    refusals = {
        "'distilbert' can't be converted, only those of bert, gpt2, t5": lambda: from_hf(distil),
        "of the family 'distilbert', not of bert, gpt2, t5": lambda: from_hf(str(checkpoint(distil))),
        "no head like BertForNextSentencePrediction's": lambda: from_hf(
            BertForNextSentencePrediction(build("bert").config)
        ),
        "gpt2 with scale_attn_by_inverse_layer_idx": lambda: from_hf(GPT2Model(decoder)),
        "no model for the family 'vaswani'": lambda: to_hf(
            TransformerForConditionalGeneration(TransformerConfig(family="vaswani", vocab_size=61, hidden_size=32))
        ),
        "no gpt2 with pre_norm=False": lambda: to_hf(
            TransformerForCausalLM(TransformerConfig(vocab_size=61, hidden_size=32, pre_norm=False))
        ),
    }
    for said, act in refusals.items():
        with pytest.raises(InputError, match=said):
            act()
