"""Checkpoints: what is refused, what is built from scratch, and whether packing keeps examples apart."""

import json

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run.models import check_folder, from_scratch, load, load_checkpoint

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast
from trl import ModelConfig


SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
ARCHITECTURES = {
    "causal": {"model_type": "llama", **SIZES},
    "masked": {"model_type": "bert", **SIZES},
    "span": {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
}


@pytest.fixture(scope="module")
def tokenizer():
    words = ["a", "b", "<pad>", "</s>"]
    whole = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="</s>", bos_token="</s>")


@pytest.mark.parametrize(
    ("objective", "name"),
    [("causal", "LlamaForCausalLM"), ("masked", "BertForMaskedLM"), ("span", "T5ForConditionalGeneration")],
)
def test_from_scratch_takes_tokens_from_the_tokenizer(tokenizer, objective, name):
    model = from_scratch(objective, ARCHITECTURES[objective], tokenizer)
    assert type(model).__name__ == name and model.get_input_embeddings().weight.shape == (4, 16)
    config = model.config
    assert (config.pad_token_id, config.eos_token_id, config.bos_token_id) == (2, 3, 3)
    assert objective != "span" or config.decoder_start_token_id == 2


def test_a_frame_has_the_ids_of_its_tokenizer():
    tokenizer = train_tokenizer(["a b"] * 3, 20, "masked")
    sizes = SIZES | {"model_type": "modernbert"}
    config = from_scratch("masked", sizes, tokenizer).config
    assert (config.cls_token_id, config.sep_token_id) == (tokenizer.cls_token_id, tokenizer.sep_token_id) == (2, 3)


@pytest.mark.parametrize(
    "architecture",
    [
        {"model_type": "gpt9"},
        {"model_type": "gpt2", "n_embd": 30, "n_head": 4},
        {"model_type": "bert", "hidden_size": "x"},
    ],
)
def test_an_architecture_that_is_none(tokenizer, architecture):
    with pytest.raises(InputError, match=r"^--architecture \{'model_type': ") as refusal:
        from_scratch("causal", architecture, tokenizer)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["./none", "/none", "~/none", "a/b/none", "runs/none"])
def test_a_path_that_is_not_there_is_never_asked_of_the_hub(name):
    with pytest.raises(InputError, match=f"model folder {name} does not exist"):
        check_folder(name)


@pytest.mark.parametrize(
    ("words", "pieces"),
    [(["the", "eu", "##s"], ["the", "eu", "##s"]), (["the", "The", "EU", "##s"], ["The", "EU", "##s"])],
)
def test_a_vocabulary_alone_says_whether_it_is_cased(tmp_path, words, pieces):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join([*special, *words]) + "\n")
    tokenizer = load(AutoTokenizer, str(tmp_path), None)
    assert tokenizer.is_fast and len(tokenizer) == 5 + len(words) and tokenizer.tokenize("The EUs") == pieces


def test_what_a_folder_must_hold(tmp_path):
    check_folder("gpt2")
    for made, said in (
        ("", "holds no config.json"),
        ("config.json", "holds no weights"),
        ("pytorch_model.bin", "holds only pytorch_model.bin, a pickle that could run code"),
    ):
        if made:
            (tmp_path / made).write_text("{}")
        with pytest.raises(InputError, match=said):
            check_folder(str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    check_folder(str(tmp_path))


def test_a_folder_with_a_tokenizer_alone(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert load(AutoTokenizer, str(tmp_path), None).get_vocab() == tokenizer.get_vocab()
    with pytest.raises(InputError, match="holds no config.json"):
        load(AutoModelForCausalLM, str(tmp_path), None)


def test_a_model_comes_back_as_it_was_saved(tokenizer, tmp_path):
    saved = from_scratch("causal", ARCHITECTURES["causal"], tokenizer)
    saved.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    args = ModelConfig(model_name_or_path=str(tmp_path), dtype="float32")
    model, loaded, note = load_checkpoint(args, AutoModelForCausalLM)
    assert note == "Every weight comes from the checkpoint."
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), model.parameters(), strict=True))
    assert loaded.get_vocab() == tokenizer.get_vocab()
    args.dtype = "bfloat16"
    half, *_ = load_checkpoint(args, AutoModelForCausalLM)
    assert half.dtype == torch.bfloat16
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(InputError, match=f"can't load {tmp_path} as a folder"):
        load(AutoModelForCausalLM, str(tmp_path), None)


def test_the_weights_that_are_new_are_named(tokenizer, tmp_path):
    from_scratch("masked", ARCHITECTURES["masked"], tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    args = ModelConfig(model_name_or_path=str(tmp_path), dtype="float32")
    model, _, note = load_checkpoint(args, AutoModelForTokenClassification, num_labels=3)
    assert model.classifier.weight.shape == (3, 16)
    assert note.startswith("New weights, drawn with the seed: classifier.bias, classifier.weight. Not used of it: ")
    model.save_pretrained(tmp_path)
    resized = {"num_labels": 5, "ignore_mismatched_sizes": True}
    _, _, note = load_checkpoint(args, AutoModelForTokenClassification, **resized)
    assert note == "New weights, drawn with the seed: classifier.bias, classifier.weight."


def test_no_model_and_no_network():
    with pytest.raises(InputError, match="--model_name_or_path is missing"):
        load_checkpoint(ModelConfig(), AutoModelForCausalLM)
    with pytest.raises(InputError, match="can't load me/none as a Hub model") as refusal:
        load_checkpoint(ModelConfig(model_name_or_path="me/none"), AutoModelForCausalLM)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "deep/a.safetensors"])
def test_an_index_that_leads_out_of_its_folder_is_refused(tokenizer, tmp_path, shard):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "model-00001-of-00001.safetensors").write_bytes(b"")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(InputError, match=f"names {shard}: the shards of a checkpoint lie in its own folder"):
        check_folder(str(tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(InputError, match="is no index of weights"):
        check_folder(str(tmp_path))
