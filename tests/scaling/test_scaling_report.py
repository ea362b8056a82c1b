"""What is told of a schedule whose losses are made by a known law."""

from hfcourse.scaling.emergence import LENGTHS
from hfcourse.scaling.flops import Decoder
from hfcourse.scaling.picture import plot, plot_emergence
from hfcourse.scaling.report import find, metrics, short, table, winners
from hfcourse.scaling.schedule import make_schedule

import pytest
from PIL import Image


SIZES = {f"d{width}": Decoder(2, width, width, width, 4 * width, False, 64) for width in (96, 16, 24, 36, 60)}


def made(budgets=(1e10, 4e10, 1.6e11), sizes=SIZES):
    """Losses 1 + 85 / N ** .4 + 400 / D ** .5, and tokens that are right with .4 + .5 s after the share s of a run."""
    schedule = make_schedule(sizes, 32, 1, budgets, -1, lambda width: 0.01, [2.0])

    def loss(run, share):
        return 1 + 85 / schedule.decoders[run.size].parameters ** 0.4 + 400 / (run.tokens * share) ** 0.5

    history = [{"step": 0} | {f"eval_loss_{run.name}": 9.0 for run in schedule.runs}]
    for step in (schedule.steps // 2, schedule.steps):
        entry = {"step": step}
        for run in schedule.runs:
            share = min(step / run.steps, 1)
            entry[f"eval_loss_{run.name}"] = loss(run, share)
            entry |= {f"eval_exact_{length}_{run.name}": (0.4 + 0.5 * share) ** length for length in LENGTHS}
        history.append(entry)
    return find(schedule, history[-1], history, seed=0)


def test_the_law_that_the_losses_were_made_by(tmp_path):
    found = made()
    told = metrics(found, 0.0)
    # The best of A / N ** .4 + B / D ** .5 with N D in proportion to C: N ~ C ** (.5 / .9), D ~ C ** (.4 / .9). FLOPs
    # are not quite in proportion to N D.
    assert told["size_exponent"] == pytest.approx(5 / 9, abs=0.06)
    assert told["data_exponent"] == pytest.approx(4 / 9, abs=0.06)
    assert told["size_exponent_lower"] < told["size_exponent"] < told["size_exponent_upper"]
    assert [told[f"bracketed_c{n}"] for n in (1, 2, 3)] == [1, 1, 1] and told["rate_regret"] == 0
    for length in LENGTHS[1:]:
        assert told[f"effective_length_{length}"] == pytest.approx(length, abs=0.02)
        assert told[f"explained_{length}"] == pytest.approx(1, abs=1e-3)
    assert told["late_share_1"] <= told["late_share_4"] <= told["late_share_16"]
    for draw in (plot, plot_emergence):
        draw(tmp_path / "picture.png", found)
        with Image.open(tmp_path / "picture.png") as picture:
            assert picture.width > 500 and len(set(picture.convert("L").getdata())) > 10


def test_sizes_are_told_from_the_smallest_whatever_their_order():
    found = made()
    rows = table(found)
    assert [row["size"] for row in rows] == ["d16", "d24", "d36", "d60", "d96"]
    losses = {size: found.losses[f"{size}_c1"] for size in SIZES}
    best = min(losses, key=losses.get)
    assert [row["size"] for row in rows if "*" in row["C 1.0e+10"]] == [best]
    assert rows[0]["C 1.0e+10"].startswith(f"{losses['d16']:.3f}")
    assert winners(found)[0].startswith(f"At 1e+10 FLOPs {best} won (")
    gains = [f"{losses[size] - losses[best]:.3f} below {size}" for size in ("d16", "d96")]
    assert winners(found)[0].endswith(f" nats a token, {gains[0]}, {gains[1]}.")


def test_no_law_where_the_best_lies_at_an_end_or_with_one_budget_and_no_interval_of_three_sizes():
    ends = metrics(made((1e8, 4e8)), 0.0)
    assert ends["bracketed_c1"] == 0 and ends["best_parameters_c1"] == pytest.approx(SIZES["d16"].parameters)
    assert not [name for name in ends if "exponent" in name] and "No exponent" in winners(made((1e8, 4e8)))[-1]
    assert not [name for name in metrics(made((4e10,)), 0.0) if "exponent" in name]
    three = metrics(made(sizes={size: SIZES[size] for size in ("d16", "d36", "d96")}), 0.0)
    assert "size_exponent" in three and "size_exponent_lower" not in three


def test_each_run_is_one_point_until_it_is_seen_finished():
    found = made()
    longest = [run for run in found.schedule.runs if run.steps > found.schedule.steps // 2]
    assert 0 < len(longest) < len(found.schedule.runs)
    assert len(found.points[1][0]) == len(found.schedule.runs) + len(longest) and max(found.points[1][0]) < 9


def test_short_numbers():
    assert [short(number) for number in (417, 22_464, 2.17e6, 9.2e9)] == ["417", "22.5k", "2.17M", "9.2G"]
