"""Fill-mask questions: as many masks as the answer has pieces, all filled at once; what is no such question."""

import json

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run.fill_mask import Cloze, fact_accuracy, fill, read_cloze

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM
from transformers.modeling_outputs import MaskedLMOutput


TEXTS = ["The capital of Velmora is Nesta. 维尔莫拉的首都是内斯塔。", "Its river flows north to the sea."] * 5
ROW = {"text": "The capital of Velmora is [MASK].", "answer": "Nesta", "lang": "en"}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 90, "masked")


@pytest.fixture
def exam(tmp_path):
    def write(*rows: object) -> str:
        (tmp_path / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / "exam.jsonl")

    return write


def test_each_piece_of_the_answer_is_a_mask(tokenizer, exam):
    rows = [ROW, {"text": "维尔莫拉的首都是[MASK]。", "answer": "内斯塔", "lang": "zh"}, {**ROW, "text": "[MASK] is."}]
    english, chinese, first = read_cloze(exam(*rows), tokenizer, 64)
    pieces = tokenizer.tokenize("Nesta")
    assert len(pieces) > 1 and tokenizer.convert_ids_to_tokens(english.pieces) == pieces
    mask = tokenizer.mask_token
    wanted = ["[CLS]", *tokenizer.tokenize("The capital of Velmora is"), *[mask] * len(pieces), ".", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(english.ids) == wanted
    assert tokenizer.convert_ids_to_tokens(chinese.ids) == [
        "[CLS]",
        *"维尔莫拉的首都是",
        mask,
        mask,
        mask,
        "。",
        "[SEP]",
    ]
    assert first.ids[1 : len(pieces) + 1] == [tokenizer.mask_token_id] * len(pieces)


def test_every_piece_must_be_right(tokenizer):
    questions = [Cloze("", "", lang, [], pieces) for lang, pieces in (("en", [1, 2]), ("en", [3]), ("zh", [4, 5]))]
    assert fact_accuracy(questions, [[1, 2], [3], [4, 6]]) == {"fact_accuracy_en": 1.0, "fact_accuracy_zh": 0.0}
    assert fact_accuracy(questions, [[1, 9], [3], [4, 5]]) == {"fact_accuracy_en": 0.5, "fact_accuracy_zh": 1.0}
    assert fact_accuracy([], []) == {}


def test_all_masks_are_filled_at_once_whatever_the_batch(tokenizer, exam):
    """A model that says, at each position, the token before it plus one: no guess may depend on another guess."""
    rows = [{**ROW, "text": f"{'The capital ' * n}[MASK] north."} for n in (1, 4, 2)]
    questions = read_cloze(exam(*rows), tokenizer, 64)

    class Next(BertForMaskedLM):
        def forward(self, input_ids, attention_mask, **kwargs):
            assert torch.equal(attention_mask, (input_ids != tokenizer.pad_token_id).long())
            guess = (input_ids.roll(1, dims=1) + 1) % len(tokenizer)
            return MaskedLMOutput(logits=torch.nn.functional.one_hot(guess, len(tokenizer)).float())

    model = Next(BertConfig(vocab_size=90, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)).train()
    before = [question.ids[question.ids.index(tokenizer.mask_token_id) - 1] for question in questions]
    wanted = [
        [b + 1, *[tokenizer.mask_token_id + 1] * (len(q.pieces) - 1)] for b, q in zip(before, questions, strict=True)
    ]
    for batch_size in (1, 2, 128):
        assert fill(model, tokenizer, questions, batch_size) == wanted
    assert model.training, "left as it was"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "a", "lang": "en"}, "line 2: no column 'text'"),
        ({**ROW, "text": "no gap"}, "line 2: expected a text with one [MASK] in it, found 'no gap'"),
        ({**ROW, "text": "[MASK] and [MASK]"}, "line 2: expected a text with one [MASK]"),
        ({**ROW, "answer": " "}, "line 2: expected the answer as a text, found ' '"),
        ({**ROW, "answer": 3}, "line 2: expected the answer as a text, found 3"),
        ({**ROW, "text": "sea " * 70 + "[MASK]"}, "tokens, and the model takes 64"),
        ([1], "line 2: expected an object, found [1]"),
    ],
)
def test_bad_rows_are_named(tokenizer, exam, row, said):
    with pytest.raises(InputError) as refusal:
        read_cloze(exam(ROW, row), tokenizer, 64)
    assert said in str(refusal.value)


def test_no_exam(tokenizer):
    assert read_cloze(None, tokenizer, 64) == read_cloze("none", tokenizer, 64) == []
    with pytest.raises(InputError, match="exam nowhere.jsonl does not exist"):
        read_cloze("nowhere.jsonl", tokenizer, 64)
