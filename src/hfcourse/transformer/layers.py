"""The parts that every Transformer here is made of.

Shapes: B sequences, T positions that ask, S positions that are looked at, D model width, H heads, K width of a head,
F inner width. Sections and equations without a name are those of "Attention Is All You Need" (Vaswani et al. 2017).
"""

import math

from hfcourse.transformer.config import TransformerConfig

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer


def build_norm(config: TransformerConfig) -> nn.Module:
    """LayerNorm (Ba et al. 2016), or RMSNorm (Zhang and Sennrich 2019), which neither centres nor shifts."""
    return (nn.RMSNorm if config.norm == "rms" else nn.LayerNorm)(config.hidden_size, eps=config.layer_norm_eps)


class ToResidual(nn.Linear):
    """The last matrix of a sublayer."""


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos of the same (section 3.5): (B, T) -> (B, T, D)."""
    rates = 10000 ** (-torch.arange(0, width, 2, device=positions.device) / width)  # (D/2,)
    angles = positions[..., None] * rates  # (B, T, D/2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class Embeddings(nn.Module):
    """x_t = E[token t], in 2017 times sqrt(D) (section 3.4), + P[position t]; BERT adds S[segment t], then a norm."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width, most = config.hidden_size, config.max_position_embeddings
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.scale = math.sqrt(width) if config.scale_embeddings else 1.0
        self.positions = nn.Embedding(most, width) if config.positions == "learnt" else None
        self.sinusoidal = config.positions == "sinusoidal"
        self.segments = nn.Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.norm = build_norm(config) if config.embedding_norm else nn.Identity()
        self.dropout = nn.Dropout(config.embedding_dropout)

    def forward(self, ids: Tensor, positions: Tensor, segments: Tensor | None = None) -> Tensor:
        """Ids (B, T) at positions (B, T) or (1, T) -> (B, T, D)."""
        x = self.tokens(ids) if self.scale == 1.0 else self.tokens(ids) * self.scale
        if self.positions is not None:
            x = x + self.positions(positions)
        elif self.sinusoidal:
            x = x + sinusoids(positions, x.shape[-1]).to(x.dtype)
        if self.segments is not None:
            x = x + (self.segments.weight[0] if segments is None else self.segments(segments))
        return self.dropout(self.norm(x))


class RelativeBias(nn.Module):
    """T5's positions: a learnt number for each head and distance of key and query (Raffel et al. 2020, section 2.1).

    Half of the buckets hold one distance each; the others widen with its logarithm up to the greatest distance.
    """

    def __init__(self, config: TransformerConfig, causal: bool):
        super().__init__()
        self.buckets = nn.Embedding(config.relative_attention_num_buckets, config.num_attention_heads)
        self.causal, self.greatest = causal, config.relative_attention_max_distance

    def bucket(self, distance: Tensor) -> Tensor:
        """The bucket of a distance, key minus query: an encoder has half of them for what is ahead, a decoder none."""
        number = self.buckets.num_embeddings // (1 if self.causal else 2)
        ahead = 0 if self.causal else (distance > 0).long() * number
        distance = -distance.clamp(max=0) if self.causal else distance.abs()
        exact = number // 2
        rise = torch.log(distance.clamp(min=1) / exact) / math.log(self.greatest / exact) * (number - exact)
        return ahead + torch.where(distance < exact, distance, (exact + rise.long()).clamp(max=number - 1))

    def forward(self, queries: int, keys: int) -> Tensor:
        """(1, H, T, S), where the queries are the last T of the S positions."""
        distances = torch.arange(1 - keys, queries, device=self.buckets.weight.device)  # (S+T-1,)
        values = self.buckets(self.bucket(distances)).T  # (H, S+T-1)
        # Query t sees the S of these distances that begin T-1-t places from the left.
        return values.unfold(1, keys, 1).flip(1)[None]


