"""Personal data masked: e-mail addresses, telephone and identity numbers, in the forms of English and Chinese."""

from collections.abc import Iterator

from datatrove.pipeline.formatters.pii import PIIReplacer


# GB 11643: seventeen digits and one that checks them.
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECKS = "10X98765432"

EMAIL = (
    r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9_.+-]{1,64}"
    r"@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
IDENTITY = "|".join(
    (
        r"(?<!\d)\d{3}-\d{2}-\d{4}(?![\d-])",  # a social security number
        r"(?<!\d)\d{6}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)",  # 18 of China
    )
)
PHONE = "|".join(
    (
        r"(?:(?<!\d)\+86[ -]?|(?<![A-Za-z0-9_+]))1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)",  # mobile, China
        r"(?<![A-Za-z0-9_-])0(?:10|2\d|[3-9]\d{2})[ -]?[2-8]\d{6,7}(?![\d-])",  # landline, China
        r"(?<![A-Za-z0-9_+])(?:\+1[ .-]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])\d{3}[ .-]\d{4}(?![\d-])",  # the USA
        r"(?<![A-Za-z0-9_+])\+(?!86|1[ .-])\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\d)",  # with the country's
    )
)


def is_identity(number: str) -> bool:
    """Whether a number can be one: the areas that no one was given, and the last of eighteen characters, tell."""
    if "-" in number:
        area, group, serial = number.split("-")
        return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return CHECKS[sum(int(d) * w for d, w in zip(number, WEIGHTS, strict=False)) % 11] == number[-1].upper()


# In this order: what looks like a telephone number may be a part of something longer.
REPLACERS = {
    "email": PIIReplacer(EMAIL, "[EMAIL]"),
    "id": PIIReplacer(IDENTITY, "[ID]", is_identity),
    "phone": PIIReplacer(PHONE, "[PHONE]"),
}


def mask(text: str) -> str:
    """The text with what is personal replaced by [EMAIL], [ID] or [PHONE]. Masked text stays as it is."""
    for replacer in REPLACERS.values():
        text = replacer.replace(text)
    return text


def find(text: str) -> Iterator[str]:
    """Each string that `mask` takes out."""
    for replacer in REPLACERS.values():
        for match in replacer.regex.finditer(text):
            if replacer.validator is None or replacer.validator(match[0]):
                yield match[0]
        text = replacer.replace(text)
