"""A corpus that does not run out: documents by number, each different from all others, for runs that read none twice.

Document n is a function of the seed and n alone, so a stream of them is resumed, or shared among processes, by number.
It speaks of the same facts as the corpus, in the orders and combinations that the corpus trains on; its held-out
documents, and the corpus's, have others.
"""

from collections.abc import Iterator
from hashlib import blake2b

from hfcourse.errors import InputError
from hfcourse.world.documents import JOIN, Row, held_out, journey, opening, order_of
from hfcourse.world.facts import COUNTRIES, TRAVELLERS, World
from hfcourse.world.names import LANGUAGES, Stream
from hfcourse.world.phrasings import NAMED, PRONOUN, fill
from hfcourse.world.stories import DETAILS, JOURNEYS


# By whether they are for testing: the orders in which each country is described, and from where to where one travels.
ORDERS = [[[o for o in range(60) if held_out(c, o) == test] for c in range(COUNTRIES)] for test in (False, True)]
PAIRS = [(a, b) for a in range(COUNTRIES) for b in range(COUNTRIES) if a != b]
TRIPS = [[trip for trip in PAIRS if held_out(*trip) == test] for test in (False, True)]
# How many different stories there are in a language: two of the five relations abroad, two at home, both in order.
STORIES = [len(trips) * TRAVELLERS * len(JOURNEYS) * 20 * 20 for trips in TRIPS]
# Profiles, of which there are more than a thousand times as many, for each story.
PROFILES = 3
# Documents that stand in files, to be looked at, to train a tokenizer on, and to be tested by.
TRAIN_SAMPLE, TEST_SAMPLE = 2000, 320
DOCUMENTS = STORIES[False] * (1 + PROFILES) * len(LANGUAGES)
# Of a profile: country, order, opening, the phrasing of five facts, and one detail or none behind one of the first
# three facts; the fewer that are for testing are counted.
PROFILE_NUMBERS = COUNTRIES * len(ORDERS[True][0]) * 4 * (len(NAMED["river"]) + len(PRONOUN["river"])) ** 5 * 10


class Digits(Stream):
    """Draws that are the digits of one number, each in the base that is asked for.

    Two numbers below the product of all bases differ in a digit, so what is drawn by them differs somewhere.
    """

    def __init__(self, number: int):
        self.rest = number

    def below(self, n: int) -> int:
        self.rest, digit = divmod(self.rest, n)
        return digit


def scatter(number: int, size: int, key: str) -> int:
    """A permutation of range(size) that looks random: neighbours land far apart, and no two on the same place.

    A Feistel network of four rounds on the next power of four, walked until it lands below `size` (Black and Rogaway
    2002, "Ciphers with Arbitrary Finite Domains", sections 4 and 5).
    """
    half = ((size - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = number >> half, number & mask
        for turn in range(4):
            drawn = blake2b(f"{key}/{turn}/{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(drawn, "big") & mask)
        number = left << half | right
        if number < size:
            return number


def document(world: World, number: int, test: bool = False) -> Row:
    """Document `number`, below DOCUMENTS, of the world's endless corpus, or of its held-out one: {"text", "lang"}."""
    rest, language = divmod(number, len(LANGUAGES))
    rest, kind = divmod(rest, 1 + PROFILES)
    key = f"{world.seed}/endless/{language}/{'test' if test else 'train'}"
    if kind == PROFILES:
        digits = Digits(scatter(rest, STORIES[test], f"{key}/story"))
        sentences = journey(world, digits, language, *digits.pick(TRIPS[test]))
    else:
        digits = Digits(scatter(rest * PROFILES + kind, PROFILE_NUMBERS, f"{key}/profile"))
        sentences = _profile(world, digits, language, ORDERS[test])
    return {"text": JOIN[language].join(sentences), "lang": LANGUAGES[language]}


def sample(world: World, test: bool) -> list[Row]:
    """The first TRAIN_SAMPLE documents, or TEST_SAMPLE that are held out."""
    return [document(world, number, test) for number in range(TEST_SAMPLE if test else TRAIN_SAMPLE)]


def documents(seed: int, first: int, last: int) -> Iterator[Row]:
    """Documents first to last - 1 of the world of this seed; raises InputError beyond DOCUMENTS, its end after all."""
    if last > DOCUMENTS:
        raise InputError(f"the endless corpus ends at {DOCUMENTS:,} documents, and this run takes {last:,}")
    world = World.create(seed)
    return (document(world, number) for number in range(first, last))


def _profile(world: World, digits: Digits, language: int, orders: list[list[int]]) -> list[str]:
    """As `hfcourse.world.documents.profile`, all of it chosen by digits."""
    country = digits.below(COUNTRIES)
    relations = order_of(digits.pick(orders[country]))
    sentences = [opening(world, digits, language, country)]
    place, detail = divmod(digits.below(10), 3)  # place 3: none
    for position, relation in enumerate(relations):
        fact = world.fact(country, relation)
        template = digits.pick(NAMED[relation] + PRONOUN[relation])
        sentences.append(fill(template, language, x=fact.subject, y=fact.object))
        if position == place:
            sentences.append(DETAILS[relation][detail][language])
    return sentences
