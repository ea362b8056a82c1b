"""Texts with rivals beside their tokens: what sees what, the loss by hand, and the steps that have only them."""

from types import SimpleNamespace

from hfcourse.data.kept import KeptTexts
from hfcourse.errors import InputError
from hfcourse.run.reward import Ranker, load_reward
from hfcourse.run.reward_keep import KeepArguments, TokenScores, beside, predicting_head, rival_loss

import pytest
import torch
from datasets import Dataset
from transformers import GPT2LMHeadModel
from trl import ModelConfig, RewardConfig


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_rival_is_read_as_if_it_stood_in_the_text(base, attention):
    """Scores of tokens are those of the plain text, the score of rival t that of the text with word t replaced."""
    args = ModelConfig(model_name_or_path=str(base), dtype="float32", attn_implementation=attention)
    model, tokenizer, _ = load_reward(args, new_blocks=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.eval()
    tokens = TokenScores(model)
    ids, rivals = torch.randint(3, 250, (2, 2, 7))  # (B, T) each
    model(**beside(ids, rivals, torch.float32))
    both = tokens.last  # (B, 2 T)
    model(input_ids=ids)
    torch.testing.assert_close(both[:, :7], tokens.last)
    for t in range(7):
        replaced = torch.cat([ids[:, :t], rivals[:, t : t + 1]], 1)
        assert torch.equal(model(input_ids=replaced).logits[:, 0], tokens.last[:, -1])
        torch.testing.assert_close(both[:, 7 + t], tokens.last[:, -1])


def test_the_loss_of_rivals_by_hand():
    ids = torch.tensor([[5, 6, 7, 0], [5, 6, 7, 8]])
    rivals = torch.tensor([[5, 9, 8, 4], [5, 6, 7, 8]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    scores = torch.randn(2, 8, dtype=torch.double, requires_grad=True)
    losses, right = rival_loss(scores, ids, rivals, mask)
    margins = [(scores[0, t] - scores[0, 4 + t]).item() for t in (1, 2)]  # elsewhere the same word, or padding
    expected = torch.nn.functional.softplus(-torch.tensor(margins)).mean().item()
    assert losses.tolist() == pytest.approx([expected, 0.0], rel=1e-6)
    assert right.item() == pytest.approx(sum(margin > 0 for margin in margins) / 2)
    losses.sum().backward()
    assert scores.grad.nonzero().tolist() == [[0, 1], [0, 2], [0, 5], [0, 6]]
    assert rival_loss(scores[1:], ids[1:], rivals[1:], mask[1:])[1] == 0, "no rival differs"


def test_rivals_are_words_that_follow_the_same_word():
    """By seed, epoch and row alone, so that a run that resumes or has more processes draws the same."""
    texts = KeptTexts([[1, 2, 3], [1, 4], [2, 5], [2], [1, 4]], rows=5, seed=0)
    drawn = [[texts.bring(row, epoch) for row in range(5)] for epoch in range(200)]
    assert [text.tolist() for text, _ in drawn[7]] == [text.tolist() for text in texts.texts]
    assert texts.bring(0, 9)[1].tolist() == drawn[9][0][1].tolist()
    rivals = [[rival.tolist() for _, rival in epoch] for epoch in drawn]
    assert all([row[0] for row in epoch] == [1, 1, 2, 2, 1] for epoch in rivals), "the first word follows nothing"
    second = [epoch[0][1] for epoch in rivals]
    assert set(second) == {2, 4} and 100 < second.count(4) < 170, "as often as they follow: two in three"
    assert {epoch[2][1] for epoch in rivals} == {3, 5}
    other = KeptTexts(texts.texts, rows=5, seed=1)
    assert second != [other.bring(0, epoch)[1][1] for epoch in range(200)]


def test_the_first_steps_have_texts_alone(base, tmp_path, monkeypatch):
    """Then the pairs come in; the losses on texts go on. The gradient is that of the sum."""
    source = ModelConfig(model_name_or_path=str(base), dtype="float32")
    model, tokenizer, _ = load_reward(source)
    settings = RewardConfig(str(tmp_path), bf16=False, use_cpu=True, gradient_checkpointing=False, report_to="none")
    keep = KeepArguments(keep_texts="texts", rival_coef=2.0, kept_steps=3)
    rows = Dataset.from_dict({"input_ids": [[[5, 6], [5, 7]]], "ranks": [[1, 2]]})
    given = {
        "train_dataset": rows,
        "processing_class": tokenizer,
        "source": source,
        "run": SimpleNamespace(folder=tmp_path),
    }
    trainer = Ranker(model=model, args=settings, keep=keep, **given)
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
    batch = {
        "input_ids": torch.randint(3, 250, (2, 2, 5)),
        "attention_mask": torch.ones(2, 2, 5, dtype=torch.long),
        "labels": torch.tensor([[1, 2], [2, 1]]),
        "kept_ids": ids,
        "kept_mask": (ids > 0).long(),
        "kept_rivals": torch.tensor([[5, 16, 17, 8], [9, 12, 13, 0]]),
    }
    pairs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    model.eval()
    count = torch.tensor(2)
    trainer.state.global_step = 2
    before = trainer.compute_loss(model, batch, num_items_in_batch=count)
    assert not trainer._metrics["train"]["margin"] and trainer._metrics["train"]["rival_accuracy"]
    mask = batch["kept_mask"]
    model(**beside(ids, batch["kept_rivals"], torch.float32))
    telling = rival_loss(trainer.tokens.last, ids, batch["kept_rivals"], mask)[0].mean()
    causal = GPT2LMHeadModel.from_pretrained(base).eval()
    predicting = [causal(input_ids=ids[i : i + 1, :n], labels=ids[i : i + 1, :n]).loss for i, n in ((0, 4), (1, 3))]
    assert before.item() == pytest.approx((2 * telling + sum(predicting) / 2).item(), rel=1e-4)
    trainer.state.global_step = 3
    after = trainer.compute_loss(model, batch, num_items_in_batch=count)
    alone = trainer.compute_loss(model, pairs, num_items_in_batch=count)
    assert after.item() == pytest.approx((before + alone).item(), rel=1e-5)
    assert trainer._metrics["train"]["margin"]
    gradients = [torch.autograd.grad(loss, model.score.weight)[0] for loss in (before, alone, after)]
    torch.testing.assert_close(gradients[0] + gradients[1], gradients[2])
    halves = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(2)]
    halves = [trainer.compute_loss(model, half, num_items_in_batch=count).item() for half in halves]
    assert sum(halves) == pytest.approx(after.item(), rel=1e-5), "accumulated, they are the whole batch"
    monkeypatch.setattr("hfcourse.run.cpu.OVERHEAD", 0)
    assert len(trainer.in_parts({"input_ids": ids, "attention_mask": mask})) == 2
    parts = trainer.compute_loss(model, batch, num_items_in_batch=count)
    assert parts.item() == pytest.approx(after.item(), rel=1e-5), "read in parts, the texts are the same"
    torch.testing.assert_close(torch.autograd.grad(parts, model.score.weight)[0], gradients[2])


def test_a_reward_model_goes_on_with_rivals_alone(base, tmp_path):
    """It has no head that predicts texts: without rivals there is nothing to learn from them."""
    args = ModelConfig(model_name_or_path=str(base), dtype="float32")
    assert predicting_head(args) is not None
    model, tokenizer, _ = load_reward(args)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "reward")
    args.model_name_or_path = str(tmp_path / "reward")
    assert predicting_head(args) is None
    settings = RewardConfig(str(tmp_path), bf16=False, use_cpu=True, report_to="none")
    rows = Dataset.from_dict({"input_ids": [[[5, 6], [5, 7]]], "ranks": [[1, 2]]})
    given = {"train_dataset": rows, "processing_class": tokenizer, "source": args}
    given["run"] = SimpleNamespace(folder=tmp_path)
    with pytest.raises(InputError, match="a reward model predicts no texts, it learns from them with --rival_coef"):
        Ranker(model=model, args=settings, keep=KeepArguments(keep_texts="texts"), **given)


def test_bad_input_is_named():
    for setting in ({"rival_coef": 1.0}, {"kept_steps": 5}):
        with pytest.raises(InputError, match="are about the texts of --keep_texts, and there are none"):
            KeepArguments(**setting).check_keep()
    config = SimpleNamespace(_attn_implementation="flash_attention_2")
    with pytest.raises(InputError, match="only sdpa and eager attention know, not flash_attention_2"):
        TokenScores(SimpleNamespace(config=config))
    config = SimpleNamespace(_attn_implementation="sdpa")
    with pytest.raises(InputError, match="a head named score, which"):
        TokenScores(SimpleNamespace(config=config, named_modules=lambda: []))
