"""Preference data in the formats that people have it in, brought into rankings; what can't be ranked is refused."""

from hfcourse.data.preferences import Preferences, RankedChats, RankedTexts
from hfcourse.errors import InputError

import pytest


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def normalise(row, **settings):
    return Preferences(**settings).detect(row)(row)


ONE = {"prompt": [user("q")], "answers": [[assistant("good")], [assistant("bad")]], "ranks": [1, 2], "aspect": ""}
WHOLE = [user("q"), assistant("good")], [user("q"), assistant("bad")]
SHARE_GPT = {"from": "gpt", "value": "good"}, {"from": "gpt", "value": "bad"}
SAME = {
    "conversational with a prompt": {
        "prompt": [user("q")], "chosen": [assistant("good")], "rejected": [assistant("bad")]
    },
    "without a prompt": {"chosen": WHOLE[0], "rejected": WHOLE[1]},
    "UltraFeedback, binarised": {"prompt": "q", "chosen": WHOLE[0], "rejected": WHOLE[1], "score_chosen": 8.0},
    "hh-rlhf": {"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"},
    "hh-rlhf, stripped": {"chosen": "Human: q\n\nAssistant: good", "rejected": "Human: q\n\nAssistant: bad"},
    "LLaMA-Factory, ShareGPT": {
        "conversations": [{"from": "human", "value": "q"}], "chosen": SHARE_GPT[0], "rejected": SHARE_GPT[1]
    },
    "LLaMA-Factory, Alpaca": {"instruction": "q", "input": "", "chosen": "good", "rejected": "bad"},
    "messages and texts": {"prompt": [user("q")], "chosen": "good", "rejected": "bad"},
    "ranks": {"messages": [user("q")], "answers": ["good", "bad"], "ranks": [1, 2]},
    "UltraFeedback": {
        "instruction": "q",
        "completions": [{"response": "good", "overall_score": 7.5}, {"response": "bad", "overall_score": 2.0}],
    },
    "Nectar": {
        "prompt": "\n\nHuman: q\n\nAssistant: ",
        "answers": [{"answer": "good", "model": "a", "rank": 1.0}, {"answer": "bad", "model": "b", "rank": 5.0}],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_one_pair_in_many_formats(name):
    assert normalise(SAME[name]) == ONE


def test_longer_conversations_part_where_they_differ():
    turns = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nHuman: d\n\nAssistant:"
    row = normalise({"chosen": turns + " e", "rejected": turns + " f\n\nHuman: g\n\nAssistant: h"})
    assert row["prompt"] == [user("a"), assistant("b"), user("c\n\nd")]
    assert row["answers"] == [[assistant("e")], [assistant("f"), user("g"), assistant("h")]]
    # One may go on where the other ends.
    row = normalise({"chosen": WHOLE[0], "rejected": [*WHOLE[0], user("r"), assistant("s")]})
    assert (row["prompt"], row["answers"][1]) == ([user("q")], [assistant("good"), user("r"), assistant("s")])
    system = normalise(SAME["LLaMA-Factory, ShareGPT"] | {"system": "Be short."})
    assert system["prompt"] == [{"role": "system", "content": "Be short."}, user("q")]


def test_plain_texts_stay_texts():
    row = {"prompt": "1 + 1 =", "chosen": " 2", "rejected": " 3", "aspect": "truthful"}
    expected = {"prompt": "1 + 1 =", "answers": [" 2", " 3"], "ranks": [1, 2], "aspect": "truthful"}
    assert normalise(row) == expected
    assert normalise({"chosen": "1 + 1 = 2", "rejected": "1 + 1 = 3"})["prompt"] == ""
    assert normalise(row | {"kind": "sums"}, aspect="kind")["aspect"] == "sums"


def test_what_makes_two_rows_the_same():
    row = {"prompt": "q", "chosen": "a", "rejected": "b"}
    assert Preferences().detect(row).compared == ("prompt",)
    assert Preferences(by_prompt=False).detect(row).compared == ("prompt", "answers")
    # Whole texts have no prompt: all would be the same.
    assert Preferences().detect({"chosen": "a", "rejected": "b"}).compared == ("prompt", "answers")
    assert isinstance(Preferences().detect(SAME["hh-rlhf"]), RankedChats)
    assert isinstance(Preferences().detect(row), RankedTexts)


@pytest.mark.parametrize(
    ("order", "ranks"),
    [
        ({"ranks": [3, 1, 2]}, [3, 1, 2]),
        ({"scores": [0.5, 9, 3]}, [3, 1, 2]),
        ({"ranks": [2, 1, 2]}, [2, 1, 2]),  # a tie
        ({"ranks": [40, 7, 7]}, [2, 1, 1]),
    ],
)
def test_rankings_with_gaps_and_ties(order, ranks):
    assert normalise({"prompt": "q", "answers": ["a", "b", "c"], **order})["ranks"] == ranks


def test_equal_answers_may_be_tied():
    row = {"prompt": "q", "answers": ["a", "b", "a"], "ranks": [2, 1, 2]}
    assert normalise(row)["ranks"] == [2, 1, 2]


REFUSED = {
    "unknown columns: found question, expected chosen and rejected": {"question": "q"},
    "no pair: the column rejected is missing or empty": {"prompt": "q", "chosen": "a", "rejected": None},
    "identical answers: chosen and rejected are the same text": {"prompt": "q", "chosen": "a", "rejected": "a "},
    "identical answers: answer 1 and answer 3 are the same": {"answers": ["a", "b", "a"], "ranks": [1, 2, 3]},
    "empty answer: rejected ends without words of the assistant": {
        "chosen": WHOLE[0],
        "rejected": [user("q"), assistant(" ")],
    },
    "empty answer: chosen ends without words of the assistant": {
        "chosen": [user("q"), assistant("x"), user("y")],
        "rejected": WHOLE[1],
    },
    "empty answer: rejected has no words": {"prompt": "q", "chosen": "a", "rejected": ""},
    "no prompt: expected one, or conversations that begin": {
        "chosen": WHOLE[0],
        "rejected": [user("p"), assistant("bad")],
    },
    "no order: all answers are tied": {"answers": ["a", "b"], "scores": [1, 1.0]},
    "no order: expected ranks (1 is the best) or scores": {"answers": ["a", "b"]},
    "no order: 2 answers, and ranks is no list of as many": {"answers": ["a", "b"], "ranks": [1, 2, 3]},
    "no order: scores holds what is no finite number": {"answers": ["a", "b"], "scores": [1, float("nan")]},
    "no ranking: expected answers to be a list of at least two": {"answers": ["a"], "ranks": [1]},
    "no text: chosen is int, expected a string": {"prompt": "q", "chosen": 1, "rejected": "b"},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_can_not_be_ranked_is_refused(said):
    with pytest.raises(InputError) as refused:
        normalise(REFUSED[said])
    assert str(refused.value).startswith(said)
