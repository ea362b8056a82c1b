"""How prompts that do not fit lose demonstrations, and only they."""

from hfcourse.errors import InputError
from hfcourse.icl.demonstrations import Unrelated
from hfcourse.icl.groups import Cut, Loaded, keep_what_fits, make_groups
from hfcourse.icl.prompts import Encoder
from hfcourse.icl.tables import describe_prompts
from hfcourse.icl.task import Example, read_task

import pytest
from data.tiny_tokenizers import gpt2_like


LABELS = {"1": "good", "0": "bad"}
TASK = read_task(
    "mood", {"dataset_name": "d", "template": "{text} So {label}", "channel": "So {label} {text}", "label": "y",
             "labels": LABELS}, "t.yaml"
)  # fmt: skip
POOL = [Example(f"train {i}", (f"The day {i}.",), ("good", "bad"), i % 2) for i in range(8)]
ITEMS = [Example(f"test {i}", ("The capital is Paris. " * times,), ("good", "bad"), 0)
         for i, times in enumerate((1, 9, 1, 4, 14, 2))]  # fmt: skip
ENCODER = Encoder(gpt2_like(), False)


def groups(limit: int, free: int | None = None, channel: bool = False, items: list[Example] = ITEMS):
    cuts = [Cut("gold", 6, 13, channel)]
    loaded = Loaded(TASK, list(items), POOL, [])
    return make_groups([loaded], cuts, ENCODER, limit, Unrelated((), ()), True, False, free)


@pytest.mark.parametrize("free", [None, 6])
def test_a_prompt_shows_as_many_demonstrations_as_fit_whatever_the_others_are(free):
    (whole,) = groups(10_000, free)
    assert whole.missing == 0 and len(whole.demonstrations) == 6
    limit = sorted(whole.encoded.length(i) for i in range(len(ITEMS)))[2]
    found = groups(limit, free)
    assert sorted(n for group in found for n in group.members) == list(range(len(ITEMS)))
    assert [group.missing for group in found] == sorted(group.missing for group in found) and len(found) > 2
    for group in found:
        shown = len(group.demonstrations)
        assert group.missing == 6 - shown and group.demonstrations == whole.demonstrations[:shown]
        assert group.chosen == whole.chosen[:shown] and group.encoded.longest() <= limit
        assert len(group.pairs) == len(group.encoded.items) == len(group.members) + (3 if free else 0)
        for place, member in enumerate(group.members):
            text = "".join(group.demonstrations) + group.pairs[place][0].context
            ids = ENCODER.tokenizer(text.rstrip())["input_ids"]
            assert tuple(ids) == group.encoded.queries(place)[0].context, "the question is whole"
            one_more = "".join(whole.demonstrations[: shown + 1]) + whole.pairs[member][0].context + "good"
            assert shown == 6 or len(ENCODER.tokenizer(one_more)["input_ids"]) > limit
    short = sum(len(group.members) for group in found if group.missing)
    assert f"demonstrations dropped in {short} of 6 prompts" in describe_prompts(found)[-1]


def test_a_question_that_does_not_fit_alone_is_left_out_or_refused():
    loaded = Loaded(TASK, list(ITEMS), POOL, [])
    with pytest.raises(
        InputError, match="1 of 6 questions are longer than the .* --skip_bad_rows true leaves them out"
    ):
        keep_what_fits(loaded, ENCODER, 80, skip=False)
    kept = keep_what_fits(loaded, ENCODER, 80, skip=True)
    assert [item.place for item in kept.items] == [f"test {i}" for i in (0, 1, 2, 3, 5)]
    assert kept.notes == ["Dropped: 1 of 6 questions are longer than the 80 tokens of this model."]
    with pytest.raises(InputError, match="a prompt has .* tokens without any demonstration, and this model takes 60"):
        groups(60, channel=True)
