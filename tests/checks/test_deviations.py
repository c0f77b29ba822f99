"""The test of deviations, against a linear model whose own tests are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_scaling.checks.deviations import Evidence, deviation_test, evidence, smooth_basis
from bayes_scaling.models.noise_scores import Score

RUNS, SIGMA = 60, 0.1


def posterior(features: np.ndarray, y: np.ndarray, *, draws: int = 20_000, seed: int = 0) -> xr.DataArray:
    """Means of the losses under draws of the coefficients, exactly, whose prior is flat."""
    covariance = SIGMA**2 * np.linalg.inv(features.T @ features)
    mean = covariance @ features.T @ y / SIGMA**2
    coefficients = np.random.default_rng(seed).multivariate_normal(mean, covariance, size=(1, draws))
    return xr.DataArray(coefficients @ features.T, dims=("chain", "draw", "run"))


def location(y: np.ndarray, means: xr.DataArray) -> Evidence:
    return evidence(Score((xr.DataArray(y, dims="run") - means) / SIGMA**2, 1 / SIGMA**2, means))


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(1.0, 100.0, RUNS))
    features = np.stack([np.ones(RUNS), np.log(x)], axis=1)
    return x, features, features @ [1.0, -0.3] + SIGMA * rng.normal(size=RUNS)


def test_it_is_the_drop_in_squares_when_the_deviation_is_fitted(data: tuple[np.ndarray, ...]):
    """Of a linear model with known noise: chi-squared, in the directions that the model has not already."""
    x, features, y = data
    basis = smooth_basis(x, 3, np.ones(RUNS, dtype=bool))
    found = deviation_test(location(y, posterior(features, y)), basis)

    def fitted(columns: np.ndarray) -> np.ndarray:
        return columns @ np.linalg.lstsq(columns, y, rcond=None)[0]

    with_it, without = fitted(np.hstack([features, basis])), fitted(features)
    drop = ((y - without) ** 2).sum() - ((y - with_it) ** 2).sum()
    # The line in log x is the model's own.
    assert found.directions == 2
    assert found.p_value == pytest.approx(stats.chi2.sf(drop / SIGMA**2, 2), rel=0.03)
    # What is left of a deviation is what a smooth curve through the residuals shows.
    bent = y + 0.1 * basis[:, 1]
    again = deviation_test(location(bent, posterior(features, bent)), basis)
    assert again.p_value < 1e-4 < found.p_value
    residual = bent - features @ np.linalg.lstsq(features, bent, rcond=None)[0]
    np.testing.assert_allclose(
        again.size, basis @ np.linalg.lstsq(basis, residual, rcond=None)[0], atol=0.005
    )


def test_what_the_model_fits_by_itself_is_not_tested(data: tuple[np.ndarray, ...]):
    x, features, y = data
    found = deviation_test(location(y, posterior(features, y)), smooth_basis(x, 1, np.ones(RUNS, dtype=bool)))
    assert np.isnan(found.p_value)
    assert found.directions == 0
    np.testing.assert_array_equal(found.size, 0)


def test_its_p_values_are_uniform_though_the_data_were_used_twice(data: tuple[np.ndarray, ...]):
    x, features, _ = data
    basis, rng = smooth_basis(x, 4, np.ones(RUNS, dtype=bool)), np.random.default_rng(8)
    p_values, plain = [], []
    for seed in range(200):
        y = features @ [1.0, -0.3] + SIGMA * rng.normal(size=RUNS)
        means = posterior(features, y, draws=500, seed=seed)
        p_values.append(deviation_test(location(y, means), basis).p_value)
        # The same sum of scores in losses that the draws give, as a posterior predictive check compares it.
        residual = y - means.to_numpy()[0]
        drawn = SIGMA * rng.normal(size=residual.shape)
        observed, replicated = (((each @ basis) ** 2).sum(axis=1) for each in (residual, drawn))
        plain.append((replicated >= observed).mean())
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert stats.kstest(plain, "uniform").pvalue < 1e-6


def test_of_the_noise_it_is_the_score_test_of_unequal_variances(data: tuple[np.ndarray, ...]):
    """Cook and Weisberg 1983, Biometrika 70, where the mean is known and the variance is not."""
    x, _, _ = data
    rng, h = np.random.default_rng(3), np.log(x) - np.log(x).mean()
    for growth in (0.0, 0.5):
        z = np.exp(growth * h) * rng.normal(size=RUNS)
        # With a flat prior on the log of it the variance has an inverse chi-squared posterior.
        scale = np.sqrt((z**2).sum() / rng.chisquare(RUNS, size=(1, 20_000, 1)))
        scaled = xr.DataArray(z / scale, dims=("chain", "draw", "run"))
        log_scale = xr.DataArray(np.log(scale[..., 0]), dims=("chain", "draw"))
        found = deviation_test(
            evidence(Score(scaled**2 - 1, 2.0, log_scale)), smooth_basis(x, 1, np.ones(RUNS, dtype=bool))
        )
        u = z**2 / (z**2).mean()
        statistic = ((u - 1) @ h) ** 2 / (2 * (h**2).sum())
        assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 1), rel=0.3)


def test_a_basis_has_no_more_powers_than_values_and_leaves_other_runs_alone():
    rows = np.array([True, True, True, False])
    basis = smooth_basis(np.array([1.0, 10.0, 10.0, 5.0]), 4, rows)
    assert basis.shape == (4, 1)
    np.testing.assert_allclose(basis[:, 0], [-1, 1, 1, 0])
    assert smooth_basis(np.full(4, 3.0), 4, rows).shape == (4, 0)
