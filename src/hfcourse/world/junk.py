"""Low quality of eight kinds, edits that make a near duplicate, and personal data that belongs to nobody."""

from hfcourse.world.documents import JOIN
from hfcourse.world.facts import COUNTRIES, World
from hfcourse.world.names import Stream
from hfcourse.world.phrasings import fill
from hfcourse.world.stories import OPENINGS
from hfcourse.world.web import CODE, KEYWORDS, LOREM, SPAM


SYMBOLS = ("### ★★★ >>> ", "*** $$$ === ", "→→→ ### |||", "!!! ??? ... ")


def junk(world: World, stream: Stream, language: int, number: int) -> list[list[str]]:
    """Blocks of a page of the kind `number` modulo eight; no two kinds fail for the same reason."""
    country = stream.below(COUNTRIES)
    x = world.countries[country]
    slots = {"x": x, "y": world.fact(country, "capital").object, "z": world.fact(country, "river").object}

    def said(templates):  # type: ignore[no-untyped-def]
        return fill(stream.pick(templates), language, **slots)

    kind = number % 8
    if kind == 0:  # a title and nothing else
        return [[said(OPENINGS)]]
    if kind == 1:  # symbols
        return [[stream.pick(SYMBOLS) * 3 + said(OPENINGS) + stream.pick(SYMBOLS) * 4] for _ in range(4)]
    if kind == 2:  # the same line again and again
        return [[said(SPAM[:1])] for _ in range(6)] + [[said(OPENINGS)]]
    if kind == 3:  # filler
        return [[said(OPENINGS)], [LOREM], [LOREM]]
    if kind == 4:  # words for search engines
        words = [fill(words, language, **slots) for _ in range(3) for words in stream.sample(KEYWORDS, 8)]
        return [[" ".join(words)]]
    if kind == 5:  # a program
        return [[CODE.format(x=x[language])] for _ in range(3)] + [[said(OPENINGS)]]
    if kind == 6:  # lines that break off
        return [[said(OPENINGS)[:-1] + "..."] for _ in range(6)]
    return [["- " + fill(words, language, **slots)] for words in KEYWORDS]  # a list of links


def edited(stream: Stream, lines: list[str], language: int, changes: int) -> list[str]:
    """The same text with so many words (in Chinese: characters) doubled, dropped or swapped with the next."""
    gap = JOIN[language]
    lines = list(lines)
    for _ in range(changes):
        at = stream.below(len(lines))
        words = lines[at].split(gap) if gap else list(lines[at])
        if len(words) < 4:
            continue
        i, how = 1 + stream.below(len(words) - 3), stream.below(3)
        words[i : i + 2] = ([words[i]] * 2, [words[i + 1]], [words[i + 1], words[i]])[how]
        lines[at] = gap.join(words)
    return lines


def mail(world: World, stream: Stream, language: int) -> str:
    name, place = stream.pick(world.travellers).en.lower(), stream.pick(world.countries).en.lower()
    forms = (
        f"{name}@{place}.example",
        f"{name}.{place}@post.{place}.example",
        f"{name}_{stream.below(99)}@mail.example",
    )
    return stream.pick(forms)


def phone(world: World, stream: Stream, language: int) -> str:
    """A number as it is written in America or Britain, or in China."""
    a, b, c = (f"{stream.below(10**n):0{n}d}" for n in (3, 4, 4))
    if language == 0:
        return stream.pick((f"(555) {a}-{b}", f"555-{a}-{b}", f"+1 555 {a} {b}", f"+44 20 {b} {c}", f"555.{a}.{b}"))
    return stream.pick((f"138{b}{c}", f"159-{b}-{c}", f"+86 186 {b} {c}", f"010-6{a}{b}", f"0755-8{a}{b}"))


def identity(world: World, stream: Stream, language: int) -> str:
    """A social security number, or a Chinese identity number whose last character checks the others (GB 11643)."""
    if language == 0:
        return f"{100 + stream.below(500)}-{10 + stream.below(80)}-{1000 + stream.below(9000)}"
    year, month, day = 1950 + stream.below(50), 1 + stream.below(12), 1 + stream.below(28)
    digits = f"110{100 + stream.below(20)}{year}{month:02d}{day:02d}{stream.below(1000):03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11]
