"""Bytes of a page to text, whatever encoding it is in and whatever it says of it."""

import codecs
import re

from charset_normalizer import from_bytes


DECLARED = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What pages that say the first are in fact written in (WHATWG, Encoding Standard, "Names and labels").
MEANT = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252"}
# Bytes of a page that its encoding is guessed by, and those in which it is looked for.
LOOKED_AT = 4096
# Control characters that text has no use for; tab, line feed and carriage return are not among them.
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")


def decode(content: bytes) -> str | None:
    """The text of a page; None where its bytes are text in no encoding.

    Tried in turn: a byte order mark; UTF-8, which other encodings hardly ever look like by chance; the encoding that
    the page declares; the one that charset_normalizer finds. Controls go.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _text(content, encoding)
    declared = DECLARED.search(content, 0, LOOKED_AT)
    names = ["utf-8", *([declared[1].decode().lower()] if declared else [])]
    for name in names:
        if (text := _text(content, MEANT.get(name, name))) is not None:
            return text
    # Mark-up is ASCII and says nothing; but tags are cut from bytes only where no encoding has "<" inside a character.
    said = re.sub(rb"<[^<>]*>", b" ", content)[: 16 * LOOKED_AT]
    guesses = from_bytes(said)
    if (best := guesses.best()) is None:
        return None
    # Of the encodings that leave as little disorder it is the one that browsers take for Western text.
    western = any(g.encoding == "cp1252" and g.chaos <= best.chaos for g in guesses)
    return _text(content, "cp1252" if western else best.encoding, "replace")


def _text(content: bytes, encoding: str, errors: str = "strict") -> str | None:
    try:
        return CONTROLS.sub("", content.decode(encoding, errors))
    except (UnicodeDecodeError, LookupError):  # not in it, or no encoding that Python knows
        return None
