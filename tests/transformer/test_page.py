"""The page about the Transformer quotes its code: what stands there is what runs."""

import re
import textwrap
from pathlib import Path

import hfcourse.transformer

import pytest


ROOT = Path(__file__).parents[2]
PAGES = ("docs/concepts/transformer.md", "docs/zh/concepts/transformer.md")


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_quoted_line_stands_in_the_code(page):
    sources = [path.read_text(encoding="utf-8") for path in Path(hfcourse.transformer.__file__).parent.glob("*.py")]
    quoted = blocks(page)
    assert len(quoted) >= 10
    for block in quoted:
        assert block == textwrap.dedent(block)
        wanted = lines(block)
        places = [lines(source) for source in sources]
        found = any(code[i : i + len(wanted)] == wanted for code in places for i in range(len(code)))
        assert found, f"{page} quotes what the code does not say:\n{block}"


def test_both_pages_quote_the_same():
    assert blocks(PAGES[0]) == blocks(PAGES[1])
