"""The plan of a run: counts that a reader relies on, and the batches with their counted tokens."""

import io
from types import SimpleNamespace

from hfcourse.run import plan

import pytest
import torch
from rich.console import Console


class Words:
    """A tokenizer of whole words."""

    pad_token_id = 0
    words = ["<pad>", "ask", "me", "yes", "no", "</s>", "<x>"]

    def decode(self, ids):
        return " ".join(self.words[i] for i in ids)


def steps(rows=100, size=4, accumulate=2, world=3, max_steps=-1, epochs=2.0):
    args = SimpleNamespace(
        per_device_train_batch_size=size, gradient_accumulation_steps=accumulate, world_size=world,
        max_steps=max_steps, num_train_epochs=epochs,
    )  # fmt: skip
    dataset = range(rows) if rows else iter(())
    return plan.describe_steps(SimpleNamespace(args=args, train_dataset=dataset))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "10 steps of 24 rows (3 processes x 4 x 2 accumulated) = 2.00 epochs of 100 rows"),
        ({"max_steps": 2000, "world": 1}, "2,000 steps of 8 rows (1 process x 4 x 2 accumulated) = 153.85 epochs"),
        ({"rows": 3, "epochs": 0.5}, "1 steps of 24 rows (3 processes x 4 x 2 accumulated) = 1.00 epochs of 3 rows"),
        ({"rows": 0, "max_steps": 5}, "5 steps of 24 rows (3 processes x 4 x 2 accumulated), streamed"),
    ],
)
def test_steps(given, said):
    assert steps(**given).startswith(said)


def test_rows():
    split = SimpleNamespace(
        rows_read=1200, dropped={"no answer": 2, "too long": 1}, place="a.jsonl, line", rows_truncated=7, tokens=5000,
        counted_tokens=900,
    )  # fmt: skip
    said = (
        "1,200 rows read, 3 dropped (2 no answer, 1 too long), 7 truncated, 5,000 tokens, the loss counts 900 of them"
    )
    assert plan.describe_rows(split) == said
    split.rows_truncated = split.tokens = split.counted_tokens = None
    split.dropped = {}
    assert plan.describe_rows(split) == "1,200 rows read, 0 dropped"
    split.rows_read = None
    assert plan.describe_rows(split) == "streamed from a.jsonl: rows are counted as they come"
    assert plan.describe_rows(None) == "none"


def test_model_and_its_trained_share():
    model = torch.nn.Sequential(torch.nn.Linear(99, 10), torch.nn.Linear(10, 100, bias=False))
    assert plan.describe_model(model, "x") == "x: Sequential, 2,000 parameters, all trained, float32"
    model[0].requires_grad_(False)
    assert plan.describe_model(model, "x").endswith("2,000 parameters, 1,000 trained (50.00%), float32")


def shown(*batches, encoder_decoder=False):
    out = io.StringIO()
    model = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=encoder_decoder))
    trainer = SimpleNamespace(model=model, get_train_dataloader=lambda: batches)
    plan.show_batches(trainer, Words(), Console(file=out, width=80))
    return out.getvalue()


def test_counted_tokens_stand_in_brackets_and_padding_is_left_out():
    batch = {
        "input_ids": torch.tensor([[1, 3, 2, 4, 5, 0, 0], [1, 2, 1, 2, 1, 3, 5]]),
        "labels": torch.tensor([[-100, 3, -100, 4, 5, -100, -100], [-100] * 5 + [3, 5]]),
    }
    first = "batch 1: (2, 7) tokens, the loss counts 5\n  ask[[yes]]me[[no </s>]]\n  ask me ask me ask[[yes </s>]]\n"
    assert shown(batch) == first
    assert shown(batch, batch, batch) == first + first.replace("batch 1", "batch 2")


def test_a_target_of_its_own_stands_behind_an_arrow():
    batch = {"input_ids": torch.tensor([[1, 6, 5]]), "labels": torch.tensor([[6, 2, 5, -100]])}
    said = "batch 1: (1, 3) tokens, the loss counts 3\n  ask <x> </s> -> [[<x> me </s>]]\n"
    assert shown(batch, encoder_decoder=True) == said


def test_markup_in_data_is_only_text():
    out = io.StringIO()
    console = Console(file=out, width=40)
    plan.show_plan("sft -> [bold]x", {"data": ["[red]one", "two " * 30], "model": "[/]"}, console)
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["sft -> [bold]x", "  data       [red]one"]
    assert lines[2] == "             " + ("two " * 30) and lines[3] == "  model      [/]"
