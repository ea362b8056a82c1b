"""Prompts: conversations that wait for an answer, or texts to go on from; those that do not fit are counted."""

from hfcourse.data.load import Split
from hfcourse.data.online import Prompts, fit_prompts
from hfcourse.data.template import ensure_chat_template
from hfcourse.errors import InputError

import pytest
from datasets import Dataset
from tiny_tokenizers import gpt2_like


USER, ANSWER = {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "Once upon"}, "Once upon"),
        ({"text": "Once upon a time"}, "Once upon a time"),
        ({"prompt": "Once", "completion": "upon"}, "Once"),
        ({"prompt": [USER]}, [USER]),
        ({"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER]}, [USER]),
        ({"messages": [USER, ANSWER, USER, ANSWER]}, [USER, ANSWER, USER]),
        ({"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]}, [USER]),
        ({"instruction": "hello", "output": "hi"}, [USER]),
    ],
)
def test_a_prompt_is_found_in_any_form(row, prompt):
    assert Prompts().detect(row)(row) == {"prompt": prompt}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "a"}, "unknown columns: found question"),
        ({"prompt": " "}, "no text"),
        ({"prompt": []}, "no prompt"),
    ],
)
def test_a_row_without_a_prompt_is_named(row, said):
    with pytest.raises(InputError, match=said):
        Prompts().detect(row)(row)


def split(*prompts):
    return Split(Dataset.from_dict({"prompt": list(prompts)}), len(prompts), {}, "a file, line")


def test_prompts_that_do_not_fit_are_dropped_and_counted():
    tokenizer = gpt2_like()
    ensure_chat_template(tokenizer)
    texts = ["a b", "a b " * 50, "c"]
    lengths = [len(tokenizer(text)["input_ids"]) for text in texts]
    found = fit_prompts(split(*texts), tokenizer, longest=20)
    assert found.dataset["prompt"][:] == ["a b", "c"]
    assert found.dropped == {"too long for the context": 1} and found.tokens == lengths[0] + lengths[2]
    with pytest.raises(InputError, match="a file, line: no prompt has at most the 1 tokens"):
        fit_prompts(split("a b c d e f"), tokenizer, longest=1)
    cut = fit_prompts(split("a b c d e f"), tokenizer, longest=3, first=3)
    assert cut.tokens == 3 and "a b c d e f".startswith(cut.dataset["prompt"][0])
    chats = fit_prompts(split([USER], [USER, ANSWER, USER]), tokenizer, longest=1000)
    assert chats.tokens > 10 and not chats.dropped
