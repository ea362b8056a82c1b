"""Encoder-decoders: where they come from, their loss, and how they generate."""

from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.models import from_scratch, load, load_checkpoint

import torch
from accelerate.utils import extract_model_from_parallel
from peft import get_peft_model
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
from trl import ModelConfig, get_peft_config


def encoder_decoder_loss(
    model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None, smoothing: float = 0.0
) -> tuple[torch.Tensor, Any]:
    """The summed loss of labels (B, T) over `num_items_in_batch`, or their mean without it; and the model's outputs.

    T5, BART and Marian take `num_items_in_batch` and return the mean of their own batch all the same: two accumulated
    batches or two processes would not train what one does. Label smoothing as in Szegedy et al. 2016, section 7.
    """
    labels = inputs["labels"]
    shift = extract_model_from_parallel(model).prepare_decoder_input_ids_from_labels
    inputs = {name: value for name, value in inputs.items() if name != "labels"}
    outputs = model(**inputs, decoder_input_ids=shift(labels=labels))
    logits = outputs.logits.flatten(0, 1).float()  # (B x T, V)
    total = F.cross_entropy(logits, labels.flatten(), reduction="sum", label_smoothing=smoothing)
    return total / ((labels != -100).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch), outputs


def load_encoder_decoder(
    args: ModelConfig, architecture: dict[str, Any] | None, tokenizer: Any
) -> tuple[Any, Any, str]:
    """Model, tokenizer and a sentence on its weights: of a checkpoint, or random ones of the sizes in `architecture`.

    New weights need a `tokenizer`, by name or as it is. Raises InputError for a checkpoint that is no encoder-decoder,
    or where it is not clear which of the two is meant.
    """
    if architecture is None:
        if tokenizer is not None:
            raise InputError("--tokenizer_name_or_path goes with --architecture: a checkpoint has its own tokenizer")
        if args.model_name_or_path is not None:
            config = load(AutoConfig, args.model_name_or_path, args.model_revision)
            if not config.is_encoder_decoder:
                raise InputError(
                    f"{args.model_name_or_path} is a {config.model_type}, no encoder-decoder such as t5, mt5, bart or "
                    "marian: it can't read one text and write another"
                )
        model, tokenizer, note = load_checkpoint(args, AutoModelForSeq2SeqLM)
    else:
        if args.model_name_or_path is not None:
            raise InputError("--architecture makes new weights, --model_name_or_path loads some: give one of them")
        if tokenizer is None:
            raise InputError(
                "--architecture needs --tokenizer_name_or_path: new weights have no vocabulary of their own"
            )
        tokenizer = load(AutoTokenizer, tokenizer, None) if isinstance(tokenizer, str) else tokenizer
        model, note = from_scratch("span", architecture, tokenizer), "Every weight is new, drawn with the seed."
    args.lora_task_type = "SEQ_2_SEQ_LM"
    if (adapters := get_peft_config(args)) is not None:
        model = get_peft_model(model, adapters)
    return model, tokenizer, note


def prepare_generation(model: Any, tokenizer: Any, max_source_length: int, max_target_length: int) -> list[int]:
    """Let the model generate up to `max_target_length` tokens by default; returns the ids that end a text.

    The tokenizer remembers the length of a source, for whoever reads with the saved model.
    Raises InputError where nothing ends a text, or where the model has fewer positions than these lengths.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    for name, length in (("max_source_length", max_source_length), ("max_target_length", max_target_length)):
        if length < 2 or positions is not None and length > positions:
            most = "any number" if positions is None else positions
            raise InputError(f"--{name} {length} is out of range: this model takes 2 to {most} tokens")
    generation = model.generation_config
    ends = generation.eos_token_id if generation.eos_token_id is not None else tokenizer.eos_token_id
    if ends is None:
        raise InputError("the tokenizer has no end-of-sequence token: a model trained with it would never stop")
    generation.eos_token_id = ends
    generation.pad_token_id = tokenizer.pad_token_id
    if generation.decoder_start_token_id is None:
        generation.decoder_start_token_id = model.config.decoder_start_token_id
    generation.max_length, generation.max_new_tokens = None, max_target_length
    tokenizer.model_max_length = max_source_length
    return [ends] if isinstance(ends, int) else ends
