"""Encoder-decoders: a loss that can be accumulated, generation in batches, and what is refused."""

from hfcourse.errors import InputError
from hfcourse.run.answers import generate
from hfcourse.run.encoder_decoder import encoder_decoder_loss, load_encoder_decoder, prepare_generation

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.trainer_pt_utils import LabelSmoother
from trl import ModelConfig


T5 = {"model_type": "t5", "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
TOKENS = {"vocab_size": 64, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


@pytest.fixture(scope="module")
def tokenizer():
    words = ["<pad>", "</s>", *(f"w{i}" for i in range(62))]
    whole = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w0"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="</s>")


@pytest.fixture(scope="module", params=["t5", "bart", "marian"])
def model(request):
    torch.manual_seed(3)
    if request.param == "t5":
        return T5ForConditionalGeneration(T5Config(**T5 | TOKENS, initializer_factor=3.0))
    names = ("layers", "attention_heads", "ffn_dim")
    sizes = {f"{side}_{n}": v for side in ("encoder", "decoder") for n, v in zip(names, (2, 2, 64), strict=True)}
    sizes |= {"d_model": 32, "dropout": 0.0, "init_std": 0.5, "max_position_embeddings": 40, **TOKENS}
    if request.param == "bart":
        return BartForConditionalGeneration(BartConfig(**sizes, forced_eos_token_id=None, bos_token_id=None))
    return MarianMTModel(MarianConfig(**sizes | {"init_std": 0.15}, forced_eos_token_id=None))


def batch(*lengths):
    """Sources and targets of these lengths, right-padded."""
    torch.manual_seed(sum(lengths))
    width = max(lengths)
    mask = torch.tensor([[1] * n + [0] * (width - n) for n in lengths])
    ids = torch.randint(2, 64, mask.shape)
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "labels": ids.flip(1).masked_fill(mask.flip(1) == 0, -100),
    }


def gradient(model, losses):
    model.zero_grad()
    for loss in losses:
        loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_two_accumulated_batches_are_one(model, smoothing):
    """Two batches with 4 and 21 counted tokens; the mean of their means would be another loss."""
    whole = batch(3, 1, 9, 5, 7)
    labels = whole["labels"]
    parts = [{name: value[rows] for name, value in whole.items()} for rows in (slice(0, 2), slice(2, 5))]
    model.train()
    mean, outputs = encoder_decoder_loss(model, whole, smoothing=smoothing)
    assert mean.item() == pytest.approx(LabelSmoother(epsilon=smoothing)(outputs, labels).item(), rel=1e-5)
    if smoothing == 0:
        assert mean.item() == pytest.approx(model(**whole).loss.item(), rel=1e-5)
    summed = [encoder_decoder_loss(model, part, torch.tensor(25), smoothing)[0] for part in parts]
    assert sum(summed).item() == pytest.approx(mean.item(), rel=1e-5)
    one, two = gradient(model, [mean]), gradient(model, summed)
    assert one.keys() == two.keys() and len(one) > 20
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_batches_and_padding_change_no_text(model, tokenizer):
    prompts = [torch.randint(2, 64, (length,)).tolist() for length in (3, 17, 1, 9, 9, 24, 5)]
    for beams in (1, 4):
        expected = []
        for ids in prompts:
            output = model.generate(torch.tensor([ids]), max_new_tokens=8, num_beams=beams, do_sample=False)
            expected.append(tokenizer.decode(output[0], skip_special_tokens=True))
        assert len(set(expected)) > 3
        for size in (2, 128):
            model.train()
            assert generate(model, tokenizer, prompts, 8, size, beams) == expected
            assert model.training


def test_weights_come_from_one_place(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "tokens")
    causal = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=64, bos_token_id=1, eos_token_id=1))
    causal.save_pretrained(tmp_path / "gpt2")
    (name, tokens), gpt2 = (T5, str(tmp_path / "tokens")), str(tmp_path / "gpt2")
    for arguments, said in (
        ((ModelConfig(gpt2), None, None), "gpt2 is a gpt2, no encoder-decoder such as t5"),
        ((ModelConfig(gpt2), name, tokens), "give one of them"),
        ((ModelConfig(gpt2), None, tokens), "a checkpoint has its own tokenizer"),
        ((ModelConfig(), name, None), "--architecture needs --tokenizer_name_or_path"),
        ((ModelConfig(), None, None), "--model_name_or_path is missing"),
        ((ModelConfig(), {"model_type": "gpt2"}, tokens), "gpt2"),
    ):
        with pytest.raises(InputError, match=said):
            load_encoder_decoder(*arguments)
    model, _, note = load_encoder_decoder(ModelConfig(), T5, tokens)
    assert (model.config.vocab_size, note) == (64, "Every weight is new, drawn with the seed.")
    lora, _, _ = load_encoder_decoder(ModelConfig(use_peft=True, lora_target_modules=["q", "v"]), T5, tokens)
    assert lora.active_peft_config.task_type == "SEQ_2_SEQ_LM"


def test_what_generation_needs_is_set_or_refused(tokenizer):
    t5 = T5ForConditionalGeneration(T5Config(**T5 | TOKENS))
    assert prepare_generation(t5, tokenizer, 10**6, 12) == [1]
    found = t5.generation_config
    assert (found.max_new_tokens, found.eos_token_id, found.pad_token_id, found.decoder_start_token_id) == (
        12,
        1,
        0,
        0,
    )
    with pytest.raises(InputError, match="--max_target_length 1 is out of range: this model takes 2 to any number"):
        prepare_generation(t5, tokenizer, 8, 1)
    bart = BartForConditionalGeneration(BartConfig(d_model=16, max_position_embeddings=40, encoder_layers=1))
    with pytest.raises(InputError, match="--max_source_length 41 is out of range: this model takes 2 to 40 tokens"):
        prepare_generation(bart, tokenizer, 41, 12)
    bart.generation_config.eos_token_id = None
    with pytest.raises(InputError, match="no end-of-sequence token"):
        prepare_generation(bart, PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer), 8, 8)
