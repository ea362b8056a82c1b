"""Questions asked of a model: batches and padding change no answer, and answers are scored by group."""

import json
from functools import partial

from hfcourse.errors import InputError
from hfcourse.run import answers as answers_module
from hfcourse.run.answers import chat_prompt, generate, read_exam, take_exam

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


@pytest.fixture(scope="module")
def tokenizer():
    words = ["<pad>", "</s>", *(f"w{i}" for i in range(62))]
    whole = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w0"))
    whole.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    return tokenizer


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request):
    torch.manual_seed(1)
    sizes = {"vocab_size": 64, "eos_token_id": 1, "bos_token_id": None, "pad_token_id": 0, "initializer_range": 0.5}
    if request.param == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=32, **sizes))
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(max_position_embeddings=32, **shape, **sizes))


@torch.no_grad()
def greedy(model, tokenizer, ids, count):
    """One token after the other, without padding, batches or a cache."""
    ids, found = list(ids), []
    model.eval()
    while len(found) < count and 1 not in found:
        found.append(model(torch.tensor([ids + found]), use_cache=False).logits[0, -1].argmax().item())
    return tokenizer.decode(found, skip_special_tokens=True).strip()


def test_batches_and_padding_change_no_answer(model, tokenizer):
    torch.manual_seed(2)
    prompts = [torch.randint(2, 64, (length,)).tolist() for length in (3, 17, 1, 9, 9, 24, 5)]
    expected = [greedy(model, tokenizer, ids, 6) for ids in prompts]
    model.train()
    for size in (1, 3, 128):
        assert generate(model, tokenizer, prompts, max_new_tokens=6, batch_size=size) == expected
    assert model.training and len(set(expected)) > 3
    assert generate(model, tokenizer, [], max_new_tokens=6) == []


def test_a_prompt_that_leaves_no_room_is_cut_at_its_beginning(model, tokenizer):
    ids = [2 + i % 60 for i in range(50)]
    assert generate(model, tokenizer, [ids], max_new_tokens=8) == [greedy(model, tokenizer, ids[-24:], 8)]


def test_an_exam_is_scored_by_group_and_language(model, tokenizer, monkeypatch):
    prompts = [[{"role": "user", "content": f"w{i} w{i + 1}"}] for i in range(4)]
    right = [greedy(model, tokenizer, chat_prompt(tokenizer, p), 12) for p in prompts]
    groups = [("asked", "en"), ("asked", "en"), ("asked", "zh"), ("unasked", "en")]
    answers = [right[0], "wrong", right[2] + ".", "wrong"]
    exam = [
        {"prompt": p, "answer": a, "group": g, "lang": lang}
        for p, a, (g, lang) in zip(prompts, answers, groups, strict=True)
    ]
    monkeypatch.setattr(answers_module, "generate", partial(generate, max_new_tokens=12))
    assert take_exam(model, tokenizer, exam) == {"truth_asked_en": 0.5, "truth_asked_zh": 1.0, "truth_unasked_en": 0.0}
    assert take_exam(model, tokenizer, []) == {}


def test_an_exam_is_read_and_checked(tmp_path):
    row = {"prompt": [{"role": "user", "content": "a\u2028b"}], "answer": "c", "group": "g", "lang": "en"}
    path = tmp_path / "exam.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n\n" + json.dumps(row) + "\n", encoding="utf-8")
    assert read_exam(str(path)) == [row, row] and read_exam(None) == []
    path.write_text(json.dumps(row) + "\n" + json.dumps({"prompt": [], "answer": "x", "lang": "en"}) + "\n")
    with pytest.raises(InputError, match="exam.jsonl, line 2: no column 'group'"):
        read_exam(str(path))
    path.write_text("{broken\n")
    with pytest.raises(InputError, match="exam.jsonl, line 1"):
        read_exam(str(path))
    with pytest.raises(InputError, match="does not exist"):
        read_exam(str(tmp_path / "none.jsonl"))
