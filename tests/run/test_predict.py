"""What a run answers to a text: entities by their place in it, words for [MASK], what an encoder-decoder writes."""

import io
import sys

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run import predict
from hfcourse.run.entities import find_entities

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)


LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
TEXTS = ["Ann saw Oslo and New York yesterday .", "中国的首都是北京。", "oslo New"] * 3
# The tag of each word, whatever stands around it.
TAGS = {"Oslo": "B-LOC", "New": "B-LOC", "York": "I-LOC", "Ann": "B-PER", "中": "B-LOC", "国": "I-LOC", "北": "B-LOC"}
TAGS |= {"京": "I-LOC"}


def save(folder, model, tokenizer):
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A tagger that goes by the token alone: its embedding is its tag, and nothing else adds to it."""
    tokenizer = train_tokenizer(TEXTS, 200, "masked")
    tokenizer.model_max_length = 12
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    model = BertForTokenClassification(BertConfig(vocab_size=len(tokenizer), **SIZES, **names))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.ones_like(weight) if "LayerNorm.weight" in name else torch.zeros_like(weight))
        words, head = model.bert.embeddings.word_embeddings.weight, model.classifier.weight
        head[:, : len(LABELS)] = torch.eye(len(LABELS))
        words[:, 0] = 1
        for word, tag in TAGS.items():
            first = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(word)[0])
            words[first, :1], words[first, LABELS.index(tag)] = 0, 1
    return save(tmp_path_factory.mktemp("tagger"), model, tokenizer)


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("Ann saw Oslo.", [("Ann", "PER", 0), ("Oslo", "LOC", 8)]),
        ("  New York", [("New York", "LOC", 2)]),
        ("中国的首都是北京", [("中国", "LOC", 0), ("北京", "LOC", 6)]),
        ("saw", []),
        # A word is decided by its first part; punctuation around it is none of it.
        ('"Oslo-Ann", (Ann).', [("Oslo-Ann", "LOC", 1), ("Ann", "PER", 13)]),
        ("Ann's York", [("Ann", "PER", 0), ("York", "LOC", 6)]),
        # Three windows of twelve tokens: nothing is lost or doubled at their borders.
        (
            "Ann saw New York and Oslo and New York saw Ann and New York .",
            [("Ann", "PER", 0), ("New York", "LOC", 8), ("Oslo", "LOC", 21), ("New York", "LOC", 30)]
            + [("Ann", "PER", 43), ("New York", "LOC", 51)],
        ),
    ],
)
def test_entities_are_cut_from_the_text_by_their_places(tagger, text, entities):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(tagger)
    found = find_entities(model, AutoTokenizer.from_pretrained(tagger))(text)
    assert [(e["text"], e["type"], e["start"]) for e in found] == entities
    assert all(text[e["start"] : e["end"]] == e["text"] for e in found)


def run(monkeypatch, capsys, *arguments, typed=None):
    monkeypatch.setattr(sys, "argv", ["predict", "--run", *arguments])
    if typed is not None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    predict.main()
    return capsys.readouterr().out


def test_sentences_as_arguments_or_as_lines(tagger, monkeypatch, capsys):
    out = run(monkeypatch, capsys, tagger, "Ann saw", "and")
    assert out.startswith("Ann saw\n  Ann  PER  0.") and out.endswith("\nand\n  (no entity)\n")
    assert run(monkeypatch, capsys, tagger, typed="Ann saw\n\n and \n") == out


def test_the_likeliest_words_for_each_mask(tmp_path, monkeypatch, capsys):
    tokenizer = train_tokenizer(TEXTS, 200, "masked")
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SIZES)).eval()
    folder = save(tmp_path, model, tokenizer)
    out = run(monkeypatch, capsys, folder, "Ann [MASK] Oslo [MASK]").splitlines()
    ids = tokenizer("Ann [MASK] Oslo [MASK]", return_tensors="pt")["input_ids"]
    best = model(ids).logits[0, ids[0] == tokenizer.mask_token_id].softmax(-1).topk(5)
    assert len(out) == 3
    for line, tokens, values in zip(out[1:], best.indices, best.values, strict=True):
        pairs = zip(tokens.tolist(), values.tolist(), strict=True)
        assert line == "  " + "  ".join(f"{tokenizer.decode([token])} {value:.2f}" for token, value in pairs)
    with pytest.raises(InputError, match=r"nothing to fill in 'Ann': write \[MASK\]"):
        predict.load_predictor(folder)("Ann")
    with pytest.raises(InputError, match="602 tokens, and this model takes 512"):
        predict.load_predictor(folder)("[MASK]" * 600)


def test_an_encoder_decoder_reads_the_prefix_of_its_task(tmp_path, monkeypatch):
    tokenizer = train_tokenizer(TEXTS, 500, "span")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    model = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, **sizes))
    model.config.task_specific_params = {"there": {"prefix": "to zh: "}, "back": {"prefix": "to en: "}}
    folder = save(tmp_path, model, tokenizer)
    monkeypatch.setattr(T5ForConditionalGeneration, "generate", lambda self, input_ids, **_: input_ids)  # an echo
    assert predict.load_predictor(folder)("Ann") == ["back  to en: Ann", "there  to zh: Ann"]
    assert predict.load_predictor(folder, "back")("Ann") == ["to en: Ann"]
    assert predict.load_predictor(folder)("to en: Ann") == ["to en: Ann"]
    with pytest.raises(InputError, match="no task x: this model has back, there"):
        predict.load_predictor(folder, "x")


def test_what_is_refused(tmp_path, monkeypatch, capsys):
    tokenizer = train_tokenizer(TEXTS, 300, "causal")
    folder = save(tmp_path, GPT2LMHeadModel(GPT2Config(vocab_size=300, n_layer=1, n_embd=8, n_head=1)), tokenizer)
    for name, said in ((folder, "GPT2LMHeadModel: predict knows taggers"), ("runs/ner/x", "make ner first")):
        with pytest.raises(SystemExit) as stopped:
            run(monkeypatch, capsys, name, "Ann")
        assert stopped.value.code == 2 and said in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(InputError, match="is not finished: the command that started it continues it"):
        predict.load_predictor(folder)
