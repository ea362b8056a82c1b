"""The Transformer and its heads, called as transformers' own models are. Shapes as in layers.py; V vocabulary."""

import math
from typing import Any

from hfcourse.errors import InputError
from hfcourse.transformer.config import TransformerConfig
from hfcourse.transformer.layers import Embeddings, Layer, RelativeBias, ToResidual, build_norm

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, EncoderDecoderCache, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers import modeling_outputs as hf
from transformers.activations import ACT2FN
from transformers.modeling_layers import GenericForSequenceClassification, GenericForTokenClassification
from transformers.utils import can_return_tuple
from transformers.utils.output_capturing import OutputRecorder, capture_outputs


HIDDEN = -3e4  # Added to the scores of what may not be seen: far below any score, and still a number in float16.


class TransformerPreTrainedModel(PreTrainedModel):
    """What transformers asks of every model: what things are called, and their first weights."""

    config_class = TransformerConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _input_embed_layer = "tokens"
    _no_split_modules = ["Layer"]

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        spread, depth = self.config.initializer_range, self.config.num_hidden_layers
        if spread is None and isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
        elif spread is None and isinstance(module, nn.Linear):
            init.xavier_normal_(module.weight)
        elif self.config.pre_norm and isinstance(module, ToResidual):  # GPT-2: all 2N together start as wide as one
            init.normal_(module.weight, std=spread / math.sqrt(2 * depth))


def present(mask: Tensor | None, batch: int, length: int) -> Tensor | None:
    """The mask (B, S) of what is there, None if all is. Raises InputError for another shape."""
    if mask is not None and mask.shape != (batch, length):
        raise InputError(f"the mask is {tuple(mask.shape)}, expected {(batch, length)}: sequences x positions")
    return None if mask is None or not torch.compiler.is_compiling() and mask.all() else mask


class Transformer(TransformerPreTrainedModel):
    """Embeddings and N layers: an encoder, where all see all, or a causal decoder, perhaps with an encoder before."""

    _can_record_outputs = {
        "hidden_states": Layer,
        "attentions": OutputRecorder(nn.Softmax, layer_name="attention"),
        "cross_attentions": OutputRecorder(nn.Softmax, layer_name="cross_attention"),
    }

    def __init__(self, config: TransformerConfig, encodes: bool = False):
        super().__init__(config)
        cross, self.causal = config.is_encoder_decoder and not encodes, config.stacks != "encoder" and not encodes
        self.encoder: Any = Transformer(config, encodes=True) if cross else None
        self.own_embeddings: Any = None if cross else Embeddings(config)
        self.relative = RelativeBias(config, self.causal) if config.positions == "relative" else None
        depth = config.decoder_layers if cross else config.num_hidden_layers
        self.layers = nn.ModuleList(Layer(config, i, self.causal, cross) for i in range(depth))
        self.norm = build_norm(config) if config.pre_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout if config.inner_dropout else 0.0)
        self.pooler: Any = nn.Linear(config.hidden_size, config.hidden_size) if config.pooler else None
        self.post_init()

    @property
    def embeddings(self) -> Embeddings:
        """One vocabulary for both: a decoder that has an encoder takes the encoder's (section 3.4)."""
        return self.own_embeddings if self.encoder is None else self.encoder.own_embeddings

    def mask(self, x: Tensor, past: int, there: Tensor | None, positions: Tensor | None) -> Tensor | None:
        """What is added to scores (B, H, T, S): T5's bias, and HIDDEN where the last T of S positions may not look.

        Padding, where `there` (B, S) is 0, sees padding only; without it, another document begins at each position 0.
        """
        queries, keys = x.shape[1], past + x.shape[1]
        bias = None if self.relative is None else self.relative(queries, keys)
        if there is not None and there.dim() == 4:
            return there if bias is None else bias + there
        document = present(there, len(x), keys)
        if there is None and positions is not None and past == 0 and (positions[:, 1:] == 0).any():
            document = (positions == 0).cumsum(1)
        seen = None if document is None else (document[:, -queries:, None] == document[:, None])[:, None]
        # SDPA hides the future by itself, if that is all there is to do.
        simple = seen is None and bias is None and past == 0 and self.config._attn_implementation != "eager"
        if self.causal and queries > 1 and not simple:
            earlier = torch.ones(queries, keys, dtype=torch.bool, device=x.device).tril(past)  # (T, S)
            seen = earlier if seen is None else seen & earlier
        return bias if seen is None else torch.where(seen, x.new_zeros(()) if bias is None else bias, HIDDEN)

    @capture_outputs
    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, token_type_ids=None, decoder_input_ids=None,
        decoder_attention_mask=None, encoder_outputs=None, past_key_values=None, use_cache=None, **kwargs,
    ):  # fmt: skip
        """Token ids (B, T), masks (B, S), 0 at padding, or (B, 1, T, S), added -> last_hidden_state (B, T, D)."""
        memory, memory_mask, cache = None, None, past_key_values
        if self.encoder is not None:
            if encoder_outputs is None:
                encoder_outputs = self.encoder(input_ids, attention_mask, **kwargs)
            memory, memory_mask = encoder_outputs[0], present(attention_mask, *encoder_outputs[0].shape[:2])
            if memory_mask is not None:
                memory_mask = memory.new_zeros(()).where(memory_mask[:, None, None] == 1, HIDDEN)  # (B, 1, 1, S)
            input_ids, attention_mask, position_ids = decoder_input_ids, decoder_attention_mask, None
        use_cache = self.config.use_cache and not self.training if use_cache is None else use_cache
        if use_cache and self.causal and cache is None:
            cache = DynamicCache() if memory is None else EncoderDecoderCache(DynamicCache(), DynamicCache())
        past, most = 0 if cache is None else cache.get_seq_length(), self.config.max_position_embeddings
        length = past + input_ids.shape[1]
        if most and length > most and (position_ids is None or position_ids.max() >= most):
            raise InputError(f"a sequence of {length} tokens, but this model has only {most} positions")
        places = torch.arange(past, length, device=input_ids.device)[None] if position_ids is None else position_ids
        x = self.embeddings(input_ids, places, token_type_ids)
        mask = self.mask(x, past, attention_mask, position_ids)
        for layer in self.layers:
            x = layer(x, mask, memory, memory_mask, past_key_values=cache)
        x = self.dropout(self.norm(x))
        pooled = None if self.pooler is None else self.pooler(x[:, 0]).tanh()  # (B, D)
        output = hf.BaseModelOutputWithPoolingAndCrossAttentions(x, pooled, past_key_values=cache)
        for name in ("last_hidden_state", "hidden_states", "attentions"):
            if memory is not None and getattr(encoder_outputs, name, None) is not None:
                output[f"encoder_{name}"] = encoder_outputs[name]
        return output


