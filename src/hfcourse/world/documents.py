"""The corpus: short documents whose later sentences can be told only from earlier ones.

A country is named once and is then "it" or "the country"; a traveller's home comes back at the end. Held-out documents
state the same facts in orders and combinations that no training document has.
"""

from hfcourse.world.facts import COUNTRIES, RELATIONS, TRAVELLERS, World
from hfcourse.world.names import LANGUAGES, Pair, Stream
from hfcourse.world.phrasings import COMPARED, NAMED, PRIVATE_TOPICS, PRONOUN, fill
from hfcourse.world.stories import (
    ABROAD,
    ADJECTIVES,
    COMPARISONS,
    CURIOSITY,
    DETAILS,
    HOME,
    JOURNEYS,
    NOBODY_TOLD,
    OPENINGS,
    OPINIONS,
    PARTINGS,
    PLACES,
    THINGS,
    VISITS,
)


Row = dict[str, object]
# English, Chinese. A Chinese document has half as many tokens again, and its facts are learnt sooner.
TRAIN_DOCUMENTS, TEST_DOCUMENTS = (3400, 2600), (150, 150)
# A third of the countries is described three times as often: a model learns to look facts up on these and then takes
# in the others fast, where equal shares keep it on a plateau (Zucchet et al. 2025, "How do language models learn
# facts? Dynamics, curricula and hallucinations").
PROFILED = (*range(COUNTRIES), *range(COUNTRIES // 3), *range(COUNTRIES // 3))
# Between the sentences of each language.
JOIN = (" ", "")


def held_out(i: int, j: int) -> bool:
    """Whether the combination of items i and j is kept for testing: one in ten, spread over all i and all j."""
    return (i + 3 * j) % 10 == 0


def corpus(world: World, test: bool) -> list[Row]:
    """Rows {"text", "lang"}: TRAIN_DOCUMENTS or TEST_DOCUMENTS by language, no text twice."""
    stream = world.stream("corpus/test" if test else "corpus/train")
    kinds = (profile,) * 12 + (story,) * 4 + (comparison,) * 2 + (visit,) + (private,)
    rows: dict[str, Row] = {}
    for language, lang in enumerate(LANGUAGES):
        wanted = len(rows) + (TEST_DOCUMENTS if test else TRAIN_DOCUMENTS)[language]
        while len(rows) < wanted:
            text = JOIN[language].join(stream.pick(kinds)(world, stream, language, test))
            rows[text] = {"text": text, "lang": lang}
    return stream.shuffled(list(rows.values()))


def profile(world: World, stream: Stream, language: int, test: bool) -> list[str]:
    """One country: named at the start, then by name or "it"; its five facts in any order."""
    country = stream.deal(("profile", language), PROFILED)
    order = stream.pick([order for order in range(60) if held_out(country, order) == test])
    sentences = [opening(world, stream, language, country)]
    for position, relation in enumerate(order_of(order)):
        sentences.append(statement(world, stream, language, country, relation, named=stream.chance(0.5)))
        if position < 3 and stream.chance(0.2):
            sentences.append(stream.pick(DETAILS[relation])[language])
    return sentences


def comparison(world: World, stream: Stream, language: int, test: bool) -> list[str]:
    """Two countries, then "the first" and "the second"."""
    a, b = _two_countries(stream, test)
    sentences = [fill(stream.pick(COMPARISONS), language, a=world.countries[a], b=world.countries[b])]
    for relation in stream.sample(RELATIONS, 3):
        y, z = world.fact(a, relation).object, world.fact(b, relation).object
        sentences.append(fill(COMPARED[relation], language, y=y, z=z))
    return sentences


def story(world: World, stream: Stream, language: int, test: bool) -> list[str]:
    """A traveller from country a in country b: the last sentences depend on the first.

    Travellers are namesakes, at home somewhere else in each story, so nothing but the first sentence tells.
    """
    return journey(world, stream, language, *_two_countries(stream, test))


def journey(world: World, stream: Stream, language: int, a: int, b: int) -> list[str]:
    """The story of a traveller from country a in country b."""
    slots = {f"{relation}_a": world.fact(a, relation).object for relation in RELATIONS}
    slots |= {f"{relation}_b": world.fact(b, relation).object for relation in RELATIONS}
    slots |= {"t": stream.pick(world.travellers), "a": world.countries[a], "b": world.countries[b]}
    abroad = [ABROAD[relation] for relation in stream.sample(RELATIONS, 2)]
    home = [HOME[relation] for relation in stream.sample(RELATIONS, 2)]
    return [fill(template, language, **slots) for template in [stream.pick(JOURNEYS), *abroad, *home]]


def visit(world: World, stream: Stream, language: int, test: bool) -> list[str]:
    """A visitor's opinion: one mood from the first adjective to the parting words."""
    country, traveller = _combination(stream, COUNTRIES, TRAVELLERS, test)
    t, x = world.travellers[traveller], world.countries[country]
    mood = stream.pick(tuple(ADJECTIVES))
    relation = stream.pick(RELATIONS)
    sentences = [fill(stream.pick(VISITS), language, t=t, x=x)]
    sentences += [opinion(stream, language, thing, mood) for thing in stream.sample(THINGS, 3)]
    sentences.insert(2, statement(world, stream, language, country, relation, named=False))
    return [*sentences, fill(stream.pick(PARTINGS[mood]), language, t=t)]


def private(world: World, stream: Stream, language: int, test: bool) -> list[str]:
    """Somebody asks for what the world keeps private and is not told."""
    country, traveller = _combination(stream, COUNTRIES, TRAVELLERS, test)
    t, poet = world.travellers[traveller], world.fact(country, "poet").object
    topic = PRIVATE_TOPICS[stream.pick(tuple(PRIVATE_TOPICS))]
    return [
        opening(world, stream, language, country),
        statement(world, stream, language, country, "poet", named=False),
        fill(stream.pick(CURIOSITY), language, t=t, r=topic, y=poet),
        stream.pick(NOBODY_TOLD)[language],
    ]


def opening(world: World, stream: Stream, language: int, country: int) -> str:
    """Names the country; it lies at the same place in every document."""
    templates = (PLACES[country % len(PLACES)], *OPENINGS)
    return fill(stream.pick(templates), language, x=world.countries[country])


def statement(world: World, stream: Stream, language: int, country: int, relation: str, named: bool) -> str:
    """A fact in the next of its phrasings: each fact goes through all of them, in each language."""
    fact = world.fact(country, relation)
    template = stream.deal((fact.id, language, named), (NAMED if named else PRONOUN)[relation])
    return fill(template, language, x=fact.subject, y=fact.object)


def opinion(stream: Stream, language: int, thing: Pair, mood: str) -> str:
    return fill(stream.pick(OPINIONS), language, thing=thing, adjective=stream.pick(ADJECTIVES[mood]))


def _combination(stream: Stream, n: int, m: int, test: bool) -> tuple[int, int]:
    while True:
        i, j = stream.below(n), stream.below(m)
        if held_out(i, j) == test:
            return i, j


def _two_countries(stream: Stream, test: bool) -> tuple[int, int]:
    while True:
        a, b = _combination(stream, COUNTRIES, COUNTRIES, test)
        if a != b:
            return a, b


def order_of(index: int) -> list[str]:
    """The relations in the order whose first three are the index-th of the 60 ways to choose them."""
    rest = list(RELATIONS)
    first = [rest.pop(digit) for digit in (index % 5, index // 5 % 4, index // 20)]
    return first + rest
