"""A rollout: answers and their log-probabilities, whatever the padding, the tokens and the form of the model."""

from collections import Counter

from hfcourse.ppo.rollout import RolloutSampler, draws, micro_batch, minibatch_order, take
from hfcourse.ppo.scoring import BLOCK, SeededSampler, add_scoring

import pytest
import torch
import toys
from trl.trainer.utils import add_fused_lm_head


def rollout(made, count=8):
    made.model.train()
    return made._begin_rollout([made.train_dataset[i] for i in range(count)])


@torch.no_grad()
def one_by_one(model, row, temperature):
    """Log-probabilities and entropies of an answer, from the plain model on an unpadded row."""
    width = int(row["attention_mask"].sum())
    ids, answer = row["input_ids"][:width], row["answer_mask"][:width]
    log_p = (model(input_ids=ids[None]).logits[0, :-1] / temperature).log_softmax(-1)
    places = answer[1:]
    return log_p.gather(-1, ids[1:, None])[places, 0], -(log_p.exp() * log_p).sum(-1)[places]


@pytest.mark.parametrize(
    ("kind", "conversations", "temperature"), [("gpt2", False, 1.0), ("gpt2", True, 0.6), ("llama", True, 1.0)]
)
def test_log_probs_are_those_that_the_answer_was_drawn_with(tmp_path, kind, conversations, temperature):
    """In the sampler rows are padded on the left, in the score on the right: neither may shift a position."""
    data = toys.prompts(conversations=conversations)
    made = toys.trainer(tmp_path, toys.policy(kind), train_dataset=data, temperature=temperature)
    seen = []
    sampler = SeededSampler.__call__

    def watched(self, ids, scores):
        logps = (scores / temperature).log_softmax(-1)
        found = sampler(self, ids, scores)
        seen.append(logps[found == 0])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeededSampler, "__call__", watched)
        found = rollout(made)
    drawn = torch.stack(seen, 1)[:, : found["mask"].shape[1]]  # (B, T)
    torch.testing.assert_close(found["logps"], drawn * found["mask"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["logps"], found["ref_logps"])
    assert made._metrics["train"]["kl"] == [pytest.approx(0, abs=1e-5)], "the first rollout is the reference's"
    for i in range(8):
        row = {name: value[i] for name, value in found.items()}
        logps, entropy = one_by_one(toys.policy(kind), row, temperature)
        length = int(row["mask"].sum())
        torch.testing.assert_close(row["logps"][:length], logps, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(row["entropy"][:length], entropy, rtol=1e-4, atol=1e-5)
    assert found["mask"].sum(1).min() < found["mask"].sum(1).max(), "answers of several lengths"


def test_what_a_rollout_holds(tmp_path):
    found = rollout(toys.trainer(tmp_path))
    wide, rows = found["input_ids"].shape, found["mask"].shape
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        **dict.fromkeys(("input_ids", "attention_mask", "answer_mask"), tuple(wide)),
        **dict.fromkeys(("mask", "logps", "ref_logps", "entropy", "values", "returns", "advantages"), tuple(rows)),
        **dict.fromkeys(("scores", "kl", "ended"), (8,)),
    }


@pytest.mark.parametrize("pad", ["<pad>", "<eos>"])
def test_the_end_of_an_answer_is_trained_on_and_padding_is_not(tmp_path, pad):
    """Where both are one token, the first belongs to the answer and the others pad it."""
    found = rollout(toys.trainer(tmp_path, pad=pad))
    ids, answer, ended = found["input_ids"], found["answer_mask"], found["ended"].bool()
    assert 0 < ended.sum() < 8
    for row in range(8):
        tokens = ids[row][answer[row]].tolist()
        assert (tokens[-1] == 0) == ended[row] and 0 not in tokens[:-1]
        assert ended[row] or len(tokens) == 6
        assert not answer[row][found["attention_mask"][row] == 0].any()


def test_with_another_padding_token_the_same_answers_are_drawn(tmp_path):
    one, other = (rollout(toys.trainer(tmp_path, pad=pad)) for pad in ("<pad>", "<eos>"))
    torch.testing.assert_close(one["logps"], other["logps"], rtol=1e-4, atol=1e-5)


def test_trimmed_rows_in_any_order_score_the_same(tmp_path):
    made = toys.trainer(tmp_path)
    found = rollout(made)
    order = torch.tensor([5, 0, 7, 2])
    part = take(found, order)
    assert part["input_ids"].shape[1] == part["attention_mask"].sum(1).max()
    again = made._score_rows({name: part[name] for name in ("input_ids", "attention_mask", "answer_mask")})
    torch.testing.assert_close(again["logps"], part["logps"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again["values"], part["values"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_trls_fused_head_gives_the_same_scores(tmp_path, shared):
    """The head that is used on accelerators, and everywhere for models that change their logits."""
    made = toys.trainer(tmp_path, share_trunk=shared)
    torch.nn.init.normal_((made.model.critic if shared else made.model.critic.score).weight)
    found = rollout(made)
    rows = {name: found[name] for name in ("input_ids", "attention_mask", "answer_mask")}
    changed = toys.policy()
    changed.config.logit_scale = 1.0
    changed.critic = made.model.critic
    add_fused_lm_head(changed, temperature=1.0, outputs=("log_probs", "entropy"))
    add_scoring(changed, 1.0, owner=changed)
    other = changed(**rows, with_values=True)
    torch.testing.assert_close(other.log_probs, found["logps"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.entropy, found["entropy"], rtol=1e-4, atol=1e-5)
    if not shared:  # the toy's own trunk has been copied into the critic, which reads the rows by itself
        torch.testing.assert_close(other.value, found["values"], rtol=1e-4, atol=1e-5)
    else:
        assert other.value.abs().sum() > 0


def test_draws_follow_the_distribution_and_the_row_alone():
    probabilities = torch.tensor([0.5, 0.2, 0.0, 0.3])
    numbers = draws(seed=0, stream=1, rows=range(20000), length=1)
    sampler = SeededSampler(numbers, temperature=1.0)
    found = sampler(None, probabilities.log().repeat(20000, 1)).argmax(-1)
    shares = torch.bincount(found, minlength=4) / 20000
    assert shares[2] == 0 and (shares - probabilities).abs().max() < 0.01
    assert torch.equal(draws(0, 1, [7, 3], 1), numbers[[7, 3]])
    assert not torch.equal(draws(0, 2, [7], 1), numbers[[7]])


@pytest.mark.parametrize("vocabulary", [BLOCK - 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 5])
def test_a_token_is_the_inverse_of_its_whole_distribution(vocabulary):
    """Block by block finds what one cumulative sum over the vocabulary would, and never a token that can't be."""
    torch.manual_seed(0)
    scores = (3 * torch.randn(200, vocabulary)).masked_fill(torch.rand(200, vocabulary) < 0.3, -torch.inf)
    numbers = torch.rand(200, 1, dtype=torch.double)
    numbers[:2, 0] = torch.tensor([0.0, 1 - 2**-53])
    cumulative = (scores.double() / 0.7).softmax(-1).cumsum(-1)
    found = SeededSampler(numbers, temperature=0.7)(None, scores.clone())
    assert (found == 0).sum() == 200 and torch.isfinite(scores[found == 0]).all()
    whole = torch.searchsorted(cumulative, numbers * cumulative[:, -1:], right=True)[1:, 0]
    assert (found.argmax(-1)[1:] == whole).float().mean() > 0.98, "but for numbers on the edge of a token"


def test_prompts_come_in_rollouts_another_order_each_epoch_and_the_same_again():
    sampler = RolloutSampler(10, size=4, repeats=3, seed=0)
    first = list(sampler)
    assert len(first) == len(sampler) == 24 and first[:4] == first[4:8] == first[8:12]
    assert set(first[:4]).isdisjoint(first[12:16])
    sampler.set_epoch(1)
    assert list(sampler) != first
    again = RolloutSampler(10, size=4, repeats=3, seed=0)
    again.set_epoch(1)
    assert list(again) == list(sampler)
    assert list(RolloutSampler(5, 4, 1, 0, shuffle=False)) == [0, 1, 2, 3]


def test_each_epoch_takes_every_answer_once_in_another_order():
    order = minibatch_order(seed=0, rollout=1, epochs=3, rows=12)
    assert all(sorted(epoch.tolist()) == list(range(12)) for epoch in order)
    assert len({tuple(epoch.tolist()) for epoch in order}) == 3
    lengths = torch.arange(12) % 5
    parts = [micro_batch(order[0][:6], lengths, 3, part) for part in range(3)]
    assert Counter(torch.cat(parts).tolist()) == Counter(order[0][:6].tolist())
    assert lengths[parts[0]].max() <= lengths[parts[1]].min() <= lengths[parts[2]].max()
