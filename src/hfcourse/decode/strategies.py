"""Strategies by name, such as `top_p=0.9+temperature=0.7`: as arguments of `generate`, and from scratch.

A strategy is one or more settings joined by +; a setting is a name of SETTINGS, with its value where it takes one.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hfcourse.decode import filters
from hfcourse.decode.search import Reader, beam_search, contrastive, greedy_or_sample
from hfcourse.errors import InputError

import torch


@dataclass(frozen=True)
class Setting:
    """A setting's name in `generate`, the kind of number that is its value, its range, and its filter.

    Without a kind of number it takes no value.
    """

    argument: str | None = None
    number: type | None = None
    within: tuple[float, float] = (0.0, float("inf"))
    change: Callable | None = None
    option: str = ""


# In the order in which `generate` applies them. An open interval, but for whole numbers: those are bounds that count.
SETTINGS = {
    "greedy": Setting(),
    "sample": Setting(),
    "beam": Setting("num_beams", int, (2, 1000)),
    "contrastive": Setting("penalty_alpha", float, (0.0, 1.0)),
    "repetition_penalty": Setting("repetition_penalty", float, change=filters.repetition_penalty, option="penalty"),
    "no_repeat_ngram": Setting("no_repeat_ngram_size", int, (1, 1000), filters.no_repeat_ngram, "n"),
    "temperature": Setting("temperature", float, change=filters.temperature, option="t"),
    "top_k": Setting("top_k", int, (1, float("inf")), filters.top_k, "k"),
    "top_p": Setting("top_p", float, (0.0, 1.0), filters.top_p, "p"),
    "min_p": Setting("min_p", float, (0.0, 1.0), filters.min_p, "p"),
}
DRAWS = {"sample", "temperature", "top_k", "top_p", "min_p"}
CANDIDATES = 4  # of contrastive search, where top_k doesn't say


@dataclass(frozen=True)
class Strategy:
    """How to choose tokens: the text that names it, and its settings in the order of SETTINGS."""

    text: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The text as a part of a metric's name: top_p_0_9_temperature_0_7."""
        return self.text.translate(str.maketrans("=.+", "___"))

    @property
    def draws(self) -> bool:
        """Whether chance has a part in it."""
        return bool(DRAWS & self.settings.keys()) and "contrastive" not in self.settings

    def arguments(self) -> dict[str, Any]:
        """Arguments of `generate`, whose own defaults (it draws from the 50 likeliest) are turned off."""
        given = {key: value for name, value in self.settings.items() if (key := SETTINGS[name].argument)}
        neutral: dict[str, Any] = {"num_beams": 1, "top_k": 0} if self.draws else {"num_beams": 1}
        if "contrastive" in self.settings:
            neutral |= {"top_k": CANDIDATES, "custom_generate": contrastive_rows}
        return {"do_sample": self.draws, **neutral, **given}

    def filters(self) -> list[Callable]:
        """This strategy's filters, in the order in which `generate` applies them."""
        chosen = {name: SETTINGS[name] for name in SETTINGS if name in self.settings}
        return [partial(s.change, **{s.option: self.settings[name]}) for name, s in chosen.items() if s.change]

    def write(self, model: Any, ids: torch.Tensor, new: int, stop: Collection[int], pad: int) -> torch.Tensor:
        """Continue prompts of one length (B, T) from scratch, as `generate` with `arguments()` does."""
        if not {"beam", "contrastive"} & self.settings.keys():
            return greedy_or_sample(Reader(model), ids, new, stop, pad, self.filters(), self.draws)
        return padded([self._search(model, row[None], new, stop) for row in ids], pad)

    def _search(self, model: Any, ids: torch.Tensor, new: int, stop: Collection[int]) -> torch.Tensor:
        if "beam" in self.settings:
            return beam_search(Reader(model), ids, new, stop, self.settings["beam"], self.filters())
        alpha, k = self.settings["contrastive"], self.settings.get("top_k", CANDIDATES)
        return contrastive(Reader(model, hidden=True), ids, new, stop, alpha, k)


def padded(texts: list[torch.Tensor], pad: int) -> torch.Tensor:
    """Texts (1, T) of several lengths as one tensor (B, T), padded on the right."""
    return torch.nn.utils.rnn.pad_sequence([text[0] for text in texts], batch_first=True, padding_value=pad)


