"""Documents into blocks: every token but the tail, in order, with separators between documents."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.prompts import sample_prompts
from hfcourse.data.texts import Texts, to_blocks, to_stream
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.data.words import Words
from hfcourse.errors import InputError

import pytest


TEXTS = [f"Document number {i} about Nesta." for i in range(40)]


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    return DataArguments(dataset_name=str(tmp_path / "texts.jsonl"), eval_share=0)


def test_blocks_hold_every_token_in_order(corpus):
    tokenizer = train_tokenizer(TEXTS, 300, "causal")
    split = to_blocks(load_data(corpus, Texts(), 0).train, tokenizer, 16)
    blocks = split.dataset["input_ids"]
    stream = [i for text in TEXTS for i in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]]
    assert [i for block in blocks for i in block] == stream[: len(stream) // 16 * 16]
    assert {len(block) for block in blocks} == {16}
    assert split.tokens == len(blocks) * 16


def test_a_stream_gives_the_same_blocks(corpus):
    tokenizer = train_tokenizer(TEXTS, 300, "causal")
    whole = to_blocks(load_data(corpus, Texts(), 0).train, tokenizer, 16).dataset["input_ids"]
    corpus.streaming = True
    stream = to_blocks(load_data(corpus, Texts(), 0).train, tokenizer, 16).dataset
    assert [row["input_ids"] for row in stream] == list(whole)


@pytest.mark.parametrize("streaming", [False, True])
def test_without_packing_each_document_has_blocks_of_its_own(corpus, streaming):
    tokenizer = train_tokenizer(TEXTS, 60, "masked")
    corpus.streaming = streaming
    split = to_blocks(load_data(corpus, Texts(), 0).train, tokenizer, 10, True, Words(tokenizer, []), packing=False)
    rows = list(split.dataset)
    texts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    assert max(map(len, texts)) > 16, "some need three blocks"
    cut = [ids[i : i + 8] for ids in texts for i in range(0, len(ids), 8)]
    assert [row["input_ids"] for row in rows] == [[tokenizer.cls_token_id, *c, tokenizer.sep_token_id] for c in cut]
    assert [len(row["word_ids"]) for row in rows] == [len(row["input_ids"]) for row in rows]
    assert all(row["word_ids"][0] == row["word_ids"][-1] == -1 for row in rows)
    if not streaming:
        assert split.tokens == sum(len(row["input_ids"]) for row in rows)


def test_too_little_text_is_one_sentence(corpus):
    tokenizer = train_tokenizer(TEXTS, 300, "causal")
    with pytest.raises(InputError, match="fewer than 100000 tokens"):
        to_blocks(load_data(corpus, Texts(), 0).train, tokenizer, 100_000)


@pytest.mark.parametrize(("row", "reason"), [({"texts": "a"}, "no column 'text'"), ({"text": " "}, "empty text")])
def test_rows_that_are_no_document(row, reason):
    with pytest.raises(InputError, match=reason):
        Texts()(row)


def test_prompts_are_spread_over_the_exam(corpus):
    tokenizer = train_tokenizer(TEXTS, 300, "causal")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}?"
    exam = [{"prompt": [{"role": "user", "content": f"q{i}"}], "answer": f"a{i}"} for i in range(20)]
    split = load_data(corpus, Texts(), 0).train
    prompts = sample_prompts(split, tokenizer, exam, 4)
    assert [(p.text, p.answer) for p in prompts] == [("q0", "a0"), ("q5", "a5"), ("q10", "a10"), ("q15", "a15")]
    assert tokenizer.decode(prompts[1].ids) == "q5?"
    openings = sample_prompts(split, tokenizer, [], 2)
    assert [p.answer for p in openings] == TEXTS[:2]
    assert [p.ids for p in openings] == [tokenizer(t)["input_ids"][:12] for t in TEXTS[:2]]


def test_a_stream_of_tokens_has_every_document_whole_and_separators_where_they_are_asked_for(corpus):
    tokenizer = train_tokenizer(TEXTS, 300, "causal")
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    for separated, behind in ((True, [tokenizer.eos_token_id]), (False, [])):
        split = load_data(corpus, Texts(), 0).train
        stream = to_stream(split, tokenizer, separated)
        assert stream.dtype == "int32" and stream.tolist() == [i for text in ids for i in text + behind]
        assert split.tokens == len(stream)
