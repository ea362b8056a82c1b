"""The pictures of a comparison of ways to generate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfcourse.run.decode import DOCUMENT, ONE_BY_ONE, Strategy, Writer, powers_of_two
from hfcourse.run.prompts import Prompt, Reader

import torch


# Of the distribution's picture: tokens, documents among which its place is looked for, and places of each.
SHOWN, LOOKED, EACH = 14, 32, 8
# Share of the probability that a filter has to move to be seen.
SEEN = 0.05
MARKERS = "osD^vP<>X"


def plot(path: Path, writer: Writer, metrics: dict[str, float]) -> None:
    """Likely against diverse, one point a strategy; repetition and truth; and quality against passes."""
    strategies = [strategy.name for strategy in writer.strategies.values()]
    judged = "judge_perplexity" if writer.judge else "perplexity"
    passes = {name: metrics.get(f"passes_{name}_{judged}") for name in powers_of_two(writer.new)}
    passes = {name: value for name, value in passes.items() if value is not None}
    panels = 3 if passes else 2
    figure, axes = _axes(1, panels, (5.2 * panels, 4.6))
    likely = axes[0, 0]
    _points(
        likely, {stem: (metrics[f"{stem}_self_bleu"], metrics[f"{stem}_{judged}"]) for stem in (DOCUMENT, *strategies)}
    )
    likely.set(title="likely, and diverse", xlabel="self-BLEU (1: all texts alike)")
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


def _points(ax: Any, points: dict[str, tuple[float, float]]) -> None:
    """Points that are told apart in a legend: labels beside them would lie upon one another, as many are close."""
    for i, (stem, (x, y)) in enumerate(points.items()):
        marker = "*" if stem == DOCUMENT else MARKERS[i % len(MARKERS)]
        ax.plot(x, y, marker, color="k" if stem == DOCUMENT else f"C{i % 10}", markersize=6, label=stem)
    from matplotlib.ticker import LogFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(LogFormatter())
    ax.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


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
    judgements = {stem: metrics.get(f"{stem}_{judged}") for stem in speeds}
    figure, axes = _axes(1, 1, (7, 4.6))
    _points(axes[0, 0], {stem: (1000 / speeds[stem], y) for stem, y in judgements.items() if y is not None})
    axes[0, 0].set(title="quality and time", xscale="log", ylabel="perplexity")
    axes[0, 0].set_xlabel(f"ms a token, {writer.batch_size} texts at once")
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
    """The next token's distribution before and after each strategy's filters, on one opening of a document.

    Of the documents, those of ASCII letters if there are any: the font of the picture has no others.
    """
    strategies = [strategy for strategy in strategies if strategy.filters()]
    ids, scores = _telling_place(reader, prompts, strategies)
    before = scores.softmax(-1)[0]
    tokens = before.topk(min(SHOWN, len(before))).indices
    names = [reader.tokenizer.decode([token]).strip() or repr(reader.tokenizer.decode([token])) for token in tokens]
    names = [name if name.isascii() else "?" for name in names]
    columns = min(len(strategies), 3) or 1
    rows = -(-len(strategies) // columns) or 1
    figure, axes = _axes(rows, columns, (5 * columns, 2.6 * rows), sharey=True)
    for ax, strategy in zip(axes.flat, strategies, strict=False):
        after = _filtered(strategy, scores, ids)
        places = range(len(tokens))
        ax.bar(places, before[tokens].tolist(), color="lightgrey", label="before")
        ax.bar(places, after.softmax(-1)[0, tokens].tolist(), width=0.45, color="C0", label="after")
        ax.set_xticks(places, names, rotation=60, ha="right", fontsize=7)
        kept = int(after.isfinite().sum())
        ax.set_title(f"{strategy.text}: {kept:,} of {len(before):,} tokens left", fontsize=9)
        ax.legend(fontsize=7)
    for ax in axes.flat[len(strategies) :]:
        ax.axis("off")
    text = reader.tokenizer.decode(ids[0], skip_special_tokens=True)
    text = text if len(text) <= 110 else f"... {text[-106:]}"
    figure.suptitle(f"{text} ___", fontsize=10)
    _save(path, figure, axes)


def _filtered(strategy: Strategy, scores: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    for change in strategy.filters():
        scores = change(scores, ids)
    return scores


def _telling_place(
    reader: Reader, prompts: Sequence[Prompt], strategies: Sequence[Strategy]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids (1, t), scores of the next token (1, V)) where most strategies move SEEN of the probability or more.

    Of such places the one where much is open and one token is favoured: entropy x highest probability is highest.
    Only the EACH best places of a document by that, behind its first tokens, are tried.
    """
    found = []
    for prompt in ([prompt for prompt in prompts if prompt.text.isascii()] or list(prompts))[:LOOKED]:
        ids = torch.tensor([prompt.ids + prompt.own], device=reader.model.device)  # (1, T)
        logits = reader.model(input_ids=ids).logits[0, len(prompt.ids) - 1 :].float()  # (places, V)
        next_token = torch.distributions.Categorical(logits=logits)
        best = (next_token.entropy() * next_token.probs.amax(-1)).topk(min(EACH, len(logits)))
        for telling, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            head, scores = ids[:, : len(prompt.ids) + place], logits[place : place + 1]
            before = scores.softmax(-1)
            moved = [(_filtered(s, scores, head).softmax(-1) - before).abs().sum().item() / 2 for s in strategies]
            found.append(((sum(share >= SEEN for share in moved), telling), head, scores))
    _, ids, scores = max(found, key=lambda entry: entry[0])
    return ids, scores
