"""Weights of BERT, GPT-2 and T5 into the Transformer of hfcourse.transformer, and back into those.

    python -m hfcourse.run.convert --load google-bert/bert-base-uncased --output runs/reference/bert
    python -m hfcourse.run.convert --load runs/reference/bert --output runs/bert --to_hf

They are renamed, turned round and laid side by side, never computed with: there and back again changes no bit.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.files import staged
from hfcourse.run.models import load
from hfcourse.run.show import leave
from hfcourse.transformer import TransformerConfig
from hfcourse.transformer import model as heads
from hfcourse.transformer.config import CHOICES

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel


PREFIXES = {"bert": "Bert", "gpt2": "GPT2", "t5": "T5"}
HEADS = {"Transformer": "Model", "TransformerForCausalLM": "LMHeadModel"}
# Modules here and there: # is a layer's number, @ encoder or decoder, + is 1 in an encoder's layer and 2 in a
# decoder's, which has cross-attention between; commas part what lies side by side in one matrix here.
NAMES = {
    "bert": {
        "own_embeddings.tokens": "embeddings.word_embeddings",
        "own_embeddings.positions": "embeddings.position_embeddings",
        "own_embeddings.segments": "embeddings.token_type_embeddings",
        "own_embeddings.norm": "embeddings.LayerNorm",
        "layers.#.attention.qkv": "encoder.layer.#.attention.self.query,key,value",
        "layers.#.attention.out": "encoder.layer.#.attention.output.dense",
        "layers.#.attention_norm": "encoder.layer.#.attention.output.LayerNorm",
        "layers.#.feed_forward.up": "encoder.layer.#.intermediate.dense",
        "layers.#.feed_forward.down": "encoder.layer.#.output.dense",
        "layers.#.feed_forward_norm": "encoder.layer.#.output.LayerNorm",
        "pooler": "pooler.dense",
        "transform.0": "cls.predictions.transform.dense",
        "transform.2": "cls.predictions.transform.LayerNorm",
        "lm_head": "cls.predictions.decoder",
        "score": "classifier",
    },
    "gpt2": {
        "own_embeddings.tokens": "wte",
        "own_embeddings.positions": "wpe",
        "layers.#.attention.qkv": "h.#.attn.c_attn",
        "layers.#.attention.out": "h.#.attn.c_proj",
        "layers.#.attention_norm": "h.#.ln_1",
        "layers.#.feed_forward.up": "h.#.mlp.c_fc",
        "layers.#.feed_forward.down": "h.#.mlp.c_proj",
        "layers.#.feed_forward_norm": "h.#.ln_2",
        "norm": "ln_f",
        "lm_head": "lm_head",
        "score": "score",
    },
    "t5": {
        "own_embeddings.tokens": "shared",
        "relative.buckets": "@.block.0.layer.0.SelfAttention.relative_attention_bias",
        "layers.#.attention.qkv": "@.block.#.layer.0.SelfAttention.q,k,v",
        "layers.#.attention.out": "@.block.#.layer.0.SelfAttention.o",
        "layers.#.attention_norm": "@.block.#.layer.0.layer_norm",
        "layers.#.cross_attention.q": "@.block.#.layer.1.EncDecAttention.q",
        "layers.#.cross_attention.kv": "@.block.#.layer.1.EncDecAttention.k,v",
        "layers.#.cross_attention.out": "@.block.#.layer.1.EncDecAttention.o",
        "layers.#.cross_norm": "@.block.#.layer.1.layer_norm",
        "layers.#.feed_forward.up": "@.block.#.layer.+.DenseReluDense.wi",
        "layers.#.feed_forward.down": "@.block.#.layer.+.DenseReluDense.wo",
        "layers.#.feed_forward_norm": "@.block.#.layer.+.layer_norm",
        "norm": "@.final_layer_norm",
        "lm_head": "lm_head",
    },
}
# A checkpoint may hold what its head does not use: BERT's, of its second pre-training objective.
SPARE = re.compile(r"(^|\.)(pooler|seq_relationship)\.")


def sources(config: TransformerConfig, name: str) -> list[str]:
    """The weights, in the family's model of transformers, that the weight `name` here is made of.

    Names there are without the prefix of the base model.
    """
    module, kind = name.removeprefix("model.").rsplit(".", 1)
    side = "encoder" if module.startswith("encoder.") else "decoder"
    number = re.search(r"layers\.(\d+)", module)
    key = re.sub(r"layers\.\d+", "layers.#", module.removeprefix("encoder."))
    path = NAMES[config.family].get(key, key).replace("@", side).replace("+", "1" if side == "encoder" else "2")
    path = path.replace("#", number[1]) if number else path
    stem, dot, parts = path.replace(".wi", ".wi_0,wi_1" if config.is_gated_act else ".wi").rpartition(".")
    return [f"{stem}{dot}{part}.{kind}" for part in parts.split(",")]


def turned(name: str, weight: Tensor) -> Tensor:
    """GPT-2's matrices stand the other way round in transformers: (in, out), not (out, in)."""
    return weight.T.contiguous() if re.search(r"\.c_\w+\.weight$", name) else weight


