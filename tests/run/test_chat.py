"""A conversation in the terminal: the run's own template, earlier turns kept, one sentence where it can't be had."""

from argparse import Namespace
from pathlib import Path

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run import chat

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of a finished run, whose template writes every turn between bars."""
    folder = tmp_path_factory.mktemp("run")
    tokenizer = train_tokenizer(["Who are you? I am a model."] * 5, 280, "causal")
    tokenizer.chat_template = "{% for m in messages %}|{{ m.role[0] }}:{{ m.content }}{% endfor %}"
    torch.manual_seed(0)
    sizes = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 64}
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **sizes)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def talk(run: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, str]]]:
    """Types `lines` and returns the conversation that each answer was asked with."""
    asked: list[list[dict[str, str]]] = []
    answer = chat._answer

    def listen(model, tokenizer, messages, options):
        asked.append([dict(message) for message in messages])
        return answer(model, tokenizer, messages, options)

    typed = iter(lines)
    monkeypatch.setattr(chat, "_answer", listen)
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    chat.chat(Namespace(run=str(run), max_new_tokens=4, temperature=0.0, system=None))
    return asked


def test_turns_are_kept_and_forgotten_when_asked(run, monkeypatch, capsys):
    asked = talk(run, ["Hi", "", "So?", "/reset", "/system Be brief.", "Hi", "/quit"], monkeypatch)
    first, second, third = asked
    assert first == [{"role": "user", "content": "Hi"}]
    assert [m["role"] for m in second] == ["user", "assistant", "user"]
    assert second[2]["content"] == "So?"
    assert third == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert second[1]["content"] in capsys.readouterr().out, (
        "the answer that is remembered is the one that was streamed"
    )


def test_a_question_that_leaves_no_room_is_one_sentence(run, monkeypatch):
    with pytest.raises(InputError, match="the limit with an answer is 64"):
        talk(run, ["word " * 80], monkeypatch)


def test_the_oldest_turns_are_left_out(run, monkeypatch, capsys):
    """16 of the 64 tokens are kept free for the answer; what the run was trained on limits it further."""
    talk(run, ["word " * 6, "word " * 6, "Hi", "/quit"], monkeypatch)
    assert "earlier messages were left out: 64 tokens are the limit" in capsys.readouterr().out
    _, tokenizer = chat.load_run(str(run))
    turns = [{"role": role, "content": "word " * 6} for role in ("user", "assistant", "user")]
    kept = chat._shortened(tokenizer, [{"role": "system", "content": "Be."}, *turns], 64)
    assert [m["role"] for m in kept] == ["system", "user"]
    (run / "config.yaml").write_text("max_length: 40\n")
    model = Namespace(config=Namespace(max_position_embeddings=64))
    assert chat.context_of(run, model) == 40
    (run / "config.yaml").unlink()


def test_runs_that_can_not_talk(run, tmp_path):
    with pytest.raises(InputError, match="make sft first"):
        chat.load_run("runs/sft/missing")
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(InputError, match="is not finished"):
        chat.load_run(str(tmp_path))
    silent = tmp_path / "base"
    silent.mkdir()
    for file in run.iterdir():
        if file.name != "chat_template.jinja":
            (silent / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="no chat template"):
        chat.load_run(str(silent))
