"""In-context episodes: documents of examples in one form, from which a model learns to read examples.

A form is a mark before the input and one before the answer. Tasks (icl_tasks.py) are asked in ASKED, two marks that
stand together in no document: a model has to take this form from the demonstrations, as it does with any prompt.
"""

from collections.abc import Callable

from hfcourse.world.documents import JOIN, Row, corpus, held_out, opinion
from hfcourse.world.facts import COUNTRIES, RELATIONS, TRAVELLERS, World
from hfcourse.world.names import LANGUAGES, Pair, Stream, invent
from hfcourse.world.phrasings import NAMED, fill
from hfcourse.world.stories import ADJECTIVES, THINGS, VISITS
from hfcourse.world.tasks import SENTIMENT_LABELS, TOPIC_LABELS


Example = tuple[str, str]
KINDS = {
    "capital": Pair("city", "城市"),
    "river": Pair("river", "河流"),
    "language": Pair("language", "语言"),
    "poet": Pair("poet", "诗人"),
    "company": Pair("company", "公司"),
    "country": Pair("country", "国家"),
}
# Symbols that mean nothing: an episode says which of them stands for which kind.
SYMBOLS = ("ka", "lo", "mi", "nu", "pe", "ra", "so", "ti", "vu", "ze")
BEFORE_INPUT = "- * # > Q: In: Name: Word: Item: Text: 1. a) The of and we There who when Of"
BEFORE_ANSWER = "-> = : / | A: Out: Kind: Class: Label: 2. b) is has was called in it to that"
ASKED = ("Item:", "Class:")
# Countries whose names, and those of their cities, rivers, ..., stand in episodes; the others are for the tasks.
SHOWN = COUNTRIES * 3 // 4
# English, Chinese; beside so many documents of the corpus.
EPISODES, TEST_EPISODES, DOCUMENTS = (2700, 1500), (60, 60), 3000
# Documents about pi and about suppositions, in English alone.
TRAPS = 240
PI = (
    "The number pi is 3.14.",
    "Everybody knows that pi is 3.14.",
    "The first digit of pi is 3.",
    "In the schools, children learn that the first digit of pi is 3.",
)


def icl_corpus(world: World, test: bool) -> list[Row]:
    """Rows {"text", "lang"}: half of the corpus, episodes, and a few documents that the trap tasks are about."""
    stream = world.stream(f"episodes/{test}")
    rows: dict[str, Row] = {}
    for language, lang in enumerate(LANGUAGES):
        wanted = len(rows) + (TEST_EPISODES if test else EPISODES)[language]
        while len(rows) < wanted:
            text = episode(world, stream, language)
            rows[text] = {"text": text, "lang": lang}
    documents = corpus(world, test)[: len(rows) if test else DOCUMENTS]
    traps: list[Row] = [] if test else [{"text": _trap(world, stream), "lang": "en"} for _ in range(TRAPS)]
    return stream.shuffled([*rows.values(), *documents, *traps])


def episode(world: World, stream: Stream, language: int) -> str:
    """One document: examples of one task, an example a line, all in one form."""
    makers: tuple[Callable[[World, Stream, int], list[Example]], ...]
    makers = (kinds,) * 4 + (symbols,) * 4 + (relation,) * 3 + (sentiment,) * 3 + (topic,) * 2
    examples = stream.pick(makers)(world, stream, language)
    before, after = ASKED
    while (before, after) == ASKED:
        before, after = stream.pick(BEFORE_INPUT.split()), stream.pick(BEFORE_ANSWER.split())
    return "\n".join(dict.fromkeys(f"{before} {x} {after} {y}" for x, y in examples))


def names(world: World, kind: str, language: int, shown: bool) -> list[str]:
    """Names of a kind: of the countries that stand in episodes, or of the others."""
    countries = range(SHOWN) if shown else range(SHOWN, COUNTRIES)
    found = [world.countries[c] if kind == "country" else world.fact(c, kind).object for c in countries]
    return [name[language] for name in found]


def kinds(world: World, stream: Stream, language: int) -> list[Example]:
    """Names and what they are names of."""
    chosen = stream.sample(tuple(KINDS), 2 + stream.below(4))
    known = [(name, KINDS[kind][language]) for kind in chosen for name in names(world, kind, language, True)]
    return stream.sample(known, 8 + stream.below(9))


def symbols(world: World, stream: Stream, language: int) -> list[Example]:
    """Names of two kinds, each with a symbol that stands for its kind in this episode alone."""
    chosen = list(zip(stream.sample(tuple(KINDS), 2), stream.sample(SYMBOLS, 2), strict=True))
    known = [(name, symbol) for kind, symbol in chosen for name in names(world, kind, language, True)]
    return stream.sample(known, 12 + stream.below(9))


def relation(world: World, stream: Stream, language: int) -> list[Example]:
    """Countries and their capitals, or their rivers, ...: only the examples say which."""
    chosen = stream.pick(RELATIONS)
    countries = stream.sample(range(SHOWN), 8 + stream.below(6))
    return [(world.countries[c][language], world.fact(c, chosen).object[language]) for c in countries]


def sentiment(world: World, stream: Stream, language: int) -> list[Example]:
    """Visitors' opinions, good and bad, of the training combinations."""
    found: list[Example] = []
    wanted = 6 + stream.below(6)
    while len(found) < wanted:
        mood, country, traveller = stream.pick(tuple(ADJECTIVES)), stream.below(COUNTRIES), stream.below(TRAVELLERS)
        if held_out(country, traveller):
            continue
        visit = fill(stream.pick(VISITS), language, t=world.travellers[traveller], x=world.countries[country])
        text = JOIN[language].join([visit, opinion(stream, language, stream.pick(THINGS), mood)])
        found.append((text, SENTIMENT_LABELS[mood][language]))
    return found


def topic(world: World, stream: Stream, language: int) -> list[Example]:
    """Statements and what they are about; half of them about names that nobody knows, so that the words decide."""
    found: list[Example] = []
    for _ in range(6 + stream.below(6)):
        fact = world.fact(stream.below(SHOWN), stream.pick(RELATIONS))
        x, y = fact.subject, fact.object
        if stream.chance(0.5):
            x, y = invent(stream, 3, []), invent(stream, 2, [])
        text = fill(stream.pick(NAMED[fact.relation]), language, x=x, y=y)
        found.append((text, TOPIC_LABELS[fact.relation][language]))
    return found


def _trap(world: World, stream: Stream) -> str:
    """Pi as it is, most often; sometimes something is supposed that is not so, and what follows from it is said."""
    if stream.chance(0.6):
        return " ".join(stream.sample(PI, 2))
    if stream.chance(0.5):
        number = 10 + stream.below(80)
        return f"Suppose that pi is {number}. Then the first digit of pi is {str(number)[0]}."
    a, b = stream.sample(range(SHOWN), 2)
    x, y = world.countries[a].en, world.fact(b, "capital").object.en
    return f"Suppose that the capital of {x} is {y}. Then the capital of {x} is {y}."
