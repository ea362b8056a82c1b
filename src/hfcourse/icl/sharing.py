"""Whether a model can share what prompts have in common: tried, not looked up in a list."""

from collections.abc import Sequence
from typing import Any

from hfcourse.icl.encoder_decoder import EncoderDecoder
from hfcourse.icl.engine import Causal, Engine, OneByOne, score_alone
from hfcourse.icl.groups import Group

import torch


# An engine's scores may differ by so much, in nats a token, from those of the plain model.
CLOSE = {torch.float32: 1e-3}
ROUGH = 0.1


def make_engine(model: Any, groups: Sequence[Group], budget: int) -> tuple[Engine, str]:
    """The engine for a model, tried on the longest prompts of the run, and a sentence on what was found."""
    model.eval()
    engine = (EncoderDecoder if model.config.is_encoder_decoder else Causal)(model, budget)
    longest = max(groups, key=lambda group: group.encoded.longest())
    order = sorted(range(len(longest.members)), key=longest.encoded.length)
    items = [longest.encoded.queries(i) for i in order[-2:]]
    try:
        found = engine.score(items)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        return OneByOne(model), f"one prompt at a time: {type(model).__name__} can't share prefixes ({reason})"
    expected = [[score_alone(model, query) for query in item] for item in items]
    pairs = [(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True)]
    worst = max(abs(a.logprob - b.logprob) / a.tokens for a, b in pairs)
    if not worst <= CLOSE.get(model.dtype, ROUGH):  # so that no number is not close
        return OneByOne(model), f"one prompt at a time: shared prefixes change this model's scores by {worst:.2g} nats"
    return engine, f"shared prefixes; the longest prompts scored alone differ by {worst:.1g} nats a token"
