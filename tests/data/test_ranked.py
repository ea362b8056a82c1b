"""Rankings as token ids and as batches: what is dropped is counted, what belongs together stays together."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.kept import KeptTexts, bring_texts
from hfcourse.data.load import load_data
from hfcourse.data.preferences import Preferences
from hfcourse.data.ranked import RankedCollator, check_prompts, describe_rankings, encode_answers, is_plain
from hfcourse.errors import InputError

import pytest


ROWS = [
    {"prompt": "a", "answers": ["bb", "c", "dd"], "ranks": [2, 1, 2], "aspect": "truthful"},
    {"prompt": "b", "answers": ["c" * 9, "d"], "ranks": [1, 2], "aspect": ""},
    {"prompt": "c", "answers": ["e", "fff"], "ranks": [1, 2], "aspect": "style"},
]


class Letters:
    """Reads one id a letter, and refuses some."""

    def __init__(self, refused=""):
        self.refused = refused

    def __call__(self, prompt, answer):
        if self.refused and self.refused in answer:
            raise InputError(f"a bad letter: {self.refused}")
        return [ord(letter) for letter in prompt + answer]


def load(path, rows, by_prompt=True, **settings):
    path.mkdir(exist_ok=True)
    for name, split in rows.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in split))
    return load_data(DataArguments(dataset_name=str(path), **settings), Preferences(by_prompt), 0)


def encode(data, *args, **kwargs):
    return encode_answers(data.train, "", *args, **kwargs)


def test_long_rows_are_dropped_whole_and_counted(tmp_path):
    data = load(tmp_path, {"train": ROWS}, eval_share=0.0)
    assert is_plain(data.train)
    split = encode(data, Letters(), 4)
    assert (split.rows_read, split.dropped) == (3, {"longer than 4 tokens": 1})
    assert split.dataset["row"][:] == [1, 3] and split.dataset["aspect"][:] == ["truthful", "style"]
    assert split.dataset["length"][:] == [3, 4] and split.tokens == 3 + 2 + 3 + 2 + 4
    assert split.dataset["input_ids"][0] == [[97, 98, 98], [97, 99], [97, 100, 100]]
    assert describe_rankings(split) == ", 5 answers in 3 pairs, 1 more are tied"
    assert encode(data, Letters(), 10, shortest_first=True).dataset["row"][:] == [1, 3, 2]
    with pytest.raises(InputError, match=r"train.jsonl has no row that can be used: longer than 1 tokens \(3\)"):
        encode(data, Letters(), 1)


def test_a_row_that_can_not_be_read_is_named_or_counted(tmp_path):
    data = load(tmp_path, {"train": ROWS}, eval_share=0.0)
    with pytest.raises(InputError, match="train.jsonl, line 2: a bad letter: cc"):
        encode(data, Letters("cc"), 10)
    assert encode(data, Letters("cc"), 10, skip_bad_rows=True).dropped == {"a bad letter": 1}


def test_streaming_is_refused(tmp_path):
    data = load(tmp_path, {"train": ROWS}, eval_share=0.0, streaming=True)
    with pytest.raises(InputError, match="--streaming does not go with preferences"):
        encode(data, Letters(), 10)


def test_prompts_on_both_sides_are_refused_dropped_or_counted(tmp_path):
    other = {"prompt": "A!", "chosen": "x", "rejected": "y"}  # letters and digits decide
    sides = {"train": ROWS, "test": [other]}
    with pytest.raises(InputError, match="^1 training rows have the prompt of an evaluation row, so that"):
        check_prompts(load(tmp_path, sides), "refuse")
    data = load(tmp_path, sides)
    check_prompts(data, "drop")
    assert data.train.dataset["prompt"][:] == ["b", "c"]
    assert data.train.dropped == {"also an evaluation row": 1}
    data = load(tmp_path, sides | {"test": [other | {"prompt": "b"}]}, by_prompt=False)
    check_prompts(data, "allow")
    assert len(data.train.dataset) == 3
    assert data.notes[-1] == "Prompts: 1 training rows have the prompt of an evaluation row (allowed)."


def test_rows_of_one_prompt_are_held_out_together(tmp_path):
    rows = [{"prompt": f"q{i // 5}", "chosen": f"a{i}", "rejected": f"b{i}"} for i in range(100)]
    data = load(tmp_path, {"train": rows}, eval_share=0.3)
    train, test = (set(split.dataset["prompt"]) for split in (data.train, data.test))
    assert train and test and not train & test
    check_prompts(data, "refuse")


def test_a_batch_holds_whole_rankings():
    rows = [{"input_ids": [[5, 6, 7], [8]], "ranks": [2, 1]}, {"input_ids": [[4], [3, 2], [9]], "ranks": [1, 1, 2]}]
    batch = RankedCollator(pad_token_id=0)(rows)
    assert batch["input_ids"].tolist() == [[[5, 6, 7], [8, 0, 0], [0] * 3], [[4, 0, 0], [3, 2, 0], [9, 0, 0]]]
    assert batch["attention_mask"].tolist() == [[[1, 1, 1], [1, 0, 0], [0] * 3], [[1, 0, 0], [1, 1, 0], [1, 0, 0]]]
    assert batch["labels"].tolist() == [[2, 1, -100], [1, 1, 2]]


class Sounds:
    """A tokenizer of one id a letter, whose end of a text is 0."""

    eos_token_id = 0

    def __call__(self, texts, **_):
        return {"input_ids": [[ord(letter) for letter in text] for text in texts]}


def test_each_row_brings_a_text_along(tmp_path):
    """In their order, epoch after epoch, and from the first again; cut at the length, and whole texts end."""
    split = encode(load(tmp_path / "rows", {"train": ROWS[:2]}, eval_share=0.0), Letters(), 10)
    (tmp_path / "texts.jsonl").write_text('{"text": "xy"}\n{"text": "longer"}\n{"text": "xz"}\n')
    notes = []
    split, kept = bring_texts(split, str(tmp_path / "texts.jsonl"), Sounds(), 4, notes, rivals_seed=0)
    assert notes[0].endswith("texts.jsonl: 3 texts, 10 tokens.")
    rows, collator = [split.dataset[i] for i in range(2)], RankedCollator(7, kept)
    batch = collator(rows)
    assert batch["kept_ids"].tolist() == [[120, 121, 0, 7], [108, 111, 110, 103]]
    assert batch["kept_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch["kept_rivals"][0, 1] in (121, 122) and batch["kept_rivals"][1].tolist() == [108, 111, 110, 103]
    collator.set_epoch(1)
    assert collator(rows)["kept_ids"].tolist() == [[120, 122, 0], [120, 121, 0]]
    assert "kept_ids" not in collator([{name: row[name] for name in row if name != "place"} for row in rows])
    assert "kept_rivals" not in RankedCollator(7, KeptTexts(kept.texts, 2))(rows)
    (tmp_path / "none.jsonl").write_text('{"words": "xy"}\n')
    with pytest.raises(InputError, match="none.jsonl, line 1: no column 'text'"):
        bring_texts(split, str(tmp_path / "none.jsonl"), Sounds(), 4, [])
