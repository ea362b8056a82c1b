"""What a comparison of language models shows: perplexity by distance, speed, samples, a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hfcourse.run.baselines import Act, Cohort, CohortTrainer, cohort_acts, log_probabilities, measure_speeds, write
from hfcourse.run.files import staged, write_json
from hfcourse.run.show import ELSEWHERE, number

import numpy as np
import torch
from datasets import Dataset


Scores = dict[str, dict[str, float]]  # {model: {"": perplexity, "_<distance>": perplexity}}
SPEEDS, PICTURE = "speed.json", "distance.png"
PROMPT = 32  # tokens of a document that each model continues, at most
SPEED_TITLES = {
    "training": "training, tokens/s",
    "training_one_row": "one text at a time",
    "generation": "writing, tokens/s",
}


def sizes(cohort: Cohort, ngrams: dict[str, Any]) -> dict[str, int]:
    """Parameters of each model; of an n-gram model the n-grams that it holds."""
    trained = {name: sum(p.numel() for p in model.parameters()) for name, model in cohort.models.items()}
    return {name: model.size for name, model in ngrams.items()} | trained


def describe(cohort: Cohort, ngrams: dict[str, Any]) -> list[str]:
    """A line for each model, for the plan."""
    lines = []
    for name, size in sizes(cohort, ngrams).items():
        if name in ngrams:
            lines.append(f"{name}: {size:,} n-grams, counted once")
        else:
            kind = type(cohort.models[name]).__name__
            lines.append(f"{name}: {kind}, {size:,} parameters, learning rate {cohort.rates[name]:g}")
    return lines


def describe_marks(test: Dataset, names: Sequence[str]) -> str:
    """How many tokens of the evaluation are marked with each distance, for the plan."""
    counts = np.bincount(np.concatenate(list(test["distances"][:])), minlength=1 + len(names))[1:]
    if not counts.any():
        return "No document has marks of distance: perplexity is not told by it."
    return ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True)) + " tokens"


def score(trainer: CohortTrainer, ngrams: dict[str, Any], test: Dataset, names: Sequence[str]) -> Scores:
    """Perplexities of all models on the same places; `names` are those of the numbers from 1 in test["distances"]."""
    rows = test["input_ids"][:]
    distances = np.concatenate([row[1:] for row in test["distances"][:]])
    size = trainer.args.per_device_eval_batch_size
    found = {name: np.log(model.probabilities(rows)) for name, model in ngrams.items()}
    found |= {name: log_probabilities(model, rows, size) for name, model in trainer.named.items()}
    return {name: perplexities(values, distances, names) for name, values in found.items()}


def perplexities(log_p: np.ndarray, distances: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """exp of the mean of -ln p (N,) over all places as "", and over those of each distance (N,), from 0: elsewhere.

    A distance that no place has is left out; where no place has any, so is elsewhere.
    """
    found = {"": float(np.exp(-log_p.mean()))}
    for index, name in enumerate((ELSEWHERE, *names)):
        own = log_p[distances == index]
        if len(own) and distances.any():
            found[f"_{name}"] = float(np.exp(-own.mean()))
    return found


def name_metrics(scores: Scores) -> dict[str, float]:
    """perplexity_<model> and perplexity_<model>_<distance>."""
    return {f"perplexity_{name}{place}": value for name, own in scores.items() for place, value in own.items()}


def write_report(
    folder: Path,
    trainer: CohortTrainer,
    ngrams: dict[str, Any],
    count: Callable[[int], Any],
    scores: Scores,
    generated: int,
    rounds: int,
) -> list[dict[str, str]]:
    """Write SPEEDS and PICTURE; returns a row for each model: how fast it is, and what it writes behind a text.

    `generated` tokens follow PROMPT of a document; speed is measured in so many `rounds`, if in any. `count(order)`
    makes an n-gram model anew.
    """
    tokenizer: Any = trainer.processing_class
    train: Any = trainer.train_dataset
    test: Any = trainer.eval_dataset
    rows, before = train["input_ids"][:], test[0]["input_ids"][:-1][:PROMPT]
    seed, device, random = trainer.args.seed, trainer.args.device, np.random.default_rng
    written = {name: model.write(before, generated, random(seed)) for name, model in ngrams.items()}
    written |= {name: write(model, before, generated, random(seed)) for name, model in trainer.named.items()}
    texts = {name: tokenizer.decode(until(ids, tokenizer.eos_token_id)) for name, ids in written.items()}
    speeds: dict[str, dict[str, float]] = {}
    if rounds:
        acts = {name: ngram_acts(model, count, before[:1], generated) for name, model in ngrams.items()}
        acts |= cohort_acts(trainer.cohort, rows, trainer.args.per_device_train_batch_size, generated)
        speeds = measure_speeds(acts, rounds)
        kind = torch.cuda.get_device_name() if device.type == "cuda" else device.type
        write_json(folder / SPEEDS, {"device": kind, "threads": torch.get_num_threads(), "models": speeds})
    per_step = trainer.args.train_batch_size * trainer.args.gradient_accumulation_steps * trainer.args.world_size
    tokens = per_step * sum(map(len, rows)) / len(rows)
    plot(folder / PICTURE, scores, trainer.state.log_history, tokens)
    return table(texts, speeds, tokenizer.decode(before, skip_special_tokens=True))


def until(ids: list[int], end: int) -> list[int]:
    """The tokens up to the first `end`: no row that a model has read goes on behind it."""
    return ids[: ids.index(end) + 1] if end in ids else ids


def ngram_acts(model: Any, count: Callable[[int], Any], before: list[int], generated: int) -> dict[str, Act]:
    """What is timed of an n-gram model: counting everything anew, and writing."""

    def generate() -> int:
        return len(model.write(before, generated, np.random.default_rng(0)))

    return {"training": lambda: count(model.order).counts.tokens, "generation": generate}


def table(texts: dict[str, str], speeds: dict[str, dict[str, float]], before: str) -> list[dict[str, str]]:
    """A row for each model: its speeds, if they were measured, and its text."""
    titles = SPEED_TITLES if speeds else {}
    return [
        {"": name}
        | {title: number(speeds[name].get(part)) for part, title in titles.items()}
        | {f"{before} ...": text}
        for name, text in texts.items()
    ]


def plot(path: Path, found: Scores, history: Sequence[dict[str, Any]], tokens: float) -> None:
    """Perplexity of each model by distance, if there are any, and over the tokens read, so many a step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogFormatter

    places = [name for name in next(iter(found.values())) if name]
    figure, axes = pyplot.subplots(1, 2 if places else 1, figsize=(11 if places else 6.5, 4.6), squeeze=False)
    curves = axes[0, -1]
    for index, (name, values) in enumerate(found.items()):
        key = f"eval_loss_{name}"  # that of random weights would press all others together
        points = [(tokens * e["step"], np.exp(e[key])) for e in history if key in e and e["step"] > 0]
        style: dict[str, Any] = {"color": f"C{index}", "label": name.replace("ngram_", "n-gram ")}
        if points:
            curves.plot(*zip(*points, strict=True), marker="o", markersize=3, **style)
        else:  # counts everything at once
            curves.axhline(values[""], linestyle="--", **style)
        if places:
            line = "-" if points else "--"
            axes[0, 0].plot([values[place] for place in places], line, marker="o", markersize=3, **style)
    if places:
        titles = {f"_{ELSEWHERE}": "elsewhere", "_sentence": "same\nsentence", "_earlier": "earlier\nsentence"}
        axes[0, 0].set_xticks(range(len(places)), [titles.get(place, "document's\nstart") for place in places])
        axes[0, 0].set(title="where the needed word was last said", ylabel="perplexity of held-out documents")
    curves.set(title="over the tokens learnt from", xlabel="tokens")
    for ax in axes.flat:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(LogFormatter())
        ax.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(3, 0.5)))
        ax.grid(alpha=0.3)
    curves.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    with staged(path) as temporary:
        figure.savefig(temporary, dpi=80)
    pyplot.close(figure)
