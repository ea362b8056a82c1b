"""Small BERT, GPT-2 and T5 of transformers with weights of which none is zero or one, and batches for them."""

from typing import Any

from hfcourse.run.convert import from_hf, sources, turned

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)


VOCABULARY, WIDTH, HEADS, LAYERS = 61, 32, 4, 2
MODELS = ["bert", "gpt2", "t5", "t5-v1.1"]
GENERATORS = MODELS[1:]


def build(name: str, width: int = WIDTH, heads: int = HEADS, layers: int = LAYERS, **changes: Any) -> PreTrainedModel:
    """The model of transformers, in evaluation mode, without dropout."""
    tokens = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1}
    if name == "bert":
        sizes = {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": layers}
        sizes |= {"intermediate_size": 3 * width, "max_position_embeddings": 80}
        config = BertConfig(**tokens, **sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **changes)
        model: PreTrainedModel = BertForMaskedLM(config)
    elif name == "gpt2":
        sizes = {"n_embd": width, "n_head": heads, "n_layer": layers, "n_positions": 80}
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        model = GPT2LMHeadModel(GPT2Config(**tokens, **sizes, **dropout, bos_token_id=1, **changes))
    else:
        sizes = {"d_model": width, "num_heads": heads, "num_layers": layers, "d_kv": 8, "d_ff": 3 * width}
        if name == "t5-v1.1":
            changes |= {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
        config = T5Config(**tokens, **sizes, dropout_rate=0.0, decoder_start_token_id=0, **changes)
        model = T5ForConditionalGeneration(config)
        if name == "t5-v1.1":  # transformers ties a new one all the same; a real checkpoint's head is its own
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.2)
            model.all_tied_weights_keys.pop("lm_head.weight")
    return model.eval()


def pair(name: str, seed: int = 0, steps: int = 0, spread: float = 0.15, **sizes: Any) -> tuple[Any, Any]:
    """transformers' model and the Transformer with the same weights: first ones, `spread` so that none is 0 or 1.

    With `steps` they are trained a little. A spread of 0 leaves them as transformers draws them.
    """
    torch.manual_seed(seed)
    model = build(name, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += spread * torch.randn_like(parameter)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        model(**batch(name, labels=True)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, from_hf(model)


def batch(name: str, padding: str | None = None, rows: int = 3, length: int = 12, labels: bool = False) -> dict:
    """Inputs of a model; padding "left" or "right" with the positions that belong to it, and labels if asked for."""
    ids = torch.randint(2, VOCABULARY, (rows, length))
    inputs = {"input_ids": ids}
    if padding is not None:
        mask = torch.ones_like(ids)
        for row in range(1, rows):
            mask[row, length - 2 * row - 1 :] = 0
        mask = mask.flip(1) if padding == "left" else mask
        inputs |= {"input_ids": ids * mask, "attention_mask": mask}
        if not name.startswith("t5"):
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    if name.startswith("t5"):
        inputs["decoder_input_ids"] = torch.randint(2, VOCABULARY, (rows, length - 3))
    if labels:
        target = inputs.get("decoder_input_ids", inputs["input_ids"])
        inputs["labels"] = torch.where((torch.rand(target.shape) < 0.7) & (target > 0), target, -100)
        if padding == "left" and name == "gpt2":  # padding predicts nothing, so nor is the first token predicted
            inputs["labels"][inputs["attention_mask"].cumsum(1) == 1] = -100
    return inputs


def counted(inputs: dict) -> torch.Tensor:
    """Where logits (B, T, V) mean something: all but padding."""
    if "decoder_input_ids" in inputs or "attention_mask" not in inputs:
        return torch.ones_like(inputs.get("decoder_input_ids", inputs["input_ids"])).bool()
    return inputs["attention_mask"].bool()


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return ((one - other).abs().max() / one.abs().max()).item()


def side_by_side(ours: PreTrainedModel, theirs: PreTrainedModel, values: dict[str, torch.Tensor]) -> dict:
    """For each parameter here the values that belong to its parts in transformers, named as there, as one tensor."""
    prefix = f"{theirs.base_model_prefix}."
    plain = {name.removeprefix(prefix): value for name, value in values.items()}
    if "cls.predictions.bias" in plain:  # BERT's head has one bias by two names
        plain["cls.predictions.decoder.bias"] = plain["cls.predictions.bias"]
    names = {name: sources(ours.config, name) for name, _ in ours.named_parameters()}
    return {name: torch.cat([turned(part, plain[part]) for part in parts]) for name, parts in names.items()}
