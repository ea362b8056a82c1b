"""Our PPOTrainer beside TRL's GRPOTrainer and RLOOTrainer: quality for the same number of generated tokens.

    python bench/grpo.py --figure ppo-grpo.png
    python bench/grpo.py --contexts 4 --figure ppo-grpo-contexts.png

The reward needs no model and its optimum is known: a prompt is one word, which names one of four classes of words,
and an answer earns the share of its 24 places that hold a word of that class: 1/4 by chance, 1 at best. All prompts
name the same class, or, with `--contexts 4`, each of the four, and the policy has to read its prompt. One policy for
all (GPT-2 of 2 layers and width 64, random weights, 142 tokens), 64 answers a rollout, four epochs of four
minibatches, no penalty on KL. PPO answers 64 prompts once; GRPO and RLOO answer 8 prompts 8 times, since they need
groups. Each method gets the best of three learning rates, by its mean reward over the first seed.
"""

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time

from hfcourse.ppo import PPOConfig, PPOTrainer

import matplotlib.pyplot as plt
import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer


VOCABULARY, CLASSES, ROLLOUT, ANSWER = 142, 4, 64, 24
SIDES = ("ppo", "ppo, shared trunk", "grpo", "rloo")
RATES = (1e-3, 3e-3, 1e-2)
COMMON = {"per_device_train_batch_size": ROLLOUT // 4, "max_completion_length": ANSWER, "bf16": False, "report_to": [],
          "gradient_checkpointing": False, "save_strategy": "no", "logging_steps": 16, "use_cpu": True,
          "optim": "adamw_torch_fused", "dataloader_pin_memory": False, "disable_tqdm": True}  # fmt: skip
GROUPS = {"num_generations": 8, "steps_per_generation": 4, "num_iterations": 4, "beta": 0.0}
OWN = {"num_mini_batches": 4, "num_ppo_epochs": 4, "kl_coef": 0.0}


def of_its_class(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """The share of an answer's places that hold a word of the class that its prompt names."""
    wanted = [int(prompt[1:]) % CLASSES for prompt in prompts]
    words = [[int(word[1:]) % CLASSES for word in text.split()] for text in completions]
    return [row.count(number) / ANSWER for row, number in zip(words, wanted, strict=True)]


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<eos>": 0, "<pad>": 1} | {f"w{i}": i for i in range(2, VOCABULARY)}
    raw = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<eos>",
        pad_token="<pad>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def train(side: str, rate: float, seed: int, rollouts: int, contexts: int) -> dict:
    """Rewards and generated tokens of each rollout, and CPU seconds."""
    torch.manual_seed(0)
    sizes = {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 1}
    policy = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **sizes, **no_dropout))
    prompts = [f"w{CLASSES + row % contexts}" for row in range(1024)]
    with tempfile.TemporaryDirectory() as folder:
        common = COMMON | {"learning_rate": rate, "max_steps": 16 * rollouts, "seed": seed}
        trainer, args = {
            "ppo": (PPOTrainer, lambda: PPOConfig(folder, **common, **OWN)),
            "ppo, shared trunk": (PPOTrainer, lambda: PPOConfig(folder, **common, **OWN, share_trunk=True)),
            "grpo": (GRPOTrainer, lambda: GRPOConfig(folder, **common, **GROUPS)),
            "rloo": (RLOOTrainer, lambda: RLOOConfig(folder, **common, **GROUPS)),
        }[side]
        data = Dataset.from_dict({"prompt": prompts})
        made = trainer(policy, of_its_class, args=args(), train_dataset=data, processing_class=tokenizer())
        began = time.process_time()
        made.train()
        seconds = time.process_time() - began
    lines = [line for line in made.state.log_history if "reward" in line]
    lengths = [line.get("length", line.get("completions/mean_length")) for line in lines]
    tokens = np.cumsum([ROLLOUT * length for length in lengths]).tolist()
    return {"rewards": [line["reward"] for line in lines], "tokens": tokens, "seconds": seconds}


def draw(rows: dict[str, list[dict]], file: str) -> None:
    """Reward over generated tokens: the mean of the seeds, and from their least to their greatest."""
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for side, found in rows.items():
        tokens = np.mean([row["tokens"] for row in found], 0) / 1000
        rewards = np.array([row["rewards"] for row in found])  # (seeds, rollouts)
        (line,) = axis.plot(tokens, rewards.mean(0), label=side.upper().replace("SHARED TRUNK", "shared trunk"))
        axis.fill_between(tokens, rewards.min(0), rewards.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    axis.axhline(1 / CLASSES, color="gray", linewidth=0.8, linestyle=":")
    axis.set(xlabel="generated tokens, thousands", ylabel="reward (1 at best)", ylim=(0, 1.02))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=20)
    parser.add_argument("--contexts", type=int, choices=(1, 2, 4), default=1, help="classes that prompts name")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", help="PNG of reward over generated tokens")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, list[dict]] = {}
    for side in SIDES:
        run = functools.partial(train, side, rollouts=options.rollouts, contexts=options.contexts)
        first = {rate: run(rate, seed=0) for rate in RATES}
        rate = max(first, key=lambda one: statistics.mean(first[one]["rewards"]))
        rows[side] = [first[rate], *(run(rate, seed=seed) for seed in range(1, options.seeds))]
        means = ", ".join(f"{one:g}: {statistics.mean(found['rewards']):.3f}" for one, found in first.items())
        print(f"{side}: mean reward at rate {means}; taken: {rate:g}", flush=True)
        print(json.dumps({"side": side, "rate": rate, "runs": rows[side]}), file=sys.stderr)
    for side, found in rows.items():
        parts = np.array_split(np.array([row["rewards"] for row in found]), 4, axis=1)  # quarters of the training
        quarters = [f"{part.mean():.2f} ({part.mean(1).min():.2f} to {part.mean(1).max():.2f})" for part in parts]
        tokens = statistics.median(row["tokens"][-1] for row in found)
        seconds = statistics.median(row["seconds"] for row in found)
        print(f"{side:<18} reward by quarters {', '.join(quarters)}; {tokens:.0f} tokens, {seconds:.1f} CPU s")
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
