from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayes_scaling.checks.uniformity import uniform_band, uniformity_p_value


@pytest.mark.parametrize("count", [5, 40, 500])
def test_uniform_numbers_have_uniform_p_values(count: int):
    rng = np.random.default_rng(2)
    p_values = [uniformity_p_value(rng.uniform(size=count)) for _ in range(400)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_of_one_number_it_is_its_own_two_sided_probability():
    for value in (0.03, 0.4, 0.99):
        assert uniformity_p_value(np.array([value])) == pytest.approx(2 * min(value, 1 - value), abs=0.02)


@pytest.mark.parametrize("count", [5, 40, 500])
@pytest.mark.parametrize("level", [0.1, 0.01 / 15, 1e-5])
def test_the_test_fails_where_the_band_is_left(count: int, level: float):
    rng, failures = np.random.default_rng(3), []
    share, low, high = uniform_band(count, 1 - level)
    places = np.round(share * count).astype(int) - 1
    for exponent in np.geomspace(0.05, 20, 120):
        values = rng.uniform(size=count) ** exponent
        ordered = np.sort(values)[places]
        outside = bool(((ordered < low) | (ordered > high)).any())
        p_value = uniformity_p_value(values)
        assert outside == (p_value < level)
        failures.append(outside)
    assert any(failures)
    assert not all(failures)


@pytest.mark.parametrize(
    "shape", [stats.beta(0.5, 0.5), stats.beta(2, 2), stats.beta(1, 1.6)], ids=["narrow", "wide", "biased"]
)
def test_other_distributions_are_told(shape: object):
    values = shape.rvs(size=150, random_state=1)  # type: ignore[attr-defined]
    assert uniformity_p_value(values) < 0.01


def test_what_no_set_reaches_has_a_smaller_p_value_still():
    """Bounded by the probabilities of all numbers together, of which one alone is this far out."""
    for least in (1e-5, 1e-8):
        values = np.append(np.linspace(0.02, 0.98, 29), least)
        assert 0.99 * 60 * least < uniformity_p_value(values) <= 30 * 60 * least
