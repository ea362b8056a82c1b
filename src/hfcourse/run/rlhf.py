"""The stages of RLHF beside one another: their checkpoints, what was measured of each, and the picture of it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.best_of_n import best_of_n_choice, best_of_n_kl, best_of_n_weights
from hfcourse.metrics.classification import expected_calibration_error
from hfcourse.metrics.conduct import CONDUCT
from hfcourse.run.models import load_named
from hfcourse.run.show import STAGES

import numpy as np
import torch
from transformers import AutoModelForCausalLM


BEST = STAGES[-1]


def refuse_missing(script: Any) -> None:
    """Raise InputError where a checkpoint that every comparison needs is not named."""
    if missing := [name for name in ("sft", "reward_model", "ppo") if not getattr(script, name)]:
        raise InputError(f"--{missing[0]} is missing: a checkpoint folder, a Hub id, or id@revision")


def load_policies(sources: dict[str, str | None], device: torch.device) -> tuple[dict[str, Any], Any]:
    """The model of each stage that has a source, on `device`, and the tokenizer of "sft".

    Raises InputError where a stage has other tokens: its answers are scored by sft.
    """
    loaded = {name: load_named(AutoModelForCausalLM, source) for name, source in sources.items() if source}
    tokenizer = loaded["sft"][1]
    for name, (_, own) in loaded.items():
        if own.get_vocab() != tokenizer.get_vocab():
            raise InputError(f"--{name} {sources[name]} has other tokens than --sft {sources['sft']}")
    return {name: model.to(device).eval() for name, (model, _) in loaded.items()}, tokenizer


@dataclass
class Answers:
    """P prompts with K answers of a stage to each: texts, and (P, K) of all else; NaN where a score says nothing."""

    texts: list[list[str]]
    logprobs: np.ndarray
    reference: np.ndarray
    values: dict[str, np.ndarray]  # helpful, truthful, harmless, reward, length

    def means(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """The mean of each value over answers, or over prompts of the means with `weights` (P, K)."""
        found = {}
        for name, values in self.values.items():
            rows = ~np.isnan(values).all(1)
            if rows.any():
                share = weights if weights is not None else np.full(values.shape, 1 / values.shape[1])
                found[name] = float((values[rows] * share[rows]).sum(1).mean())
        return found


def collect_answers(
    lines: dict[str, dict[str, Any]], stage: str, prompts: Sequence[Any], conduct: Sequence[Callable]
) -> Answers:
    """The answers of a stage from the lines of a journal by their keys (hfcourse.ppo.stages), judged by `conduct`."""
    found: dict[tuple[int, int], tuple[str, int, list[float]]] = {}  # by prompt and draw
    for key, line in lines.items():
        name, draw, _ = key.split("/")
        if name == stage:
            for row, *own in zip(line["rows"], line["answers"], line["lengths"], line["scores"], strict=True):
                found[row, int(draw)] = (own[0], own[1], own[2])
    draws = len(found) // len(prompts)
    table = [[found[row, draw] for draw in range(draws)] for row in range(len(prompts))]
    texts = [[text for text, _, _ in row] for row in table]
    scores = np.array([[own for _, _, own in row] for row in table])  # (P, K, 3)
    values: dict[str, np.ndarray] = {}
    for judge in conduct:
        judged = [
            judge([prompt] * draws, [[{"role": "assistant", "content": text}] for text in row])
            for prompt, row in zip(prompts, texts, strict=True)
        ]
        values[judge.__name__] = np.array(judged, dtype=float)
    values["reward"] = scores[:, :, 2]
    values["length"] = np.array([[length for _, length, _ in row] for row in table], dtype=float)
    return Answers(texts, scores[:, :, 0], scores[:, :, 1], values)


def calibration(logprobs: dict[int, np.ndarray], right: dict[int, int]) -> dict[str, float]:
    """ece: of the choice between given answers, from their log-probabilities by prompt and the place of the right one.

    Confidence is the probability of the likeliest choice, given that it is one of them.
    """
    if not right:
        return {}
    rows = [np.exp(values - np.logaddexp.reduce(values)) for values in logprobs.values()]
    hits = [values.argmax() == right[row] for row, values in logprobs.items()]
    confidence, hit = np.array([row.max() for row in rows]), np.array(hits, dtype=float)
    return {"ece": float(expected_calibration_error(confidence, hit, np.ones(len(hit))))}


def compare(
    lines: dict[str, dict[str, Any]], answers: dict[str, Answers], right: dict[int, int]
) -> tuple[dict[str, dict[str, float]], dict[int, dict[str, float]]]:
    """{stage: {measure: value}} with best-of-n at the KL of ppo, and the same of best-of-n by n.

    `n` is the largest whose KL is at most that of ppo.
    """
    chosen: dict[str, dict[int, np.ndarray]] = {}
    for key, line in lines.items():
        kind, name, _ = key.split("/")
        if kind == "choices":
            own = {row: np.array(values) for row, values in zip(line["rows"], line["scores"], strict=True)}
            chosen.setdefault(name, {}).update(own)
    found = {
        name: own.means()
        | {"kl": float((own.logprobs - own.reference).mean())}
        | calibration(chosen.get(name, {}), right)
        for name, own in answers.items()
    }
    pool = answers["sft"]
    rewards = pool.values["reward"]
    by_n = {}
    for n in range(1, rewards.shape[1] + 1):
        by_n[n] = pool.means(best_of_n_weights(rewards, n)) | {"kl": best_of_n_kl(rewards, pool.logprobs, n)}
    best = max((n for n, row in by_n.items() if row["kl"] <= found["ppo"]["kl"]), default=1)
    choice = {
        row: best_of_n_choice(chosen["reward"][row][None], (values - np.logaddexp.reduce(values))[None], best)[0]
        for row, values in chosen.get("sft", {}).items()
    }
    found[BEST] = by_n[best] | calibration(choice, right) | {"answers": best}
    return found, by_n


def named(table: dict[str, dict[str, float]]) -> dict[str, float]:
    """`<stage>_<measure>` of each value, in the order of STAGES."""
    return {f"{stage}_{name}": value for stage in STAGES for name, value in table.get(stage, {}).items()}


def quality(row: dict[str, float]) -> float | None:
    """The mean of helpful, truthful and harmless, where they were measured."""
    known = [row[name] for name in CONDUCT if name in row]
    return sum(known) / len(known) if known else None


def read_training(source: str) -> list[dict[str, float]]:
    """The evaluations that a run of PPO logged, in order: step, kl, reward and conduct; [] where there is no log."""
    path = Path(source) / "metrics.jsonl"
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = {"step": "step", "eval_kl": "kl", "eval_reward": "reward"}
    names |= {f"eval_rewards/{name}": name for name in CONDUCT}
    return [{new: row[old] for old, new in names.items() if old in row} for row in rows if "eval_reward" in row]


def metric_rows(
    table: dict[str, dict[str, float]],
    by_n: dict[int, dict[str, float]],
    training: dict[str, list[dict[str, float]]],
) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl: each stage, best-of-n for each n, the evaluations of the runs of PPO."""
    yield from ({"stage": stage, **table[stage]} for stage in STAGES if stage in table)
    yield from ({"stage": BEST, "answers": n, **row} for n, row in by_n.items())
    yield from ({"stage": stage, **row} for stage, rows in training.items() for row in rows)


