"""Rewards: models that read text as they were trained to, functions that are checked, rules, and what is refused."""

import math

from hfcourse.ppo import PPOTrainer, RewardModel
from hfcourse.ppo.rules import RULES, format_reward, grammar, least_effort, no_repetition

import pytest
import torch
import toys
from datasets import Dataset
from transformers import GPT2Config, GPT2ForSequenceClassification


def classifier(labels=1, vocabulary=18):
    torch.manual_seed(1)
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 32, "initializer_range": 0.5}
    return GPT2ForSequenceClassification(GPT2Config(vocab_size=vocabulary, num_labels=labels, pad_token_id=1, **sizes))


def score_alone(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0, 0].item()


def test_a_reward_model_reads_what_it_was_trained_on():
    """Plain text with its end, where there is one; a conversation by its template; each as if it stood alone."""
    model = classifier().eval()
    reward = RewardModel(model, toys.tokenizer(), batch_size=2)
    reward.eos_token_ids = {0}
    found = reward(["w1", "w2 w3", "w4"], [" w5 w6", " w7", " w8 w9 w1"], completion_ids=[[7, 8, 0], [9], [10, 11, 3]])
    wanted = [[3, 7, 8, 0], [4, 5, 9], [6, 10, 11, 3]]
    assert found == pytest.approx([score_alone(model, ids) for ids in wanted], abs=1e-5)
    user, answer = [{"role": "user", "content": "w1"}], [{"role": "assistant", "content": "w2"}]
    assert reward([user], [answer], [[4]]) == pytest.approx([score_alone(model, [16, 3, 17, 4, 0])], abs=1e-5)
    long = " ".join(["w1"] * 40)
    assert reward([long], [" w5"], [[7]]) == pytest.approx([score_alone(model, [3] * 31 + [7])], abs=1e-5)


def test_a_label_of_a_classifier_can_be_the_reward():
    model = classifier(2).eval()
    model.config.id2label, model.config.label2id = {0: "NEG", 1: "POS"}, {"NEG": 0, "POS": 1}
    reward = RewardModel(model, toys.tokenizer(), label="POS", name="sentiment")
    with torch.no_grad():
        wanted = model(input_ids=torch.tensor([[3, 4]])).logits[0, 1].item()
    assert reward(["w1"], [" w2"]) == pytest.approx([wanted]) and reward.__name__ == "sentiment"
    with pytest.raises(ValueError, match="has 2 labels .NEG, POS., and a reward is one number"):
        RewardModel(model, toys.tokenizer(), name="sentiment")
    with pytest.raises(ValueError, match="no label 'GOOD', it has NEG, POS"):
        RewardModel(model, toys.tokenizer(), label="GOOD")


def test_rewards_of_all_kinds_are_summed_with_their_weights(tmp_path):
    """trl#2518, #2451: the old trainer took one nn.Module that read its own token ids."""
    model, tokens = classifier(vocabulary=30), toys.tokenizer()
    seen = []

    def sometimes(completions, number, **columns):
        seen.extend(number)
        return [None if n % 2 else float(n) for n in number]

    reward = RewardModel(model, tokens, name="model")
    made = toys.trainer(tmp_path, None, [reward, toys.even, sometimes], reward_weights=[0.5, 2.0, 1.0])
    made.model.train()
    rollout = made._begin_rollout([made.train_dataset[i] for i in range(8)])
    rows = [made._logs["rewards"][name] for name in ("model", "even", "sometimes")]
    for i, (m, e, s) in enumerate(zip(*rows, strict=True)):
        wanted = 0.5 * m + 2.0 * e + (0.0 if math.isnan(s) else s)
        assert rollout["scores"][i].item() == pytest.approx(wanted, rel=1e-5)
    assert seen == list(range(8)) and made._metrics["train"]["rewards/sometimes"] == [3.0], "of those that it scored"


