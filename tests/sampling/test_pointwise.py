"""Log likelihood and predictive draws, worked out in NumPy, against PyMC's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import xarray as xr

from bayes_scaling import build_model, load_spec
from bayes_scaling.models.spec import Noise, Prior
from bayes_scaling.sampling.nuts import Sampling, draw_posterior
from bayes_scaling.sampling.observed import constant_data
from bayes_scaling.sampling.pointwise import log_likelihood, predictive

NOISES = [
    Noise("StudentT", "log"),
    Noise("Laplace", "raw"),
    Noise("Normal", "log", "compute"),
    Noise("StudentT", "raw", "compute"),
    Noise("StudentT", "log", "loss"),
    Noise("Laplace", "raw", "loss"),
]


def with_noise(noise: Noise):
    default = load_spec("parametric")
    priors = {**default.priors, "sigma_growth": Prior("HalfNormal", {"sigma": 0.2})}
    wanted = ("loss_ratio", "share", "alpha", "beta", *noise.priors)
    return replace(default, name="test", noise=noise, priors={name: priors[name] for name in wanted})


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("with_se", [False, True], ids=["", "with standard errors"])
def test_agrees_with_pymc(simulated: pd.DataFrame, noise: Noise, with_se: bool):
    runs = simulated.iloc[::3].reset_index(drop=True)
    if with_se:
        runs["loss_se"] = 0.001 * np.arange(1, len(runs) + 1)
    spec = with_noise(noise)
    model = build_model(runs, spec)
    # Any point of the parameter space will do: the prior's own draws, which PyMC makes.
    # Five draws are not worth compiling for.
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        drawn = pm.sample_prior_predictive(draws=5, model=model, random_seed=3)
    draws = drawn["prior"].to_dataset()
    ours = log_likelihood(draws, constant_data(runs), spec)["loss"]

    tree = drawn.copy()
    tree["posterior"] = tree["prior"]
    name = "log_loss" if noise.scale == "log" else "loss"
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        theirs = pm.compute_log_likelihood(tree, model=model, progressbar=False)["log_likelihood"][name]
    # PyMC gives the density of the variable observed: of the log loss, where ours is of the loss.
    jacobian = -np.log(runs["loss"].to_numpy()) if noise.scale == "log" else 0.0
    np.testing.assert_allclose(ours, theirs.transpose("chain", "draw", "run") + jacobian, rtol=1e-9)


@pytest.mark.parametrize("family", ["Normal", "Laplace"])
@pytest.mark.parametrize("scale", ["log", "raw"])
def test_without_noise_of_its_own_a_loss_scatters_by_its_standard_error(
    simulated: pd.DataFrame, family: str, scale: str
):
    runs = simulated.iloc[::10].assign(loss_se=lambda table: 0.002 * np.arange(1, len(table) + 1))
    constant = constant_data(runs.reset_index(drop=True))
    values = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37, "sigma": 1e-12}
    draws = xr.Dataset({name: (("chain", "draw"), np.full((1, 40_000), x)) for name, x in values.items()})
    losses = predictive(draws, constant, with_noise(Noise(family, scale)), seed=2)["loss"].values[0]
    if scale == "log":
        # The error of a log loss is relative: it scatters about the law, which is a little off the loss.
        mu = 1.8 + 480.0 / constant["params"] ** 0.35 + 2000.0 / constant["tokens"] ** 0.37
        losses = np.log(losses / mu.values) * constant["loss"].values
    np.testing.assert_allclose(losses.std(axis=0), constant["loss_se"], rtol=0.03)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_predicted_losses_have_the_distribution_of_the_model(simulated: pd.DataFrame, noise: Noise):
    """Probability integral transform: the model's own CDF of its own draws is uniform."""
    from scipy import stats

    spec = with_noise(noise)
    runs = simulated.iloc[:4].reset_index(drop=True).assign(flops=[1e19, 3e19, 1e20, 1e21])
    runs["tokens"] = runs["flops"] / (6 * runs["params"])
    constant = constant_data(runs)
    values = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37, "sigma": 0.02, "nu": 5.0}
    values["sigma_growth"] = 0.1
    draws = xr.Dataset(
        {name: xr.DataArray(np.full((1, 20_000), x), dims=("chain", "draw")) for name, x in values.items()}
    )
    losses = predictive(draws, constant, spec, seed=0)["loss"].values[0]

    mu = 1.8 + 480.0 / runs["params"] ** 0.35 + 2000.0 / runs["tokens"] ** 0.37
    compute = runs["flops"] / np.exp(np.log(runs["flops"]).mean())
    typical = np.exp(np.log(runs["loss"]).mean())
    growth = {"constant": 1.0, "compute": compute**-0.1, "loss": (mu / typical) ** 0.1}[noise.growth]
    scale = np.asarray(0.02 * growth)
    if noise.scale == "log":
        z = (np.log(losses) - np.log(mu.to_numpy())) / scale
    else:
        z = (losses - mu.to_numpy()) / (scale * typical)
    cdf = {"StudentT": stats.t(5.0), "Laplace": stats.laplace(), "Normal": stats.norm()}[noise.family].cdf
    for run in range(len(runs)):
        assert stats.kstest(cdf(z[:, run]), "uniform").pvalue > 1e-3


def test_predictive_draws_follow_their_seed(simulated: pd.DataFrame):
    spec = load_spec("parametric")
    model = build_model(simulated, spec)
    draws = draw_posterior(model, Sampling(draws=10, tune=100, chains=1))[0]
    constant = constant_data(simulated)
    one, again, other = (predictive(draws, constant, spec, seed=seed)["loss"] for seed in (1, 1, 2))
    assert one.identical(again)
    assert not one.equals(other)
