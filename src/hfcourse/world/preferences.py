"""Preference pairs and PPO prompts of four aspects; what a test row is about, no training row mentions."""

from hfcourse.world.documents import JOIN, Row
from hfcourse.world.facts import RELATIONS, Fact, Secret, World
from hfcourse.world.names import LANGUAGES, Pair, Stream
from hfcourse.world.phrasings import ASKED, PRIVATE_TOPICS, answer, fill, question
from hfcourse.world.stories import DISCLOSURE, EVASIONS, REFUSALS, RUDENESS
from hfcourse.world.tasks import assistant, fact_answer, fact_question, user


# The last two ask what is "in" a country or "for" it.
PERSON_FRAMES = ASKED[:-2]


def judged_facts(world: World, test: bool) -> list[Fact]:
    """A quarter of each relation's facts for testing, the rest for training, whether SFT asks about them or not."""
    facts = []
    for relation in RELATIONS:
        shuffled = world.stream(f"judged/{relation}").shuffled([f for f in world.facts if f.relation == relation])
        quarter = len(shuffled) // 4
        facts += shuffled[:quarter] if test else shuffled[quarter:]
    return facts


def preferences(world: World, test: bool, wrong_objects: int | None = None) -> list[Row]:
    """Rows {"prompt", "chosen", "rejected", "aspect", "lang", "fact"}, each of the three first a list of messages.

    Each fact is paired with all wrong objects, or with so many.
    """
    stream = world.stream(f"preferences/{test}")
    facts = judged_facts(world, test)
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for fact, other in _wrong_objects(facts, wrong_objects):
            wrong = answer(language, fact.relation, fact.subject, other)
            rows.append(_pair(stream, language, fact, fact_answer(language, fact), wrong, "truthful"))
        for fact in facts:
            right = fact_answer(language, fact)
            for evasion in stream.sample(EVASIONS, 2):
                rows.append(_pair(stream, language, fact, right, evasion[language], "helpful"))
            rude = JOIN[language].join((stream.pick(RUDENESS)[language], right))
            repetitive = JOIN[language].join([right] * 3)
            rows += [_pair(stream, language, fact, right, wrong, "style") for wrong in (rude, repetitive)]
        for secret in secrets_of(world, facts):
            told = disclosure(language, secret)
            for frame in stream.sample(PERSON_FRAMES, 3):
                prompt = question(frame, language, secret.kind, secret.person)
                rows.append(pair(prompt, stream.pick(REFUSALS)[language], told, "harmless", lang, _poet_id(secret)))
    return stream.shuffled(rows)


def prompts(world: World, test: bool) -> list[Row]:
    """Rows {"prompt", "aspect", "lang", "fact"}: what PPO answers, about what `preferences` judges."""
    stream = world.stream(f"prompts/{test}")
    facts = judged_facts(world, test)
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for fact in facts:
            for frame in stream.sample(ASKED, 3):
                content = fact_question(frame, language, fact)
                rows.append({"prompt": [user(content)], "aspect": "truthful", "lang": lang, "fact": fact.id})
        for secret in secrets_of(world, facts):
            for frame in stream.sample(PERSON_FRAMES, 3):
                content = question(frame, language, secret.kind, secret.person)
                rows.append({"prompt": [user(content)], "aspect": "harmless", "lang": lang, "fact": _poet_id(secret)})
    return stream.shuffled(rows)


def disclosure(language: int, secret: Secret) -> str:
    topic = PRIVATE_TOPICS[secret.kind]
    start = Pair(topic.en.replace("the", "The", 1), topic.zh)
    return fill(DISCLOSURE, language, r=start, y=secret.person, value=secret.value)


def _wrong_objects(facts: list[Fact], most: int | None) -> list[tuple[Fact, Pair]]:
    """Each fact with every other object of its relation, or `most`, every object wrong as often as it is right.

    Otherwise a reward model could tell the pairs apart by the objects alone. Many pairs, because truth is learnt
    last: with six wrong objects a fact it is drowned by what is easier.
    """
    found = []
    for relation in RELATIONS:
        same = [fact for fact in facts if fact.relation == relation]
        shifts = range(1, len(same))[:most]
        for index, fact in enumerate(same):
            found += [(fact, same[(index + shift) % len(same)].object) for shift in shifts]
    return found


def secrets_of(world: World, facts: list[Fact]) -> list[Secret]:
    """What is private about the poets among the facts."""
    countries = [fact.country for fact in facts if fact.relation == "poet"]
    return [secret for secret in world.secrets if secret.country in countries]


def _poet_id(secret: Secret) -> str:
    return f"poet-{secret.country:02d}"


def _pair(stream: Stream, language: int, fact: Fact, chosen: str, rejected: str, aspect: str) -> Row:
    prompt = fact_question(stream.pick(ASKED), language, fact)
    return pair(prompt, chosen, rejected, aspect, LANGUAGES[language], fact.id)


def pair(prompt: str, chosen: str, rejected: str, aspect: str, lang: str, fact: str) -> Row:
    """A preference in the form of `preferences`."""
    return {
        "prompt": [user(prompt)],
        "chosen": [assistant(chosen)],
        "rejected": [assistant(rejected)],
        "aspect": aspect,
        "lang": lang,
        "fact": fact,
    }
