"""Each rule with a text that it drops and its nearest neighbour that it leaves."""

from hfcourse.clean.rules import RULES, drop_lines, judge

import pytest


GOOD = {
    "en": "The town lies on a hill, and the streets of the town are wide. Few of those who live there have a car. "
    "In spring the boats go down to the sea with wood, and in autumn they come back with salt. That is all.",
    "zh": "这座城市在山上，城里的街道很宽。住在那里的人很少有车。春天的时候，船把木头运到海边，"
    "秋天又把盐运回来。我想说的就是这些。",
}
DROPPED = {
    "too few words": "The town lies on a hill.",
    "too many words": "word " * 100_001,
    "lorem ipsum": GOOD["en"] + " Lorem ipsum dolor sit amet.",
    "a program": GOOD["en"][:100] + " if (a) { b = 1; c = 2; } else { d = 3; } { e = 4; }",
    "a word of 1,000 letters": GOOD["en"] + " " + "x" * 1001 + ".",
    "words too short or too long": "a b c d e f g h i j k l m n o p q r s t the of.",
    "too few letters": GOOD["en"][:80] + " 12 34 56 78 90 *** === >>> <<< --- +++ %%% 11 22 33 44 55 66 77 88 99 00",
    "symbols": " ".join(f"#{word}" if i % 4 == 0 else word for i, word in enumerate(GOOD["en"].split())),
    "a list": "\n".join(f"- {line} and the rest of it" for line in GOOD["en"].split(". ")),
    "lines that break off": "\n".join(f"{line}..." for line in GOOD["en"].split(". ")[:3]) + "\n" + GOOD["en"],
    "repeated lines": "\n".join(
        ["The town lies upon a hill, and that is everything."] * 4 + ["Nobody there ever needed a car."]
    ),
    "repeated phrases": "the town on the hill and " * 8 + "the sea.",
    "too few stop words": "Cheap hotels, city tours, car hire, quick flights, great prices, local guides, maps, "
    "pictures, museums, tickets, beaches, boats, trains. Book now. Pay later.",
    "too few sentences": GOOD["en"].replace(".", ","),
}


def test_good_text_passes_in_both_languages():
    for lang, text in GOOD.items():
        assert judge(text, lang, min_words=20, min_sentences=3) is None
        assert judge(text, lang, min_words=20, min_sentences=5) == "too few sentences"


def test_every_rule_has_its_text():
    assert DROPPED.keys() == RULES.keys()


@pytest.mark.parametrize("reason", DROPPED)
def test_a_rule_drops_its_text(reason):
    assert judge(DROPPED[reason], "en", min_words=20, min_sentences=2) == reason


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("en", GOOD["en"] + " And so on... # 3 of them cost 12.50."),  # a few symbols
        ("en", GOOD["en"] + "\n- salt\n- wood\n- people"),  # a list among sentences
        ("en", "A program needs { and }. " + GOOD["en"]),
        ("en", GOOD["en"] + "\n" + "The town lies on a hill."),  # said again
        (
            "fr",
            "Le voyage dure trois jours. En été il fait beau. Les gens sont très aimables et parlent peu avec nous.",
        ),
        (
            "zh",
            "前者的首都是纳博图，后者的首都是里维迪。人们常常比较它们。我们去年去了那里，饭菜很好。",
        ),
    ],
)
def test_what_only_comes_near_a_rule_passes(lang, text):
    assert judge(text, lang, min_words=20, min_sentences=2) is None


@pytest.mark.parametrize(
    "line",
    [
        "Home | News | Travel | Log in",
        "首页 - 新闻 - 旅游 - 天气",
        "Home » Travel » Maps",
        "This site uses cookies to improve your visit.",
        "本站使用 Cookie 改善您的访问。",
        "Copyright 2024. All rights reserved.",
        "版权所有 2024，保留所有权利。",
    ],
)
def test_menus_and_notices_are_lines_of_no_text(line):
    assert drop_lines(f"The first line.\n\n{line}\n\nThe last line.") == "The first line.\n\nThe last line."


@pytest.mark.parametrize(
    "line",
    [
        "The line Paris - Lyon is old, and the line Lyon - Nice is older; both - I think - are slow.",
        "Well-known men and half-time work are words with a dash.",
        "1 - 2 = -1",
        "The privacy policy of the ministry was discussed for hours; "
        + "nobody could agree on what it should say. " * 3,
        "她说：“版本是3.11.2。”",
    ],
)
def test_sentences_that_look_like_them_stay(line):
    assert drop_lines(line) == line.strip()
