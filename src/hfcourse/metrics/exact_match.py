"""Exact match of short answers, the plainest measure of truth."""

from collections import defaultdict
from collections.abc import Iterable


FINAL = " \t\r\n.!?。！？"


def normalise_answer(text: str) -> str:
    """An answer without its white-space runs and final punctuation: what exact match compares."""
    return " ".join(text.split()).strip(FINAL)


def exact_match(prediction: str, answer: str) -> bool:
    """Whether two answers are the same sentence, but for white space and final punctuation."""
    return normalise_answer(prediction) == normalise_answer(answer)


def grouped_accuracy(rows: Iterable[tuple[str, bool]]) -> dict[str, float]:
    """Share of right answers for each group, from (group, right) pairs, groups in order of first appearance."""
    right: dict[str, list[bool]] = defaultdict(list)
    for group, ok in rows:
        right[group].append(ok)
    return {group: sum(oks) / len(oks) for group, oks in right.items()}
