"""CoNLL column files: one token a line, its tag in the last column, a blank line between sentences."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from hfcourse.errors import InputError


DOCSTART = "-DOCSTART-"
# A token may itself be a space of another script (U+3000), which str.split() would take for white space.
_COLUMNS = re.compile(r"[ \t]+")


def read_columns(lines: Iterable[tuple[int, str | InputError]]) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    """Yield (line of the first token, row) for each sentence; `lines` are numbered and decoded, or can't be.

    A row holds `tokens` (the first column), `ner_tags` (the last) and `docstarts`: how many -DOCSTART- lines stand
    before it in the file. A sentence with a line that can't be used comes as (that line, InputError without its
    place): all lines of a file must have the same number of columns, at least two.
    """
    width = docstarts = start = 0
    tokens: list[str] = []
    tags: list[str] = []
    problem: tuple[int, InputError] | None = None

    for number, line in lines:
        fields = _COLUMNS.split(line.strip(" \t\r\n")) if isinstance(line, str) else [""]
        if isinstance(line, str) and (fields == [""] or fields[0] == DOCSTART):
            if problem or tokens:
                yield problem or (start, {"tokens": tokens, "ner_tags": tags, "docstarts": docstarts})
                tokens, tags, problem = [], [], None
            docstarts += fields[0] == DOCSTART
            continue
        if not isinstance(line, str):
            problem = problem or (number, line)
        elif len(fields) < 2 or len(fields) != (width or len(fields)):
            wanted = f"the lines before have {width}" if width else "expected a token and its tag"
            found = f"found {len(fields)} ({' '.join(fields)[:60]}), {wanted}"
            problem = problem or (number, InputError(f"columns that disagree: {found}"))
        width = width or len(fields) * (len(fields) > 1)
        start = start if tokens else number
        tokens.append(fields[0])
        tags.append(fields[-1])
    if problem or tokens:
        yield problem or (start, {"tokens": tokens, "ner_tags": tags, "docstarts": docstarts})
