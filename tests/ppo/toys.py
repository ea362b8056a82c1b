"""A toy policy, its tokenizer and its prompts, for trainers that have to be quick."""

from pathlib import Path
from typing import Any

from hfcourse.ppo import PPOConfig, PPOTrainer

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


WORDS = ["<eos>", "<pad>", *(f"w{i}" for i in range(14))]
TEMPLATE = "{% for m in messages %}{{ m.role[0] }} {{ m.content }} {% if m.role == 'assistant' %}{{ eos_token }}" + (
    "{% endif %}{% endfor %}"
)


def tokenizer(pad: str = "<pad>") -> PreTrainedTokenizerFast:
    words = {word: i for i, word in enumerate([*WORDS, "u", "a"])}
    raw = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token=pad)
    found.chat_template = TEMPLATE
    return found


def policy(kind: str = "gpt2", seed: int = 0, **sizes: Any) -> Any:
    """Absolute positions (gpt2) or rotary ones (llama); random weights, large enough to prefer some words."""
    torch.manual_seed(seed)
    common = {"vocab_size": 18, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    if kind == "gpt2":
        config = GPT2Config(**common, n_layer=2, n_embd=16, n_head=2, n_positions=32, initializer_range=0.3, **sizes)
        return GPT2LMHeadModel(config).eval()
    config = LlamaConfig(
        **common, num_hidden_layers=2, hidden_size=16, intermediate_size=32, num_attention_heads=2,
        max_position_embeddings=32, initializer_range=0.3, **sizes,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def prompts(count: int = 32, conversations: bool = False) -> Dataset:
    """Of 1 to 5 words, so that each batch is padded."""
    texts = [" ".join(f"w{(7 * i + j) % 14}" for j in range(1 + i % 5)) for i in range(count)]
    rows = [[{"role": "user", "content": text}] if conversations else text for text in texts]
    return Dataset.from_dict({"prompt": rows, "number": list(range(count))})


def even(completions: list[Any], **columns: Any) -> list[float]:
    """The share of an answer's places that hold a word of an even number."""
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [sum(word[0] == "w" and int(word[1:]) % 2 == 0 for word in text.split()) / 6 for text in texts]


def config(folder: Path | str, **changes: Any) -> PPOConfig:
    small = {
        "per_device_train_batch_size": 4, "per_device_eval_batch_size": 8, "num_mini_batches": 2, "num_ppo_epochs": 2,
        "max_completion_length": 6, "max_steps": 8, "learning_rate": 3e-3, "bf16": False, "report_to": [],
        "gradient_checkpointing": False, "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "seed": 3,
        "disable_tqdm": True, "dataloader_pin_memory": False,
    }  # fmt: skip
    return PPOConfig(str(folder), **(small | changes))


def trainer(folder: Path | str, model: Any = None, reward: Any = even, **changes: Any) -> PPOTrainer:
    """A PPOTrainer on the toy; keywords of its own are taken out of the config's."""
    own = {k: changes.pop(k) for k in ("critic", "peft_config", "eval_dataset", "train_dataset") if k in changes}
    own = {"train_dataset": prompts()} | own
    pad = changes.pop("pad", "<pad>")
    model = policy() if model is None else model
    return PPOTrainer(model, reward, config(folder, **changes), processing_class=tokenizer(pad), **own)


def logged(made: PPOTrainer, name: str) -> list[float]:
    return [line[name] for line in made.state.log_history if name in line]
