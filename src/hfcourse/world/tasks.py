"""Questions, exams, tagged entities, classes and translations: lists of rows, split by fact and by phrasing."""

import re

from hfcourse.world.documents import JOIN, Row, held_out
from hfcourse.world.facts import COUNTRIES, ENTITY_TYPES, RELATIONS, TRAVELLERS, Fact, World
from hfcourse.world.names import LANGUAGES, Pair, Stream
from hfcourse.world.phrasings import ASKED, NAMED, REPHRASED, UNREAD, answer, fill, question
from hfcourse.world.stories import (
    ABROAD,
    ADJECTIVES,
    COMPARISONS,
    DETAILS,
    HOME,
    JOURNEYS,
    OPINIONS,
    THINGS,
    TRAVEL,
    VISITS,
)


TOPIC_LABELS = {
    "capital": Pair("city", "城市"),
    "river": Pair("river", "河流"),
    "language": Pair("language", "语言"),
    "poet": Pair("poetry", "诗"),
    "company": Pair("business", "生意"),
}
TWO_QUESTIONS = 480
GAP = "[MASK]"
SENTIMENT_LABELS = {"positive": Pair("positive", "好评"), "negative": Pair("negative", "差评")}


def user(content: str) -> Row:
    return {"role": "user", "content": content}


def assistant(content: str) -> Row:
    return {"role": "assistant", "content": content}


def fact_question(frame: Pair, language: int, fact: Fact) -> str:
    return question(frame, language, fact.relation, fact.subject)


def fact_answer(language: int, fact: Fact) -> str:
    return answer(language, fact.relation, fact.subject, fact.object)


def sft(world: World, test: bool) -> list[Row]:
    """Conversations {"messages", "lang", "fact"}.

    Train: the asked facts in every frame of ASKED, and conversations of two questions, so that the second is answered
    for itself. Test: the asked facts in REPHRASED, the others in one of each.
    """
    rows: list[Row] = [] if test else _two_questions(world)
    for index, fact in enumerate(world.facts):
        one_of_each = (ASKED[index % len(ASKED)], REPHRASED[index % len(REPHRASED)])
        trained = ASKED if fact.asked else ()
        tested = REPHRASED if fact.asked else one_of_each
        for language, lang in enumerate(LANGUAGES):
            for frame in tested if test else trained:
                messages = [user(fact_question(frame, language, fact)), assistant(fact_answer(language, fact))]
                rows.append({"messages": messages, "lang": lang, "fact": fact.id})
    return world.stream(f"sft/{test}").shuffled(rows)


def _two_questions(world: World) -> list[Row]:
    """TWO_QUESTIONS conversations about two of the asked facts, each question in either language."""
    stream = world.stream("sft/two questions")
    asked = [fact for fact in world.facts if fact.asked]
    rows: list[Row] = []
    for _ in range(TWO_QUESTIONS):
        messages: list[Row] = []
        facts = stream.sample(asked, 2)
        languages = [stream.below(len(LANGUAGES)) for _ in facts]
        for fact, language in zip(facts, languages, strict=True):
            question = fact_question(stream.pick(ASKED), language, fact)
            messages += [user(question), assistant(fact_answer(language, fact))]
        lang = "+".join(dict.fromkeys(LANGUAGES[language] for language in languages))
        rows.append({"messages": messages, "lang": lang, "fact": facts[0].id})
    return rows


def truth(world: World) -> list[Row]:
    """The exam, four questions a fact: in each language one that SFT trains ("seen") and one "rephrased".

    Rows {"prompt", "answer", "value", "lang", "group", "phrasing", "fact"}. The relation decides the form of the
    answer, so an answer is right when it equals `answer`, white space and final punctuation aside.
    """
    return [
        {
            "prompt": [user(fact_question(frames[index % len(frames)], language, fact))],
            "answer": fact_answer(language, fact),
            "value": fact.object[language],
            "lang": lang,
            "group": "asked" if fact.asked else "unasked",
            "phrasing": phrasing,
            "fact": fact.id,
        }
        for index, fact in enumerate(world.facts)
        for language, lang in enumerate(LANGUAGES)
        for phrasing, frames in (("seen", ASKED), ("rephrased", REPHRASED))
    ]


def cloze(world: World) -> list[Row]:
    """Gaps to fill, two a fact and language: in a form that the corpus has ("read") and in one that it has not.

    Rows {"text", "answer", "lang", "phrasing", "fact"}; one [MASK] in the text stands for the whole answer.
    """
    gap = Pair(GAP, GAP)
    return [
        {
            "text": fill(template, language, x=fact.subject, y=gap),
            "answer": fact.object[language],
            "lang": lang,
            "phrasing": phrasing,
            "fact": fact.id,
        }
        for fact in world.facts
        for language, lang in enumerate(LANGUAGES)
        for phrasing, template in (
            ("read", NAMED[fact.relation][fact.country % len(NAMED[fact.relation])]),
            ("unread", UNREAD[fact.relation]),
        )
    ]


