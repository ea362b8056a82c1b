"""Which runs a budget pays for, and at which rate."""

from pathlib import Path

from hfcourse.errors import InputError
from hfcourse.run.scaling import block_length, dimensions, read_config
from hfcourse.scaling.flops import Decoder, training_flops
from hfcourse.scaling.schedule import make_schedule, rate_by_width, rate_regret

import pytest
import yaml


ROOT = Path(__file__).parents[2]
SIZES = {f"d{width}": Decoder(2, width, width, width, 4 * width, False, 500) for width in (16, 32, 64)}
RATE = rate_by_width(0.01, 0.5, SIZES)


def costs(rows=8):
    return {size: training_flops(decoder, 64) * rows * 64 for size, decoder in SIZES.items()}


def test_equal_budgets_in_whole_steps():
    schedule = make_schedule(SIZES, 64, 8, [2e11, 1e11], -1, RATE, [0.5])
    assert schedule.budgets == [1e11, 2e11] and len(schedule.runs) == 2 * 3 + 3
    for run in schedule.runs:
        assert abs(run.flops - schedule.budgets[run.budget - 1]) <= costs()[run.size] / 2
        assert run.flops == run.steps * costs()[run.size] and run.tokens == run.steps * 8 * 64
    assert schedule.error() < 0.01 and schedule.steps == round(2e11 / costs()["d16"])
    assert [run.name for run in schedule.runs][:3] == ["d16_c1", "d16_c1_rate_0_5", "d32_c1"]
    assert schedule.at(1)["d64"].rate == pytest.approx(0.01 * (64 / 16) ** -0.5)
    assert schedule.runs[1].rate == pytest.approx(0.005) and "9 runs, 3 of them" in schedule.describe()[-1]


def test_with_max_steps_budgets_are_proportions():
    schedule = make_schedule(SIZES, 64, 8, [1, 2, 4], 400, RATE)
    assert schedule.steps == 400 and schedule.at(3)["d16"].steps == 400
    assert [schedule.at(n)["d16"].steps for n in (1, 2, 3)] == [100, 200, 400]
    assert schedule.budgets == pytest.approx([costs()["d16"] * steps for steps in (100, 200, 400)])


def test_a_config_keeps_its_budgets_to_one_percent():
    """configs/scaling/tiny.yaml, in one process: each run's FLOPs, and the tokens that the embedded world has."""

    class Words:
        pad_token_id = bos_token_id = eos_token_id = cls_token_id = sep_token_id = 0

        def __len__(self):
            return 1024

    config = yaml.safe_load((ROOT / "configs/scaling/tiny.yaml").read_text(encoding="utf-8"))
    configs = {size: read_config(given, Words()) for size, given in config["sizes"].items()}
    decoders = {size: Decoder(**dimensions(given)) for size, given in configs.items()}
    rows = config["per_device_train_batch_size"]
    schedule = make_schedule(decoders, block_length(configs), rows, config["budgets"], -1, lambda width: 0.01)
    assert len(schedule.runs) == 15 and len(schedule.budgets) == 3
    assert schedule.error() < 0.01


def test_the_regret_of_the_rule_is_that_of_its_worst_size():
    schedule = make_schedule(SIZES, 64, 8, [1e11], -1, RATE, [0.5, 2])
    losses = dict.fromkeys((run.name for run in schedule.runs), 2.0)
    assert rate_regret(losses, schedule) == 0
    losses |= {"d32_c1_rate_2": 1.9, "d64_c1_rate_0_5": 2.5}
    assert rate_regret(losses, schedule) == pytest.approx(2 / 1.9 - 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoders": dict(list(SIZES.items())[:2])}, "--sizes: 2 are too few: a parabola needs three"),
        ({"budgets": [1e11, 1e6]}, "--budgets: 1e[+]06 FLOPs do not pay for one step of d16, which takes 5.6e"),
        ({"budgets": [1e11, 1.5e8]}, "do not pay for one step of d64"),
        ({"budgets": []}, "--budgets: expected different numbers"),
        ({"budgets": [1e11, 1e11]}, "--budgets: expected different numbers"),
        ({"probes": [1.0]}, "--rate_probes are different factors above 0 other than 1, not .1.0."),
        ({"probes": [2.0, 2.0]}, "--rate_probes are different factors"),
        ({"probes": [-1.0]}, "--rate_probes are different factors above 0"),
    ],
)
def test_refusals(changes, said):
    given = {"decoders": SIZES, "length": 64, "rows": 8, "budgets": [1e11], "max_steps": -1, "rate": RATE}
    with pytest.raises(InputError, match=said):
        make_schedule(**given | changes)
