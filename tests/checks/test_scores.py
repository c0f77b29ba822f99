from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from bayes_scaling.checks.scores import ends, interval_score, log_score, pit

RNG = np.random.default_rng(0)
DRAWS = RNG.normal(1.0, 2.0, size=(3, 20_000))


def test_ends_of_normal_draws():
    low, high = ends(DRAWS, 0.9)
    assert low == pytest.approx(norm(1, 2).ppf(0.05), abs=0.06)
    assert high == pytest.approx(norm(1, 2).ppf(0.95), abs=0.06)


def test_interval_score_is_width_and_twenty_times_the_miss():
    low, high = np.zeros(3), np.ones(3)
    assert interval_score(low, high, np.array([0.5, -0.1, 1.2])) == pytest.approx([1.0, 3.0, 5.0])


def test_the_true_interval_has_the_least_expected_score():
    came = RNG.normal(size=200_000)
    score = {
        width: interval_score(-width * np.ones(1), width * np.ones(1), came).mean()
        for width in (1.2, 1.645, 2.2)
    }
    assert min(score, key=score.__getitem__) == 1.645


def test_log_score_of_normal_draws():
    came = np.array([1.0, 3.0, -2.0])
    assert log_score(DRAWS, came) == pytest.approx(norm(1, 2).logpdf(came), abs=0.05)


def test_log_score_far_outside_is_finite():
    assert np.isfinite(log_score(DRAWS, np.full(3, 1e4))).all()


def test_pit_of_the_median_and_of_ties():
    assert pit(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([2.5])).tolist() == [0.5]
    assert pit(np.ones((1, 4)), np.ones(1)).tolist() == [0.5]
