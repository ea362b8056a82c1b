"""Bytes to text, mark-up out, line breaks in: what is left of a page, and of what is hardly one."""

from hfcourse.clean.decode import decode
from hfcourse.clean.html import LONGEST, to_text

import pytest


CHINESE = "南方有一个国家叫库索洛。马佩纳是它的首都。孩子在家里学说话。" * 3
FRENCH = "Le voyage a duré trois jours. L’été, il fait presque toujours beau, et les gens sont très aimables. " * 3
WESTERN = "Über Köln führt die Straße nach Süden; là-bas, l'été est déjà passé. " * 3


@pytest.mark.parametrize(
    ("text", "encoding", "declared"),
    [
        (CHINESE, "gb18030", "gb2312"),
        (CHINESE, "gb18030", None),
        (CHINESE, "utf-8", None),
        (CHINESE, "utf-16", None),
        (CHINESE, "utf-8-sig", None),
        (WESTERN, "latin-1", "iso-8859-1"),
        (FRENCH, "cp1252", None),
        (WESTERN, "utf-8", "iso-8859-1"),  # it says one thing and is another
    ],
)
def test_any_encoding_is_read(text, encoding, declared):
    meta = f'<meta charset="{declared}">' if declared else ""
    page = f"<html><head>{meta}</head><body><p>{text}</p></body></html>"
    assert to_text(decode(page.encode(encoding))) == text.strip()


def test_what_is_no_text_is_none_and_controls_go():
    assert decode(b"a\x00b\x07c\td\n") == "abc\td\n"
    assert decode(b"") == ""
    assert decode(b'<meta charset="no-such-code">' + CHINESE.encode("gb18030")).endswith(CHINESE)


def test_line_breaks_are_kept_and_spaces_of_the_source_are_not():
    page = """<html><body><h1>A   title</h1><p>One
        sentence.&nbsp; Another.</p><p>A verse,<br>and its end.</p><pre>if as:
    it(is)</pre><ul><li>first</li><li>second</li></ul></body></html>"""
    assert to_text(page).split("\n") == [
        "A title",
        "",
        "One sentence. Another.",
        "",
        "A verse,",
        "and its end.",
        "",
        "if as:",
        "    it(is)",
        "  * first",
        "  * second",
    ]


@pytest.mark.parametrize(
    "around",
    [
        "<nav><a href='/'>Home</a> <a href='/n'>News</a></nav>",
        "<footer>All rights reserved</footer>",
        "<div class='top-menu'>Home News</div>",
        "<div id='cookie_banner'>We use cookies</div>",
        "<div role='navigation'>Home</div>",
        "<div><a href='/'>Home</a> | <a href='/n'>News</a></div>",
        "<script>if (a < b) document.write('x')</script>",
        "<style>p { color: red }</style>",
        "<form><label>Name</label><button>Send</button></form>",
        "<!-- a comment -->",
        "<noscript>Switch it on</noscript>",
    ],
)
def test_what_stands_around_the_text_goes_and_what_follows_it_stays(around):
    page = f"<body><div>before {around} behind, see <a href='/x'>this link</a> in a text that is not all links.</div>"
    assert to_text(page).split() == [
        *("before", "behind,", "see", "this", "link", "in", "a", "text", "that", "is", "not", "all", "links."),
    ]


def test_names_that_only_look_like_a_menu_stay():
    for name in ("navigator", "shareholder", "adsorption", "commentary", "page-main"):
        assert to_text(f"<body><div class='{name}'>The text.</div></body>") == "The text."
    assert to_text("<body class='has-sidebar'><p>The text.</p></body>") == "The text."


@pytest.mark.parametrize("page", ["", "   ", "<html></html>", "<!-- x -->", "<img src=a><script>1</script>", "\x00"])
def test_a_page_without_text_is_empty(page):
    assert to_text(decode(page.encode())) == ""


def test_boilerplate_is_what_a_careless_reader_sees():
    page = "<body><nav>Home</nav><p>The text.</p><script>no()</script></body>"
    assert to_text(page, boilerplate=True).split() == ["Home", "The", "text."]


def test_ten_megabytes_and_deep_nesting_come_to_an_end():
    page = "<body>" + "<p>A line of text.</p>" * 400_000
    assert len(page) < LONGEST
    assert to_text("<div>" * 3000 + "deep" + "</div>" * 3000) in ("deep", "")
    assert to_text(page[: LONGEST // 10]).startswith("A line of text.\n")
