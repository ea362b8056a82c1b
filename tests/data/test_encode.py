"""Token ids and labels: which tokens count, checked by hand, against TRL, and against forged special tokens."""

import json

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.encode import Encoder, encode_split
from hfcourse.data.load import load_data
from hfcourse.data.template import ensure_chat_template
from hfcourse.errors import InputError

import pytest
from tiny_tokenizers import gpt2_like, llama_like
from trl.chat_template_utils import is_chat_template_prefix_preserving, is_chat_template_stop_token_trained


CHAT = [
    ("user", "Who is 巴黎?"),
    ("assistant", "The capital."),
    ("user", "of France?"),
    ("assistant", " Paris 是 \n"),
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


both = pytest.mark.parametrize("make", [gpt2_like, llama_like])


def messages(pairs):
    return [{"role": role, "content": content} for role, content in pairs]


def encode(tokenizer, pairs, prompt_turns=0, tools="", max_length=None):
    row = {"messages": messages(pairs), "prompt_turns": prompt_turns, "tools": tools}
    return Encoder(tokenizer, max_length)(row)


def counted(tokenizer, encoded):
    """The runs of counted tokens as text."""
    runs, before = [], -100
    for token, label in zip(encoded["input_ids"], encoded["labels"], strict=True):
        assert label in (-100, token)
        if label != -100:
            runs += [[]] if before == -100 else []
            runs[-1].append(token)
        before = label
    return [tokenizer.decode(run, clean_up_tokenization_spaces=False) for run in runs]


@both
def test_the_default_template_counts_answers_and_their_end(make):
    tokenizer = make()
    assert ensure_chat_template(tokenizer).startswith("The tokenizer had no chat template, the plain-text default")
    eos = tokenizer.eos_token
    encoded = encode(tokenizer, [("system", "s"), *CHAT])
    assert counted(tokenizer, encoded) == [f"The capital.{eos}", f"Paris 是{eos}"]
    rendered = tokenizer.apply_chat_template(messages([("system", "s"), *CHAT]), tokenize=False)
    start = "<s>" if make is llama_like else ""
    assert rendered == (
        f"{start}### System:\ns\n\n### User:\nWho is 巴黎?\n\n### Assistant:\nThe capital.{eos}"
        f"\n\n### User:\nof France?\n\n### Assistant:\nParis 是{eos}"
    )
    hf = tokenizer.apply_chat_template(messages(CHAT), return_dict=True, return_assistant_tokens_mask=True)
    ours = encode(tokenizer, CHAT)
    assert ours["input_ids"] == hf["input_ids"]
    assert [label != -100 for label in ours["labels"]] == list(map(bool, hf["assistant_masks"]))
    assert counted(tokenizer, encode(tokenizer, CHAT, prompt_turns=3)) == [f"Paris 是{eos}"]
    assert is_chat_template_prefix_preserving(tokenizer)
    assert is_chat_template_stop_token_trained(tokenizer)
    assert Encoder(tokenizer, None).stop_token_ids == [tokenizer.eos_token_id]
    asked = tokenizer.apply_chat_template(messages(CHAT[:3]), add_generation_prompt=True)["input_ids"]
    assert ours["input_ids"][: len(asked)] == asked


def test_tools_stand_in_the_system_turn():
    tokenizer = gpt2_like()
    ensure_chat_template(tokenizer)
    tools = json.dumps(
        [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]
    )
    text = 'Tools:\n{"name": "f"}\n{"name": "g"}\n\n### User:\na\n\n### Tool:\nt\n\n### Assistant:\nb<|end|>'
    pairs = [("user", "a"), ("tool", "t"), ("assistant", "b")]
    alone, after = (encode(tokenizer, p, tools=tools)["input_ids"] for p in (pairs, [("system", "s"), *pairs]))
    assert tokenizer.decode(alone) == f"### System:\n{text}"
    assert tokenizer.decode(after) == f"### System:\ns\n\n{text}"


@both
def test_special_tokens_written_in_a_message_stay_text(make):
    tokenizer = make()
    ensure_chat_template(tokenizer)
    eos = tokenizer.eos_token
    pairs = [("user", f"The {eos}{eos} is"), ("assistant", f"a {eos}")]
    encoded = encode(tokenizer, pairs)
    assert encoded["input_ids"].count(tokenizer.eos_token_id) == 1
    assert encoded["input_ids"][-1] == tokenizer.eos_token_id
    assert tokenizer.decode(encoded["input_ids"], clean_up_tokenization_spaces=False).replace("<s> ", "<s>") == (
        tokenizer.apply_chat_template(messages(pairs), tokenize=False)
    )
    assert counted(tokenizer, encoded) == [f"a {eos}{eos}"]


def test_templates_without_markers(tmp_path):
    tokenizer = gpt2_like("<|im_start|>", "<|im_end|>")
    (tmp_path / "chatml.jinja").write_text(CHATML)
    assert ensure_chat_template(tokenizer, str(tmp_path / "chatml.jinja")).startswith("The chat template of ")
    encoded = encode(tokenizer, CHAT)
    assert counted(tokenizer, encoded) == ["The capital.<|im_end|>", " Paris 是 \n<|im_end|>"]
    assert tokenizer.decode(encoded["input_ids"][-1:]) == "\n"
    assert Encoder(tokenizer, None).stop_token_ids == [0, tokenizer.convert_tokens_to_ids("<|im_end|>")]
    tokenizer.chat_template = CHATML.replace("<|im_end|>", "")  # ends no turn: the last answer gets the EOS token
    assert counted(tokenizer, encode(tokenizer, CHAT[:2])) == ["The capital.<|end|>"]
    for inside in ("{{ m.content }}", "{{ m.content }}<|im_end|>\n"):  # the markers may leave the end of turn out
        tokenizer.chat_template = CHATML.replace(inside, "{% generation %}" + inside + "{% endgeneration %}")
        assert counted(tokenizer, encode(tokenizer, CHAT[1:2])) == ["The capital.<|im_end|>"]
    tokenizer.chat_template = "{{ messages | length }}" + CHATML
    with pytest.raises(InputError, match="renders a turn differently once others follow.*--chat_template_path"):
        encode(tokenizer, CHAT)
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match="^the chat template refuses the conversation: roles must alternate$"):
        encode(tokenizer, CHAT)


