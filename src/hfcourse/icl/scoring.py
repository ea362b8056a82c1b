"""From log-probabilities of labels to a decision and how sure it is."""

from collections.abc import Sequence

from hfcourse.errors import InputError

import numpy as np


RULES = {
    "direct": "P(label | input)",
    "normalised": "P(label | input), the mean over the label's tokens",
    "calibrated": "P(label | input) / P(label | no input)",
    "channel": "P(input | label)",
}


def read_rules(text: str) -> list[str]:
    """["direct", "channel"] of "direct,channel"."""
    return read_names(text, RULES, "--scoring")


def read_names(text: str, known: Sequence[str] | dict, option: str) -> list[str]:
    """The names in a text with commas, each once; raises InputError for one that is not known."""
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in known:
            raise InputError(f"{option} takes {', '.join(known)}, not '{name}'")
    return names


def label_scores(
    rule: str, logprobs: np.ndarray, tokens: np.ndarray, content_free: np.ndarray | None = None
) -> np.ndarray:
    """Scores (..., L) of which the largest is the decision; `log_softmax` of them is how sure it is.

    Args:
        logprobs: (..., L), in nats; for the rule "channel" of the input given each label.
        tokens: (..., L), how many tokens each has.
        content_free: (F, L), logprobs of the labels given inputs that say nothing, for the rule "calibrated": Zhao et
            al. 2021, "Calibrate Before Use", equation 1 with W = diag(mean p)^-1 and b = 0.
    """
    if rule == "normalised":
        return logprobs / tokens
    if rule == "calibrated":
        assert content_free is not None
        return logprobs - np.log(np.exp(log_softmax(content_free)).mean(0))
    return logprobs


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
