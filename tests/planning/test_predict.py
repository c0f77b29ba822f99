from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import fit, load_spec, optimum, predict, simulate_runs
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.spec import spec_from_dict, spec_to_dict

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
"""Of the simulated runs."""


@pytest.fixture(scope="module")
def skewed_fit(simulated: pd.DataFrame) -> xr.DataTree:
    return fit(simulated, "isoflop-skewed", seed=2)


def test_the_law_is_that_of_every_draw(simulated_fit: xr.DataTree):
    found = predict(simulated_fit, [1e9, 4e9], [2e10, 1e10])
    assert found["law"].dims == found["loss"].dims == ("chain", "draw", "plan")
    draw = {"chain": 1, "draw": 5}
    law = {n: float(simulated_fit["posterior"][n].isel(draw)) for n in ("E", "A", "B", "alpha", "beta")}
    expected = chinchilla.loss(np.array([1e9, 4e9]), np.array([2e10, 1e10]), **law)
    np.testing.assert_allclose(found["law"].isel(draw), expected, rtol=1e-12)
    np.testing.assert_allclose(found["flops"], [1.2e20, 2.4e20])


def test_a_run_scatters_about_the_law_as_the_runs_do(simulated: pd.DataFrame, simulated_fit: xr.DataTree):
    """At the runs themselves it is the posterior predictive that the fit carries, drawn anew."""
    found = predict(simulated_fit, simulated["params"].to_list(), simulated["tokens"].to_list())["loss"]
    held = simulated_fit["posterior_predictive"]["loss"]
    for prob in (0.05, 0.5, 0.95):
        gap = np.log(found).quantile(prob, ("chain", "draw")) - np.log(held).quantile(prob, ("chain", "draw"))
        assert abs(float(gap.mean())) < 1e-4


def test_runs_to_come_lie_inside_as_often_as_said(simulated: pd.DataFrame, simulated_fit: xr.DataTree):
    new = simulate_runs(simulated[["run_id", "params", "tokens"]], TRUTH, sigma=0.005, seed=99)
    found = predict(simulated_fit, new["params"].to_list(), new["tokens"].to_list())["loss"]
    low, high = (found.quantile(q, ("chain", "draw")) for q in (0.05, 0.95))
    inside = ((new["loss"].to_numpy() > low) & (new["loss"].to_numpy() < high)).mean()
    assert 0.8 <= inside <= 1.0


def test_a_profile_is_least_at_its_minimum_and_scatters_more_than_its_line(skewed_fit: xr.DataTree):
    best = float(optimum(skewed_fit, 1e22)["params_opt"].median())
    sizes = best * np.array([0.25, 1.0, 4.0])
    found = predict(skewed_fit, sizes, 1e22 / (6 * sizes))
    medians = found["law"].median(("chain", "draw")).values
    assert medians[1] < min(medians[0], medians[2])
    assert float(medians[1]) == pytest.approx(float(optimum(skewed_fit, 1e22)["loss_opt"].median()), rel=2e-3)
    assert (found["loss"].std(("chain", "draw")) > found["law"].std(("chain", "draw"))).all()
    np.testing.assert_allclose(found["extrapolation"], 10.0, rtol=1e-6)


def test_the_skewed_profile_predicts_what_the_law_of_the_runs_gives(skewed_fit: xr.DataTree):
    params = np.geomspace(5e8, 8e9, 5)
    tokens = 3e20 / (6 * params)
    found = predict(skewed_fit, params, tokens)["law"]
    truth = chinchilla.loss(params, tokens, **TRUTH)
    low, high = (found.quantile(q, ("chain", "draw")).values for q in (0.005, 0.995))
    assert ((low < truth) & (truth < high)).all()


def test_noise_on_the_raw_loss_and_towards_small_compute(simulated: pd.DataFrame):
    content = spec_to_dict(load_spec("parametric"))
    content["noise"] |= {"scale": "raw", "growth": "compute"}
    content["priors"]["sigma_growth"] = {"dist": "HalfNormal", "sigma": 0.5}
    fitted = fit(simulated, spec_from_dict(content), seed=3)
    found = predict(fitted, simulated["params"].to_list(), simulated["tokens"].to_list())["loss"]
    held = fitted["posterior_predictive"]["loss"]
    for prob in (0.05, 0.95):
        np.testing.assert_allclose(
            found.quantile(prob, ("chain", "draw")), held.quantile(prob, ("chain", "draw")), rtol=2e-3
        )


def test_the_same_fit_gives_the_same_answer(simulated_fit: xr.DataTree):
    assert predict(simulated_fit, 1e9, 2e10).identical(predict(simulated_fit, 1e9, 2e10))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1e9, 2e9], [2e10]), "2 params, 1 tokens"),
        ((0, 2e10), "params must be positive and finite, not 0"),
        ((1e9, [np.nan]), "tokens must be positive"),
        (("big", 2e10), "params must be a number"),
        (([], []), "params must be a number or a list of them, and not empty"),
    ],
)
def test_what_is_no_plan_is_refused(simulated_fit: xr.DataTree, arguments: tuple, said: str):
    with pytest.raises(InputError, match=said):
        predict(simulated_fit, *arguments)


def test_draws_that_have_not_converged_are_refused_unless_allowed(unconverged_fit: xr.DataTree):
    with pytest.raises(NotConvergedError):
        predict(unconverged_fit, 1e9, 2e10)
    assert predict(unconverged_fit, 1e9, 2e10, allow_unconverged=True).attrs["converged"] == 0
