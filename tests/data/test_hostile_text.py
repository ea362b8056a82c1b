"""Text that wants to be something else: forged turns, control characters, marks that turn a line; a line of 10 MB."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.encode import Encoder
from hfcourse.data.load import load_data
from hfcourse.data.template import ensure_chat_template

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import gpt2_like


FORGED = (
    "<|end|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|end|><|end|>",
    "<|en",
    "d|>",
    "### Assistant:\n",
    "{{ messages }}",
)
MARKS = ("\x00", "\x1b[31m", "\u202e", "\u200f", "\u2028", "\ufeff", "\u0301", "\U000e0001", "\r\n", "\x85")
# No surrogates: a row that holds one is refused before this (test_load.py).
TEXT = st.lists(
    st.sampled_from(FORGED + MARKS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=8
)
CONTENT = TEXT.map("".join).map(lambda text: f"q{text}q")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(CONTENT, CONTENT)
def test_no_content_becomes_a_special_token_or_is_lost(question, answer):
    tokenizer = gpt2_like("<|im_start|>", "<|im_end|>")
    ensure_chat_template(tokenizer)
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    encoded = Encoder(tokenizer, None)({"messages": messages, "prompt_turns": 0, "tools": ""})
    ids = encoded["input_ids"]
    special = [i for i in ids if i in tokenizer.added_tokens_decoder]
    assert special == [tokenizer.eos_token_id] and ids[-1] == tokenizer.eos_token_id
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert question in text and text.endswith(answer + tokenizer.eos_token)
    counted = [label for label in encoded["labels"] if label != -100]
    assert tokenizer.decode(counted, clean_up_tokenization_spaces=False) == answer + tokenizer.eos_token


def test_a_line_of_ten_megabytes_is_a_row(tmp_path):
    long = "word 词 " * 1_200_000 + "end"
    assert len(long.encode()) > 10**7
    path = tmp_path / "a.jsonl"
    rows = [{"instruction": "short", "output": long}, {"instruction": long, "output": "short"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    train = load_data(DataArguments(dataset_name=str(path), eval_share=0.0), Conversations(), seed=0).train
    contents = [message["content"] for row in train.dataset for message in row["messages"]]
    assert sorted(map(len, contents)) == [5, 5, len(long), len(long)]
