"""The names of strategies: what they mean, and what is refused."""

from pathlib import Path

from hfcourse import decode
from hfcourse.decode.strategies import check_vocabulary, parse_strategies, parse_strategy
from hfcourse.errors import InputError

import pytest


def test_all_of_it_from_scratch_is_at_most_150_lines() -> None:
    files = [Path(decode.__file__).with_name(name) for name in ("filters.py", "search.py")]
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= 150


def test_settings_are_applied_in_one_order_whatever_their_order_in_the_text() -> None:
    one, other = map(parse_strategy, ("top_p=0.9+temperature=0.5", "temperature=0.5 + top_p=0.9"))
    assert [f.func for f in one.filters()] == [f.func for f in other.filters()]
    assert one.arguments() == {"do_sample": True, "num_beams": 1, "top_k": 0, "top_p": 0.9, "temperature": 0.5}
    assert one.name == "top_p_0_9_temperature_0_5"


def test_a_list_of_strategies_names_each_once_and_fits_the_vocabulary() -> None:
    found = parse_strategies(["greedy", "top_k=9+top_p=0.5", "beam=4"])
    assert list(found) == ["greedy", "top_k=9+top_p=0.5", "beam=4"]
    check_vocabulary(found.values(), 9)
    with pytest.raises(InputError, match="top_k=9.*the vocabulary has 8 tokens, fewer than top_k"):
        check_vocabulary(found.values(), 8)
    with pytest.raises(InputError, match="names at least one of greedy, sample"):
        parse_strategies([])
    with pytest.raises(InputError, match="top_p=0.5.top_k=9: it is there already, as top_k=9.top_p=0.5"):
        parse_strategies(["top_k=9+top_p=0.5", "top_p=0.5+top_k=9"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gredy", "unknown strategy 'gredy'; did you mean 'greedy'?"),
        ("speculative", "unknown strategy 'speculative'; there are greedy, sample, beam"),
        ("", "unknown strategy ''"),
        ("greedy=1", "greedy takes no value"),
        ("top_k", "top_k needs a whole number, 1 or more, as in top_k=50"),
        ("top_k=2.5", "top_k needs a whole number, 1 or more, as in top_k=50"),
        ("top_k=0", "top_k needs a whole number, 1 or more, not 0"),
        ("beam=1", "beam needs a whole number, 2 or more, not 1"),
        ("top_p=1.5", "top_p needs a number above 0 and below 1, not 1.5"),
        ("min_p=nan", "min_p needs a number above 0 and below 1, not nan"),
        ("temperature=0", "temperature needs a number above 0, not 0; greedy is what a temperature of 0 would be"),
        ("temperature=inf", "temperature needs a number above 0, not inf"),
        ("greedy+top_p=0.9", "greedy and top_p do not go together"),
        ("beam=4+temperature=0.7", "beam and temperature do not go together"),
        ("beam=4+contrastive=0.6", "beam and contrastive do not go together"),
        ("contrastive=0.6+repetition_penalty=1.2", "contrastive takes top_k and nothing else"),
        ("contrastive=0.6+top_p=0.9", "contrastive and top_p do not go together"),
        ("top_k=5+top_k=6", "top_k stands there twice"),
    ],
)
def test_refusals(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_strategy(text)
    assert said in str(error.value) and str(error.value).startswith(f"--strategies {text}: ")
