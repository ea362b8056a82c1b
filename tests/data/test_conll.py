"""Column files: sentences and their lines, plain and gzipped, whatever the ending; one sentence for each defect."""

import gzip

from hfcourse.data.files import read_rows
from hfcourse.errors import InputError

import pytest


FOUR = b"-DOCSTART- -X- -X- O\r\n\r\nEU NNP B-NP I-ORG\r\nrejects VBZ B-VP O\r\n\r\n \n\nGerman JJ B-NP I-MISC\r\n"
TWO = "-DOCSTART-\nEU\tB-ORG\n-DOCSTART- O\n\n欧 B-LOC\n\u3000 O\n\n\n- \t  B-LOC\n-DOCSTART- O\n".encode()


def row(tokens, tags, docstarts=0):
    return {"tokens": tokens.split("|"), "ner_tags": tags.split(), "docstarts": docstarts}


FILES = {
    "train.txt": (FOUR, [(3, row("EU|rejects", "I-ORG O", 1)), (8, row("German", "I-MISC", 1))]),
    "eng.testa": (TWO, [(2, row("EU", "B-ORG", 1)), (5, row("欧|\u3000", "B-LOC O", 2)), (9, row("-", "B-LOC", 2))]),
    "dev.tsv": (b"\xef\xbb\xbftext\tO\nO\tO", [(1, row("text|O", "O O"))]),
    "three": (b"a x O\nb y O\n", [(1, row("a|b", "O O"))]),
    "nothing.conll": (b"\n-DOCSTART- O\n\n", []),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FILES)
def test_sentences_and_the_lines_where_they_begin(tmp_path, name, packed):
    content, rows = FILES[name]
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert list(read_rows(str(path), columns=True)) == rows


BAD = {
    "one column": (b"a O\n\nb\nc O\n\nd O\n", 3, "columns that disagree: found 1 (b), the lines before have 2"),
    "first line": (b"a\n\nd O\n", 1, "columns that disagree: found 1 (a), expected a token and its tag"),
    "more": (b"a x O\nb O\nc O\n\nd x O\n", 2, "columns that disagree: found 2 (b O), the lines before have 3"),
    "a lost token": (b"a O\n\n\tO\n\nd O\n", 3, "columns that disagree: found 1 (O), the lines before have 2"),
    "not UTF-8": (b"a O\n\nb O\ncaf\xe9 O\n\nd O\n", 4, "not UTF-8: byte 0xe9 at byte 4"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_costs_its_sentence_and_no_other(tmp_path, name):
    content, line, said = BAD[name]
    (tmp_path / "a.conll").write_bytes(content)
    rows = list(read_rows(str(tmp_path / "a.conll"), columns=True))
    ((number, problem),) = [found for found in rows if isinstance(found[1], InputError)]
    assert (number, str(problem)) == (line, said)
    assert rows[-1][1]["tokens"] == ["d"] and len(rows) == content.count(b"\n\n") + 1


def test_only_who_asks_for_columns_gets_them(tmp_path):
    (tmp_path / "a.txt").write_text("a O\nb O\n")
    (tmp_path / "b.conll").write_text("a O\n")
    assert list(read_rows(str(tmp_path / "a.txt"))) == [(1, {"text": "a O\nb O"})]
    with pytest.raises(InputError, match="no ending that is known"):
        list(read_rows(str(tmp_path / "b.conll")))
