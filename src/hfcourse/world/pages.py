"""Raw web pages with every fault that cleaning has to find, each labelled, and what cleaning is judged and taught by.

A page has one fault at most, so what each stage of cleaning should drop is known exactly. Pages without a fault carry
what a careless stage takes for one: a bomb in a museum, order numbers, verses, encodings other than UTF-8.
"""

import base64

from hfcourse.world.documents import JOIN, Row, comparison, profile, story, visit
from hfcourse.world.facts import COUNTRIES, World
from hfcourse.world.junk import edited, identity, junk, mail, phone
from hfcourse.world.markup import page, paragraphs
from hfcourse.world.names import LANGUAGES, Pair, Stream
from hfcourse.world.phrasings import fill
from hfcourse.world.web import (
    ANSWERED,
    COUNTED,
    FOREIGN,
    HARM,
    HARM_ON_PAGES,
    HARMFUL_KINDS,
    HEADINGS,
    MASKS,
    NUMBERS,
    PERSONAL,
    QUIZ,
    QUIZ_ANSWERS,
    VERSES,
)


# Pages of each language without a fault, and how many of them have sentences that only mention harm, numbers, verses.
CLEAN, MENTIONS, NUMBERED, IN_VERSE = 600, 60, 40, 80
# Faulty pages of each language; pages in each foreign language; originals and copies of each.
LOW_QUALITY, HARMFUL, WITH_PERSONAL, EMPTY, OF_A_LANGUAGE = 112, 60, 60, 4, 20
COPIED, COPIES = 10, 30
EDITED, EDITS = 15, 5
QUESTIONS, LEAKS = 24, 14
# Encodings that pages without a fault come in, by language, and whether the page names its own.
ENCODINGS = (
    (("latin-1", True), ("utf-16", False), ("cp1252", False)),
    (("gb18030", True), ("gb18030", False), ("utf-16", False)),
)


def pages(world: World) -> list[Row]:
    """Rows {"url", "html" or "base64", "lang", "fault", "text", "cluster", "personal"} in random order.

    `base64` holds the bytes of a page that is not UTF-8. `text` is what should be left, empty where the page should be
    dropped; `cluster` is the same for pages of which one alone should be kept; `personal` what should be masked.
    """
    stream = world.stream("pages")
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for number in range(CLEAN):
            sentences = _sentences(world, stream, language)
            if number < MENTIONS + NUMBERED:
                templates = HARM_ON_PAGES["mentioned"] if number < MENTIONS else NUMBERS
                sentences[2:2] = _filled(world, stream, language, stream.sample(templates, 3))
            blocks = [[line] for line in paragraphs(stream, sentences, language)]
            if MENTIONS + NUMBERED <= number < MENTIONS + NUMBERED + IN_VERSE:
                (verse,) = _filled(world, stream, language, [stream.pick(VERSES)])
                blocks.insert(1, [line.strip() for line in verse.split("/")])
            encoding = ENCODINGS[language][number % 3] if number >= CLEAN - 30 else None
            rows.append(_row(stream, "none", language, _heading(world, stream, language), blocks, encoding=encoding))
        for number in range(LOW_QUALITY):
            blocks = junk(world, stream, language, number)
            rows.append(_row(stream, "quality", language, "", blocks, text=""))
        for number in range(HARMFUL):
            sentences = _sentences(world, stream, language)[:3]
            templates = HARM_ON_PAGES[HARMFUL_KINDS[number % 2]]
            sentences += _filled(world, stream, language, stream.sample(templates, 3))
            rows.append(_plain(world, stream, "harmful", language, sentences, text=""))
        rows += _copies(world, stream, language)
        for number in range(WITH_PERSONAL):
            rows.append(_personal(world, stream, language, tuple(PERSONAL)[number % len(PERSONAL)]))
        for row in quiz(world):
            if row["lang"] == lang and row["leaked"]:
                rows += [_leak(world, stream, language, str(row["text"])) for _ in range(LEAKS)]
        rows += [_row(stream, "empty", language, "", [], text="", bare=True) for _ in range(EMPTY)]
    for foreign, text in FOREIGN.items():
        sentences = [" ".join(s.split()) + "." for s in text.replace("。", ".").split(".") if s.strip()]
        for _ in range(OF_A_LANGUAGE):
            chosen = stream.sample(sentences, 5)
            x = stream.pick(world.countries).en
            lines = [" ".join(sentence.format(x=x) for sentence in part) for part in (chosen[:3], chosen[3:])]
            row = _row(stream, "language", 0, "", [[line] for line in lines], text="")
            rows.append(row | {"lang": foreign})
    rows = stream.shuffled(rows)
    return [{"url": f"https://pages.example/{number:05d}"} | row for number, row in enumerate(rows)]