@torch.no_grad()
def contrastive_rows(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    **model_kwargs: Any,
) -> torch.Tensor:
    """Contrastive search for `generate(custom_generate=contrastive_rows)`, prompt by prompt (B, T) -> (B, T + new).

    transformers moved its own to a repository whose code would be downloaded and run (5.23: transformers-community/
    contrastive-search); here none is. Prompts may be padded on the left.
    """
    width, config = input_ids.shape[1], generation_config
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    mask = model_kwargs.get("attention_mask")  # None where nothing is padded
    rows = []
    for ids, own in zip(input_ids, torch.ones_like(input_ids) if mask is None else mask, strict=True):
        new, read = config.max_length - width, Reader(model, hidden=True)
        text = contrastive(read, ids[own.bool()][None], new, ends, config.penalty_alpha, config.top_k)
        rows.append(torch.cat([ids[None], text[:, int(own.sum()) :]], 1))
    return padded(rows, config.pad_token_id)


def parse_strategy(text: str) -> Strategy:
    """The strategy that `text` names, such as greedy, beam=5 or top_p=0.9+temperature=0.7.

    Raises InputError for a name that is none, a value that is missing, too much or out of range, or settings that do
    not go together.
    """
    settings: dict[str, Any] = {}
    for part in text.split("+"):
        name, _, value = part.strip().partition("=")
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(SETTINGS)}"
            raise InputError(f"--strategies {text}: unknown strategy '{name}'; {hint}")
        if name in settings:
            raise InputError(f"--strategies {text}: {name} stands there twice")
        settings[name] = _value(text, name, value)
    names = settings.keys()
    searches = [name for name in ("greedy", "sample", "beam", "contrastive") if name in names]
    drawing = sorted(DRAWS & names) if "contrastive" not in names else sorted((DRAWS & names) - {"top_k"})
    if len(searches) > 1 or (drawing and searches and searches != ["sample"]):
        one, other = (searches + [name for name in drawing if name not in searches])[:2]
        raise InputError(f"--strategies {text}: {one} and {other} do not go together")
    if "contrastive" in names and names - {"contrastive", "top_k"}:
        raise InputError(f"--strategies {text}: contrastive takes top_k and nothing else")
    return Strategy(text, {name: settings[name] for name in SETTINGS if name in settings})


def _value(text: str, name: str, value: str) -> Any:
    """The value of a setting as a number within its range, or None where it takes none."""
    setting = SETTINGS[name]
    if setting.number is None:
        if value:
            raise InputError(f"--strategies {text}: {name} takes no value")
        return None
    low, high = setting.within
    whole = setting.number is int
    between = f"above {low:g}" if high == float("inf") else f"above {low:g} and below {high:g}"
    wanted = f"a whole number, {low:g} or more" if whole else f"a number {between}"
    try:
        number = setting.number(value)
    except ValueError:
        raise InputError(f"--strategies {text}: {name} needs {wanted}, as in {name}={_example(name)}") from None
    if not (low <= number <= high if whole else low < number < high):
        hint = "; greedy is what a temperature of 0 would be" if (name, number) == ("temperature", 0) else ""
        raise InputError(f"--strategies {text}: {name} needs {wanted}, not {value}{hint}")
    return number


def _example(name: str) -> str:
    return {"beam": "5", "no_repeat_ngram": "3", "top_k": "50", "repetition_penalty": "1.2"}.get(name, "0.9")


def parse_strategies(texts: Sequence[str]) -> dict[str, Strategy]:
    """Strategies by their texts, in order; InputError also for none, and for one that is there twice."""
    found = [parse_strategy(text) for text in texts]
    if not found:
        raise InputError(f"--strategies names at least one of {', '.join(SETTINGS)}")
    for i, strategy in enumerate(found):
        if same := [other for other in found[:i] if other.settings == strategy.settings]:
            raise InputError(f"--strategies {strategy.text}: it is there already, as {same[0].text}")
    return {strategy.text: strategy for strategy in found}


def check_vocabulary(strategies: Iterable[Strategy], size: int) -> None:
    """Refuse a k or a beam above the number of tokens that there are to choose from."""
    for strategy in strategies:
        for name in ("top_k", "beam"):
            if strategy.settings.get(name, 0) > size:
                raise InputError(f"--strategies {strategy.text}: the vocabulary has {size} tokens, fewer than {name}")
