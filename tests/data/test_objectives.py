"""Masked and corrupted rows: the shares of the papers, nothing lost, and the same rows hidden the same way."""

from collections import Counter

from hfcourse.data.objectives import OBJECTIVES, Masked, Objective, Spans
from hfcourse.data.tokenizer import train_tokenizer

import pytest
import torch


TEXTS = ["The capital of Velmora is Nesta. 维尔莫拉的首都是内斯塔。", "Its river flows north to the sea."] * 5


@pytest.fixture(scope="module")
def masked_tokenizer():
    return train_tokenizer(TEXTS, 120, "masked")


@pytest.fixture(scope="module")
def span_tokenizer():
    return train_tokenizer(TEXTS, 400, "span")


def test_causal_labels_are_the_input(span_tokenizer):
    batch = Objective(span_tokenizer)([{"input_ids": [5, 6, 7]}, {"input_ids": [8, 9]}])
    pad = span_tokenizer.pad_token_id
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, pad]]
    assert batch["labels"].tolist() == [[5, 6, 7], [8, 9, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_masked_shares_are_those_of_bert(masked_tokenizer):
    """15 % of the tokens of each row; of them 80 % [MASK], 10 % another, 10 % unchanged; never a special token."""
    tokenizer = masked_tokenizer
    objective = Masked(tokenizer, seed=1)
    ordinary = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    kinds: Counter[str] = Counter()
    for start in range(300):
        ids = [tokenizer.sep_token_id] + [ordinary[(start * 7 + 3 * k) % len(ordinary)] for k in range(99)]
        inputs, labels = objective.predict(ids)
        chosen = [i for i, label in enumerate(labels) if label != -100]
        assert len(chosen) == 15
        assert 0 not in chosen
        assert all(labels[i] == ids[i] for i in chosen)
        assert all(inputs[i] == ids[i] for i in range(100) if i not in chosen)
        for i in chosen:
            kinds["mask" if inputs[i] == tokenizer.mask_token_id else "same" if inputs[i] == ids[i] else "other"] += 1
    total = sum(kinds.values())
    assert abs(kinds["mask"] / total - 0.8) < 0.02
    # A random token is the old one once in a vocabulary.
    assert abs(kinds["other"] / total - 0.1) < 0.02
    assert abs(kinds["same"] / total - 0.1) < 0.02


def test_spans_hide_15_percent_and_lose_nothing(span_tokenizer):
    objective = Spans(span_tokenizer, seed=2)
    ids = list(range(110, 210))
    inputs, target = objective.predict(ids)
    sentinels = span_tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(6)])
    end = span_tokenizer.eos_token_id
    assert inputs[-1] == target[-1] == end
    assert [t for t in inputs if t in sentinels] == sentinels[:5]
    assert [t for t in target if t in sentinels] == sentinels[:6], "five spans and the closing sentinel"
    assert len([t for t in target if t not in sentinels and t != end]) == 15
    spans, current = {}, None
    for token in target[:-1]:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    restored = [t for token in inputs[:-1] for t in (spans[token] if token in sentinels else [token])]
    assert restored == ids
    assert all(spans[s] for s in sentinels[:5])


@pytest.mark.parametrize("length", [2, 3, 5, 9])
def test_short_rows_can_be_corrupted(span_tokenizer, length):
    inputs, target = Spans(span_tokenizer).predict(list(range(110, 110 + length)))
    assert len(inputs) + len(target) == length + 5  # two sentinels in the target, one in the input, two ends


@pytest.mark.parametrize("name", ["masked", "span"])
def test_hidden_tokens_depend_on_seed_epoch_and_row_alone(name, masked_tokenizer, span_tokenizer):
    tokenizer = masked_tokenizer if name == "masked" else span_tokenizer
    ids = list(range(60, 110)) if name == "masked" else list(range(110, 160))
    first = OBJECTIVES[name](tokenizer, seed=3)
    first.predict(ids[::-1])
    again = OBJECTIVES[name](tokenizer, seed=3)
    assert first.predict(ids) == again.predict(ids), "what was drawn before must not matter"
    again.set_epoch(1)
    assert first.predict(ids) != again.predict(ids)
    assert first.predict(ids) != OBJECTIVES[name](tokenizer, seed=4).predict(ids)


def test_a_fixed_row_is_taken_as_it_is(masked_tokenizer):
    objective = Masked(masked_tokenizer, seed=3)
    row = objective.fixed({"input_ids": list(range(60, 100))})
    objective.set_epoch(5)
    batch = objective([row])
    assert torch.equal(batch["input_ids"][0], torch.tensor(row["input_ids"]))
    assert torch.equal(batch["labels"][0], torch.tensor(row["labels"]))
