"""Raw HTML around a text: four ways to build a page, with menus, notices, scripts, and paragraphs broken by <br>."""

import html

from hfcourse.world.documents import JOIN
from hfcourse.world.names import Stream
from hfcourse.world.web import MENU, NOTICES


# What a browser never shows.
HIDDEN = (
    "<script>var visits = {count: 12, last: 'today'}; track(visits);</script>",
    "<style>.text { color: #333; } .menu li { display: inline; }</style>",
    "<!-- cached copy, do not edit -->",
    "<noscript>Please switch JavaScript on.</noscript>",
)


def paragraphs(stream: Stream, sentences: list[str], language: int) -> list[str]:
    """Sentences put together in paragraphs of two to four, each a line of the text."""
    found: list[str] = []
    at = 0
    while at < len(sentences):
        size = 2 + stream.below(3)
        found.append(JOIN[language].join(sentences[at : at + size]))
        at += size
    return found


def page(
    stream: Stream, heading: str, blocks: list[list[str]], language: int, charset: str | None, bare: bool = False
) -> str:
    """The HTML of a page. Each block is a paragraph, a list of lines that are broken where it breaks them.

    Around the text stand a menu and one or two notices: in semantic elements, in elements told apart by their class,
    in a table, or as plain paragraphs, which nothing tells from the text but what they say. A `bare` page has none of
    the text.
    """
    menu = [item[language] for item in stream.sample(MENU, 4)]
    notices = [notice[language] for notice in stream.sample(NOTICES, 1 + stream.below(2))]
    text = "\n".join(_paragraph(stream, block) for block in blocks)
    heading = f"<h1>{html.escape(heading)}</h1>" if heading else ""
    links = " ".join(f'<li><a href="/{i}">{html.escape(item)}</a></li>' for i, item in enumerate(menu))
    said = "\n".join(f"<p>{html.escape(notice)}</p>" for notice in notices)
    layout = stream.below(10)
    if bare:
        body = f"<nav><ul>{links}</ul></nav>\n<img src='/1.png'>{text}"
    elif layout < 4:
        body = (
            f"<nav><ul>{links}</ul></nav>\n<main><article>{heading}\n{text}</article></main>\n<footer>{said}</footer>"
        )
    elif layout < 7:
        body = (
            f'<div class="top-menu"><ul>{links}</ul></div>\n<div id="content">{heading}\n{text}</div>\n'
            f'<div class="site-footer">{said}</div>'
        )
    elif layout < 9:
        cells = " ".join(f'<a href="/{i}">{html.escape(item)}</a> |' for i, item in enumerate(menu))
        body = f"<table><tr><td>{cells}</td></tr>\n<tr><td>{heading}\n{text}</td></tr></table>\n<hr>{said}"
    else:
        body = f"<p>{' - '.join(map(html.escape, menu))}</p>\n{heading}\n{text}\n{said}"
    meta = f'<meta charset="{charset}">' if charset else ""
    hidden = "\n".join(stream.sample(HIDDEN, 2))
    title = html.escape(menu[0])
    return (
        f"<!DOCTYPE html>\n<html><head>{meta}<title>{title}</title>\n{hidden}</head>\n<body>\n{body}\n</body></html>"
    )


def _paragraph(stream: Stream, lines: list[str]) -> str:
    """One paragraph; spaces and line ends between words of the source mean nothing in HTML, so some are put in."""
    joined = "<br>\n".join(html.escape(line, quote=stream.chance(0.5)) for line in lines)
    if len(lines) == 1 and stream.chance(0.4):
        joined = joined.replace(" ", "\n   ", 2)
    if stream.chance(0.2):
        joined = joined.replace(" the ", " <b>the</b> ", 1).replace(" a ", "&nbsp;a ", 1)
    return f"<p>{joined}</p>"
