"""Parabolas and power laws on losses whose optimum and exponents are known."""

from hfcourse.scaling.fits import Valley, bottoms, exponent, interval

import numpy as np
import pytest


# Hoffmann et al. 2022, section 3.3: L = E + A / N ** alpha + B / D ** beta, with C = 6 N D.
E, A, B, ALPHA, BETA = 1.69, 406.4, 410.7, 0.34, 0.28
BUDGETS = np.array([1e18, 4e18, 1.6e19])


def best_size(compute):
    """Equation 4: N = G (C / 6) ** (beta / (alpha + beta))."""
    g = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    return g * (compute / 6) ** (BETA / (ALPHA + BETA))


def valleys(noise=0.0, seed=0, sizes=5, data=False):
    """`sizes` sizes at each budget, a factor of 16 apart, about the best of the middle budget."""
    rng, n = np.random.default_rng(seed), best_size(BUDGETS[1]) * np.geomspace(0.25, 4, sizes)
    found = []
    for compute in BUDGETS:
        d = compute / 6 / n
        losses = E + A / n**ALPHA + B / d**BETA + noise * rng.standard_normal(sizes)
        found.append(Valley(d if data else n, losses))
    return found


def exponent_of(found):
    return exponent(BUDGETS, np.array([valley.lowest[0] for valley in found]))[0]


def test_the_exponents_of_the_parametric_form_come_back():
    a, b = BETA / (ALPHA + BETA), ALPHA / (ALPHA + BETA)
    size, data = exponent_of(valleys()), exponent_of(valleys(data=True))
    # A parabola is not quite what the form is over a factor of 16 in N.
    assert size == pytest.approx(a, abs=0.005) and data == pytest.approx(b, abs=0.005)
    assert size + data == pytest.approx(1, abs=1e-6)  # each budget's D is C / 6 N
    best = valleys()[1].lowest[0]
    assert best == pytest.approx(best_size(BUDGETS[1]), rel=0.03)
    factor = exponent(BUDGETS, best_size(BUDGETS))[1]
    assert factor * BUDGETS[0] ** a == pytest.approx(best_size(BUDGETS[0]))


@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_nineteen_of_twenty_intervals_hold_the_exponent(noise):
    a = BETA / (ALPHA + BETA)
    bounds = [interval(BUDGETS, valleys(noise, seed), seed) for seed in range(200)]
    held = np.mean([low <= a <= high for low, high in bounds])
    assert 0.9 <= held <= 1
    assert np.median([high - low for low, high in bounds]) < 40 * noise  # it says something


def test_an_interval_needs_points_off_the_parabola_and_is_the_same_each_time():
    assert interval(BUDGETS, valleys(sizes=3)) is None
    assert interval(BUDGETS, valleys(0.01)) == interval(BUDGETS, valleys(0.01))
    low, high = interval(BUDGETS, valleys(0.01))
    assert low < exponent_of(valleys(0.01)) < high


def test_the_lowest_point_by_hand_and_never_beyond_what_was_tried():
    x = np.exp([0.0, 1.0, 2.0])
    valley = Valley(x, np.array([3.0, 2.0, 3.0]))  # 2 + (z - 1) ** 2
    assert valley.curved and valley.lowest == (pytest.approx(np.e), pytest.approx(2))
    falling = Valley(x, np.array([3.0, 2.0, 1.5]))  # lowest at z = 2.5
    assert not falling.curved and falling.lowest[0] == pytest.approx(np.exp(2))
    hill = Valley(x, np.array([1.0, 2.0, 0.5]))
    assert not hill.curved and hill.lowest[0] == pytest.approx(np.exp(2))
    both = bottoms(np.log(x), np.stack([valley.losses, hill.losses, hill.losses[::-1]]))
    assert both == pytest.approx([1, 2, 0])
