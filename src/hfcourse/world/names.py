"""Seeded draws and invented names: every name is a row of syllables that have a Latin and a Chinese spelling."""

import random
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar


T = TypeVar("T")
LANGUAGES = ("en", "zh")


class Pair(NamedTuple):
    """The same name or template in English (index 0) and in Chinese (index 1)."""

    en: str
    zh: str


def pairs(text: str) -> tuple[Pair, ...]:
    """One pair a line: `English | Chinese`."""
    return tuple(Pair(*(side.strip() for side in line.split("|"))) for line in text.strip().splitlines())


class Stream:
    """Draws from one named stream of a seed.

    Built on `random.Random.random()` alone, the only draw whose sequence Python promises to keep between versions.
    """

    def __init__(self, seed: int, purpose: str):
        self._random = random.Random(f"{seed}/{purpose}").random
        self._decks: dict[Hashable, list] = {}

    def below(self, n: int) -> int:
        return int(self._random() * n)

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """k different positions of items, in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(k)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return self.sample(items, len(items))

    def deal(self, deck: Hashable, cards: Sequence[T]) -> T:
        """The next card of a named deck, shuffled anew when it is used up: every card comes up equally often."""
        rest = self._decks.setdefault(deck, [])
        if not rest:
            rest += self.shuffled(cards)
        return rest.pop()

    def chance(self, probability: float) -> bool:
        return self._random() < probability


SPELLINGS = (
    "ba/巴 be/贝 bi/比 bo/博 bu/布 da/达 de/德 di/迪 do/多 du/杜 fa/法 fi/菲 ga/加 ge/格 go/戈 gu/古 "
    "ha/哈 he/赫 ho/霍 ka/卡 ke/克 ki/基 ko/科 ku/库 la/拉 le/莱 li/利 lo/洛 lu/卢 ma/马 me/梅 mi/米 "
    "mo/莫 mu/穆 na/纳 ne/内 ni/尼 no/诺 nu/努 pa/帕 pe/佩 pi/皮 po/波 re/雷 ri/里 ro/罗 ru/鲁 sa/萨 "
    "se/塞 si/西 so/索 su/苏 ta/塔 te/特 ti/蒂 to/托 tu/图 va/瓦 ve/韦 vi/维 vo/沃 za/扎 ze/泽 zo/佐"
)
SYLLABLES = tuple(Pair(*syllable.split("/")) for syllable in SPELLINGS.split())
# What may close the first syllable: Vel-mo-ra / 维-尔-莫-拉.
CODAS = (Pair("r", "尔"), Pair("s", "斯"), Pair("n", "恩"))
# Words that the syllables can make by chance and that a reader would take for the real thing.
REAL = (
    "bali bamako banko bantu bari berta bingo bolivia bongo burma donna fargo fiji gerda goa havana homo kano "
    "kansas karla kigali kiribati kobe laos lego lesbo lesotho lima lisa lodi madera mafia maldives mali malta "
    "manila maria marko marta merde mesa milano minsk mona monako nevada nigeria nike nokia nude osaka palermo "
    "panama parma pasta pedo penis penza peru pinko pisa pizza pole porno porto prada puta rape roma rosa samoa "
    "sari sedona sega siena sofa sofia sonata sony sudan tango tanzania tesla toga togo tokio toledo toma tonga "
    "toronto tuvalu varna verona vesta visa zambia zara"
)


def invent(stream: Stream, syllables: int, taken: list[Pair]) -> Pair:
    """One new name of so many syllables, appended to `taken`.

    No name holds another one, in either language, so that a name found in a text is never part of a longer name.
    """
    while True:
        parts = stream.sample(SYLLABLES, syllables)
        if syllables == 2:
            parts.insert(1, stream.pick(CODAS))
        name = Pair("".join(part.en for part in parts).capitalize(), "".join(part.zh for part in parts))
        if name.en.lower() not in REAL.split() and not any(_overlap(name, other) for other in taken):
            taken.append(name)
            return name


def _overlap(a: Pair, b: Pair) -> bool:
    latin_a, latin_b = a.en.lower(), b.en.lower()
    return latin_a in latin_b or latin_b in latin_a or a.zh in b.zh or b.zh in a.zh
