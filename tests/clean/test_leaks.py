"""Rows of an exam in training text, however they are written; and words in languages of any kind."""

from hfcourse.clean.leaks import Leaks
from hfcourse.clean.words import grams, normalised, words


ROWS = [
    "Question: how many bells stand on the bridge over the Mismu in Hakune? Answer: nine.",
    "Question: how many flags stand on the bridge over the Nirlu in Mapena? Answer: two.",
    "问题：赫法索的首都赫霍哈的佐恩泽河桥上有几个灯笼？答案：四个。",
    "Paris is in France.",
]
TEXT = "The town is old. {} The streets of the town are wide."


def test_a_leak_is_found_in_other_case_spaces_and_punctuation():
    leaks = Leaks(ROWS)
    for number, row in enumerate(ROWS):
        for form in (row, row.upper(), row.replace(" ", "  \n"), " ".join(row), row.replace("?", " ...")):
            if form == " ".join(row) and number != 2:
                continue  # letters apart are other words; characters of Chinese are words
            assert leaks(TEXT.format(form)) == [number], form


def test_a_row_of_the_same_template_is_no_leak_and_a_part_is_one_from_the_share_on():
    leaks = Leaks(ROWS[:1])
    assert leaks(TEXT.format(ROWS[1])) == []
    items = ROWS[0].split()
    # 15 words have eight 8-grams; 70 % are six of them, which 13 words hold and 12 do not.
    assert len(items) == 15
    assert leaks(" ".join(items[:13])) == [0] and leaks(" ".join(items[:12])) == []
    assert Leaks(ROWS[:1], share=0.6)(" ".join(items[:12])) == [0]


def test_several_rows_in_one_text():
    assert Leaks(ROWS)(" ".join(ROWS)) == [0, 1, 2, 3]
    assert Leaks([])(ROWS[0]) == [] and Leaks(["", "?!"])(ROWS[0]) == []


def test_words_of_any_script():
    assert words("It's 3.5 m, naïve 日本の首都。") == ["It's", "3", "5", "m", "naïve", "日", "本", "の", "首", "都"]
    assert normalised("Naïve  CAFÉ") == ["naive", "cafe"]
    assert grams(["a", "b", "c"], 2) == ["a b", "b c"] and grams(["a"], 3) == ["a"] and grams([], 2) == []