def test_an_answer_that_was_cut_costs_its_penalty(tmp_path):
    plain, fined = (toys.trainer(tmp_path, missing_eos_penalty=penalty) for penalty in (0.0, 5.0))
    scores = []
    for made in (plain, fined):
        made.model.train()
        rollout = made._begin_rollout([made.train_dataset[i] for i in range(8)])
        scores.append(rollout["scores"])
    torch.testing.assert_close(scores[0] - scores[1], 5.0 * (~rollout["ended"].bool()).float())


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (lambda completions, **c: [1.0], "returned 1 rewards for 8 answers"),
        (lambda completions, **c: [0.0] * 7 + [math.nan], "returned nan for row 7 of its batch: prompt 'w"),
        (lambda completions, **c: [0.0, math.inf, *[0.0] * 6], "returned inf for row 1 of its batch"),
        (lambda completions, **c: ["good"] * 8, "returned 'good' for row 0 of its batch"),
        (lambda completions, **c: [0.0] * 3 + [None] * 5, "no reward function scored an answer for row 3"),
    ],
)
def test_a_reward_that_is_no_number_is_named_with_its_row(tmp_path, reward, said):
    made = toys.trainer(tmp_path, None, reward)
    with pytest.raises(ValueError, match=said):
        made.train()


def test_what_can_not_be_used_is_refused(tmp_path):
    def refused(said, *, model=None, reward=toys.even, train_dataset=None, **changes):
        with pytest.raises(ValueError, match=said):
            toys.trainer(tmp_path, model, reward, train_dataset=train_dataset or toys.prompts(), **changes)

    refused("a rollout takes 8 prompts .* and there are 4", train_dataset=toys.prompts(4))
    refused("a rollout takes 8 prompts .* and there are 4", train_dataset=toys.prompts(4))
    refused("its vocabulary has 30 of them and the policy's 18", critic=classifier(vocabulary=30))
    refused("has no head `score` with one output", critic=classifier(2))
    refused("it does not go with a critic of its own", critic=classifier(), share_trunk=True)
    with pytest.raises(ValueError, match="is a datasets.Dataset with a column"):
        PPOTrainer(toys.policy(), toys.even, toys.config(tmp_path), None)
    long = Dataset.from_dict({"prompt": [" ".join(["w1"] * 40)] * 8})
    with pytest.raises(ValueError, match="a prompt of 40 tokens and an answer of up to 6 do not fit into the 32"):
        toys.trainer(tmp_path, train_dataset=long).train()


def test_a_reward_model_with_other_tokens_scores_and_its_own_kind_can_be_the_critic(tmp_path):
    reward = RewardModel(classifier(), toys.tokenizer(), name="model")
    made = toys.trainer(tmp_path, None, reward, critic=reward.model, max_steps=4, learning_rate=1e-2)
    before = {name: value.clone() for name, value in reward.model.state_dict().items()}
    made.train()
    assert all(torch.equal(before[name], value) for name, value in reward.model.state_dict().items())
    moved = made.model.critic.state_dict()
    assert before.keys() == moved.keys() and not torch.equal(before["score.weight"], moved["score.weight"])


def test_rules():
    assert grammar(["The capital is Rome.", "首都是罗马。"]) == [1.0, 1.0]
    assert grammar(["the the cat ( sat on the."]) == [pytest.approx(2 / 6)] and grammar([" "]) == [0.0]
    assert least_effort(["", "one two", "w " * 36, "w " * 80, "字" * 36]) == [0.0, 1.0, 0.5, 0.0, 0.5]
    assert no_repetition(["a b c d", "a b c a b c a b c", "no no"]) == [1.0, pytest.approx(3 / 7), 1.0]
    assert format_reward(r"Answer: \d+")(["Answer: 42", "Answer: 42 or 43", "42"]) == [1.0, 0.0, 0.0]
    messages = [[{"role": "assistant", "content": "It is Rome. It is Rome."}]]
    assert [RULES[name](messages) for name in RULES] == [[1.0], [1.0], [0.75], [0.0]]
