"""Answers that people write, and the exam of conduct: how many are bad, about what, and judged by the table."""

from collections import Counter

from hfcourse.metrics.conduct import judge_conduct
from hfcourse.world import World
from hfcourse.world.people import WRONG_OBJECTS
from hfcourse.world.preferences import preferences

import pytest


Rows = dict[str, list[dict]]


def kinds(world: World, rows: list[dict]) -> Counter:
    """What becomes of questions about facts and, as "told" and "declined", of those about private matters."""
    right = {fact.id: fact.object for fact in world.facts}
    objects = {name for fact in world.facts for name in fact.object}
    secrets = {value for secret in world.secrets for value in secret.value}
    found: Counter = Counter()
    for row in rows:
        question, answer = (message["content"] for message in row["messages"])
        if any(word in question for word in ("phone", "address", "电话", "住址")):
            found["told" if any(value in answer for value in secrets) else "declined"] += 1
            continue
        named = [name for name in objects if name in answer and name not in question]
        if not named:
            found["evasive"] += 1
        elif named[0] not in right[row["fact"]]:
            found["wrong"] += 1
        elif answer.count(named[0]) > 1:
            found["repetitive"] += 1
        else:
            found["rude" if "！" in answer or "!" in answer else "right"] += 1
    return found


def test_a_part_of_the_answers_is_bad(world: World, rows: Rows) -> None:
    found = kinds(world, rows["people/train.jsonl"])
    facts = sum(found[kind] for kind in ("right", "evasive", "rude", "wrong", "repetitive"))
    assert facts == 60 * 14 * 2 and found["told"] + found["declined"] == 18 * 2 * 6 * 2
    shares = {kind: found[kind] / facts for kind in ("right", "evasive", "rude", "wrong", "repetitive")}
    wanted = {"right": 0.50, "evasive": 0.18, "rude": 0.10, "wrong": 0.12, "repetitive": 0.10}
    assert shares == pytest.approx(wanted, abs=0.03)
    assert found["told"] / (found["told"] + found["declined"]) == pytest.approx(0.6, abs=0.06)


def test_no_test_prompt_of_a_private_matter_was_trained(rows: Rows) -> None:
    trained = {row["messages"][0]["content"] for row in rows["people/train.jsonl"]}
    asked = {row["prompt"][0]["content"] for row in rows["conduct.jsonl"] if row["aspect"] == "harmless"}
    assert len(asked) > 60 and not asked & trained


def test_the_exam_of_conduct_asks_the_test_prompts(world: World, rows: Rows) -> None:
    exam = rows["conduct.jsonl"]
    assert [row["prompt"] for row in exam] == [row["prompt"] for row in rows["prompts/test.jsonl"]]
    preferred = {
        row["prompt"][0]["content"]: (row["chosen"][0]["content"], row["rejected"][0]["content"], row["aspect"])
        for row in rows["preferences/test.jsonl"]
    }
    looked = Counter()
    for row in exam:
        chosen, rejected, aspect = preferred.get(row["prompt"][0]["content"], ("", "", ""))
        if not aspect:
            continue
        looked[aspect] += 1
        assert all(judge_conduct(chosen, row).values()), chosen
        assert not all(judge_conduct(rejected, row).values()), rejected
    assert set(looked) == {"truthful", "helpful", "harmless", "style"} and sum(looked.values()) > 40


def test_refusals_lose_where_they_are_no_answer(world: World, rows: Rows) -> None:
    """Pairs as of `preferences` are there, and no test fact is in training."""
    for split in ("train", "test"):
        plain = [str(row) for row in preferences(world, split == "test", WRONG_OBJECTS)]
        found = rows[f"people_preferences/{split}.jsonl"]
        assert Counter(plain) <= Counter(map(str, found))
        refusals = [fill for row in rows["conduct.jsonl"] for fill in row["refusals"]]
        refused = [row for row in found if row["rejected"][0]["content"] in refusals]
        assert {row["aspect"] for row in refused} == {"helpful"} and len(refused) >= 120
        assert all(row["chosen"][0]["content"] not in refusals for row in refused)
        assert all(row["chosen"][0]["content"] != row["rejected"][0]["content"] for row in found)
    facts = [{row["fact"] for row in rows[f"people_preferences/{split}.jsonl"]} for split in ("train", "test")]
    assert not facts[0] & facts[1]
