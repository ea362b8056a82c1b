"""Prompts as text, and the tokens of shared demonstrations against those of each whole text."""

from hfcourse.errors import InputError
from hfcourse.icl.demonstrations import Shown
from hfcourse.icl.prompts import CONTENT_FREE, Encoder, Pair, ask, check_labels, content_free, write_demonstrations
from hfcourse.icl.task import Example, TaskRows, read_task

import pytest
from data.tiny_tokenizers import gpt2_like, llama_like
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors


BASE = {"dataset_name": "data", "template": "Review: {text}\nMood: {label}", "label": "mood"}
LABELS = {"1": "good", "0": "bad"}


def task(**changes):
    return read_task("t", BASE | {"labels": LABELS, "separator": "\n\n"} | changes, "t.yaml")


def test_a_prompt_by_hand():
    shown = [Shown(("It rains.",), "bad"), Shown(("Sun!",), None), Shown(None, "good")]
    demonstrations = write_demonstrations(task(), shown)
    assert demonstrations == ["Review: It rains.\nMood: bad\n\n", "Review: Sun!\nMood:\n\n", "good\n\n"]
    assert ask(task(), ("Tea.",), ("good", "bad")) == [
        Pair("Review: Tea.\nMood: ", "good"),
        Pair("Review: Tea.\nMood: ", "bad"),
    ]


def test_a_channel_prompt_by_hand():
    other = task(channel="Mood: {label}\nReview: {text}")
    assert write_demonstrations(other, [Shown(("It rains.",), "bad")], channel=True) == [
        "Mood: bad\nReview: It rains.\n\n"
    ]
    assert ask(other, ("Tea.",), ("good", "bad"), channel=True) == [
        Pair("Mood: good\nReview: ", "Tea."),
        Pair("Mood: bad\nReview: ", "Tea."),
    ]


def test_an_answer_that_is_generated_has_to_end():
    own = task(kind="generation", labels={})
    assert ask(own, ("Tea.",), ("yes",)) == [Pair("Review: Tea.\nMood: ", "yes\n\n")]
    assert content_free(own) == [] and len(content_free(task())) == len(CONTENT_FREE)


def t5_like():
    tokenizer = gpt2_like()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", tokenizer.eos_token_id)]
    )
    return tokenizer


TOKENIZERS = {"gpt2": gpt2_like(), "llama": llama_like(), "t5": t5_like()}
texts = st.text(alphabet="Thea Paris.\n巴黎!0 ", min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", TOKENIZERS)
@given(st.lists(texts, max_size=5), st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=3))
def test_tokens_are_those_of_each_whole_text(name, shown, inputs, labels):
    """As lm-evaluation-harness 0.4.13 makes them: TemplateLM._encode_pair, line for line."""
    tokenizer, encoder_decoder = TOKENIZERS[name], name == "t5"
    demonstrations = [f"In: {text}\nOut: {labels[0]}\n" for text in shown]
    items = [[Pair(f"In: {text}\nOut: ", label) for label in labels if label.strip()] for text in inputs]
    if not items[0]:
        return
    encoded = Encoder(tokenizer, encoder_decoder).encode(demonstrations, items)
    for number, item in enumerate(items):
        for query, pair in zip(encoded.queries(number), item, strict=True):
            context, continuation = "".join(demonstrations) + pair.context, pair.target
            spaces = len(context) - len(context.rstrip())
            continuation, context = context[-spaces:] + continuation, context[:-spaces]
            context_ids = tokenizer(context)["input_ids"]
            if encoder_decoder:
                target_ids = tokenizer(continuation, add_special_tokens=False)["input_ids"]
            else:
                target_ids = tokenizer(context + continuation)["input_ids"][len(context_ids) :]
            assert (list(query.context), list(query.target)) == (context_ids, target_ids)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_demonstrations_are_tokenised_once(name):
    demonstrations = [f"The capital {i} is Paris.\n" for i in range(9)]
    items = [[Pair(f"The capital of {x} is ", "Paris")] for x in ("France", "the", "巴黎")]
    encoded = Encoder(TOKENIZERS[name], False).encode(demonstrations, items)
    own = len(encoded.items[0][0].context)
    assert len(encoded.head) > 2 * own, "the head holds all but the last demonstration"


def test_labels_that_can_not_be_told_apart_are_refused():
    for labels, said in (
        ({"1": "The", "0": "The capital"}, "the tokens of the label 'The' begin those of 'The capital'"),
        ({"1": "The", "0": "The "}, "'The' and 'The ' are the same tokens"),
    ):
        own = task(labels=labels)
        encoded = Encoder(gpt2_like(), False).encode([], [ask(own, ("a",), own.words)])
        if labels["0"] == "The ":
            encoded.items[0][1] = encoded.items[0][0]
        with pytest.raises(InputError, match=said):
            check_labels(encoded, own)
    with pytest.raises(InputError, match="' ' tokenises to nothing|'' tokenises to nothing"):
        Encoder(gpt2_like(), False).encode([], [[Pair("a", "")]])


def test_rows_of_the_three_kinds():
    assert TaskRows(task())({"text": "Tea.", "mood": 0, "more": 1}) == {
        "fields": ["Tea."],
        "choices": ["good", "bad"],
        "gold": 1,
    }
    choice = task(kind="choice", labels={}, choices=["a", "b"], columns={"input": "text"})
    assert TaskRows(choice)({"input": "?", "a": "x", "b": "y", "mood": 1}) == {
        "fields": ["?"],
        "choices": ["x", "y"],
        "gold": 1,
    }
    assert TaskRows(choice)({"text": "?", "a": "x", "b": "y", "mood": "x"})["gold"] == 0
    listed = task(kind="choice", labels={}, choices="options")
    assert TaskRows(listed)({"text": "?", "options": ["x", "y", "z"], "mood": 2})["choices"] == ["x", "y", "z"]
    assert TaskRows(task(kind="generation", labels={}))({"text": "?", "mood": " 42 "})["choices"] == ["42"]
    for row, said in (
        ({"text": "?", "a": "x", "b": "x", "mood": 1}, "choices not told apart"),
        ({"text": "?", "a": "x", "b": "y", "mood": 2}, "no such choice: '2'"),
        ({"text": None, "a": "x", "b": "y", "mood": 1}, "no text: text is None"),
        ({"text": " ", "a": "x", "b": "y", "mood": 1}, "no input: text empty"),
    ):
        with pytest.raises(InputError, match=said):
            TaskRows(choice)(row)


def test_the_same_input_is_the_same_row_whatever_its_label():
    assert TaskRows.compared == ("fields",)
    assert Example("a", ("x",), ("y",), 0).fields == ("x",)
