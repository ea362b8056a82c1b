"""PPO of a story model towards good cheer: pairs to train its reward on, and a judge that was not paid.

    python bench/stories.py pairs reviews/train.jsonl runs/stories/pairs.jsonl
    python recipes/reward.py --config configs/reward/stories.yaml --model_name_or_path MODEL \\
        --dataset_name runs/stories/pairs.jsonl --eval_share 0.1
    python recipes/ppo.py --config configs/ppo/stories.yaml --model_name_or_path MODEL \\
        --reward_model runs/reward/stories --dataset_name stories/train.jsonl --eval_dataset_name stories/dev.jsonl \\
        --seed 0 --output_dir runs/ppo/stories-0
    python bench/stories.py judge MODEL runs/ppo/stories-0 --stories stories/dev.jsonl --reviews other/train.jsonl \\
        --held_out other/dev.jsonl --reward_model runs/reward/stories

Reviews are rows {"text", "label"} with 1 for a positive one, stories rows {"text"}. A pair is a positive and a
negative review, drawn at random. The judge is a logistic regression on tf-idf of one and two words
(scikit-learn); give it other reviews than those that the reward was trained on, or it shares the reward's faults.
"""

import argparse
import json
import random
from pathlib import Path

from hfcourse.data.files import read_rows
from hfcourse.ppo import RewardModel
from hfcourse.ppo.answers import answer_log_probs, draw_answers
from hfcourse.ppo.rollout import draws

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from transformers import AutoModelForCausalLM, AutoTokenizer


PROMPT, ANSWER = 24, 48  # tokens, as in configs/ppo/stories.yaml


def rows_of(path: str) -> list[dict]:
    return [row for _, row in read_rows(path)]


def pairs(reviews: str, output: str) -> None:
    rows = rows_of(reviews)
    good, bad = ([row["text"] for row in rows if row["label"] == label] for label in (1, 0))
    random.Random(0).shuffle(good)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with Path(output).open("w", encoding="utf-8") as file:
        for chosen, rejected in zip(good, bad, strict=False):
            file.write(json.dumps({"chosen": chosen, "rejected": rejected}) + "\n")
    print(f"{min(len(good), len(bad))} pairs -> {output}")


def judge(base: str, trained: list[str], stories: str, reviews: str, held_out: str, reward_model: str) -> None:
    """Share of positive answers by the judge, mean reward, and KL to the first model; five stories side by side."""
    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    known, test = rows_of(reviews), rows_of(held_out)
    classifier.fit([row["text"] for row in known], [row["label"] for row in known])
    accuracy = classifier.score([row["text"] for row in test], [row["label"] for row in test])
    tokenizer = AutoTokenizer.from_pretrained(base)
    pad, end = tokenizer.unk_token_id or 0, tokenizer.eos_token_id
    prompts = [tokenizer(row["text"])["input_ids"][:PROMPT] for row in rows_of(stories)]
    paid = RewardModel.from_pretrained(reward_model)
    paid.eos_token_ids = {end}
    opened = tokenizer.batch_decode(prompts, skip_special_tokens=True)
    print(f"judge: accuracy {accuracy:.3f} on {len(test)} held-out reviews; {len(prompts)} stories")
    first, told = AutoModelForCausalLM.from_pretrained(base).eval(), []
    for name in [base, *trained]:
        model = AutoModelForCausalLM.from_pretrained(name).eval()
        numbers = draws(0, 0, range(len(prompts)), ANSWER)
        answers = draw_answers(model, prompts, numbers, 1.0, pad, [end])
        kl = np.subtract(*(answer_log_probs(m, prompts, answers, pad) for m in (model, first))).mean()
        texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
        positive = classifier.predict_proba(texts)[:, 1]
        score = np.mean(paid(opened, texts, answers))
        words = [text.split() for text in texts]
        distinct = len({word for row in words for word in row}) / sum(map(len, words))
        print(
            f"{name}: positive {np.mean(positive > 0.5):.3f} (mean probability {positive.mean():.3f}), "
            f"reward {score:.2f}, KL {kl:.2f} nats, {distinct:.3f} different words a word"
        )
        told.append(texts)
    for row in range(5):
        print(f"\n{opened[row]!r}\n  before: {told[0][row]!r}\n  after:  {told[-1][row]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("pairs")
    command.add_argument("reviews")
    command.add_argument("output")
    command = commands.add_parser("judge")
    command.add_argument("base")
    command.add_argument("trained", nargs="+")
    for name in ("stories", "reviews", "held_out", "reward_model"):
        command.add_argument(f"--{name}", required=True)
    options = vars(parser.parse_args())
    {"pairs": pairs, "judge": judge}[options.pop("command")](**options)


if __name__ == "__main__":
    main()
