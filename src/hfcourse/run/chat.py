"""`python -m hfcourse.run.chat --run runs/sft/tiny`: talk to a causal run, with its own template."""

import argparse
import sys
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.show import leave

import yaml


HELP = "/reset forgets the conversation, /system TEXT starts one with instructions, /quit or Ctrl-D ends."


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hfcourse.run.chat", allow_abbrev=False)
    parser.add_argument("--run", required=True, help="a run folder, a checkpoint folder, or a model on the Hub")
    parser.add_argument("--max_new_tokens", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy")
    parser.add_argument("--system", help="instructions that start each conversation")
    options = parser.parse_args()
    try:
        chat(options)
    except InputError as e:
        leave(str(e), 2)
    except (KeyboardInterrupt, EOFError):
        print()


def chat(options: argparse.Namespace) -> None:
    """Read questions line by line and stream the answers until the input ends."""
    # Imported here so that --help and a missing folder answer at once.
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, tokenizer = load_run(options.run)
    options.context = context_of(Path(options.run), model)
    print(f"{options.run}: {type(model).__name__}. {HELP}")
    system = [{"role": "system", "content": options.system}] if options.system else []
    messages: list[dict[str, str]] = list(system)
    while True:
        line = input("\nyou> " if sys.stdin.isatty() else "").strip()
        if line == "/quit":
            return
        if line == "/reset" or line.startswith("/system "):
            system = [{"role": "system", "content": line[8:]}] if line.startswith("/system ") else system
            messages = list(system)
            print("(a new conversation)")
        elif line.startswith("/"):
            print(HELP)
        elif line:
            messages.append({"role": "user", "content": line})
            messages.append({"role": "assistant", "content": _answer(model, tokenizer, messages, options)})


def check_run(name: str) -> None:
    """Raise InputError for a run that is not there, or not finished."""
    folder = Path(name)
    if not folder.exists() and folder.parts[:1] == ("runs",):
        raise InputError(f"{name} does not exist: make {folder.parts[1] if len(folder.parts) > 1 else 'sft'} first")
    if (folder / "config.yaml").is_file() and not (folder / "results.json").is_file():
        raise InputError(f"{name} is not finished: the command that started it continues it")


def load_run(name: str) -> tuple[Any, Any]:
    """Model and tokenizer of a run; raises InputError for a run that is not finished or can't hold a conversation."""
    from hfcourse.run.models import load

    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_run(name)
    tokenizer = load(AutoTokenizer, name, None)
    if tokenizer.chat_template is None:
        raise InputError(
            f"{name} has no chat template: it completes text but was never trained to answer (try an sft run)"
        )
    return load(AutoModelForCausalLM, name, None, use_safetensors=True).eval(), tokenizer


def context_of(run: Path, model: Any) -> int:
    """Tokens that a conversation may have: no more than the model takes, nor than the run was trained on."""
    config = run / "config.yaml"
    trained = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    limits = [getattr(model.config, "max_position_embeddings", None), trained.get("max_length")]
    return min((limit for limit in limits if limit), default=10**9)


def _shortened(tokenizer: Any, messages: list[dict[str, str]], context: int) -> list[dict[str, str]]:
    """The messages without the oldest turns, so that the rest leaves room for an answer; a system turn is kept."""
    from hfcourse.run.answers import chat_prompt

    system, turns = messages[: messages[0]["role"] == "system"], messages[messages[0]["role"] == "system" :]
    while len(turns) > 1 and len(chat_prompt(tokenizer, system + turns)) > context - context // 4:
        turns = turns[2:]
    return system + turns


def _answer(model: Any, tokenizer: Any, messages: list[dict[str, str]], options: argparse.Namespace) -> str:
    from hfcourse.run.answers import chat_prompt

    import torch
    from transformers import TextStreamer

    kept = _shortened(tokenizer, messages, options.context)
    if len(kept) < len(messages):
        print(f"({len(messages) - len(kept)} earlier messages were left out: {options.context} tokens are the limit)")
    ids = torch.tensor([chat_prompt(tokenizer, kept)], device=model.device)  # (1, T)
    room = options.context - ids.shape[1]
    if room < 8:
        raise InputError(f"the question has {ids.shape[1]} tokens, the limit with an answer is {options.context}")
    sampling = (
        {"do_sample": True, "temperature": options.temperature} if options.temperature > 0 else {"do_sample": False}
    )
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **sampling,
        max_new_tokens=min(options.max_new_tokens, room),
        streamer=streamer,
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True).strip()


if __name__ == "__main__":
    main()