class Attention(nn.Module):
    """Attention(Q, K, V) = softmax(Q K^T / sqrt(K) + mask) V, in H heads side by side (equation 1, section 3.2.2).

    Q = x W^Q; K and V are of x as well, or in cross-attention of the memory, which is what the encoder gave.
    """

    def __init__(self, config: TransformerConfig, layer: int, causal: bool = False, cross: bool = False):
        super().__init__()
        self.config, self.layer, self.causal, self.heads = config, layer, causal, config.num_attention_heads
        self.scale = config.head_dim**-0.5 if config.scale_attn_weights else 1.0
        width, inner, bias = config.hidden_size, self.heads * config.head_dim, config.attention_bias
        if cross:
            self.q, self.kv = nn.Linear(width, inner, bias=bias), nn.Linear(width, 2 * inner, bias=bias)
        else:
            self.qkv = nn.Linear(width, 3 * inner, bias=bias)
        self.softmax, self.dropout = nn.Softmax(dim=-1), config.attention_dropout
        self.out = ToResidual(inner, width, bias=bias)

    def split(self, x: Tensor, parts: int) -> list[Tensor]:
        """(B, T, parts H K) -> parts times (B, H, T, K)."""
        return [part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in x.chunk(parts, dim=2)]

    def forward(self, x, mask=None, memory=None, cache=None) -> Tensor:
        """x (B, T, D), mask broadcast to (B, H, T, S), memory (B, S, D), a cache of keys and values -> (B, T, D)."""
        if memory is None:
            q, k, v = self.split(self.qkv(x), 3)  # (B, H, T, K) each
            if cache is not None:
                k, v = getattr(cache, "self_attention_cache", cache).update(k, v, self.layer)  # (B, H, S, K)
        elif cache is not None and cache.is_updated.get(self.layer):
            (q,), made = self.split(self.q(x), 1), cache.cross_attention_cache.layers[self.layer]
            k, v = made.keys, made.values
        else:
            (q,), (k, v) = self.split(self.q(x), 1), self.split(self.kv(memory), 2)
            if cache is not None:
                cache.cross_attention_cache.update(k, v, self.layer)
                cache.is_updated[self.layer] = True
        dropout = self.dropout if self.training else 0.0
        # SDPA has no quick way with a mask that is learnt, as T5's is.
        if self.config._attn_implementation == "eager" or (mask is not None and mask.requires_grad):
            scores = (q * self.scale) @ k.transpose(2, 3)  # (B, H, T, S)
            scores += 0.0 if mask is None else mask
            heads = F.dropout(self.softmax(scores), dropout) @ v
        else:
            causal = self.causal and mask is None and q.shape[2] > 1
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=self.scale)
        return self.out(heads.transpose(1, 2).flatten(2))  # (B, H, T, K) -> (B, T, H K) -> (B, T, D)


class FeedForward(nn.Module):
    """FFN(x) = max(0, x W1 + b1) W2 + b2 (equation 2), or gated, (gelu(x W1) * x W3) W2 (Shazeer 2020)."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.feed_forward_bias
        self.parts, self.activation = 1 + config.is_gated_act, ACT2FN[config.activation]
        self.up, self.down = nn.Linear(width, self.parts * inner, bias=bias), ToResidual(inner, width, bias=bias)
        self.dropout = nn.Dropout(config.dropout if config.inner_dropout else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        x, *gated = self.up(x).chunk(self.parts, dim=-1)  # (B, T, F) each
        x = self.activation(x)
        return self.down(self.dropout(x * gated[0] if gated else x))


class Layer(GradientCheckpointingLayer):
    """Self-attention, in a decoder with an encoder cross-attention, and feed-forward: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: TransformerConfig, layer: int, causal: bool, cross: bool):
        super().__init__()
        self.pre_norm, self.dropout = config.pre_norm, nn.Dropout(config.dropout)
        self.attention, self.attention_norm = Attention(config, layer, causal=causal), build_norm(config)
        if cross:
            self.cross_attention, self.cross_norm = Attention(config, layer, cross=True), build_norm(config)
        self.feed_forward, self.feed_forward_norm = FeedForward(config), build_norm(config)

    def around(self, sublayer: nn.Module, norm: nn.Module, x: Tensor, *others) -> Tensor:
        """Norm(x + Sublayer(x)) (section 3.1), or with pre-norm x + Sublayer(Norm(x))."""
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x), *others))
        return norm(x + self.dropout(sublayer(x, *others)))

    def forward(self, x, mask=None, memory=None, memory_mask=None, past_key_values=None) -> Tensor:
        x = self.around(self.attention, self.attention_norm, x, mask, None, past_key_values)
        if memory is not None:
            x = self.around(self.cross_attention, self.cross_norm, x, memory_mask, memory, past_key_values)
        return self.around(self.feed_forward, self.feed_forward_norm, x)
