"""What an objective hides depends on seed, epoch and row alone; rows that are fixed are taken as they are."""

from hfcourse.data.objectives import OBJECTIVES, Masked, Objective, Spans, Together

import pytest
import torch


@pytest.mark.parametrize("name", ["masked", "span"])
def test_hidden_tokens_depend_on_seed_epoch_and_row_alone(name, masked_tokenizer, span_tokenizer):
    tokenizer = masked_tokenizer if name == "masked" else span_tokenizer
    ids = list(range(60, 110)) if name == "masked" else list(range(110, 160))
    row, other = {"input_ids": ids}, {"input_ids": ids[::-1]}
    first = OBJECTIVES[name](tokenizer, seed=3)
    first.predict(other)
    again = OBJECTIVES[name](tokenizer, seed=3)
    assert first.predict(row) == again.predict(row), "what was drawn before must not matter"
    assert first.predict(row) != again.predict(row, epoch=1)
    assert first.predict(row) != OBJECTIVES[name](tokenizer, seed=4).predict(row)
    again.set_epoch(1)
    inputs, _ = first.predict(row, epoch=1)
    assert again([row])["input_ids"][0].tolist() == inputs


def test_a_fixed_row_is_taken_as_it_is(masked_tokenizer):
    objective = Masked(masked_tokenizer, seed=3)
    plain = {"input_ids": list(range(60, 100))}
    row = objective.fixed(plain)
    objective.set_epoch(5)
    assert objective.fixed(plain) == row, "a stream makes its rows anew at each evaluation"
    batch = objective([row])
    assert torch.equal(batch["input_ids"][0], torch.tensor(row["input_ids"]))
    assert torch.equal(batch["labels"][0], torch.tensor(row["labels"]))


def test_objectives_together_read_the_same_rows(span_tokenizer):
    own = {"gpt2": Objective(span_tokenizer), "t5": Spans(span_tokenizer, seed=3)}
    both, rows = Together(own), [{"input_ids": list(range(start, start + 40))} for start in (110, 160)]
    batch = both(rows)
    expected = own["gpt2"](rows) | {f"t5.{name}": value for name, value in own["t5"](rows).items()}
    assert batch.keys() == expected.keys() and len(batch) == 6
    assert all(torch.equal(batch[name], expected[name]) for name in batch)
    fixed = [row | both.fixed(row) for row in rows]
    both.set_epoch(1)
    again, moved = both(fixed), both(rows)
    assert all(torch.equal(batch[name], again[name]) for name in batch), "an evaluation asks the same in every epoch"
    assert not torch.equal(batch["t5.labels"], moved["t5.labels"])