class LanguageModel(TransformerPreTrainedModel):
    """Logits (B, T, V) = h E^T, where E is the embeddings' own matrix if they are tied (section 3.4)."""

    _tied_weights_keys = {"lm_head.weight": "model.own_embeddings.tokens.weight"}
    stacks: str
    output: Any
    prepare_decoder_input_ids_from_labels: Any
    names: dict[str, str] = {}  # of its outputs, where not the Transformer's

    def __init__(self, config: TransformerConfig):
        if config.stacks != self.stacks:
            raise InputError(f"{type(self).__name__} needs stacks {self.stacks}, {config.family} has {config.stacks}")
        super().__init__(config)
        self.model = Transformer(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=self.stacks == "encoder")
        self.post_init()

    @can_return_tuple
    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, token_type_ids=None, labels=None,
        logits_to_keep=0, num_items_in_batch=None, **kwargs,
    ):  # fmt: skip
        if labels is not None and self.config.is_encoder_decoder and kwargs.get("decoder_input_ids") is None:
            kwargs["decoder_input_ids"] = self.prepare_decoder_input_ids_from_labels(labels)
        output, loss = self.model(input_ids, attention_mask, position_ids, token_type_ids, **kwargs), None
        hidden, labels = self.prepare(output[0][:, -logits_to_keep:] if logits_to_keep else output[0], labels)
        if labels is None:
            logits = self.lm_head(hidden)
        else:
            # In parts that caches hold: a small model on a CPU mostly waits for passes over B x T x V numbers.
            size = max(128, labels.numel() // 8)  # rows; with fewer the products are slow
            logits = [self.lm_head(part) for part in hidden.flatten(0, -2).split(size)]
            pairs = zip(logits, labels.flatten().split(size), strict=True)
            loss = torch.stack([F.cross_entropy(part.float(), own, reduction="sum") for part, own in pairs]).sum()
            loss = loss / ((labels != -100).sum() if num_items_in_batch is None else num_items_in_batch)
            logits = torch.cat(logits).view(*hidden.shape[:-1], -1)
        others = {self.names.get(name, name): value for name, value in output.items()}
        others = {name: value for name, value in others.items() if name in self.output.__dataclass_fields__}
        return self.output(loss=loss, logits=logits, **others)

    def prepare(self, hidden, labels):
        """What the head projects, of hidden states (B, T, D), and the label of each."""
        return hidden * hidden.shape[-1] ** -0.5 if self.config.scale_decoder_outputs else hidden, labels


class TransformerForCausalLM(LanguageModel, GenerationMixin):
    """A decoder predicts the next token: labels (B, T) are the input itself, the loss looks one further."""

    stacks, output = "decoder", hf.CausalLMOutputWithPast

    def prepare(self, hidden, labels):
        return hidden, None if labels is None else F.pad(labels[:, 1:], (0, 1), value=-100)


class TransformerForMaskedLM(LanguageModel):
    """An encoder predicts what stood under [MASK]: logits = Norm(act(h W + b)) E^T + c.

    In training these are (N, V), of the N labelled positions: the head is the dearest part of a small model.
    """

    stacks, output = "encoder", hf.MaskedLMOutput

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.transform = nn.Sequential(dense, ACT2FN[config.activation], build_norm(config))
        self.post_init()

    def prepare(self, hidden, labels):
        if labels is not None and self.training:
            hidden, labels = hidden[labels != -100], labels[labels != -100]
        return self.transform(hidden), labels


class TransformerForConditionalGeneration(LanguageModel, GenerationMixin):
    """An encoder-decoder writes labels (B, T) for input_ids (B, S); its decoder reads them one later."""

    stacks, output = "encoder-decoder", hf.Seq2SeqLMOutput
    names = {"hidden_states": "decoder_hidden_states", "attentions": "decoder_attentions"}
    _tied_weights_keys = {"lm_head.weight": "model.encoder.own_embeddings.tokens.weight"}

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        ids = F.pad(labels[:, :-1], (1, 0), value=self.config.decoder_start_token_id)
        return ids.masked_fill(ids == -100, self.config.pad_token_id)


class TransformerForTokenClassification(GenericForTokenClassification, TransformerPreTrainedModel):
    """A label for each token: logits (B, T, num_labels)."""


class TransformerForSequenceClassification(GenericForSequenceClassification, TransformerPreTrainedModel):
    """Scores of a sequence at its last token, as of a reward model: logits (B, num_labels)."""
