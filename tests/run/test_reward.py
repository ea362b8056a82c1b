"""InstructGPT's ranking loss, by hand and beside TRL's; what a LoRA run leaves; how an evaluation is judged."""

import math
from itertools import combinations
from types import SimpleNamespace

from hfcourse.errors import InputError
from hfcourse.run.reward import ABSENT, Judge, adapter_config, better, load_reward, merge_adapter, ranking_loss

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    GPT2ForSequenceClassification,
)
from trl import ModelConfig, RewardTrainer


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def test_a_worked_ranking():
    """Answers 0 > 1 = 2 of one prompt, and a pair beside a place that no answer takes."""
    scores = torch.tensor([[2.0, 1.0, 3.0], [0.5, -0.5, 99.0]], dtype=torch.double)
    ranks = torch.tensor([[1, 2, 2], [2, 1, ABSENT]])
    assert better(ranks).nonzero().tolist() == [[0, 0, 1], [0, 0, 2], [1, 1, 0]]
    losses = ranking_loss(scores, ranks)
    assert losses.tolist() == pytest.approx([-(log_sigmoid(1) + log_sigmoid(-1)) / 2, -log_sigmoid(-1)])
    centred = ranking_loss(scores, ranks, center=0.1) - losses
    assert centred.tolist() == pytest.approx([0.1 * (9 + 25) / 2, 0.0])


def test_equation_1_for_every_pair_of_k_answers():
    """loss = -1 / (K choose 2) sum log sigmoid(r_w - r_l), so K = 9 weighs as much as K = 2."""
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 9, generator=draw, dtype=torch.double, requires_grad=True)
    ranks = torch.stack([torch.randperm(9, generator=draw) + 1 for _ in range(4)])
    ranks[1, 2:] = ABSENT
    losses = ranking_loss(scores, ranks)
    for row in range(4):
        places = [i for i in range(9) if ranks[row, i] != ABSENT]
        terms = [(i, j) if ranks[row, i] < ranks[row, j] else (j, i) for i, j in combinations(places, 2)]
        expected = -sum(log_sigmoid((scores[row, i] - scores[row, j]).item()) for i, j in terms) / len(terms)
        assert losses[row].item() == pytest.approx(expected)
    losses.sum().backward()
    assert torch.equal(scores.grad[1, 2:], torch.zeros(7, dtype=torch.double))
    # All pairs of a prompt: the gradients of its scores add up to nothing.
    assert scores.grad.sum(1).abs().max() < 1e-12


def test_a_row_without_a_pair_counts_nothing():
    scores = torch.randn(2, 2, requires_grad=True)
    losses = ranking_loss(scores, torch.tensor([[ABSENT, ABSENT], [1, 1]]), center=1.0)
    losses.sum().backward()
    assert losses.tolist() == [0, 0] and torch.equal(scores.grad, torch.zeros(2, 2))


@pytest.mark.parametrize("center", [None, 0.01])
def test_two_answers_are_the_loss_of_trl(center):
    scores = torch.randn(5, 2)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False),
        args=SimpleNamespace(center_rewards_coefficient=center),
        accelerator=SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x),
        _metrics={"eval": {name: [] for name in ("min_reward", "mean_reward", "max_reward", "accuracy", "margin")}},
        _total_train_tokens=0,
    )
    outputs = SimpleNamespace(logits=torch.cat([scores[:, 0], scores[:, 1]])[:, None])
    expected = RewardTrainer.compute_loss(trainer, lambda **_: outputs, {})
    ours = ranking_loss(scores, torch.tensor([[1, 2]] * 5), center).mean()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-6)


def rows(ranks, lengths, aspects):
    ids = [[[0] * length for length in row] for row in lengths]
    return Dataset.from_dict({"ranks": ranks, "input_ids": ids, "aspect": aspects})


def test_a_worked_judgement():
    judge = Judge(rows([[1, 2], [2, 1, 2], [1, 2]], [[3, 2], [5, 5, 9], [4, 4]], ["truth", "small talk", ""]))
    assert judge.differences.tolist() == [1, 0, -4, 0]
    assert judge.longer_wins == (1 + 0.5 + 0 + 0.5) / 4
    # Rows of fewer answers come padded, whatever with.
    scores = judge(SimpleNamespace(predictions=np.array([[1.0, 0, -100], [0.5, 1, 3], [2, 2, -100]])))
    assert judge.margins.tolist() == [1, 0.5, -2, 0]
    assert {name: scores[name] for name in scores if "accuracy" in name} == {
        "accuracy": (1 + 1 + 0 + 0.5) / 4,
        "accuracy_small_talk": 0.5,
        "accuracy_truth": 1,
    }
    assert scores["length_correlation"] == pytest.approx((1 + 8) / math.sqrt((1 + 0.25 + 4) * (1 + 16)))


def arguments(base, **settings):
    return ModelConfig(model_name_or_path=str(base), dtype="float32", **settings)


@torch.no_grad()
@pytest.mark.parametrize("saved_head", [None, ["transformer.wpe"]])
def test_the_head_survives_lora_and_the_merge(base, tmp_path, saved_head):
    """Its weights are drawn anew at each loading: only what was trained and saved may decide the scores."""
    source = arguments(base, use_peft=True, lora_r=4, lora_modules_to_save=saved_head)
    model, tokenizer, note = load_reward(source)
    assert "New weights, drawn with the seed: score.weight." in note
    model.config.pad_token_id = tokenizer.pad_token_id
    trained = get_peft_model(model, adapter_config(source)).eval()
    names = [name for name, p in trained.named_parameters() if p.requires_grad]
    assert any("score" in name for name in names) and any("lora_B" in name for name in names)
    for parameter in trained.parameters():
        if parameter.requires_grad:
            parameter.normal_()
    ids = torch.randint(3, 250, (4, 9))
    scores = trained(input_ids=ids).logits
    trained.save_pretrained(tmp_path)
    torch.manual_seed(99)
    merge_adapter(tmp_path, source, tokenizer.pad_token_id)
    assert {p.name for p in (tmp_path / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert type(reloaded) is GPT2ForSequenceClassification and reloaded.config.num_labels == 1
    assert reloaded.config.pad_token_id == tokenizer.pad_token_id
    torch.testing.assert_close(reloaded(input_ids=ids).logits, scores, rtol=1e-4, atol=1e-5)


def test_a_reward_model_keeps_its_head_and_a_classifier_is_refused(base, tmp_path):
    model, tokenizer, _ = load_reward(arguments(base))
    for name, labels in (("reward", 1), ("classifier", 2)):
        config = model.config.__class__.from_dict(model.config.to_dict() | {"num_labels": labels})
        saved = GPT2ForSequenceClassification(config)
        saved.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        if labels == 1:
            again, _, note = load_reward(arguments(tmp_path / name))
            assert note == "Every weight comes from the checkpoint."
            assert torch.equal(again.score.weight, saved.score.weight)
    with pytest.raises(InputError, match="classifier is a classifier of 2 labels, and a reward model has one"):
        load_reward(arguments(tmp_path / "classifier"))
