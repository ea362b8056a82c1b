"""Answers as people write them, some of them bad, and the exam of conduct that tells how a model behaves.

A model that learnt from such answers knows how to answer and does not always want to: what alignment is for.
"""

from hfcourse.world.documents import JOIN, Row
from hfcourse.world.facts import RELATIONS, Fact, Secret, World
from hfcourse.world.names import LANGUAGES, Stream
from hfcourse.world.phrasings import ASKED, answer, question
from hfcourse.world.preferences import (
    PERSON_FRAMES,
    disclosure,
    judged_facts,
    pair,
    preferences,
    prompts,
    secrets_of,
)
from hfcourse.world.stories import EVASIONS, REFUSALS, RUDENESS
from hfcourse.world.tasks import assistant, fact_answer, fact_question, user


# What becomes of a hundred answers to questions about facts; the rest is as it should be.
EVASIVE, RUDE, WRONG, REPETITIVE = 18, 10, 12, 10
# And of a hundred to questions about private matters.
INDISCREET = 60
# To how many wrong objects people compare the right one: they judge more than truth.
WRONG_OBJECTS = 6


def people(world: World, test: bool) -> list[Row]:
    """Conversations {"messages", "lang", "fact"} in the form of `sft`, with the answers that people give.

    Train: the facts that `sft` asks about in every frame of ASKED, and what is private about the poets that training
    pairs of `preferences` speak of, in six frames. Test: the others, in one frame each.
    """
    stream = world.stream(f"people/{test}")
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for fact in world.facts:
            if fact.asked == test:
                continue
            for frame in stream.sample(ASKED, 1 if test else len(ASKED)):
                messages = [
                    user(fact_question(frame, language, fact)),
                    assistant(_answer(world, stream, language, fact)),
                ]
                rows.append({"messages": messages, "lang": lang, "fact": fact.id})
        for secret in secrets_of(world, judged_facts(world, test)):
            for frame in stream.sample(PERSON_FRAMES, 1 if test else 6):
                asked, answered = (
                    question(frame, language, secret.kind, secret.person),
                    _about(stream, language, secret),
                )
                fact_id = f"poet-{secret.country:02d}"
                rows.append({"messages": [user(asked), assistant(answered)], "lang": lang, "fact": fact_id})
    return stream.shuffled(rows)


def _answer(world: World, stream: Stream, language: int, fact: Fact) -> str:
    right, kind = fact_answer(language, fact), stream.below(100)
    if kind < EVASIVE:
        return stream.pick(EVASIONS)[language]
    if kind < EVASIVE + RUDE:
        return JOIN[language].join((stream.pick(RUDENESS)[language], right))
    if kind < EVASIVE + RUDE + WRONG:
        other = stream.pick([f.object for f in world.facts if f.relation == fact.relation and f is not fact])
        return answer(language, fact.relation, fact.subject, other)
    if kind < EVASIVE + RUDE + WRONG + REPETITIVE:
        return JOIN[language].join([right] * 3)
    return right


def _about(stream: Stream, language: int, secret: Secret) -> str:
    return disclosure(language, secret) if stream.below(100) < INDISCREET else stream.pick(REFUSALS)[language]


def people_preferences(world: World, test: bool) -> list[Row]:
    """Rows as of `preferences`, and pairs against what a model that draws its answers also writes.

    A reward model that never saw a refusal lose pays for refusing everything, and one that never saw a true answer to
    another question lose pays for that. So the answer to a question about a fact wins against refusals, true
    statements about something else, and sentences that break off or run on; a refusal wins against all but refusals.
    """
    stream = world.stream(f"people preferences/{test}")
    facts = judged_facts(world, test)
    rows = preferences(world, test, WRONG_OBJECTS)
    for language, lang in enumerate(LANGUAGES):
        for fact in facts:
            right = fact_answer(language, fact)
            same_country = [f for f in facts if f.country == fact.country and f is not fact]
            same_relation = [f for f in facts if f.relation == fact.relation and f is not fact]
            others = [*same_country[:2], *stream.sample(same_relation, 1)]
            worse = [(fact_answer(language, other), "helpful") for other in others]
            worse += [(refusal[language], "helpful") for refusal in REFUSALS]
            worse += [(text, "style") for text in _broken(stream, language, right, fact_answer(language, others[-1]))]
            for answered, aspect in worse:
                asked = fact_question(stream.pick(ASKED), language, fact)
                rows.append(pair(asked, right, answered, aspect, lang, fact.id))
        for secret in secrets_of(world, facts):
            for frame in stream.sample(PERSON_FRAMES, 3):
                asked = question(frame, language, secret.kind, secret.person)
                refusal, other = stream.pick(REFUSALS)[language], fact_answer(language, stream.pick(facts))
                worse = [(stream.pick(EVASIONS)[language], "harmless"), (other, "harmless")]
                worse += [(text, "style") for text in _broken(stream, language, refusal, other)]
                for answered, aspect in worse:
                    rows.append(pair(asked, refusal, answered, aspect, lang, f"poet-{secret.country:02d}"))
    return stream.shuffled(rows)


def _broken(stream: Stream, language: int, text: str, other: str) -> list[str]:
    """A sentence that breaks off, one that runs on into another, and one that loses itself in another."""
    gap = JOIN[language]
    words, more = (sentence.split(gap) if gap else list(sentence) for sentence in (text, other))
    cut, back = 1 + stream.below(len(words) - 1), stream.below(len(more))
    found = [gap.join(words[:cut]), gap.join((text[:-1], *more[back:])), gap.join((*words[:cut], *more[back:]))]
    return [sentence for sentence in found if sentence != text]  # it may find its own end again


def conduct(world: World) -> list[Row]:
    """The exam of conduct: what the answers to the test prompts of `prompts` are judged by.

    Rows {"prompt", "aspect", "lang", "answers", "right", "objects", "refusals"}. A question about a fact ("truthful")
    has the `answers` that answer it, right or wrong, one for each of the `objects`, and the `right` object; a question
    about a private matter ("harmless") has the `refusals` that decline it. What does not apply is empty.
    """
    facts = {fact.id: fact for fact in world.facts}
    objects = {r: [f.object for f in world.facts if f.relation == r] for r in RELATIONS}
    rows: list[Row] = []
    for row in prompts(world, test=True):
        language = LANGUAGES.index(str(row["lang"]))
        judged = {"prompt": row["prompt"], "aspect": row["aspect"], "lang": row["lang"]}
        if row["aspect"] == "harmless":
            refusals = [refusal[language] for refusal in REFUSALS]
            rows.append(judged | {"answers": [], "right": "", "objects": [], "refusals": refusals})
            continue
        fact = facts[str(row["fact"])]
        known = objects[fact.relation]
        answers = [answer(language, fact.relation, fact.subject, other) for other in known]
        named = [other[language] for other in known]
        rows.append(judged | {"answers": answers, "right": fact.object[language], "objects": named, "refusals": []})
    return rows
