"""Power scaling of priors: the log prior against PyMC's, and what moves against a posterior known exactly."""

from __future__ import annotations

import warnings

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from flawed_studies import sound
from handmade_fits import fit_of_prior, laplace_fit

from bayes_scaling import build_model, load_spec, sample_prior
from bayes_scaling.arviz_calls import power_scaling
from bayes_scaling.checks.sensitivity import SENSITIVE, prior_sensitivity, sensitivity_findings
from bayes_scaling.errors import RunsWarning
from bayes_scaling.models.plain import PLAIN
from bayes_scaling.sampling.log_prior import log_prior


def test_the_log_prior_is_that_of_the_model():
    runs, spec = sound(), load_spec("parametric")
    draws = sample_prior(runs, spec, draws=5)["prior"].to_dataset()
    found = log_prior(draws, spec)
    model = build_model(runs, spec)
    density = model.compile_fn(model.varlogp_nojac, mode=PLAIN)
    for draw in range(5):
        one = draws.isel(chain=0, draw=draw)
        point = {
            model.rvs_to_values[free].name: (
                transform.forward(one[free.name].to_numpy(), *free.owner.inputs).eval(mode=PLAIN)
                if (transform := model.rvs_to_transforms[free]) is not None
                else one[free.name].to_numpy()
            )
            for free in model.free_RVs
        }
        assert float(found[0, draw]) == pytest.approx(float(density(point)), rel=1e-6)


def test_of_a_population_it_is_that_of_centre_and_spread():
    """Written out for one draw: nothing of recipes is in it but what each has by itself."""
    spec = load_spec("parametric-recipes")
    runs = sound().assign(recipe=["web", "books"] * 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        draws = sample_prior(runs, spec, draws=3)["prior"].to_dataset()
    found = log_prior(draws, spec)
    one = draws.isel(chain=0, draw=0)
    total = 0.0
    for name, prior in spec.priors.items():
        parameter = name.removesuffix("_spread")
        how = spec.pooling[parameter]
        if name == parameter:
            variable = f"{name}_typical" if f"{name}_typical" in one else name
            assert (one[variable].ndim == 1) == (how == "none")
        else:
            variable = name
        distribution = getattr(pm, prior.dist).dist(**prior.parameters)
        values = np.atleast_1d(one[variable].to_numpy())
        total += sum(float(pm.logp(distribution, value).eval(mode=PLAIN)) for value in values)
    assert float(found[0, 0]) == pytest.approx(total)


def normal(spread: float, *, draws: int = 20_000) -> tuple[xr.Dataset, xr.DataArray, xr.DataArray]:
    """A mean with the prior Normal(0, spread), one observation of 1 with error 1: draws and densities."""
    precision = 1 / spread**2 + 1
    rng = np.random.default_rng(2)
    values = 1 / precision + rng.normal(size=(4, draws // 4)) / np.sqrt(precision)
    mean = xr.DataArray(values, dims=("chain", "draw"))
    prior, density = -0.5 * mean**2 / spread**2, -0.5 * (mean - 1) ** 2
    return xr.Dataset({"alpha": mean}), prior, density.expand_dims(run=1, axis=2)


def test_a_prior_matters_by_what_it_weighs():
    tight, fair, wide = (power_scaling(*normal(spread))["alpha"].to_series() for spread in (0.5, 1.0, 20.0))
    assert tight["prior"] > fair["prior"] > SENSITIVE > wide["prior"]
    assert wide["likelihood"] > SENSITIVE


def test_a_posterior_that_is_the_prior_moves_and_narrows_with_it():
    """Draws from the prior itself, whose power is doubled."""
    weak, strong = (
        prior_sensitivity(fit, 1e23)
        for fit in (fit_of_prior(sound(), "parametric", draws=500), laplace_fit(sound()))
    )
    for name in ("E", "alpha", "a"):
        assert float(weak.prior[name]) > SENSITIVE > float(strong.prior[name])
        assert float(weak.narrowing[name]) > 0.05 > abs(float(strong.narrowing[name]))
        assert float(strong.likelihood[name]) > SENSITIVE
    assert float(strong.prior["N_opt"]) < SENSITIVE


def test_what_rests_on_the_runs_passes_and_what_is_the_priors_is_named():
    plan, law = sensitivity_findings(laplace_fit(sound()), 1e23)
    assert (plan.check, law.check) == ("prior: plan", "prior: law")
    assert plan.passed
    assert law.passed
    assert "1e23 FLOP" in plan.text
    plan, law = sensitivity_findings(fit_of_prior(sound(), "parametric", draws=500), 1e23)
    assert not plan.passed
    assert not law.passed
    assert "a by" in plan.text
    assert "alpha by" in law.text
