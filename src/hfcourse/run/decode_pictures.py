"""The pictures of a comparison of ways to generate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfcourse.run.decode import DOCUMENT, ONE_BY_ONE, Strategy, Writer, powers_of_two
from hfcourse.run.prompts import Prompt, Reader

import torch


# Of the distribution's picture: tokens, and documents among which its place is looked for.
SHOWN, LOOKED = 14, 32
# Of a label beside its point.
PLACES = (
    {"xytext": (4, 4)},
    {"xytext": (-4, -9), "ha": "right"},
    {"xytext": (4, -9)},
    {"xytext": (-4, 4), "ha": "right"},
)


def plot(path: Path, writer: Writer, metrics: dict[str, float]) -> None:
    """Likely against diverse, one point a strategy; repetition and truth; and quality against passes."""
    strategies = [strategy.name for strategy in writer.strategies.values()]
    judged = "judge_perplexity" if writer.judge else "perplexity"
    passes = {name: metrics.get(f"passes_{name}_{judged}") for name in powers_of_two(writer.new)}
    passes = {name: value for name, value in passes.items() if value is not None}
    panels = 3 if passes else 2
    figure, axes = _axes(1, panels, (5.2 * panels, 4.6))
    likely = axes[0, 0]
    for stem in (DOCUMENT, *strategies):
        x, y = metrics[f"{stem}_self_bleu"], metrics[f"{stem}_{judged}"]
        likely.plot(x, y, "k*" if stem == DOCUMENT else "o", markersize=9 if stem == DOCUMENT else 5)
        place = PLACES[len(likely.texts) % len(PLACES)]  # of the label: in turn, so that neighbours keep apart
        likely.annotate(stem, (x, y), fontsize=7, textcoords="offset points", **place)
    likely.set(title="likely, and diverse", xlabel="self-BLEU (1: all texts alike)", yscale="log")
    likely.set_ylabel("perplexity under " + ("another model" if writer.judge else "the model"))
    _bars(axes[0, 1], metrics, [DOCUMENT, *strategies])
    if passes:
        counts = [int(name) for name in passes]
        axes[0, 2].plot(counts, list(passes.values()), "o-", label="mask-predict")
        axes[0, 2].axhline(metrics[f"{ONE_BY_ONE}_{judged}"], color="C1", label="the same model, left to right")
        axes[0, 2].axhline(metrics[f"{strategies[0]}_{judged}"], color="C2", label=f"causal model, {strategies[0]}")
        axes[0, 2].set(title=f"{writer.new} tokens in N passes", xlabel="passes N", xscale="log", yscale="log")
        axes[0, 2].set_xticks(counts, list(passes))
        axes[0, 2].legend(fontsize=7)
    _save(path, figure, axes)


def _bars(ax: Any, metrics: dict[str, float], stems: Sequence[str]) -> None:
    shown = [m for m in ("repetition", "truth_en", "truth_zh") if any(f"{stem}_{m}" in metrics for stem in stems)]
    for i, measured in enumerate(shown):
        places = [n + (i - 1) * 0.27 for n in range(len(stems))]
        ax.barh(places, [metrics.get(f"{stem}_{measured}", 0) for stem in stems], height=0.25, label=measured)
    ax.set_yticks(range(len(stems)), stems, fontsize=7)
    ax.invert_yaxis()
    ax.set(title="repetition" + (", and truth of what is stated" if len(shown) > 1 else ""), xlim=(0, 1.02))
    ax.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncol=3)


def plot_speed(path: Path, writer: Writer, metrics: dict[str, float], speeds: dict[str, float]) -> None:
    """Quality against time, a point for each way to generate; a picture of its own, as no two runs take as long."""
    judged = "judge_perplexity" if writer.judge else "perplexity"
    points = {stem: (1000 / speed, metrics.get(f"{stem}_{judged}")) for stem, speed in speeds.items()}
    figure, axes = _axes(1, 1, (7, 4.6))
    for stem, point in points.items():
        if point[1] is not None:
            axes[0, 0].plot(*point, "s" if stem.startswith(("passes", ONE_BY_ONE)) else "o", markersize=5)
            axes[0, 0].annotate(stem, point, fontsize=7, xytext=(3, 3), textcoords="offset points")
    axes[0, 0].set(title="circles: the causal model; squares: the masked one", xscale="log", yscale="log")
    axes[0, 0].set(xlabel=f"ms a token, {writer.batch_size} texts at once", ylabel="perplexity")
    _save(path, figure, axes)


def _axes(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(rows, columns, figsize=size, squeeze=False, **options)


def _save(path: Path, figure: Any, axes: Any) -> None:
    from matplotlib import pyplot

    for ax in axes.flat:
        ax.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


@torch.no_grad()
def plot_distribution(path: Path, reader: Reader, prompts: Sequence[Prompt], strategies: Sequence[Strategy]) -> None:
    """The next token's distribution before and after each strategy's filters, where much is open and one is favoured.

    That is the place in a document, behind its first tokens, where entropy x highest probability is highest. Of the
    documents, those of ASCII letters if there are any: the font of the picture has no others.
    """
    readable = [prompt for prompt in prompts if prompt.text.isascii()] or list(prompts)
    found = []
    for prompt in readable[:LOOKED]:
        ids = torch.tensor([prompt.ids + prompt.own], device=reader.model.device)  # (1, T)
        logits = reader.model(input_ids=ids).logits[0].float()  # (T, V)
        next_token = torch.distributions.Categorical(logits=logits[len(prompt.ids) - 1 :])
        telling = next_token.entropy() * next_token.probs.amax(-1)
        last = len(prompt.ids) - 1 + int(telling.argmax())
        found.append((telling.max().item(), ids[:, : last + 1], logits[last : last + 1]))
    _, ids, scores = max(found, key=lambda entry: entry[0])
    before = scores.softmax(-1)[0]
    tokens = before.topk(min(SHOWN, len(before))).indices
    names = [reader.tokenizer.decode([token]).strip() or repr(reader.tokenizer.decode([token])) for token in tokens]
    names = [name if name.isascii() else "?" for name in names]
    filtered = [strategy for strategy in strategies if strategy.filters()]
    columns = min(len(filtered), 3) or 1
    rows = -(-len(filtered) // columns) or 1
    figure, axes = _axes(rows, columns, (5 * columns, 2.6 * rows), sharey=True)
    for ax, strategy in zip(axes.flat, filtered, strict=False):
        after = scores
        for change in strategy.filters():
            after = change(after, ids)
        places = range(len(tokens))
        ax.bar(places, before[tokens].tolist(), color="lightgrey", label="before")
        ax.bar(places, after.softmax(-1)[0, tokens].tolist(), width=0.45, color="C0", label="after")
        ax.set_xticks(places, names, rotation=60, ha="right", fontsize=7)
        kept = int(after.isfinite().sum())
        ax.set_title(f"{strategy.text}: {kept:,} of {len(before):,} tokens left", fontsize=9)
        ax.legend(fontsize=7)
    for ax in axes.flat[len(filtered) :]:
        ax.axis("off")
    text = reader.tokenizer.decode(ids[0], skip_special_tokens=True)
    text = text if len(text) <= 110 else f"... {text[-106:]}"
    figure.suptitle(f"{text} ___", fontsize=10)
    _save(path, figure, axes)