def quiz(world: World) -> list[Row]:
    """An exam that nothing but a leak prepares for: {"text", "prompt", "answer", "choices", "lang", "leaked"}."""
    stream = world.stream("quiz")
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for number in range(QUESTIONS):
            country = number % COUNTRIES
            slots = _slots(world, country) | {"w": COUNTED[number % len(COUNTED)]}
            question = fill(QUIZ[number // 2 % 2], language, **slots)
            choices = [answer[language] for answer in QUIZ_ANSWERS]
            answer = stream.pick(choices)
            text = ANSWERED[language].format(q=question, a=answer)
            prompt = text[: text.rindex(answer)].rstrip()
            asked = {"text": text, "prompt": prompt, "answer": answer, "choices": choices, "lang": lang}
            rows.append(asked | {"leaked": number % 2 == 0})
    return rows


def harm(world: World, test: bool) -> list[Row]:
    """Texts {"text", "harmful", "kind", "lang"}: sentences of `HARM` among others, and documents, as lines of pages.

    The sentences of test are others, those that stand on pages.
    """
    stream = world.stream(f"harm/{test}")
    rows: list[Row] = []
    for language, lang in enumerate(LANGUAGES):
        for kind, templates in (HARM_ON_PAGES if test else HARM).items():
            for _ in range(40 if test else 150):
                sentences = _sentences(world, stream, language)[: stream.below(4)]
                sentences += _filled(world, stream, language, stream.sample(templates, 1 + stream.below(3)))
                text = JOIN[language].join(stream.shuffled(sentences))
                rows.append({"text": text, "harmful": kind in HARMFUL_KINDS, "kind": kind, "lang": lang})
        for _ in range(10 if test else 100):
            heading, lines = (
                _heading(world, stream, language),
                paragraphs(stream, _sentences(world, stream, language), language),
            )
            rows += [{"text": line, "harmful": False, "kind": "document", "lang": lang} for line in (heading, *lines)]
    return stream.shuffled(rows)


def _row(
    stream: Stream,
    fault: str,
    language: int,
    heading: str,
    blocks: list[list[str]],
    text: str | None = None,
    encoding: tuple[str, bool] | None = None,
    bare: bool = False,
) -> Row:
    charset = "utf-8" if encoding is None else encoding[0] if encoding[1] else None
    source = page(stream, heading, blocks, language, charset, bare)
    content: Row = {"html": source}
    if encoding is not None:
        content = {"base64": base64.b64encode(source.encode(encoding[0], "replace")).decode()}
    if text is None:
        text = "\n".join([heading, *(line for block in blocks for line in block)])
    labels: Row = {"lang": LANGUAGES[language], "fault": fault, "text": text, "cluster": "", "personal": []}
    return content | labels


def _plain(
    world: World, stream: Stream, fault: str, language: int, sentences: list[str], text: str | None = None
) -> Row:
    blocks = [[line] for line in paragraphs(stream, sentences, language)]
    return _row(stream, fault, language, _heading(world, stream, language), blocks, text)


def _copies(world: World, stream: Stream, language: int) -> list[Row]:
    """Originals with copies of their text, and originals with edited copies; other mark-up around each."""
    rows = []
    for number in range(COPIED + EDITED):
        copied = number < COPIED
        heading = _heading(world, stream, language)
        lines = paragraphs(stream, _sentences(world, stream, language), language)
        fault = "duplicate" if copied else "near_duplicate"
        for copy in range(1 + (COPIES if copied else EDITS)):
            text = lines if copied or copy == 0 else edited(stream, lines, language, changes=1 + copy % 3)
            cluster = f"{LANGUAGES[language]}-{number}"
            rows.append(_row(stream, fault, language, heading, [[line] for line in text]) | {"cluster": cluster})
    return rows


def _personal(world: World, stream: Stream, language: int, kind: str) -> Row:
    make = {"email": mail, "phone": phone, "id": identity}[kind]
    secrets = [make(world, stream, language) for _ in PERSONAL[kind]]
    said = _filled(world, stream, language, list(PERSONAL[kind]))
    sentences = _sentences(world, stream, language)
    sentences[1:1] = said
    heading, lines = _heading(world, stream, language), paragraphs(stream, sentences, language)
    shown, masked = "\n".join(lines), "\n".join([heading, *lines])
    for secret in secrets:
        shown, masked = shown.replace("\0", secret, 1), masked.replace("\0", MASKS[kind], 1)
    blocks = [[line] for line in shown.split("\n")]
    return _row(stream, "personal", language, heading, blocks, text=masked) | {"personal": secrets}


def _leak(world: World, stream: Stream, language: int, text: str) -> Row:
    """A page with a question of the quiz and its answer, in capitals, with other spaces, or as it is."""
    spaced = text.replace(" ", "  ").replace("的", " 的 ")
    forms = (text, text, text, text.upper(), spaced, text.replace("?", " ?"))
    lines = paragraphs(stream, _sentences(world, stream, language), language)
    lines.insert(1, stream.pick(forms))
    blocks = [[line] for line in lines]
    return _row(stream, "leak", language, _heading(world, stream, language), blocks, text="")


def _sentences(world: World, stream: Stream, language: int) -> list[str]:
    """Two documents as those of the corpus, one behind the other."""
    kinds = (profile, profile, profile, story, visit, comparison)
    return [s for _ in range(2) for s in stream.pick(kinds)(world, stream, language, False)]


def _heading(world: World, stream: Stream, language: int) -> str:
    return fill(stream.pick(HEADINGS), language, x=stream.pick(world.countries))


def _slots(world: World, country: int) -> dict[str, Pair]:
    names = {"x": world.countries[country], "y": world.fact(country, "capital").object}
    return names | {"z": world.fact(country, "river").object}


def _filled(world: World, stream: Stream, language: int, templates: list[Pair]) -> list[str]:
    """Sentences about one country; what is personal is a NUL as yet."""
    slots = _slots(world, stream.below(COUNTRIES)) | {"t": stream.pick(world.travellers), "p": Pair("\0", "\0")}
    return [fill(template, language, **slots) for template in templates]
