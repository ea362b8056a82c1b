"""Our PPOTrainer beside TRL's last one (1.12.0): same policy, prompts, answer length, epochs, minibatches and reward.

    python -m venv ../trl112 && ../trl112/bin/pip install trl==1.12.0
    python bench/ppo.py --trl ../trl112/bin/python --vocabularies 142 2048 16384 50257

Each side is a process of its own, in turn, on one thread, fp32. GPT-2 of 5 layers and width 128, random weights; 64
prompts of 8 to 24 tokens a rollout, answers of up to 24, 4 epochs of 4 minibatches; the reward is that of a small
random reward model, times 10. CPU seconds are those of `train`, without imports and without making the models.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast


ROLLOUT, ANSWER = 64, 24
SIZES = {"n_embd": 128, "n_head": 4, "n_layer": 5, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 1}
PPO = {"num_ppo_epochs": 4, "num_mini_batches": 4, "learning_rate": 3e-4, "kl_coef": 0.05, "gamma": 1.0, "lam": 0.95,
       "cliprange": 0.2, "cliprange_value": 0.2, "vf_coef": 0.1, "seed": 0, "bf16": False, "report_to": [],
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


def ours(vocabulary: int, rollouts: int, shared: bool) -> dict:
    from hfcourse.ppo import PPOConfig, PPOTrainer, RewardModel

    with tempfile.TemporaryDirectory() as folder:
        policy, tokenizer, ids = make(vocabulary, folder)
        settings = PPO | {"per_device_train_batch_size": ROLLOUT // 4, "max_completion_length": ANSWER}
        args = PPOConfig(folder, **settings, share_trunk=shared, max_steps=16 * rollouts, optim="adamw_torch_fused",
                         dataloader_pin_memory=False, disable_tqdm=True)  # fmt: skip
        data = Dataset.from_dict({"prompt": [" ".join(f"w{i}" for i in row) for row in ids]})
        reward = RewardModel.from_pretrained(os.path.join(folder, "reward"))
        trainer = PPOTrainer(policy, reward, args, data, processing_class=tokenizer)
        return timed(trainer, rollouts, "reward", "kl")


def theirs(vocabulary: int, rollouts: int) -> dict:
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    with tempfile.TemporaryDirectory() as folder:
        policy, tokenizer, ids = make(vocabulary, folder)
        # A whole rollout as one batch and no accumulation, so that each of its minibatches is one optimiser step.
        args = PPOConfig(folder, **PPO, per_device_train_batch_size=ROLLOUT, response_length=ANSWER,
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
    """CPU seconds of training, peak memory, and the mean reward and KL of the first and the last rollouts."""
    began = time.process_time()
    trainer.train()  # type: ignore[attr-defined]
    seconds = time.process_time() - began
    log = trainer.state.log_history  # type: ignore[attr-defined]
    rewards, kls = ([line[name] for line in log if name in line] for name in (reward, kl))
    last = max(rollouts // 5, 1)
    return {
        "speed": ROLLOUT * rollouts / seconds,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "first": rewards[0],
        "reward": statistics.mean(rewards[-last:]),
        "kl": statistics.mean(kls[-last:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", required=True, help="a Python that has trl 1.12.0")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[142, 2048])
    parser.add_argument("--rollouts", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("ours", "shared", "trl"), help="run one side in this process")
    options = parser.parse_args()
    if options.side:
        torch.set_num_threads(1)
        size = options.vocabularies[0], options.rollouts
        found = theirs(*size) if options.side == "trl" else ours(*size, shared=options.side == "shared")
        print("RESULT " + json.dumps(found))
        return
    for vocabulary in options.vocabularies:
        rows: dict[str, list[dict]] = {"trl": [], "ours": [], "shared": []}
        for _ in range(options.rounds):
            for side, found in rows.items():
                python = options.trl if side == "trl" else sys.executable
                size = ["--vocabularies", str(vocabulary), "--rollouts", str(options.rollouts)]
                command = [python, __file__, "--side", side, *size]
                output = subprocess.run(
                    command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
                )
                lines = [line for line in output.stdout.splitlines() if line.startswith("RESULT ")]
                assert lines, output.stderr[-2000:]
                found.append(json.loads(lines[0].removeprefix("RESULT ")))
        print(f"\nvocabulary {vocabulary}, {options.rollouts} rollouts of {ROLLOUT}, {options.rounds} rounds")
        for side, found in rows.items():
            ratios = [a["speed"] / b["speed"] for a, b in zip(found, rows["trl"], strict=True)]
            medians = {name: statistics.median(row[name] for row in found) for name in found[0]}
            print(
                f"{side:<7} {medians['speed']:7.2f} episodes a CPU second ({statistics.median(ratios):.2f} times TRL, "
                f"{min(ratios):.2f}-{max(ratios):.2f}), {medians['memory']:.0f} MB, reward {medians['first']:.2f} -> "
                f"{medians['reward']:.2f} at KL {medians['kl']:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
