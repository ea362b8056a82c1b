"""Our PPOTrainer beside TRL's last one (1.12.0): same policy, prompts, answer length, epochs, minibatches and reward.

    python -m venv ../trl112 && ../trl112/bin/pip install trl==1.12.0
    python bench/ppo.py --trl ../trl112/bin/python --vocabularies 142 2048 16384 50257
    python bench/ppo.py --trl ../trl112/bin/python --vocabularies 142 --rollouts 12 --learning_rate 3e-3 \\
        --figure ppo-trl.png

Each side is a process of its own, in turn, on one thread, fp32; each round has another seed. The figure draws reward
over episodes and over KL. GPT-2 of 5 layers and width 128, random weights; 64 prompts of 8 to 24 tokens a rollout,
answers of up to 24, 4 epochs of 4 minibatches; the reward is that of a small random reward model, times 10. CPU
seconds are those of `train`, without imports and without making the models.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast


ROLLOUT, ANSWER = 64, 24
SIZES = {"n_embd": 128, "n_head": 4, "n_layer": 5, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 1}
PPO = {"num_ppo_epochs": 4, "num_mini_batches": 4, "kl_coef": 0.05, "gamma": 1.0, "lam": 0.95,
       "cliprange": 0.2, "cliprange_value": 0.2, "vf_coef": 0.1, "bf16": False, "report_to": [],
       "gradient_checkpointing": False, "save_strategy": "no", "logging_steps": 16, "use_cpu": True}  # fmt: skip


def make(vocabulary: int, folder: str) -> tuple:
    """Policy, reward model (saved, with its tokenizer) and prompts as words and token ids."""
    words = {"<eos>": 0, "<pad>": 1} | {f"w{i}": i for i in range(2, vocabulary)}
    raw = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token="<pad>")
    tokenizer.padding_side = "left"
    torch.manual_seed(0)
    policy = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, **SIZES, **NO_DROPOUT))
    small = SIZES | {"n_embd": 32, "n_layer": 1, "initializer_range": 0.2}
    reward = GPT2ForSequenceClassification(GPT2Config(vocab_size=vocabulary, num_labels=1, **small, **NO_DROPOUT))
    with torch.no_grad():
        reward.score.weight *= 10
    for part in (policy, reward, tokenizer):
        part.save_pretrained(os.path.join(folder, "policy" if part is policy else "reward"))
    random = torch.Generator().manual_seed(1)
    ids = [torch.randint(2, vocabulary, (8 + i % 17,), generator=random).tolist() for i in range(1024)]
    return policy, tokenizer, ids


def ours(vocabulary: int, rollouts: int, seed: int, rate: float, shared: bool) -> dict:
    from hfcourse.ppo import PPOConfig, PPOTrainer, RewardModel

    with tempfile.TemporaryDirectory() as folder:
        policy, tokenizer, ids = make(vocabulary, folder)
        settings = PPO | {
            "learning_rate": rate,
            "per_device_train_batch_size": ROLLOUT // 4,
            "max_completion_length": ANSWER,
        }
        args = PPOConfig(folder, **settings, seed=seed, share_trunk=shared, max_steps=16 * rollouts,
                         optim="adamw_torch_fused", dataloader_pin_memory=False, disable_tqdm=True)  # fmt: skip
        data = Dataset.from_dict({"prompt": [" ".join(f"w{i}" for i in row) for row in ids]})
        reward = RewardModel.from_pretrained(os.path.join(folder, "reward"))
        trainer = PPOTrainer(policy, reward, args, data, processing_class=tokenizer)
        return timed(trainer, rollouts, "reward", "kl")


def theirs(vocabulary: int, rollouts: int, seed: int, rate: float) -> dict:
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    with tempfile.TemporaryDirectory() as folder:
        policy, tokenizer, ids = make(vocabulary, folder)
        # A whole rollout as one batch and no accumulation, so that each of its minibatches is one optimiser step.
        args = PPOConfig(folder, **PPO, learning_rate=rate, seed=seed, per_device_train_batch_size=ROLLOUT,
                         response_length=ANSWER,
                         local_rollout_forward_batch_size=ROLLOUT, total_episodes=ROLLOUT * rollouts,
                         num_sample_generations=0, temperature=1.0, stop_token="eos",
                         missing_eos_penalty=None)  # fmt: skip
        reference = GPT2LMHeadModel.from_pretrained(os.path.join(folder, "policy"))
        reward = GPT2ForSequenceClassification.from_pretrained(os.path.join(folder, "reward"))
        config = GPT2Config(vocab_size=vocabulary, num_labels=1, **SIZES, **NO_DROPOUT)
        value = GPT2ForSequenceClassification(config)
        value.transformer.load_state_dict(policy.transformer.state_dict())
        data = Dataset.from_dict({"input_ids": ids})
        parts = {"model": policy, "ref_model": reference, "reward_model": reward, "value_model": value}
        trainer = PPOTrainer(args=args, processing_class=tokenizer, train_dataset=data, eval_dataset=data, **parts)
        return timed(trainer, rollouts, "objective/scores", "objective/kl")


def timed(trainer: object, rollouts: int, reward: str, kl: str) -> dict:
    """Episodes a CPU second of training, peak memory, and the mean reward and KL of each rollout."""
    began = time.process_time()
    trainer.train()  # type: ignore[attr-defined]
    seconds = time.process_time() - began
    log = trainer.state.log_history  # type: ignore[attr-defined]
    rewards, kls = ([float(line[name]) for line in log if name in line] for name in (reward, kl))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"speed": ROLLOUT * rollouts / seconds, "memory": memory, "rewards": rewards, "kls": kls}


def run(side: str, python: str, vocabulary: int, rollouts: int, seed: int, rate: float) -> dict:
    """One side in a process of its own."""
    command = [python, __file__, "--side", side, "--vocabularies", str(vocabulary), "--rollouts", str(rollouts)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command += ["--seed", str(seed), "--learning_rate", str(rate)]
    output = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in output.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, output.stderr[-2000:]
    return json.loads(lines[0].removeprefix("RESULT "))


def smooth(values: list[float], width: int = 4) -> np.ndarray:
    """Means of `width` rollouts each (rollouts - width + 1,): one rollout of random answers is noise."""
    return np.convolve(values, np.full(min(width, len(values)), 1 / min(width, len(values))), "valid")


def at_kl(found: dict, kl: float) -> float:
    """The reward of a run when its KL first reached so many nats; NaN if it never did, or began above."""
    kls = np.maximum.accumulate(smooth(found["kls"]))
    return float(np.interp(kl, kls, smooth(found["rewards"]), left=math.nan, right=math.nan))


def report(rows: dict[str, list[dict]], levels: tuple[float, ...] = (1.0, 2.0, 4.0, 6.0, 8.0)) -> None:
    """Speed and memory (medians), reward by episodes and by KL (means over the seeds, least and greatest)."""

    def spread(values: list[float]) -> str:
        return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    for side, found in rows.items():
        ratios = [a["speed"] / b["speed"] for a, b in zip(found, rows["trl"], strict=True)]
        speed, memory = (statistics.median(row[name] for row in found) for name in ("speed", "memory"))
        print(
            f"{side:<7} {speed:7.2f} episodes a CPU second ({statistics.median(ratios):.2f} times TRL, "
            f"{min(ratios):.2f}-{max(ratios):.2f}), {memory:.0f} MB"
        )
        if len(found[0]["rewards"]) < 8:
            continue  # four rollouts of random answers are noise
        curves = [smooth(row["rewards"]) for row in found]
        places = np.linspace(0, len(curves[0]) - 1, 5).astype(int)
        by_episode = [f"{(n + 4) * ROLLOUT}: {spread([curve[n] for curve in curves])}" for n in places]
        reached = {level: [at_kl(row, level) for row in found] for level in levels}
        by_kl = [f"{level}: {spread(values)}" for level, values in reached.items() if not np.isnan(values).any()]
        print(f"        reward after episodes {', '.join(by_episode)}; at KL {', '.join(by_kl)}", flush=True)


def draw(rows: dict[str, list[dict]], file: str) -> None:
    """Reward over episodes and over KL, a line a seed."""
    names = {"trl": "TRL 1.12", "ours": "ours, critic of its own", "shared": "ours, shared trunk"}
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for color, (side, found) in zip(("tab:gray", "tab:blue", "tab:orange"), rows.items(), strict=True):
        for number, row in enumerate(found):
            rewards = smooth(row["rewards"])
            style = {"color": color, "alpha": 0.8, "label": names[side] if number == 0 else None}
            axes[0].plot(ROLLOUT * (np.arange(len(rewards)) + 4), rewards, **style)
            axes[1].plot(smooth(row["kls"]), rewards, **style)
    axes[0].set(xlabel="episodes", ylabel="reward, mean of 4 rollouts")
    axes[1].set(xlabel="KL in nats an answer")
    axes[0].legend(frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", help="a Python that has trl 1.12.0")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[142, 2048])
    parser.add_argument("--rollouts", type=int, default=6)
    parser.add_argument("--learning_rate", type=float, default=3e-4, help="of both sides, falling to 0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--figure", help="PNG of the learning curves at the last vocabulary")
    parser.add_argument("--side", choices=("ours", "shared", "trl"), help="run one side in this process")
    parser.add_argument("--seed", type=int, default=0, help="of that side")
    options = parser.parse_args()
    if options.side:
        torch.set_num_threads(1)
        size = options.vocabularies[0], options.rollouts, options.seed, options.learning_rate
        found = theirs(*size) if options.side == "trl" else ours(*size, shared=options.side == "shared")
        print("RESULT " + json.dumps(found))
        return
    if options.trl is None:
        parser.error("--trl is wanted: a Python that has trl 1.12.0")
    for vocabulary in options.vocabularies:
        rows: dict[str, list[dict]] = {"trl": [], "ours": [], "shared": []}
        for seed in range(options.rounds):
            for side, found in rows.items():
                python = options.trl if side == "trl" else sys.executable
                found.append(run(side, python, vocabulary, options.rollouts, seed, options.learning_rate))
                print(json.dumps({"side": side, "seed": seed, "vocabulary": vocabulary} | found[-1]), file=sys.stderr)
        print(f"\nvocabulary {vocabulary}, {options.rollouts} rollouts of {ROLLOUT}, {options.rounds} seeds")
        report(rows)
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
