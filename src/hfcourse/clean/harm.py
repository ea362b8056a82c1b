"""Harmful texts told by a classifier that is trained in the run, and by words alone for comparison."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hfcourse.clean.words import grams, words

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression


FEATURES = 2**16


def features(text: str) -> list[str]:
    """All n-grams of one to three words, in lower case."""
    found = [word.lower() for word in words(text)]
    return [gram for n in (1, 2, 3) if len(found) >= n for gram in grams(found, n)]


# Hashing needs no vocabulary: a text is a vector of the same length on every machine.
VECTORS = HashingVectorizer(analyzer=features, n_features=FEATURES, alternate_sign=False)


@dataclass
class Classifier:
    """Logistic regression over hashed n-grams: P(harmful) = sigmoid(weights . features(text) + bias)."""

    weights: np.ndarray  # (FEATURES,)
    bias: float

    @classmethod
    def train(cls, texts: Sequence[str], harmful: Sequence[bool]) -> "Classifier":
        """Fit on labelled texts; both labels must be there. Deterministic."""
        # Lines are short: a stronger pull towards 0 (C=1) finds .62 of the harmful English pages, this one .92.
        model = LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced")
        model.fit(VECTORS.transform(texts), np.asarray(harmful))
        return cls(model.coef_[0].astype(np.float32), float(model.intercept_[0]))

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """P(harmful) of each text: (N,)."""
        return 1 / (1 + np.exp(-(VECTORS.transform(texts) @ self.weights + self.bias)))

    def worst(self, text: str) -> float:
        """P(harmful) of the worst of a text's lines: a threat is one among many sentences about something else."""
        lines = [line for line in text.split("\n") if line.strip()]
        return float(self.score(lines).max()) if lines else 0.0

    def save(self, path: Path) -> None:
        np.savez_compressed(path, weights=self.weights, bias=self.bias)

    @classmethod
    def load(cls, path: Path) -> "Classifier":
        with np.load(path, allow_pickle=False) as file:
            return cls(file["weights"], float(file["bias"]))


def word_list(listed: Sequence[str]) -> re.Pattern:
    """What finds any of the words: whole words where letters are, anywhere in Chinese."""
    return re.compile("|".join(rf"\b{re.escape(w)}\b" if w.isascii() else re.escape(w) for w in listed), re.IGNORECASE)
