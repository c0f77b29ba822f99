from __future__ import annotations

import numpy as np
import pytest

from bayes_scaling.models.discrepancy import Population
from bayes_scaling.planning.discrepancy import (
    KEPT,
    Seen,
    decades_beyond,
    expected_slope,
    log_deviation,
)

FIXED = Population(mean=-0.02, scale=0.05, spread=1e-9, shared=0.3, decades=0.7)
"""All studies have one scale, so that a closed form is exact."""


def test_it_is_exactly_zero_up_to_the_largest_run():
    assert decades_beyond(np.array([1e18, 1e20, 1e21]), 1e20).tolist() == [0.0, 0.0, 1.0]


def test_without_cuts_it_is_the_population():
    slope = expected_slope(FIXED, 1e20)
    assert slope.moments() == pytest.approx((-0.02, 0.05))


def test_a_mixture_of_scales_has_heavier_tails():
    draws = {
        spread: expected_slope(Population(0.0, 0.05, spread, 0.3, 0.7), 1e20).draws(
            200_000, np.random.default_rng(0)
        )
        for spread in (1e-9, 1.0)
    }
    beyond = {spread: (np.abs(values) > 0.2).mean() for spread, values in draws.items()}
    assert beyond[1.0] > 10 * beyond[1e-9]


def test_one_earlier_slope_in_closed_form():
    alike = 0.3 + 0.7 * np.exp(-1 / 0.7)
    weight = 0.05**2 * alike / (0.05**2 + 0.02**2)
    slope = expected_slope(FIXED, 1e20, [Seen(1e19, 0.06, 0.02)])
    assert slope.moments() == pytest.approx((-0.02 + weight * 0.08, np.sqrt(0.05**2 * (1 - weight * alike))))


def test_slopes_seen_at_the_cut_without_error_are_expected_again():
    slope = expected_slope(FIXED, 1e20, [Seen(1e20, 0.06, 1e-9)])
    assert slope.moments() == pytest.approx((0.06, 0.0), abs=1e-6)


def test_a_noisy_slope_teaches_nothing():
    slope = expected_slope(FIXED, 1e20, [Seen(1e19, 0.5, 1e3)])
    assert slope.moments() == pytest.approx((-0.02, 0.05), rel=1e-4)


def test_a_calm_study_is_expected_to_stay_calm_and_a_wild_one_wild():
    population = Population(0.0, 0.05, 0.7, 0.0, 0.01)
    cuts = [1e18, 1e19, 1e20]
    calm, wild = (
        expected_slope(
            population, 1e21, [Seen(c, s * k, 0.005) for c, k in zip(cuts, (1, -1, 1), strict=True)]
        )
        for s in (0.003, 0.15)
    )
    assert calm.moments()[1] < 0.03 < 0.08 < wild.moments()[1]
    # Cuts that share nothing but the scale do not say on which side the next slope lies.
    assert wild.moments()[0] == pytest.approx(0.0, abs=1e-6)


def test_draws_have_the_moments():
    slope = expected_slope(Population(0.01, 0.05, 0.7, 0.3, 0.7), 1e20, [Seen(1e19, 0.1, 0.01)])
    draws = slope.draws(400_000, np.random.default_rng(0))
    assert (draws.mean(), draws.std()) == pytest.approx(slope.moments(), rel=0.02)


def test_a_slope_holds_up_to_its_bend_and_beyond_it_a_share_of_the_gain_is_kept():
    decades = np.array([0.0, 1.0, 2.0, 3.0])
    gain = 0.1 * decades
    straight = log_deviation(-0.05, decades, np.inf, gain, np.inf)
    assert straight == pytest.approx(-0.05 * decades)
    bent, lost = log_deviation(0.04, decades, 1.0, gain, 0.1), 0.1 * (1 - KEPT)
    assert bent == pytest.approx([0.0, 0.04, 0.04 + lost, 0.04 + 2 * lost])
    never = log_deviation(0.2, decades, 0.0, gain, 0.0)
    assert gain - never == pytest.approx(KEPT * gain)