def check(what: str, missing: Iterable[str], extra: Iterable[str]) -> None:
    """Raises InputError that names the weights which are missing, or those which there is no place for."""
    for problem, found in (("lacks the weights", sorted(missing)), ("has unknown weights", sorted(extra))):
        if found:
            raise InputError(f"{what} {problem} {', '.join(found[:5])}{' and others' if len(found) > 5 else ''}")


def convert_config(given: PreTrainedConfig, **changes: Any) -> TransformerConfig:
    """The config here of a BERT, GPT-2 or T5 of transformers; it also keeps what only transformers knows.

    Raises InputError for another family, and for the options that are not here.
    """
    family, options = given.model_type, given.to_dict()
    if family not in PREFIXES:
        raise InputError(f"weights of the family '{family}' can't be converted, only those of {', '.join(PREFIXES)}")
    for option in ("is_decoder", "add_cross_attention", "scale_attn_by_inverse_layer_idx"):
        if options.get(option):
            raise InputError(f"a {family} with {option} can't be converted")
    kept = {name: value for name, value in options.items() if name not in ("model_type", "architectures")}
    config = TransformerConfig(family=family, **kept | changes)
    # The same function; torch has it in one step.
    config.activation = {"gelu_new": "gelu_pytorch_tanh"}.get(config.activation, config.activation)
    return config


def from_hf(source: PreTrainedModel | str, revision: str | None = None) -> PreTrainedModel:
    """The Transformer with the weights, sizes and head of a BERT, GPT-2 or T5 of transformers, or of its checkpoint.

    Raises InputError for other families and heads, and names weights that are missing or that it has no place for.
    """
    model = load_whole(source, revision) if isinstance(source, str) else source
    output = model.get_output_embeddings()
    config = convert_config(
        model.config,
        tie_word_embeddings=output is None or output.weight is model.get_input_embeddings().weight,
        pooler=getattr(model.base_model, "pooler", None) is not None,
    )
    there = type(model).__name__.removeprefix(PREFIXES[config.family])
    head = {there: here for here, there in HEADS.items()}.get(there, f"Transformer{there}")
    if not hasattr(heads, head):
        raise InputError(f"there is no head like {type(model).__name__}'s here")
    new = getattr(heads, head)(config)
    weights = {name.removeprefix(f"{model.base_model_prefix}."): w for name, w in model.state_dict().items()}
    wanted = {name: sources(config, name) for name in new.state_dict()}
    used = {part for parts in wanted.values() for part in parts}
    same = {weights[name].data_ptr() for name in used & weights.keys()}  # a tied weight has several names
    check(type(model).__name__, used - weights.keys(), (n for n, w in weights.items() if w.data_ptr() not in same))
    new.load_state_dict({n: torch.cat([turned(part, weights[part]) for part in parts]) for n, parts in wanted.items()})
    return _finish(new, model)


