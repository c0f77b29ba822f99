from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest

from bayes_scaling import build_model, load_spec
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.spec import Prior, Spec


def with_prior(name: str, dist: str, **parameters: object) -> Spec:
    spec = load_spec("parametric")
    return replace(spec, priors={**spec.priors, name: Prior(dist, parameters)})


def test_the_model_is_a_plain_pymc_model(simulated: pd.DataFrame):
    model = build_model(simulated)
    assert isinstance(model, pm.Model)
    noise = {"sigma", "nu", "sigma_growth"}
    assert {v.name for v in model.free_RVs} == {"loss_ratio", "share", "alpha", "beta"} | noise
    assert {v.name for v in model.deterministics} == {"E", "A", "B"}
    assert list(model.coords["run"]) == list(simulated["run_id"])


def test_centring_changes_nothing_about_the_law(simulated: pd.DataFrame):
    """The law at E, A and B, in the units of the runs, is the loss that the likelihood is centred on."""
    model = build_model(simulated)
    location = pm.math.exp(model["log_loss"].owner.inputs[-2])
    E, A, B, alpha, beta, mu = pm.draw(
        [*(model[n] for n in ("E", "A", "B", "alpha", "beta")), location], random_seed=1
    )
    law = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    expected = chinchilla.loss(simulated["params"].to_numpy(), simulated["tokens"].to_numpy(), **law)
    np.testing.assert_allclose(mu, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            with_prior("alpha", "LogNorml", mu=0, sigma=1),
            "no distribution 'LogNorml'; did you mean 'LogNormal'",
        ),
        (with_prior("alpha", "LogNormal", mu=0, sgima=1), "no parameter 'sgima'; did you mean 'sigma'"),
        (with_prior("alpha", "Normal", mu=0.4, sigma=0.1), "prior of alpha: it reaches below zero"),
        (with_prior("alpha", "TruncatedNormal", mu=0.1, sigma=0.5, upper=1), "alpha: it reaches below zero"),
        (with_prior("alpha", "LogNormal", mu=-1, sigma=-0.5), "LogNormal does not take"),
        (with_prior("sigma", "HalfNormal", sigma=0), "HalfNormal does not take"),
        (with_prior("alpha", "LogNormal", mu=float("nan"), sigma=1), "finite"),
        (with_prior("alpha", "LogNormal", mu=[-1.0, -1.1], sigma=1), "does not give one number"),
        (with_prior("share", "Dirichlet", a=[2.0, 1.0]), "share: Dirichlet"),
        (with_prior("share", "Dirichlet", a=[2.0, 1.0, 1.0, 1.0]), "share: Dirichlet"),
        (with_prior("beta", "Uniform", lower=-0.1, upper=1), "prior of beta: it reaches below zero"),
    ],
)
def test_a_prior_that_cannot_be_used_is_refused(simulated: pd.DataFrame, spec: Spec, said: str):
    with pytest.raises(InputError) as caught:
        build_model(simulated, spec)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "prior", [("HalfNormal", {"sigma": 1}), ("TruncatedNormal", {"mu": 0.4, "sigma": 0.1, "lower": 0})]
)
def test_other_positive_priors_are_taken(simulated: pd.DataFrame, prior: tuple[str, dict]):
    assert build_model(simulated, with_prior("alpha", prior[0], **prior[1])).free_RVs


def test_too_few_runs_are_refused(simulated: pd.DataFrame):
    assert build_model(simulated.sample(6, random_state=0))
    with pytest.raises(InputError, match="5 runs; the law has five parameters and needs at least 6"):
        build_model(simulated.sample(5, random_state=0))


@pytest.mark.parametrize("column", ["params", "tokens"])
def test_runs_that_say_nothing_about_one_direction_are_refused(simulated: pd.DataFrame, column: str):
    runs = simulated.drop(columns=["flops", "budget"]).assign(**{column: 1e9})
    with pytest.raises(InputError, match=rf"have the same .*\({column} = 1e\+09\)"):
        build_model(runs)


def test_a_spread_of_flops_per_parameter_and_token_is_told(simulated: pd.DataFrame):
    drift = (simulated["params"] / simulated["params"].min()) ** 0.05
    with pytest.warns(RunsWarning, match=r"goes from 6 to 7\.\d+: budgets are planned at its geometric mean"):
        build_model(simulated.assign(flops=simulated["flops"] * drift))


def test_one_law_for_several_recipes_is_told(simulated: pd.DataFrame):
    with pytest.warns(RunsWarning, match=r"2 recipes \('web', 'wiki'\).*--where 'recipe == \"web\"'"):
        build_model(simulated.assign(recipe=["web", "wiki"] * 30))