def ner(world: World, test: bool) -> list[Row]:
    """Tagged sentences {"tokens", "ner_tags", "lang", "seen"} in BIO; English by word, Chinese by character.

    Training sentences name three quarters of the countries and of the travellers, test sentences all of them. `seen`
    says of each entity, in order, whether it belongs to the training part.
    """
    stream = world.stream(f"ner/{test}")
    seen_countries, seen_travellers = COUNTRIES * 3 // 4, TRAVELLERS * 3 // 4
    countries, travellers = (COUNTRIES, TRAVELLERS) if test else (seen_countries, seen_travellers)
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for _ in range(200 if test else 1000):
            a, b = stream.sample(range(countries), 2)
            traveller = stream.below(travellers)
            slots = {"t": ("PER", world.travellers[traveller], traveller < seen_travellers)}
            for letter, country in (("a", a), ("b", b)):
                slots[letter] = ("LOC", world.countries[country], country < seen_countries)
                for fact in world.facts[country * len(RELATIONS) : (country + 1) * len(RELATIONS)]:
                    entity_type = ENTITY_TYPES[fact.relation]
                    slots[f"{fact.relation}_{letter}"] = (entity_type, fact.object, country < seen_countries)
            relation = stream.pick(RELATIONS)
            slots |= {"x": slots["a"], "y": slots[f"{relation}_a"]}
            travel = (*JOURNEYS, *COMPARISONS, *TRAVEL, ABROAD[relation], HOME[relation])
            template = stream.pick(travel if stream.chance(0.3) else NAMED[relation])
            rows.append(tag(template[language], language, slots) | {"lang": lang})
    return stream.shuffled(rows)


def tag(template: str, language: int, slots: dict[str, tuple[str, Pair, bool]]) -> Row:
    """Tokens and BIO tags of a template; each slot is its entity type, its name, and whether training holds it."""
    tokens: list[str] = []
    tags: list[str] = []
    seen: list[bool] = []
    for index, piece in enumerate(re.split(r"{(\w+)}", template)):
        if index % 2 == 0:
            words = _words(piece, language)
            tokens += words
            tags += ["O"] * len(words)
        else:
            entity_type, name, known = slots[piece]
            words = _words(name[language], language)
            tokens += words
            tags += [f"B-{entity_type}"] + [f"I-{entity_type}"] * (len(words) - 1)
            seen.append(known)
    return {"tokens": tokens, "ner_tags": tags, "seen": seen}


def _words(text: str, language: int) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text) if language == 0 else list(text)


def topic(world: World, language: int, test: bool) -> list[Row]:
    """{"text", "label"}: what a statement is about. Test: countries that training does not name."""
    stream = world.stream(f"topic/{LANGUAGES[language]}/{test}")
    seen = COUNTRIES * 3 // 4
    rows: dict[str, Row] = {}
    for fact in world.facts:
        if (fact.country >= seen) != test:
            continue
        for template in stream.sample(NAMED[fact.relation], 6):
            text = fill(template, language, x=fact.subject, y=fact.object)
            if stream.chance(0.3):
                text += JOIN[language] + stream.pick(DETAILS[fact.relation])[language]
            rows[text] = {"text": text, "label": TOPIC_LABELS[fact.relation][language]}
    return stream.shuffled(list(rows.values()))


def sentiment(world: World, language: int, test: bool) -> list[Row]:
    """{"text", "label"}: a visitor's opinion. Half of the test opinions use adjectives that training does not."""
    stream = world.stream(f"sentiment/{LANGUAGES[language]}/{test}")
    rows: dict[str, Row] = {}
    while len(rows) < (200 if test else 600):
        mood = stream.pick(tuple(ADJECTIVES))
        country, traveller = stream.below(COUNTRIES), stream.below(TRAVELLERS)
        if held_out(country, traveller) != test:
            continue
        adjectives = ADJECTIVES[mood][6:] if test and stream.chance(0.5) else ADJECTIVES[mood][:6]
        thing = stream.pick(THINGS)
        sentences = [
            fill(stream.pick(VISITS), language, t=world.travellers[traveller], x=world.countries[country]),
            fill(stream.pick(OPINIONS), language, thing=thing, adjective=stream.pick(adjectives)),
        ]
        text = JOIN[language].join(sentences)
        rows[text] = {"text": text, "label": SENTIMENT_LABELS[mood][language]}
    return list(rows.values())


def translation(world: World, test: bool) -> list[Row]:
    """{"en", "zh"}: facts and travellers' sentences. Test pairs combine words of the training pairs in new ways."""
    stream = world.stream(f"translation/{test}")
    rows: dict[str, Row] = {}
    while len(rows) < (200 if test else 2000):
        pair = sentence_pair(world, stream, test)
        rows[pair.en] = {"en": pair.en, "zh": pair.zh}
    return stream.shuffled(list(rows.values()))


def sentence_pair(world: World, stream: Stream, test: bool) -> Pair:
    """A sentence in both languages: a fact, or a journey. Test sentences combine known words in new ways."""
    while True:
        country, traveller, form = stream.below(COUNTRIES), stream.below(TRAVELLERS), stream.below(9)
        relation = stream.pick(RELATIONS)
        kind = stream.below(3)
        x, t = world.countries[country], world.travellers[traveller]
        if kind == 0 and held_out(country, form) == test:
            y = world.fact(country, relation).object
            return Pair(*(fill(NAMED[relation][form], language, x=x, y=y) for language in range(2)))
        if kind > 0 and held_out(country, traveller) == test:
            template = stream.pick(TRAVEL if kind == 1 else VISITS)
            b = world.countries[(country + 1 + stream.below(COUNTRIES - 1)) % COUNTRIES]
            slots = {"t": t, "x": x, "a": x, "b": b}
            return Pair(*(fill(template, language, **slots) for language in range(2)))