def to_hf(model: Any) -> PreTrainedModel:
    """The BERT, GPT-2 or T5 of transformers with the weights, sizes and head of a Transformer of that family.

    Raises InputError where transformers has no such model.
    """
    config, head = model.config, type(model).__name__
    if config.family not in PREFIXES:
        raise InputError(f"transformers has no model for the family '{config.family}', only for {', '.join(PREFIXES)}")
    kind = getattr(transformers, PREFIXES[config.family] + HEADS.get(head, head.removeprefix("Transformer")))
    known = kind.config_class().to_dict().keys() - {"model_type", "architectures", "transformers_version"}
    known |= {"decoder_start_token_id", "id2label", "label2id", "problem_type"}
    given = kind.config_class(**{name: getattr(config, name) for name in known if hasattr(config, name)})
    again = convert_config(given)
    for name in CHOICES:
        if getattr(again, name) != getattr(config, name):
            raise InputError(f"transformers has no {config.family} with {name}={getattr(config, name)}")
    with torch.device("meta"):
        places = {name.removeprefix(f"{kind.base_model_prefix}."): name for name in kind(given).state_dict()}
    weights = {}
    for name, weight in model.state_dict().items():
        parts = sources(config, name)
        for part, piece in zip(parts, weight.chunk(len(parts)), strict=True):
            weights[places.get(part, part)] = turned(part, piece)
    options = {"config": given, "state_dict": weights, "dtype": model.dtype, "output_loading_info": True}
    new, loading = kind.from_pretrained(None, **options)
    check(kind.__name__, loading["missing_keys"], loading["unexpected_keys"])
    return _finish(new, model)


def _finish(new: Any, model: Any) -> PreTrainedModel:
    if new.can_generate():
        new.generation_config = model.generation_config
    return new.to(model.dtype).train(model.training)


def load_whole(name: str, revision: str | None = None) -> PreTrainedModel:
    """The model of a checkpoint, of the class that it names. Raises InputError if weights are missing or unknown."""
    config = load(AutoConfig, name, revision)
    kind = (config.architectures or ["model"])[0].replace("ForPreTraining", "ForMaskedLM")
    auto = getattr(heads, kind, None) or getattr(transformers, kind, None)
    if auto is None or config.model_type not in ("hfcourse", *PREFIXES):
        raise InputError(f"{name} is a {kind} of the family '{config.model_type}', not of {', '.join(PREFIXES)}")
    model, loading = load(auto, name, revision, use_safetensors=True, output_loading_info=True)
    extra = [key for key in loading["unexpected_keys"] if not SPARE.search(key)]
    check(name, [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])], extra)
    return model


def convert(name: str, revision: str | None, output: Path, back: bool) -> str:
    """Convert a checkpoint with its tokenizer into the folder `output`, whole or not at all; says what was done."""
    if output.exists():
        raise InputError(f"{output} is there already: give another --output")
    tokenizer, model = load(AutoTokenizer, name, revision), load_whole(name, revision)
    new = to_hf(model) if back else from_hf(model)
    output.parent.mkdir(parents=True, exist_ok=True)
    with staged(output) as folder:
        new.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return f"{output}: {type(new).__name__}, {new.num_parameters():,} parameters, from {type(model).__name__} {name}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hfcourse.run.convert", allow_abbrev=False, description="BERT, GPT-2 and T5 here and back."
    )
    parser.add_argument("--load", required=True, help="a checkpoint folder, or a model on the Hub")
    parser.add_argument("--revision", help="of a model on the Hub")
    parser.add_argument("--output", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--to_hf", action="store_true", help="from the Transformer here to transformers' own model")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        print(convert(arguments.load, arguments.revision, arguments.output, arguments.to_hf))
    except InputError as error:
        leave(str(error), 2)


if __name__ == "__main__":
    main()
