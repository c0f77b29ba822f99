from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_scaling import sample_prior
from bayes_scaling.errors import InputError


def test_prior_draws_have_the_priors_of_the_spec(simulated: pd.DataFrame):
    tree = sample_prior(simulated, draws=2000, seed=3)
    prior = tree["prior"].dataset.isel(chain=0)
    assert stats.kstest(np.log(prior["alpha"]), stats.norm(-1.05, 0.5).cdf).pvalue > 1e-3
    assert stats.kstest(prior["sigma"], stats.halfnorm(scale=0.05).cdf).pvalue > 1e-3
    # A Dirichlet's margin is a Beta: the irreducible share has 2 of 4.
    assert stats.kstest(prior["share"].sel(term="irreducible"), stats.beta(2, 2).cdf).pvalue > 1e-3


def test_the_prior_knows_the_runs_scale_and_little_else(simulated: pd.DataFrame):
    tree = sample_prior(simulated, draws=1000)
    predicted = tree["prior_predictive"]["loss"]
    assert predicted.dims == ("chain", "draw", "run")
    low, high = predicted.quantile([0.05, 0.95], dim=("chain", "draw")).values
    covered = (low < simulated["loss"].to_numpy()) & (simulated["loss"].to_numpy() < high)
    assert covered.all()
    assert ((high - low) > 0.3 * simulated["loss"].to_numpy()).all()


def test_the_same_seed_gives_the_same_draws(simulated: pd.DataFrame):
    one, again, other = (sample_prior(simulated, draws=20, seed=seed) for seed in (5, 5, 6))
    assert one.identical(again)
    assert not one.equals(other)


def test_no_draws_are_refused(simulated: pd.DataFrame):
    with pytest.raises(InputError, match="at least 1"):
        sample_prior(simulated, draws=0)
