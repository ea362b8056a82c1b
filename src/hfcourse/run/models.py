"""Checkpoints from a folder or the Hub: safetensors only, no remote code, one sentence for what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import hfcourse.transformer  # noqa: F401 - so that the Auto classes know its checkpoints, here and in every recipe
from hfcourse.errors import InputError
from hfcourse.run.arguments import read_mapping

import torch
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertTokenizer,
    GPT2Tokenizer,
)
from trl import ModelConfig, get_quantization_config


def check_folder(name: str, whole: bool = True) -> None:
    """Refuse a local folder that is not there or, where a `whole` model is wanted, has no config or no safetensors."""
    folder = Path(name).expanduser()
    if not folder.exists():
        if name.startswith((".", "/", "~")) or name.count("/") > 1 or name.startswith("runs/"):
            raise InputError(f"model folder {name} does not exist")
        return
    if not whole:
        return
    if not ((folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()):
        raise InputError(f"model folder {name} holds no config.json")
    if not any(folder.glob("*.safetensors")):
        pickled = next((p.name for p in sorted(folder.iterdir()) if p.suffix in (".bin", ".pt", ".pth")), None)
        why = f"only {pickled}, a pickle that could run code: convert it to safetensors" if pickled else "no weights"
        raise InputError(f"model folder {name} holds {why} (expected model.safetensors)")
    for index in folder.glob("*.index.json"):
        _check_index(index)


def _check_index(path: Path) -> None:
    """Refuse an index of shards that names a file outside its folder: transformers would read it."""
    try:
        shards = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise InputError(f"{path} is no index of weights: expected JSON with a weight_map") from None
    if outside := sorted(str(shard) for shard in shards if Path(str(shard)).name != shard):
        raise InputError(f"{path} names {outside[0]}: the shards of a checkpoint lie in its own folder")


def load(auto_class: Any, name: str, revision: str | None, **kwargs: Any) -> Any:
    """`auto_class.from_pretrained` with InputError for a checkpoint that is missing, unreachable, or unsafe."""
    check_folder(name, whole=auto_class not in (AutoConfig, AutoTokenizer))
    if auto_class is AutoTokenizer and (bare := _bare_vocabulary(Path(name).expanduser())):
        auto_class, cased = bare
        kwargs = {"do_lower_case": not cased, **kwargs}
    try:
        return auto_class.from_pretrained(name, revision=revision, trust_remote_code=False, **kwargs)
    except (OSError, ValueError, HfHubHTTPError, OfflineModeIsEnabled, SafetensorError) as e:
        kind = "folder" if Path(name).exists() else "Hub model (is there a network, and is the name right?)"
        reason = " ".join(str(e).split())
        raise InputError(f"can't load {name} as a {kind}: {reason[:300]}") from e


def _bare_vocabulary(folder: Path) -> tuple[Any, bool] | None:
    """The tokenizer of a folder that holds nothing but the published files of BERT's or GPT-2's vocabulary.

    Such a folder names neither its class nor its casing, so AutoTokenizer has nothing to go by. A vocabulary is cased
    where one of its words begins with a capital letter.
    """
    if any((folder / name).exists() for name in ("config.json", "tokenizer.json", "tokenizer_config.json")):
        return None
    if (folder / "vocab.txt").is_file():
        words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        return BertTokenizer, any(word[:1].isupper() for word in words)
    return (GPT2Tokenizer, True) if (folder / "merges.txt").is_file() else None


def load_checkpoint(args: ModelConfig, auto_class: Any, **kwargs: Any) -> tuple[Any, Any, str]:
    """Model, tokenizer, and a sentence on the weights that are new; quantised where `args` says so.

    `auto_class` decides the head, `kwargs` go to its `from_pretrained`. Raises InputError without
    `--model_name_or_path`, or where the checkpoint can't be used.
    """
    name = args.model_name_or_path
    if name is None:
        raise InputError("--model_name_or_path is missing: a checkpoint folder or a name on the Hub")
    check_folder(name)
    tokenizer = load(AutoTokenizer, name, args.model_revision)
    quantization = get_quantization_config(args)
    model, loading = load(
        auto_class,
        name,
        args.model_revision,
        dtype=args.dtype if args.dtype in ("auto", None) else getattr(torch, args.dtype),
        attn_implementation=args.attn_implementation,
        use_safetensors=True,
        output_loading_info=True,
        **({"quantization_config": quantization} if quantization is not None else {}),
        **kwargs,
    )
    new = sorted({*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])})
    unused = sorted(loading["unexpected_keys"])
    note = f"New weights, drawn with the seed: {_listed(new)}." if new else "Every weight comes from the checkpoint."
    return model, tokenizer, note + (f" Not used of it: {_listed(unused)}." if unused else "")


def load_named(auto_class: Any, name: str) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, a Hub id, or id@revision; InputError where a weight of the model is missing."""
    place, _, revision = name.partition("@")
    model, loading = load(auto_class, place, revision or None, use_safetensors=True, output_loading_info=True)
    if missing := sorted(loading["missing_keys"]):
        raise InputError(f"{name} is no checkpoint of {auto_class.__name__}: it has no weights for {missing[0]}")
    return model, load(AutoTokenizer, place, revision or None)