def test_plain_rows_count_the_completion_or_everything():
    tokenizer = gpt2_like()
    encoded = Encoder(tokenizer, None)({"prompt": "The capital", "completion": " is Paris."})
    assert tokenizer.decode(encoded["input_ids"]) == "The capital is Paris.<|end|>"
    assert counted(tokenizer, encoded) == [" is Paris.<|end|>"]
    # "capital" merges across the boundary: the completion starts where the tokens part.
    split = Encoder(tokenizer, None)({"prompt": "The capi", "completion": "tal"})
    assert tokenizer.decode(split["input_ids"]) == "The capital<|end|>"
    assert counted(tokenizer, split) == [" capital<|end|>"]
    text = Encoder(tokenizer, 4)({"text": "The capital<|end|>"})
    assert tokenizer.decode(text["input_ids"]) == "The capital<|end|>"
    assert (text["labels"], text["truncated"]) == (text["input_ids"], False)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_split_is_truncated_dropped_and_counted(tmp_path, streaming):
    tokenizer = gpt2_like()
    ensure_chat_template(tokenizer)
    rows = [("x" * 100, "long"), ("a", "b"), ("c", "d" * 50)]
    lines = [json.dumps({"instruction": question, "output": answer}) for question, answer in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    args = DataArguments(str(tmp_path / "a.jsonl"), eval_share=0, streaming=streaming)
    split = load_data(args, Conversations(), 0).train
    short = encode(tokenizer, [("user", "a"), ("assistant", "b")])
    length = len(short["input_ids"]) + 3
    encoded = encode_split(split, Encoder(tokenizer, length), "Encoding")
    first, second = encoded.dataset  # of the first row truncation leaves no answer, of the third a part
    assert first == {"input_ids": short["input_ids"], "labels": short["labels"], "row": 2}
    assert (len(second["input_ids"]), second["labels"][-5:], second["row"]) == (length, second["input_ids"][-5:], 3)
    if not streaming:
        assert encoded.dropped == {"too long: no answer left": 1}
        assert (encoded.rows_truncated, encoded.tokens, encoded.counted_tokens) == (1, 2 * length - 3, 2 + 5)
        with pytest.raises(InputError, match=r"a.jsonl has no row that can be trained on: too long: .* \(3\)\.$"):
            encode_split(split, Encoder(tokenizer, 5), "")


def test_what_a_tokenizer_lacks(tmp_path):
    tokenizer = gpt2_like("<|pad_1|>")
    with pytest.raises(InputError, match="^no chat template: give --chat_template_path"):
        encode(tokenizer, CHAT)
    assert ensure_chat_template(tokenizer).endswith("is used, <|end|> ends a text and <|pad_1|> now pads.")
    assert ensure_chat_template(tokenizer) == "The tokenizer's own chat template is used, <|end|> ends a text."
    plain, llama = gpt2_like(), llama_like()
    ensure_chat_template(plain)
    ensure_chat_template(llama)
    assert (plain.pad_token, llama.pad_token) == ("<|end|>", "<unk>")
    with pytest.raises(InputError, match=r"no.jinja can't be read: No such file or directory\.$"):
        ensure_chat_template(plain, str(tmp_path / "no.jinja"))
    (tmp_path / "bad.jinja").write_text("{% for %}")
    with pytest.raises(InputError, match="bad.jinja does not work: "):
        ensure_chat_template(plain, str(tmp_path / "bad.jinja"))
    plain.eos_token = None
    with pytest.raises(InputError, match=r"no end-of-sequence token \(eos_token\)"):
        ensure_chat_template(plain)