def sample_rows(answers: dict[str, Answers], prompts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every answer with what was measured of it, for samples.jsonl."""
    for stage, own in answers.items():
        for row, prompt in enumerate(prompts):
            for draw, text in enumerate(own.texts[row]):
                measured = {name: float(values[row, draw]) for name, values in own.values.items()}
                yield {
                    "stage": stage,
                    "prompt": prompt,
                    "answer": text,
                    **{name: value for name, value in measured.items() if not np.isnan(value)},
                    "logprob": float(own.logprobs[row, draw]),
                    "sft_logprob": float(own.reference[row, draw]),
                }


def side_by_side(answers: dict[str, Answers], prompts: Sequence[str], best: int, count: int) -> list[dict[str, str]]:
    """The first answer of each stage to `count` prompts, and the best of sft's first `best`."""
    found = []
    for row in range(0, len(prompts), max(len(prompts) // max(count, 1), 1))[:count]:
        sample = {"prompt": prompts[row]} | {stage: own.texts[row][0] for stage, own in answers.items()}
        winner = answers["sft"].values["reward"][row, :best].argmax()
        found.append(sample | {f"best of {best}": answers["sft"].texts[row][winner]})
    return found


def plot(path: Path, by_n: dict[int, dict[str, float]], training: dict[str, list[dict[str, float]]]) -> None:
    """Reward and true quality over KL, and quality over reward: of the runs of PPO as they went, and of best-of-n."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = {**training, "best of n": list(by_n.values())}
    judged = any(quality(row) is not None for rows in lines.values() for row in rows)
    panels = [("kl", "reward"), ("kl", "quality"), ("reward", "quality")] if judged else [("kl", "reward")]
    labels = {
        "kl": "KL to SFT, nats an answer (root scale)",
        "reward": "reward model's score",
        "quality": "mean of helpful, truthful, harmless",
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.4 * len(panels), 4.4), squeeze=False)
    for ax, (x, y) in zip(axes[0], panels, strict=True):
        for name, rows in lines.items():
            points: list[dict[str, Any]] = [row | {"quality": quality(row)} for row in rows]
            values = [(p[x], p[y]) for p in points if p.get(x) is not None and p[y] is not None]
            if values:
                ax.plot(*zip(*values, strict=True), marker="o", markersize=3, label=name.replace("_", " "))
                ax.plot(*values[-1], marker="s", markersize=7, color=ax.lines[-1].get_color())
        if x == "kl":  # Gao et al. 2022 draw over its root, in which their curves are simple
            ax.set_xscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
            ax.set_xlim(left=0)
        ax.set(xlabel=labels[x], ylabel=labels[y])
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
