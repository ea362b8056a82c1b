"""Histories: journeys with names that come back, each marked with how far back it was last said.

What a trader sets out with is said in the first sentence and needed again in the last ones; between them the journey
goes through cities and people of its own, which say nothing of it. So the last sentences can be told from the first
alone: what has to be kept over the whole document is who, from where, with what and for whom.
"""

from string import Formatter

from hfcourse.world.documents import JOIN, Row, held_out
from hfcourse.world.facts import COUNTRIES, TRAVELLERS, World
from hfcourse.world.names import LANGUAGES, Pair, Stream, pairs


# English, Chinese.
TRAIN_HISTORIES, TEST_HISTORIES = (6000, 2500), (200, 100)
# Where the needed word was last said: in the same sentence, in an earlier one, in none but the first.
SENTENCE, EARLIER, START = "sentence", "earlier", "start"
STOPS = 2  # at most; a journey has one at least
# What is learnt here is to remember, not to know many names: half of the countries are homes, the capitals of the
# others are on the way; half of the travellers set out, the others are met.
HOMES, TRADERS = COUNTRIES // 2, TRAVELLERS // 2

CARRIED = pairs("""
    tea | 茶
    iron | 铁
    steel | 钢
    silver | 银
    books | 书
    maps | 地图
""")
OFFERED = pairs("""
    rice | 米
    fish | 鱼
    food | 食品
    water | 水
    music | 音乐
""")
# {t} a trader, {f} a friend, {a} the home country, {g} goods; no document starts with a name (stories.py).
FIRST = pairs("""
    The trader {t} comes from {a} with {g} for {f}. | 商人{t}来自{a}，要把{g}送给{f}。
    In {a} lived a trader, {t}, who had {g} for {f}. | 在{a}有一个商人，叫{t}，想把{g}送给{f}。
    This is about {t}, a trader from {a}, with {g} for {f}. | 这里说的是商人{t}，来自{a}，有{g}要送给{f}。
""")
# {p} a city, {q} somebody who lives there, {h} what there is.
ARRIVALS = pairs("""
    In {p} the trader met {q}, and {q} asked for {h}. | 商人在{p}和{q}交了朋友，{q}想要{h}。
    Then came {p}, where {q} has a shop, and the shop of {q} is full of {h}. | 后来去了{p}，{q}有店，{q}的店里都是{h}。
    The city {p} is known for {h}, and in {p} one buys {h} from {q}. | 城市{p}有很多{h}，在{p}买{h}的人都去问{q}。
""")
STAYS = pairs("""
    It was lovely in {p}, and the {h} of {q} was good. | {p}很美，{q}的{h}很好。
    There {q} was happy in {p} and had {h} for all. | {q}在{p}很高兴，给大家{h}。
    All who left {p} had {h} from {q}. | 离开{p}的人都有{q}的{h}。
""")
LAST = pairs("""
    In the end the trader was at home again, in {a}. | 最后，商人回了家乡{a}。
    Away went all of the {g}. | 商人送出了所有的{g}。
    The friend who came was {f}. | 来的朋友是{f}。
    That was the journey of {t}. | 这是{t}的旅行。
""")


def histories(world: World, test: bool) -> list[Row]:
    """Rows {"text", "lang", "marks"}, no text twice; test documents combine traders and countries in new ways.

    A mark {"start", "end", "distance"} is a span of characters that hold a name said before, and where it was last
    said: "sentence", "earlier" or "start".
    """
    stream = world.stream(f"histories/{test}")
    rows: dict[str, Row] = {}
    for language, lang in enumerate(LANGUAGES):
        wanted = len(rows) + (TEST_HISTORIES if test else TRAIN_HISTORIES)[language]
        while len(rows) < wanted:
            text, marks = told(journey(world, stream, test), language)
            rows[text] = {"text": text, "lang": lang, "marks": marks}
    return stream.shuffled(list(rows.values()))


def journey(world: World, stream: Stream, test: bool) -> list[tuple[Pair, dict[str, Pair]]]:
    """The sentences of one history, as templates and what stands in their slots."""
    while True:
        home, (trader, friend) = stream.below(HOMES), stream.sample(range(TRADERS), 2)
        if held_out(home, trader) == test:
            break
    people, capitals = world.travellers, [world.fact(country, "capital").object for country in range(HOMES, COUNTRIES)]
    own = {"t": people[trader], "f": people[friend], "a": world.countries[home], "g": stream.pick(CARRIED)}
    sentences = [(stream.pick(FIRST), own)]
    stops = [stream.sample(names, STOPS) for names in (capitals, people[TRADERS:], OFFERED)]
    for p, q, h in list(zip(*stops, strict=True))[: 1 + stream.below(STOPS)]:
        slots = {"p": p, "q": q, "h": h}
        sentences += [(stream.pick(ARRIVALS), slots), (stream.pick(STAYS), slots)]
    return sentences + [(template, own) for template in stream.shuffled(LAST)]


def told(sentences: list[tuple[Pair, dict[str, Pair]]], language: int) -> tuple[str, list[Row]]:
    """The text in one language, and its marks in order."""
    text, marks = "", []
    last: dict[Pair, int] = {}  # the number of the sentence that said a name last
    for number, (template, slots) in enumerate(sentences):
        text += JOIN[language] if number else ""
        for literal, slot, _, _ in Formatter().parse(template[language]):
            text += literal
            if slot is None:
                continue
            name, start = slots[slot], len(text)
            text += name[language]
            if name in last:
                near = SENTENCE if last[name] == number else EARLIER if last[name] else START
                marks.append({"start": start, "end": len(text), "distance": near})
            last[name] = number
    return text, marks
