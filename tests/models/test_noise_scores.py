"""Scores against derivatives by differences, their information against a mean, tails against SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayes_scaling.models.noise import log_density
from bayes_scaling.models.noise_scores import scores, tail_probabilities
from bayes_scaling.models.spec import Noise

NOISES = [Noise(family, scale) for family in ("StudentT", "Laplace", "Normal") for scale in ("log", "raw")]
DIMS = ("chain", "draw", "run")


def draws(values: list[float]) -> xr.DataArray:
    return xr.DataArray([values], dims=("chain", "draw"))


MU, SCALE, NU = draws([2.0, 2.1, 2.2]), draws([0.02, 0.03, 0.05]), draws([2.5, 4.0, 30.0])


def standard(noise: Noise, nu: Any) -> Any:
    return {"StudentT": stats.t(nu), "Laplace": stats.laplace(), "Normal": stats.norm()}[noise.family]


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_scores_are_derivatives_of_the_log_density(noise: Noise):
    loss, step = xr.DataArray([1.9, 2.08, 2.6], dims="run"), 1e-5

    def density(log_mu: float = 0.0, log_scale: float = 0.0) -> xr.DataArray:
        found = log_density(noise, loss, MU * np.exp(log_mu), SCALE * np.exp(log_scale), NU)
        return found.transpose(*DIMS)

    found = scores(noise, loss, MU, SCALE, NU)
    by_location = (density(step) - density(-step)) / (2 * step)
    by_scale = (density(0.0, step) - density(0.0, -step)) / (2 * step)
    for score, difference in ((found.location, by_location), (found.scale, by_scale)):
        np.testing.assert_allclose(score.value.transpose(*DIMS), difference, rtol=1e-5)
    np.testing.assert_allclose(np.exp(found.location.at), MU)
    np.testing.assert_allclose(np.exp(found.scale.at), SCALE)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_information_is_the_mean_square_of_the_score(noise: Noise):
    for draw in range(3):
        mu, scale, nu = (each.isel(draw=[draw]) for each in (MU, SCALE, NU))
        # Evenly spaced in probability: a mean over them is one over the noise.
        z = standard(noise, float(nu.squeeze())).ppf((np.arange(40_000) + 0.5) / 40_000)
        deviation = xr.DataArray(z * float(scale.squeeze()), dims="run")
        middle = float(mu.squeeze())
        loss = middle * np.exp(deviation) if noise.scale == "log" else middle + deviation
        for score in scores(noise, loss, mu, scale, nu)[:2]:
            mean_square = float((score.value**2).mean())
            assert mean_square == pytest.approx(float(np.mean(score.information)), rel=2e-3)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_far_tails_are_told_apart(noise: Noise):
    loss = xr.DataArray([1.0, 2.05, 2.6], dims="run")
    z = (np.log(loss) - np.log(MU) if noise.scale == "log" else loss - MU) / SCALE
    z, nu = z.transpose(*DIMS), NU.expand_dims(run=3).transpose(*DIMS)
    known = standard(noise, nu)
    below, above = (each.transpose(*DIMS) for each in tail_probabilities(noise, loss, MU, SCALE, NU))
    np.testing.assert_allclose(below, known.cdf(z), rtol=1e-8)
    np.testing.assert_allclose(above, known.sf(z), rtol=1e-8)
    # Where one less the other is nothing at all.
    assert ((above[..., 2] > 0) & (above[..., 2] < 0.02)).all()