def load_for_scoring(args: ModelConfig, device: torch.device) -> tuple[Any, Any, str]:
    """As `load_checkpoint`: a causal model, or an encoder-decoder if the checkpoint is one, on `device`."""
    if args.use_peft:
        raise InputError("--use_peft does not go with scoring: nothing is trained")
    name = args.model_name_or_path
    config = load(AutoConfig, name, args.model_revision) if name is not None else None
    auto_class = AutoModelForSeq2SeqLM if getattr(config, "is_encoder_decoder", False) else AutoModelForCausalLM
    model, tokenizer, note = load_checkpoint(args, auto_class)
    return model.to(device).eval(), tokenizer, note


def _listed(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def longest_input(model: Any, tokenizer: Any) -> int:
    """How many tokens a model takes: those that it has positions for, or the fewer that its tokenizer allows."""
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    padding = next(
        (module.padding_idx for name, module in model.named_modules() if name.endswith("position_embeddings")), None
    )
    # RoBERTa's positions begin after its padding index.
    return min(positions - (0 if padding is None else padding + 1), tokenizer.model_max_length)


def read_architecture(value: Any) -> dict[str, Any] | None:
    """--architecture as a mapping, from a config or, as YAML or JSON, from the command line; None for none.

    Raises InputError for what is no mapping with a model_type.
    """
    found = read_mapping(value, "architecture")
    if found is not None and "model_type" not in found:
        raise InputError(f"--architecture {value}: expected a mapping with a model_type, as YAML or JSON")
    return found


HEADS = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM, "span": AutoModelForSeq2SeqLM}


def from_scratch(objective: str, architecture: dict[str, Any], tokenizer: Any) -> Any:
    """A model with random weights for "causal", "masked" or "span", of the sizes in `architecture`.

    Vocabulary and special tokens come from the tokenizer. Raises InputError for a model_type or size that is no such.
    """
    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    # ModernBERT's defaults are ids of its own vocabulary.
    names = ("cls_token_id", "sep_token_id")
    tokens |= {name: i for name in names if (i := getattr(tokenizer, name)) is not None}
    if objective == "span":
        tokens["decoder_start_token_id"] = tokenizer.pad_token_id
    try:
        config = AutoConfig.for_model(**{**tokens, **architecture})
        return HEADS[objective].from_config(config)
    except (ValueError, TypeError, KeyError, StrictDataclassError) as e:
        raise InputError(f"--architecture {architecture}: {' '.join(str(e).split())[:300]}") from e


@torch.no_grad()
def packs_apart(model: Any) -> bool:
    """Whether packed examples stay blind to one another in this model's attention, tried on eight tokens.

    Two sequences of four tokens in one row, positions starting again at 0 and no attention mask: changing the first
    must leave the logits of the second as they were. Parameters that are not here yet (ZeRO-3) can't be tried: False.
    """
    if any(p.numel() == 0 or p.is_meta for p in model.parameters()):
        return "flash" in (model.config._attn_implementation or "")
    if "flash" in (model.config._attn_implementation or ""):
        return True
    device = next(model.parameters()).device
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]], device=device)  # (1, T)
    ids = torch.tensor([[1, 2, 3, 4, 1, 2, 3, 4], [4, 3, 2, 1, 1, 2, 3, 4]], device=device)
    was_training = model.training
    model.eval()
    logits = [
        model(input_ids=row[None], position_ids=positions, use_cache=False).logits[0, 4:] for row in ids
    ]  # (T/2, V)
    model.train(was_training)
    return torch.allclose(logits[0], logits[1], rtol=1e-4, atol=1e-4)


def packing_note(model: Any, training: Any) -> str:
    """Turn packing off where packed examples would see one another; says which it is, for the plan."""
    if not training.packing:
        return "Rows are padded, not packed."
    if packs_apart(model):
        return "Rows are packed; each attends to itself alone (tried on this model)."
    training.packing = False
    attention = model.config._attn_implementation
    return (
        f"Rows are NOT packed: in {type(model).__name__} with {attention} attention packed rows would see one another."
    )
