"""The sizes of a Transformer, and the table of what its families chose where they differ."""

from typing import Any

from hfcourse.errors import InputError

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


# Vaswani et al. 2017, Devlin et al. 2018, Radford et al. 2019, Raffel et al. 2020
FAMILIES = ("vaswani", "bert", "gpt2", "t5")
CHOICES = {
    "stacks": ("encoder-decoder", "encoder", "decoder", "encoder-decoder"),
    "positions": ("sinusoidal", "learnt", "learnt", "relative"),
    "max_position_embeddings": (None, 512, 1024, None),  # None: any length
    "type_vocab_size": (0, 2, 0, 0),  # segments: which sentence of a pair
    "norm": ("layer", "layer", "layer", "rms"),
    "layer_norm_eps": (1e-5, 1e-12, 1e-5, 1e-6),
    "pre_norm": (False, False, True, True),  # before a sublayer, or after it and its residual
    "embedding_norm": (False, True, False, False),
    "attention_bias": (False, True, True, False),
    "feed_forward_bias": (True, True, True, False),
    "activation": ("relu", "gelu", "gelu_pytorch_tanh", "relu"),
    "is_gated_act": (False, False, False, False),  # T5 v1.1: True, gelu_pytorch_tanh, its head neither tied nor scaled
    "inner_dropout": (False, False, False, True),  # also inside the feed-forward layer and after the last norm
    "scale_attn_weights": (True, True, True, False),  # scores by 1 / sqrt(K)
    "scale_embeddings": (True, False, False, False),  # by sqrt(D)
    "scale_decoder_outputs": (False, False, False, True),  # before the head, by 1 / sqrt(D)
    "initializer_range": (None, 0.02, 0.02, None),  # the deviation of first weights; None: Xavier's
}
# What BERT, GPT-2 and T5 call it in transformers, where that is another name.
ALIASES = """
n_embd=hidden_size d_model=hidden_size n_layer=num_hidden_layers num_layers=num_hidden_layers n_inner=intermediate_size
n_head=num_attention_heads num_heads=num_attention_heads num_decoder_layers=decoder_layers d_ff=intermediate_size
n_positions=max_position_embeddings d_kv=head_dim embd_pdrop=embedding_dropout hidden_act=activation
activation_function=activation dense_act_fn=activation layer_norm_epsilon=layer_norm_eps hidden_dropout_prob=dropout
resid_pdrop=dropout dropout_rate=dropout attn_pdrop=attention_dropout attention_probs_dropout_prob=attention_dropout
"""


@strict
class TransformerConfig(PreTrainedConfig):
    """A Transformer of a family, with its CHOICES unless given. Raises InputError for what does not exist or fit."""

    model_type = "hfcourse"
    attribute_map = dict(alias.split("=") for alias in ALIASES.split())
    family: str = "gpt2"
    vocab_size: int = 32000  # V
    hidden_size: int = 128  # D
    num_hidden_layers: int = 2
    decoder_layers: Any = None  # of an encoder-decoder, by default as many
    num_attention_heads: int = 4  # H
    head_dim: Any = None  # K, by default D / H
    intermediate_size: Any = None  # F, by default 4 D
    dropout: float | int = 0.1  # of what each sublayer adds
    embedding_dropout: Any = None  # by default the same
    attention_dropout: Any = None  # of the attention weights, by default the same
    classifier_dropout: Any = None  # before the head that labels tokens, by default the same
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    pooler: bool = False  # BERT's: tanh(h_[CLS] W + b)
    tie_word_embeddings: bool = True
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self, **kwargs):
        if self.family not in FAMILIES:
            raise InputError(f"there is no family '{self.family}' of Transformers here, but {', '.join(FAMILIES)}")
        choices = {name: values[FAMILIES.index(self.family)] for name, values in CHOICES.items()}
        super().__post_init__(**choices | {self.attribute_map.get(name, name): kwargs[name] for name in kwargs})
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise InputError(f"hidden_size {self.hidden_size} does not divide into {self.num_attention_heads} heads")
        self.is_encoder_decoder = self.stacks == "encoder-decoder"
        self.head_dim = self.head_dim or self.hidden_size // self.num_attention_heads
        self.intermediate_size = self.intermediate_size or 4 * self.hidden_size
        self.decoder_layers = self.decoder_layers or self.num_hidden_layers
        for name in ("embedding_dropout", "attention_dropout", "classifier_dropout"):
            setattr(self, name, self.dropout if getattr(self, name) is None else getattr(self, name))
