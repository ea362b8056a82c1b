"""Answers of several stages: drawn as PPO draws them, and scored as the plain model scores them."""

from hfcourse.errors import InputError
from hfcourse.ppo import RewardModel
from hfcourse.ppo.answers import answer_log_probs, draw_answers
from hfcourse.ppo.rollout import draws
from hfcourse.ppo.stages import Questioner, Stage

import pytest
import torch
import toys
from transformers import GPT2Config, GPT2ForSequenceClassification


EOS, PAD = 0, 1


def plain(model, prompt, answer) -> float:
    """The sum of the log-probabilities of an answer's tokens, one row, no padding."""
    ids = torch.tensor([prompt + answer])
    logps = model(ids).logits[0, :-1].log_softmax(-1)
    return logps.gather(1, ids[0, 1:, None])[len(prompt) - 1 :].sum().item()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_an_answer_has_the_log_probability_of_the_plain_model(kind):
    model = toys.policy(kind)
    prompts = [[2, 3, 4], [5], [6, 7, 8, 9, 2]]
    answers = [[3, EOS], [4, 5, 6, EOS], [7]]
    found = answer_log_probs(model, prompts, answers, PAD, batch_size=2)
    with torch.no_grad():
        assert found == pytest.approx([plain(model, p, a) for p, a in zip(prompts, answers, strict=True)], abs=1e-4)


def test_answers_do_not_depend_on_those_beside_them_and_end_with_their_end():
    model = toys.policy()
    prompts = [[2 + (i + j) % 14 for j in range(1 + i % 4)] for i in range(12)]
    numbers = draws(0, 0, range(12), 6)
    together = draw_answers(model, prompts, numbers, 1.0, PAD, [EOS])
    alone = [draw_answers(model, [p], numbers[i : i + 1], 1.0, PAD, [EOS])[0] for i, p in enumerate(prompts)]
    assert together == alone
    ended = [answer for answer in together if EOS in answer]
    assert ended and all(answer.index(EOS) == len(answer) - 1 for answer in ended)
    assert all(len(answer) == 6 for answer in together if EOS not in answer)


@pytest.fixture
def questioner():
    torch.manual_seed(1)
    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 32, "initializer_range": 0.5}
    config = GPT2Config(vocab_size=18, num_labels=1, pad_token_id=PAD, **sizes)
    reward = RewardModel(GPT2ForSequenceClassification(config), toys.tokenizer())
    prompts = [row["prompt"] for row in toys.prompts(5, conversations=True)]
    choices = [["w1", "w2 w3"], [], ["w4"], ["w5", "w6", "w7"], []]
    return Questioner(Stage("sft", "", toys.policy(), 2), toys.tokenizer(), reward, prompts, choices, 6, seed=3)


def test_pieces_are_everything_that_there_is_to_ask_and_each_is_scored_right(questioner):
    other = Stage("ppo", "", toys.policy(seed=1), 1)
    pieces = questioner.pieces([questioner.reference, other], batch_size=3)
    answers = {f"{name}/{start}" for name in ("sft/0", "sft/1", "ppo/0") for start in (0, 3)}
    choices = {f"choices/{name}/{row}" for name in ("sft", "ppo", "reward") for row in (0, 2, 3)}
    assert pieces.keys() == answers | choices, "a batch of three answers has room for the choices of one prompt"
    asked = pieces["ppo/0/3"]()
    assert asked["rows"] == [3, 4] and max(asked["lengths"]) <= 6
    for row, text, (own, reference, reward) in zip(asked["rows"], asked["answers"], asked["scores"], strict=True):
        completion = [{"role": "assistant", "content": text}]
        assert reward == pytest.approx(questioner.reward([questioner.prompts[row]], [completion])[0], abs=1e-5)
        assert own != reference
    assert all(own == reference for own, reference, _ in pieces["sft/0/0"]()["scores"])
    weighed = pieces["choices/ppo/0"]()
    ids = [[*questioner.tokenizer(text)["input_ids"], EOS] for text in questioner.choices[0]]
    with torch.no_grad():
        exact = [plain(other.model, questioner.ids[0], answer) for answer in ids]
    assert weighed["rows"] == [0] and weighed["scores"][0] == pytest.approx(exact, abs=1e-4)
    assert [len(row) for row in pieces["choices/reward/3"]()["scores"]] == [3]


def test_the_first_answers_are_those_of_the_trainers_evaluation(questioner, tmp_path):
    data = toys.prompts(5, conversations=True)
    made = toys.trainer(tmp_path, toys.policy(), questioner.reward, eval_dataset=data, seed=3)
    found = made.evaluate()
    lines = [questioner.ask(questioner.reference, 0, rows) for rows in ([0, 1], [2, 3, 4])]
    assert [text for line in lines for text in line["answers"]] == [row["answer"] for row in made.evaluated]
    rewards = [scores[2] for line in lines for scores in line["scores"]]
    assert sum(rewards) / 5 == pytest.approx(found["eval_reward"], abs=1e-5)


def test_no_answers_are_refused(questioner):
    with pytest.raises(InputError, match="at least 1 answer to a prompt and in a batch, not 0"):
        questioner.pieces([questioner.reference], batch_size=0)
