"""The text of a page: mark-up out, boilerplate out by the structure of the page, line breaks as in a browser."""

import re

from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_engine import Inscriptis
from inscriptis.model.config import ParserConfig
from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring


# Elements around the text, by their names and by what their classes, ids and roles say.
AROUND = ("nav", "footer", "aside", "form", "button", "select", "iframe", "svg", "template", "dialog")
SHOWN_NOWHERE = ("script", "style", "noscript", "head")
NAMED = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|menubar|breadcrumbs?|footer|sidebar|cookies?|banner|share|sharing|social|"
    r"newsletter|subscribe|comments?|related|advert(?:isement)?|ads?|contentinfo|copyright)(?:$|[\s_-])"
)
BLOCKS = ("div", "ul", "ol", "p", "td", "section", "table", "header")
# A block of which more than half is links is a menu (Kohlschütter et al. 2010, "Boilerplate detection using shallow
# text features"); longer ones are text that has links.
LINKS, SHORT = 0.5, 400
# A page above this many characters is cut: what follows is no text that anybody wrote.
LONGEST = 10_000_000
# A space that no line may be broken at is one for a reader; inscriptis has made one of all others that mean nothing.
HARD_SPACE = "\u00a0"
STYLE = CSS_PROFILES["strict"]


def to_text(page: str, boilerplate: bool = False) -> str:
    """The visible text of an HTML page; with `boilerplate` all of it, menus and notices as well.

    Lines are those that a browser breaks (blocks, <br>), and <pre> keeps its white space. Empty for a page without
    text, or that no parser takes.
    """
    tree = _parse(page[:LONGEST])
    if tree is None:
        return ""
    etree.strip_elements(tree, *SHOWN_NOWHERE, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    if not boilerplate:
        for element in list(tree.iter(etree.Element)):
            if _is_around(element) and element.getparent() is not None:
                _drop(element)
    return tidy(Inscriptis(tree, ParserConfig(css=STYLE)).get_text())


def tidy(text: str) -> str:
    """Lines without white space at their ends, at most one empty line in a row. White space within them stays."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace(HARD_SPACE, " ")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()


def _parse(page: str) -> HtmlElement | None:
    try:
        # As bytes: lxml refuses text that names an encoding of its own. It cuts what lies deeper than 256 elements,
        # which no page needs, and which would make of a few megabytes an hour of work.
        return document_fromstring(page.encode("utf-8", "replace"), parser=HTMLParser(encoding="utf-8"))
    except (etree.ParserError, ValueError):  # nothing that could be an element
        return None


def _is_around(element: HtmlElement) -> bool:
    if element.tag in AROUND:
        return True
    named = " ".join(element.get(name, "") for name in ("class", "id", "role")).lower()
    if named.strip() and NAMED.search(named) and element.tag not in ("html", "body", "main", "article"):
        return True
    if element.tag not in BLOCKS:
        return False
    links = sum(len(link.text_content()) for link in element.iter("a"))
    return links > 0 and links > LINKS * (length := len(" ".join(element.text_content().split()))) and length < SHORT


def _drop(element: HtmlElement) -> None:
    """Take an element out; what follows it in its parent stays."""
    element.clear(keep_tail=True)
    if element.tag not in ("td", "th", "tr"):  # without which a table would have too few cells
        element.drop_tag()
