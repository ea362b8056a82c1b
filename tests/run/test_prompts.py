"""hfcourse.run.prompts and the scores of hfcourse.run.decode, on models made here."""

import json
from pathlib import Path

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.decode.mask_predict import fill_masks
from hfcourse.errors import InputError
from hfcourse.run.decode import Piece, Writer, powers_of_two, score
from hfcourse.run.prompts import Prompt, Reader, join_pieces, names, read_openings, read_prompts

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel


TEXTS = ["The river of Kalo is the Senu. Its people fish in it.", "卡洛的河流是塞努河。人们在那里打鱼。"] * 20


def make_reader(vocabulary: int, seed: int) -> Reader:
    tokenizer = train_tokenizer(TEXTS, vocabulary, "causal")
    torch.manual_seed(seed)
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    tokens = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    return Reader(f"reader-{seed}", GPT2LMHeadModel(GPT2Config(**sizes, **tokens)).eval(), tokenizer)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return make_reader(300, 0)


def exam(path: Path, *rows: tuple[str, str]) -> str:
    lines = [json.dumps({"text": text, "answer": answer, "lang": "en"}) + "\n" for text, answer in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def test_an_opening_that_does_not_tell_its_answer_is_left_out(reader, tmp_path) -> None:
    rows = [("Kalo has the [MASK].", "Senu"), ("Kalo has the [MASK].", "Remu"), ("[MASK] is a river.", "Senu")]
    path = exam(tmp_path / "exam.jsonl", *rows, ("The river of Kalo is [MASK] now.", "Senu"))
    told, without = read_openings(path, reader.tokenizer, 64)
    assert [(row.text, row.answer) for row in told] == [("The river of Kalo is", "Senu")] and without == 3
    assert reader.tokenizer.decode(told[0].ids + told[0].own) == "The river of Kalo is Senu"
    assert read_openings(None, reader.tokenizer, 64) == ([], 0)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("No gap.", "Senu"), "line 1: expected a text with one [MASK] in it and an answer, found 'No gap.'"),
        (("[MASK] [MASK]", "Senu"), "line 1: expected a text with one [MASK]"),
        (("The [MASK]", " "), "and an answer, found 'The [MASK]', ' '"),
        (("Kalo " * 40 + "[MASK]", "Senu"), "before the end of its answer, the model takes 64"),
        (("[MASK] is a river.", "Senu"), "no text tells before its gap what is to come"),
    ],
)
def test_exams_that_cannot_be_asked(reader, tmp_path, row, said) -> None:
    with pytest.raises(InputError) as error:
        read_openings(exam(tmp_path / "exam.jsonl", row), reader.tokenizer, 64)
    assert said in str(error.value)


def test_documents_that_are_too_short_are_left_out(reader) -> None:
    prompts = read_prompts(["The river.", *TEXTS[:2]], reader, 4, 6)
    assert len(prompts) == 2 and all((len(p.ids), len(p.own)) == (4, 6) for p in prompts)
    ids = reader.tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert prompts[0].ids + prompts[0].own == ids[:10]


def test_an_answer_stands_in_a_text_as_whole_words() -> None:
    assert names(" called Senu. The", "Senu") and names("是塞努河。", "塞努河")
    assert not names(" Senumi.", "Senu") and not names(" Ka Senu", "Kalo")


def test_bert_s_pieces_are_joined_as_they_are_written() -> None:
    assert join_pieces("塞 努 河 ， 长 。 The Senu , it is long .") == "塞努河，长。 The Senu, it is long."


def test_numbers_of_passes() -> None:
    assert powers_of_two(8) == ["1", "2", "4", "8", "left_to_right"]
    assert powers_of_two(6) == ["1", "2", "4", "6", "left_to_right"]
    assert powers_of_two(1) == ["1", "left_to_right"]


@torch.no_grad()
def test_scores_do_not_depend_on_the_batch(reader) -> None:
    prompts, texts = [[5, 6, 7], [8], [9, 10]], [[11, 12], [13, 14, 15, 16], []]
    together = score(reader, prompts, texts)
    for prompt, text, (total, count) in zip(prompts, texts, together, strict=True):
        logprobs = reader.model(torch.tensor([prompt + text])).logits[0].log_softmax(-1)
        alone = sum(logprobs[len(prompt) - 1 + i, token].item() for i, token in enumerate(text))
        assert (total, count) == (pytest.approx(alone, abs=1e-5), len(text))


@torch.no_grad()
def test_a_judge_of_another_vocabulary_reads_the_text_in_its_own_tokens(reader) -> None:
    judge = make_reader(330, 1)
    assert judge.tokenizer.get_vocab() != reader.tokenizer.get_vocab()
    ids = reader.tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    prompt = Prompt(ids[:5], reader.tokenizer.decode(ids[:5]), ids[5:12])
    writer = Writer(reader, judge, None, {}, fill_masks, {"texts": [prompt]}, new=7, batch_size=1, seed=0)
    ((total, count),) = writer(Piece("texts", "document", (0,)))["judged"]
    text = reader.tokenizer.decode(ids[:12])
    own = judge.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    first = next(i for i, (_, end) in enumerate(own["offset_mapping"]) if end > len(prompt.text))
    logprobs = judge.model(torch.tensor([own["input_ids"]])).logits[0].log_softmax(-1)
    places = range(first, len(own["input_ids"]))
    assert count == len(places) > 0
    assert total == pytest.approx(sum(logprobs[i - 1, own["input_ids"][i]].item() for i in places), abs=1e-4)
