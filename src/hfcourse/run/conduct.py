"""Reads an exam of conduct and judges answers by it: the scores that no model has a part in."""

from collections.abc import Callable, Sequence
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.conduct import CONDUCT, judge_conduct, text_of
from hfcourse.run.answers import read_exam


COLUMNS = ("prompt", "aspect", "answers", "right", "objects", "refusals")


def conduct_scores(path: str | None) -> list[Callable[..., list[float | None]]]:
    """A function for each of CONDUCT, 1 or 0 an answer, None where the score does not apply; [] without an exam.

    Each takes `prompts` and `completions` as lists of messages, as reward functions do; a prompt is found in the exam
    by its last message. Raises InputError as `read_exam` does.
    """
    rows = _by_question(path)
    return [_score(name, rows) for name in CONDUCT] if rows else []


def read_choices(path: str | None, prompts: Sequence[Any]) -> tuple[list[list[str]], dict[int, int]]:
    """For each prompt the answers that it can have, none where the exam knows none; and the place of the right one.

    Raises InputError where the right object of a row is not among its objects.
    """
    rows = _by_question(path)
    known = [rows.get(text_of(prompt), {"answers": []}) for prompt in prompts]
    right = {}
    for place, row in enumerate(known):
        if row["answers"]:
            if row["right"] not in row["objects"] or len(row["objects"]) != len(row["answers"]):
                question = text_of(row["prompt"])
                raise InputError(
                    f"{path}, {question!r}: expected an answer for each object, and the right one in them"
                )
            right[place] = row["objects"].index(row["right"])
    return [row["answers"] for row in known], right


def _by_question(path: str | None) -> dict[str, dict[str, Any]]:
    return {row["prompt"][-1]["content"]: row for row in read_exam(path, COLUMNS)}


def _score(name: str, rows: dict[str, dict[str, Any]]) -> Callable[..., list[float | None]]:
    def score(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
        found: list[float | None] = []
        for prompt, completion in zip(prompts, completions, strict=True):
            row = rows.get(text_of(prompt))
            judged = judge_conduct(text_of(completion), row) if row else {}
            found.append(float(judged[name]) if name in judged else None)
        return found

    score.__name__ = name
    return score
