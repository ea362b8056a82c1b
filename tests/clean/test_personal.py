"""Personal data in English and Chinese forms, and numbers that are nobody's."""

from hfcourse.clean.personal import find, mask

import pytest


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ann.lee+news@mail.example.org, please.", "Write to [EMAIL], please."),
        ("请发到a_1@b.example。", "请发到[EMAIL]。"),
        ("Call (555) 013-2244 or 555-013-2244.", "Call [PHONE] or [PHONE]."),
        ("Call +1 555 013 2244 now", "Call [PHONE] now"),
        ("In London: +44 20 7946 0958.", "In London: [PHONE]."),
        ("手机13812345678，或者138-1234-5678。", "手机[PHONE]，或者[PHONE]。"),
        ("电话+86 186 1234 5678", "电话[PHONE]"),
        ("座机010-62345678、0755-82345678", "座机[PHONE]、[PHONE]"),
        ("Her number is 123-45-6789.", "Her number is [ID]."),
        ("身份证号11010519491231002X。", "身份证号[ID]。"),
    ],
)
def test_what_is_personal_is_masked(text, masked):
    assert mask(text) == masked
    assert mask(masked) == masked and not list(find(masked))


@pytest.mark.parametrize(
    "text",
    [
        "In 2019 the port moved 1,234,567 tonnes.",
        "It was opened on 2023-05-14 at 10:30.",
        "version 3.11.2, room 305, 12.50",
        "order 20230514000123456",
        "订单号20230514000123456789",
        "身份证号110105194912310021",  # its last digit does not check the others
        "000-12-3456 and 900-12-3456",  # no such areas
        "a @ b, @name, user@localhost",
        "ISBN 978-3-16-148410-0",
        "1+1=2, +5 degrees",
    ],
)
def test_what_is_nobodys_stays(text):
    assert mask(text) == text
