"""What a reward model learnt, for people: pairs with their margins, and a picture of calibration and length."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfcourse.metrics.preferences import reliability, wins
from hfcourse.run.files import staged
from hfcourse.run.reward import Judge

import numpy as np
from datasets import Dataset


RELIABILITY = "reliability.png"
SHOWN = 120


def sample_pairs(judge: Judge, count: int) -> list[int]:
    """Places of `count` pairs of the evaluation, spread evenly over each aspect in turn."""
    groups: dict[str, list[int]] = {}
    for place, aspect in enumerate(judge.aspects):
        groups.setdefault(aspect, []).append(place)
    shares = [count * (i + 1) // len(groups) - count * i // len(groups) for i in range(len(groups))]
    chosen = []
    for (_, places), share in zip(sorted(groups.items()), shares, strict=True):
        share = min(share, len(places))
        chosen += [places[(2 * i + 1) * len(places) // (2 * share)] for i in range(share)]
    return chosen


def describe_pairs(
    judge: Judge, rows: Dataset, tokenizer: Any, places: Sequence[int], margins: Sequence[Sequence[float]]
) -> list[dict[str, str]]:
    """The pairs at `places` as rows of a table: what both begin with, how each goes on, margins before and after."""
    table = []
    for place, before, after in zip(places, *margins, strict=True):
        pair = judge.pairs[place]
        ids = rows[pair.row]["input_ids"]
        texts = [tokenizer.decode(ids[i], skip_special_tokens=True) for i in (pair.better, pair.worse)]
        start = os.path.commonprefix(texts)
        shared = " ".join(start.split())
        table.append(
            {
                "text": shared if len(shared) <= SHOWN else "…" + shared[-SHOWN:],
                "better": texts[0][len(start) :].strip() or "(ends)",
                "worse": texts[1][len(start) :].strip() or "(ends)",
                "margin before": f"{before:+.2f}",
                "after": f"{after:+.2f}",
            }
        )
    return table


def plot_reliability(path: Path, judge: Judge) -> None:
    """Whether sigmoid(margin) is the share of pairs in the right order, and what length has to do with it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    margins, differences = judge.margins, judge.differences
    table = reliability(margins)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    left.plot([0.5, 1], [0.5, 1], color="gray", linestyle="--", label="calibrated")
    left.plot([b.confidence for b in table], [b.accuracy for b in table], marker="o", label="held-out pairs")
    for b in table:
        left.annotate(str(b.pairs), b[1:], textcoords="offset points", xytext=(4, -11), fontsize=8)
    left.set(
        title=f"calibration: ECE {judge.scores['ece']:.3f}",
        xlabel="confidence: sigmoid(|margin|)",
        ylabel="share of pairs in the right order",
        ylim=(-0.03, 1.05),
    )
    for name, inside in (("right", wins(margins) == 1), ("wrong", wins(margins) < 1)):
        right.scatter(differences[inside], margins[inside], s=9, alpha=0.6, label=f"{name}: {np.sum(inside)}")
    right.axhline(0, color="gray", linewidth=0.8)
    right.axvline(0, color="gray", linewidth=0.8)
    right.set(
        title=f"margin and length: correlation {judge.scores['length_correlation']:+.2f}",
        xlabel="tokens of the better answer - tokens of the worse",
        ylabel="reward of the better - reward of the worse",
    )
    for ax in (left, right):
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    figure.tight_layout()
    with staged(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)
