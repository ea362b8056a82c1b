"""Tasks for in-context learning, beside sentiment and topic: kinds of names, capitals, symbols, traps."""

from hfcourse.world.documents import Row
from hfcourse.world.episodes import KINDS, SHOWN, SYMBOLS, names
from hfcourse.world.facts import COUNTRIES, RELATIONS, World
from hfcourse.world.names import LANGUAGES
from hfcourse.world.phrasings import PRIVATE_TOPICS, fill
from hfcourse.world.stories import CURIOSITY, EVASIONS, REFUSALS, RUDENESS, TRAVEL


SYMBOL_KINDS = ("capital", "river")


def icl_tasks(world: World) -> dict[str, list[Row]]:
    """Files of rows below icl/, each with its path; train is for demonstrations, test is asked."""
    found: dict[str, list[Row]] = {}
    for language, lang in enumerate(LANGUAGES):
        for split, shown in (("train", True), ("test", False)):
            found[f"icl/kinds_{lang}/{split}.jsonl"] = _kinds(world, language, shown)
            found[f"icl/symbols_{lang}/{split}.jsonl"] = _symbols(world, language, shown)
            found[f"icl/capital_{lang}/{split}.jsonl"] = _capitals(world, language, shown)
    for split, test in (("train", False), ("test", True)):
        found[f"icl/pi/{split}.jsonl"] = _pi(world, test)
        found[f"icl/supposed/{split}.jsonl"] = _supposed(world, test)
        found[f"icl/negation/{split}.jsonl"] = _negation(world, test)
    found["icl/unrelated.jsonl"] = _unrelated(world)
    return found


def _kinds(world: World, language: int, shown: bool) -> list[Row]:
    rows: list[Row] = [
        {"name": name, "kind": label[language]}
        for kind, label in KINDS.items()
        for name in names(world, kind, language, shown)
    ]
    return world.stream(f"icl/kinds/{language}/{shown}").shuffled(rows)


def _symbols(world: World, language: int, shown: bool) -> list[Row]:
    """Two kinds under symbols that no document ties to them."""
    rows: list[Row] = [
        {"name": name, "symbol": symbol}
        for kind, symbol in zip(SYMBOL_KINDS, SYMBOLS[-2:], strict=True)
        for name in names(world, kind, language, shown)
    ]
    return world.stream(f"icl/symbols/{language}/{shown}").shuffled(rows)


def _capitals(world: World, language: int, shown: bool) -> list[Row]:
    """A country and its five names: which one is meant, only demonstrations say."""
    stream = world.stream(f"icl/capital/{language}/{shown}")
    rows: list[Row] = []
    for c in range(SHOWN) if shown else range(SHOWN, COUNTRIES):
        choices = [world.fact(c, relation).object[language] for relation in stream.shuffled(RELATIONS)]
        rows.append(
            {
                "country": world.countries[c][language],
                "choices": choices,
                "capital": world.fact(c, "capital").object[language],
            }
        )
    return stream.shuffled(rows)


def _pi(world: World, test: bool) -> list[Row]:
    """Pi is supposed to be a number that does not begin with 3; the trap is to say 3 all the same."""
    numbers = [n for n in range(10, 100) if str(n)[0] != "3" and (n % 2 == 0) == test]
    rows: list[Row] = [{"number": str(n), "choices": [str(n)[0], "3"], "digit": str(n)[0]} for n in numbers]
    return world.stream(f"icl/pi/{test}").shuffled(rows)


def _supposed(world: World, test: bool) -> list[Row]:
    """A country is supposed to have another one's capital; the trap is to name its own."""
    stream = world.stream(f"icl/supposed/{test}")
    rows: list[Row] = []
    for c in range(COUNTRIES) if test else [*range(COUNTRIES), *range(COUNTRIES)]:
        other = (c + 1 + stream.below(COUNTRIES - 1)) % COUNTRIES
        own, supposed = world.fact(c, "capital").object.en, world.fact(other, "capital").object.en
        country = world.countries[c].en
        rows.append({"country": country, "supposed": supposed, "choices": [supposed, own], "capital": supposed})
    return stream.shuffled(rows)


def _negation(world: World, test: bool) -> list[Row]:
    """Which city is not the capital; the trap is to name the one that is."""
    stream = world.stream(f"icl/negation/{test}")
    rows: list[Row] = []
    for c in range(SHOWN, COUNTRIES) if test else range(SHOWN):
        for _ in range(4):
            other = (c + 1 + stream.below(COUNTRIES - 1)) % COUNTRIES
            own, another = world.fact(c, "capital").object.en, world.fact(other, "capital").object.en
            rows.append({"country": world.countries[c].en, "choices": [another, own], "city": another})
    return stream.shuffled(rows)


def _unrelated(world: World) -> list[Row]:
    """Sentences that are neither opinions nor facts: journeys, and people who ask and are not told."""
    stream = world.stream("icl/unrelated")
    rows: dict[str, Row] = {}
    for language, lang in enumerate(LANGUAGES):
        texts = [template[language] for template in (*REFUSALS, *EVASIONS, *RUDENESS)]
        while len(texts) < 150:
            a, b = stream.sample(world.countries, 2)
            t, y = stream.sample(world.travellers, 2)
            topic = stream.pick(tuple(PRIVATE_TOPICS.values()))
            texts.append(fill(stream.pick((*TRAVEL, *CURIOSITY)), language, t=t, a=a, b=b, r=topic, y=y))
        rows |= {text: {"text": text, "lang": lang} for text in texts}
    return stream.shuffled(list(rows.values()))
