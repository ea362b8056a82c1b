"""A domain: one kind of text, of which some is remembered and some is predicted."""

from dataclasses import dataclass
from typing import Any

from hfcourse.errors import InputError
from hfcourse.knn.store import Store, Window, count_entries, cut_windows

import numpy as np


# The validation part chooses, the test part reports.
PARTS = ("validation", "test")


@dataclass
class Domain:
    """`prefix` of its metrics, its name, the tokens to remember and, by part, those to predict, each with its windows.

    `store` and `index` come when they are built.
    """

    prefix: str
    name: str
    remembered: np.ndarray
    remembered_windows: list[Window]
    predicted: dict[str, np.ndarray]
    windows: dict[str, list[Window]]
    store: Store | None = None
    index: Any = None

    @property
    def entries(self) -> int:
        """Of its store."""
        return count_entries(self.remembered_windows)

    @property
    def label(self) -> str:
        """What its files are called."""
        return self.prefix.rstrip("_") or "own"


def make_domain(prefix: str, name: str, texts: dict[str, np.ndarray], size: int, stride: int) -> Domain:
    """Cuts the tokens of the texts remembered, test and, if there is one, validation into windows.

    Without a text of its own, validation has the first half of the test text's windows. Raises InputError, with the
    name, for a text that is too short.
    """
    remembered, test, validation = texts["remembered"], texts["test"], texts.get("validation")
    texts = {"validation": test if validation is None else validation, "test": test}
    try:
        remembered_windows = cut_windows(len(remembered), size, stride)
        windows = {part: cut_windows(len(ids), size, stride) for part, ids in texts.items()}
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if validation is None:
        half = len(windows["test"]) // 2
        if half == 0:
            raise InputError(
                f"{name}: its text to predict is one block of {size} tokens, too few to choose by as well"
            )
        windows = {"validation": windows["test"][:half], "test": windows["test"][half:]}
    return Domain(prefix, name, remembered, remembered_windows, texts, windows)


def first_texts(domain: Domain, tokenizer: Any, count: int = 2) -> list[tuple[str, str, str]]:
    """The first windows: how many tokens are predicted, those that are only read, and those predicted."""
    ids, found = domain.predicted["validation"], []
    for begin, first, end in domain.windows["validation"][:count]:
        title = f"{domain.name}, {end - begin} tokens are read, {end - first} of them predicted"
        found.append((title, tokenizer.decode(ids[begin:first]), tokenizer.decode(ids[first:end])))
    return found
