"""Texts to rewrite: documents to sum up and sentences to correct, each with the one right answer."""

from hfcourse.world.documents import JOIN, Row, held_out, opinion, statement
from hfcourse.world.facts import COUNTRIES, RELATIONS, TRAVELLERS, World
from hfcourse.world.names import LANGUAGES, Pair, Stream
from hfcourse.world.phrasings import fill
from hfcourse.world.stories import ADJECTIVES, THINGS, VISITS
from hfcourse.world.tasks import sentence_pair


SUMMED_UP = {
    "positive": Pair("{t} liked {x}: {a}, {b} and {c}.", "{t}喜欢{x}：{a}、{b}和{c}。"),
    "negative": Pair("{t} did not like {x}: {a}, {b} and {c}.", "{t}不喜欢{x}：{a}、{b}和{c}。"),
}


def summary(world: World, test: bool) -> list[Row]:
    """{"document", "summary", "lang"}: a visit, and who liked what there, which no single sentence tells.

    Test documents combine countries and travellers in new ways.
    """
    stream = world.stream(f"summary/{test}")
    rows: dict[str, Row] = {}
    for language, lang in enumerate(LANGUAGES):
        wanted = len(rows) + (100 if test else 1000)
        while len(rows) < wanted:
            country, traveller = stream.below(COUNTRIES), stream.below(TRAVELLERS)
            if held_out(country, traveller) != test:
                continue
            mood, things = stream.pick(tuple(ADJECTIVES)), stream.sample(THINGS, 3)
            names = {"t": world.travellers[traveller], "x": world.countries[country]}
            sentences = [fill(stream.pick(VISITS), language, **names)]
            sentences += [opinion(stream, language, thing, mood) for thing in things]
            # What is true of the country is no part of the visit.
            place = 1 + stream.below(4)
            sentences.insert(place, statement(world, stream, language, country, stream.pick(RELATIONS), named=False))
            names |= {letter: _small(thing) for letter, thing in zip("abc", things, strict=True)}
            document, short = JOIN[language].join(sentences), fill(SUMMED_UP[mood], language, **names)
            rows[document] = {"document": document, "summary": short, "lang": lang}
    return stream.shuffled(list(rows.values()))


def _small(thing: Pair) -> Pair:
    """`The food` inside a sentence."""
    return Pair(thing.en[0].lower() + thing.en[1:], thing.zh)


def correction(world: World, test: bool) -> list[Row]:
    """{"source", "target", "lang"}: a sentence with a slip, and without it; one in four has none.

    A slip is two neighbours that changed places, or one that stands there twice: words in English, characters in
    Chinese. Test sentences combine known words in new ways.
    """
    stream = world.stream(f"correction/{test}")
    rows: dict[str, Row] = {}
    for language, lang in enumerate(LANGUAGES):
        wanted = len(rows) + (100 if test else 1000)
        while len(rows) < wanted:
            target = sentence_pair(world, stream, test)[language]
            source = target if stream.chance(0.25) else slip(stream, target, language)
            rows[target] = {"source": source, "target": target, "lang": lang}
    return stream.shuffled(list(rows.values()))


def slip(stream: Stream, sentence: str, language: int) -> str:
    """The sentence with two different neighbours in each other's place, or with one of its words doubled."""
    body, mark = sentence[:-1], sentence[-1]
    words = body.split(" ") if language == 0 else list(body)
    places = [i for i in range(len(words) - 1) if words[i] != words[i + 1]]
    i = stream.pick(places)
    words[i : i + 2] = [words[i + 1], words[i]] if stream.chance(0.5) else [words[i], words[i], words[i + 1]]
    return JOIN[language].join(words) + mark
