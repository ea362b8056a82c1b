"""Documents as rows: every token is predicted once, and each mark lies on the tokens that spell its word."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.documents import DISTANCES, Documents, to_rows
from hfcourse.data.load import load_data
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError

import pytest
from tiny_tokenizers import gpt2_like


def marked(text: str, word: str, distance: str) -> dict:
    """A document whose last `word` is marked."""
    start = text.rindex(word)
    return {"text": text, "marks": [{"start": start, "end": start + len(word), "distance": distance}]}


ROWS = [
    marked("Tola met Nesta, and Nesta went.", "Nesta", "sentence"),
    marked("Tola came. The tea was good. So was Tola.", "Tola", "start"),
    marked("托拉来了。茶很好。托拉走了。", "托拉", "earlier"),
    {"text": "x"},
]


def split_of(path, rows, **arguments):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return load_data(DataArguments(dataset_name=str(path), eval_share=0, **arguments), Documents(), 0).train


@pytest.mark.parametrize("length", [2, 3, 7, 1000])
def test_every_token_and_the_end_are_predicted_once_and_marks_stay_on_their_words(tmp_path, length):
    tokenizer, notes = train_tokenizer([row["text"] for row in ROWS] * 3, 290, "causal"), []
    split = to_rows(split_of(tmp_path / "texts.jsonl", ROWS), tokenizer, length, notes)
    rows, end = split.dataset, tokenizer.eos_token_id
    assert all(row["input_ids"][0] == end and row["distances"][0] == 0 for row in rows)
    assert max(len(row["input_ids"]) for row in rows) <= length
    stream = [token for row in rows for token in row["input_ids"][1:]]
    assert stream == [token for row in ROWS for token in [*tokenizer(row["text"])["input_ids"], end]]
    assert (split.tokens, split.counted_tokens) == (len(stream) + len(rows), len(stream))
    far = [number for row in rows for number in row["distances"][1:]]
    spelt = {name: [t for t, n in zip(stream, far, strict=True) if n == i] for i, name in enumerate(DISTANCES, 1)}
    assert {name: tokenizer.decode(ids).strip() for name, ids in spelt.items()} == {
        "sentence": "Nesta",
        "earlier": "托拉",
        "start": "Tola",
    }
    assert bool(notes) == (length < 1000)
    if notes:
        assert (
            notes[0].startswith("4 documents of ") and f"make {len(rows)} rows of at most {length} tokens" in notes[0]
        )


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([{"start": 0, "end": 9, "distance": "start"}], "is no span of 5 characters"),
        ([{"start": 2, "end": 2, "distance": "start"}], "is no span of 5 characters"),
        ([{"start": 0, "end": 1, "distance": "far"}], "found {'start': 0, 'end': 1, 'distance': 'far'}"),
        ([{"start": 0, "end": 1}], r"expected start, end and a distance \(sentence, earlier, start\)"),
        (["start"], "found start"),
    ],
)
def test_marks_that_are_none_are_refused(marks, said):
    with pytest.raises(InputError, match=said):
        Documents()({"text": "a b c", "marks": marks})
    assert Documents()({"text": "a b c", "marks": None}) == {"text": "a b c", "marks": []}


def test_rows_differ_by_their_text_alone_and_what_cannot_be_is_refused(tmp_path):
    split = split_of(tmp_path / "texts.jsonl", ROWS)
    tokenizer = gpt2_like()
    with pytest.raises(InputError, match="--block_size must be at least 2, not 1"):
        to_rows(split, tokenizer, 1, [])
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="has no end-of-text token to begin a row with"):
        to_rows(split, tokenizer, 8, [])
    with pytest.raises(InputError, match="--streaming has no effect here"):
        to_rows(split_of(tmp_path / "stream.jsonl", ROWS, streaming=True), gpt2_like(), 8, [])
