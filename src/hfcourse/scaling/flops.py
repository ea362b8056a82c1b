"""What a decoder costs to train, product by product: FLOPs are counted, not guessed.

A product of (n, k) and (k, m) is 2 n k m FLOPs. The backward pass has two such products for each of the forward pass,
one for the gradient of either factor, so training costs three times the forward pass; looking up an embedding, norms,
softmax, activations and the optimiser's update cost no products and are left out, as torch's FlopCounterMode leaves
them out. Attention is counted in full, all T positions for each query, although a causal kernel may skip half.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoder:
    """Sizes of a decoder-only Transformer.

    layers L; width D; attention H K, the width of all queries; keys, the width of all keys (less than H K where heads
    share them); inner F; gated: whether the feed-forward layer has a third matrix; vocabulary V.
    """

    layers: int
    width: int
    attention: int
    keys: int
    inner: int
    gated: bool
    vocabulary: int

    @property
    def parameters(self) -> int:
        """N, the weights that a token is multiplied by: without positions, norms and biases, the head counted once."""
        attention = 2 * self.width * (self.attention + self.keys)  # queries and output, keys and values
        feed_forward = (3 if self.gated else 2) * self.width * self.inner
        return self.layers * (attention + feed_forward) + self.width * self.vocabulary


def forward_flops(decoder: Decoder, length: int) -> int:
    """FLOPs a token of the forward pass over sequences of `length` T: 2 N + 4 L T H K."""
    scores_and_values = 2 * 2 * length * decoder.attention  # q k^T, and the weights times the values
    return 2 * decoder.parameters + decoder.layers * scores_and_values


def training_flops(decoder: Decoder, length: int) -> int:
    """FLOPs a token of forward and backward pass: 6 N + 12 L T H K (Chowdhery et al. 2022, appendix B)."""
    return 3 * forward_flops(decoder, length)


def rule_of_thumb(decoder: Decoder, length: int) -> float:
    """How far 6 N a token (Kaplan et al. 2020, section 2.1) is from what is counted, relative; below 0: too little."""
    return 6 * decoder.parameters / training_flops(decoder, length) - 1
