"""Local files: the rows and row numbers of each format, plain and gzipped, and one sentence for each defect."""

import gzip
import json

from hfcourse.data.files import read_rows
from hfcourse.errors import InputError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def parquet(rows):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


TWO = [{"text": "a,\u2028b\n\nc"}, {"text": "中 \x00 文"}]
FORMATS = {
    # name: (content, [(number, row)])
    "lines.jsonl": (
        "\ufeff" + json.dumps(TWO[0], ensure_ascii=False) + "\r\n\n" + json.dumps(TWO[1]),
        [(1, TWO[0]), (3, TWO[1])],
    ),
    "list.json": (json.dumps(TWO), [(1, TWO[0]), (2, TWO[1])]),
    "data.json": ("\ufeff" + json.dumps({"version": 1, "data": TWO}), [(1, TWO[0]), (2, TWO[1])]),
    "lines.json": (json.dumps(TWO[0]) + "\n" + json.dumps(TWO[1]), [(1, TWO[0]), (2, TWO[1])]),
    "table.csv": (
        '\ufeffprompt,completion\n"two\nlines, ""quoted""",b\n\nc,d\n',
        [(2, {"prompt": 'two\nlines, "quoted"', "completion": "b"}), (5, {"prompt": "c", "completion": "d"})],
    ),
    "table.tsv": ("prompt\tcompletion\na,b\tc\n", [(2, {"prompt": "a,b", "completion": "c"})]),
    "table.parquet": (parquet(TWO), [(1, TWO[0]), (2, TWO[1])]),
    "book.txt": (
        "\n\none\r\nparagraph\n \nanother",
        [(3, {"text": "one\nparagraph"}), (6, {"text": "another"})],
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_each_format_plain_and_gzipped(tmp_path, name, packed):
    content, rows = FORMATS[name]
    content = content.encode() if isinstance(content, str) else content
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert list(read_rows(str(path))) == rows


def test_a_long_field_fits(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n")
    assert [len(row["text"]) for _, row in read_rows(str(tmp_path / "a.csv"))] == [200_000]


BAD_ROWS = {
    # name: (content, the number of the bad row among three, what it says)
    "broken.jsonl": (b'{"a": 1}\n{"a": \n{"a": 3}\n', 2, "broken JSON: Expecting value at column 7"),
    "list.jsonl": (b'{"a": 1}\n[1]\n{"a": 3}\n', 2, "no JSON object: found list, expected {column: value, ...}"),
    "latin1.jsonl": (b'{"a": 1}\n{"a": "caf\xe9"}\n{"a": 3}\n', 2, "not UTF-8: byte 0xe9 at byte 11"),
    "deep.jsonl": (b'{"a": 1}\n' + b"[" * 100_000 + b'\n{"a": 3}\n', 2, "broken JSON: "),
    "item.json": (b'[{"a": 1}, "b", {"a": 3}]', 2, "no JSON object: found str, expected {column: value, ...}"),
    "few.csv": (b'a,b\n1,2\n"3\n"\n5,6\n', 3, "wrong number of fields: found 1, the header has 2"),
    "many.tsv": (b"a\tb\n1\t2\n3\t4\t5\n5\t6\n", 3, "wrong number of fields: found 3, the header has 2"),
    "latin1.txt": (b"one\n\ncaf\xe9\n\nthree\n", 3, "not UTF-8: byte 0xe9 at byte 4"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_comes_with_its_number_between_good_ones(tmp_path, name):
    content, number, says = BAD_ROWS[name]
    (tmp_path / name).write_bytes(content)
    first, bad, last = read_rows(str(tmp_path / name))
    assert isinstance(first[1], dict)
    assert isinstance(last[1], dict)
    assert bad[0] == number
    assert isinstance(bad[1], InputError)
    assert str(bad[1]).startswith(says)


WHOLE = gzip.compress(b'{"a": 1}\n' * 1000)
SPOILT = {
    "missing.jsonl": (None, " can't be read: No such file or directory."),
    "cut.jsonl.gz": (WHOLE[:-20], " is a truncated or damaged gzip file: "),
    "flipped.jsonl.gz": (WHOLE[:-8] + b"0000" + WHOLE[-4:], " is a truncated or damaged gzip file: CRC check failed"),
    "plain.jsonl.gz": (b'{"a": 1}\n', " is a truncated or damaged gzip file: Not a gzipped file"),
    "broken.json": (b'[{"a": 1},\n {"a": }]', ": broken JSON: Expecting value at line 2, column 8."),
    "latin1.json": (b'["caf\xe9"]', ": not UTF-8: byte 0xe9 at byte 6."),
    "object.json": (b'{"rows": []}', ' holds neither a list of rows nor {"data": [rows]}.'),
    "quote.csv": (b'a,b\n1,"2\n3,4\n', ", line 3: broken .csv: unexpected end of data."),
    "latin1.csv": (b"a,b\n1,2\n3,\xe9\n", ", line 3: not UTF-8: byte 0xe9 at byte 3."),
    "twice.csv": (b"a,a\n1,2\n", ", line 1: expected a name for each column, each once, found a, a."),
    "cut.parquet": (parquet(TWO)[:-10], " is no Parquet file that can be read: "),
    "sheet.xlsx": (b"PK", " has no ending that is known, expected .json, .jsonl, .csv, .tsv, .parquet, .txt (or one"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_file_is_named_in_one_sentence(tmp_path, name):
    content, says = SPOILT[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_rows(str(tmp_path / name)))
    assert str(error.value).startswith(f"{tmp_path / name}{says}")
    assert "\n" not in str(error.value)


VALUES = st.text() | st.lists(st.none() | st.booleans() | st.integers() | st.text(), max_size=3)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=4), ascii_only=st.booleans())
def test_json_lines_round_trip(tmp_path_factory, rows, ascii_only):
    path = tmp_path_factory.getbasetemp() / "rows.jsonl.gz"
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert list(read_rows(str(path))) == list(enumerate(rows, 1))
