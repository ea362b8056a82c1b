"""Pictures of attention: where each token of a text looks, in each head of each layer.

    python -m hfcourse.run.attention --load runs/pretrain/gpt2-tiny --text "a text" --output attention.png

A row of a map is a token that looks, a column one that is looked at; the darker, the more of the row's attention. An
encoder-decoder has three kinds of maps, of which `--stack` chooses one; without --target it writes its own answer.
"""

import argparse
import logging as python_logging
import warnings
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.files import staged
from hfcourse.run.models import load, longest_input
from hfcourse.run.show import leave

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer


# By the endings of what checkpoints call their architecture.
KINDS = {
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForConditionalGeneration": "AutoModelForSeq2SeqLM",
    "": "AutoModelForCausalLM",
}
STACKS = ("decoder", "encoder", "cross")
# matplotlib's own font has no Chinese characters; whichever of these is installed lends them.
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "PingFang SC", "Microsoft YaHei", "SimHei"]


@torch.no_grad()
def attention_maps(
    model: Any, tokenizer: Any, text: str, target: str | None = None, stack: str = "decoder"
) -> tuple[torch.Tensor, list[str], list[str]]:
    """The weights (L, H, T, S) of a text, the T tokens that look and the S that are looked at.

    `stack` and `target`, the text that is written, are for an encoder-decoder. Raises InputError for too long a text.
    """
    model.set_attn_implementation("eager")  # the others never form the weights
    ids = tokenizer(text, return_tensors="pt")["input_ids"]  # (1, S)
    if ids.shape[1] > longest_input(model, tokenizer):
        raise InputError(f"the text has {ids.shape[1]} tokens, and this model takes {longest_input(model, tokenizer)}")
    if not model.config.is_encoder_decoder:
        output = model(input_ids=ids, output_attentions=True)
        return torch.cat(output.attentions), tokens_of(tokenizer, ids), tokens_of(tokenizer, ids)
    if target is None:
        written = model.generate(ids, do_sample=False)
    else:
        labels = tokenizer(text_target=target, return_tensors="pt")["input_ids"]
        written = model.prepare_decoder_input_ids_from_labels(labels=labels)
    output = model(input_ids=ids, decoder_input_ids=written, output_attentions=True)
    source, decoded = tokens_of(tokenizer, ids), tokens_of(tokenizer, written)
    return {
        "encoder": (torch.cat(output.encoder_attentions), source, source),
        "decoder": (torch.cat(output.decoder_attentions), decoded, decoded),
        "cross": (torch.cat(output.cross_attentions), decoded, source),
    }[stack]


def tokens_of(tokenizer: Any, ids: torch.Tensor) -> list[str]:
    """Each token of (1, T) as it reads; a part of a character as a dot."""
    return [tokenizer.decode([i]).strip().replace("\ufffd", "·") or "·" for i in ids[0].tolist()]


def draw(path: Path, maps: torch.Tensor, rows: list[str], columns: list[str]) -> bool:
    """A grid of maps (L, H, T, S), a row of it for each layer, as a picture; says whether every letter has a font."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    python_logging.getLogger("matplotlib.font_manager").setLevel(python_logging.ERROR)
    layers, heads, height, width = maps.shape
    size = (1 + heads * (0.6 + 0.13 * width), 0.4 + layers * (0.8 + 0.13 * height))
    with pyplot.rc_context({"font.family": FONTS, "font.size": 7}):
        figure, axes = pyplot.subplots(layers, heads, figsize=size, squeeze=False, sharex=True, sharey=True)
        for layer in range(layers):
            for head in range(heads):
                ax = axes[layer][head]
                ax.imshow(maps[layer, head].float().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
                ax.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
                ax.set_xticks(range(width), columns, rotation=90)
                ax.set_yticks(range(height), rows)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            figure.tight_layout()
            with staged(path) as temporary:
                figure.savefig(temporary, dpi=100)
        pyplot.close(figure)
    return not any("missing from" in str(warning.message) for warning in warned)


def load_for_maps(name: str, revision: str | None = None) -> tuple[Any, Any]:
    """Model and tokenizer of a checkpoint, of the kind that it says it is. Raises InputError for what has none."""
    architecture = (load(AutoConfig, name, revision).architectures or [""])[0]
    auto = next(auto for ending, auto in KINDS.items() if architecture.endswith(ending))
    model = load(getattr(transformers, auto), name, revision, use_safetensors=True)
    return model.eval(), load(AutoTokenizer, name, revision)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hfcourse.run.attention", allow_abbrev=False, description="Where the tokens of a text look."
    )
    parser.add_argument("--load", required=True, help="a run, a checkpoint folder, or a model on the Hub")
    parser.add_argument("--revision", help="of a model on the Hub")
    parser.add_argument("--text", required=True)
    parser.add_argument("--target", help="what an encoder-decoder writes; by default its own answer")
    parser.add_argument("--stack", choices=STACKS, default="cross", help="whose maps, of an encoder-decoder")
    parser.add_argument("--output", type=Path, required=True, help="a picture: .png, .svg or .pdf")
    given = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        if given.output.suffix not in (".png", ".svg", ".pdf"):
            raise InputError(f"--output {given.output}: a picture's name ends in .png, .svg or .pdf")
        maps, rows, columns = attention_maps(
            *load_for_maps(given.load, given.revision), given.text, given.target, given.stack
        )
        given.output.parent.mkdir(parents=True, exist_ok=True)
        legible = draw(given.output, maps, rows, columns)
        print(f"{given.output}: {len(maps)} layers, {maps.shape[1]} heads, {len(rows)} x {len(columns)} tokens")
        if not legible:
            print(f"some letters are drawn as boxes: install one of these fonts: {', '.join(FONTS[1:])}")
    except InputError as error:
        leave(str(error), 2)


if __name__ == "__main__":
    main()
