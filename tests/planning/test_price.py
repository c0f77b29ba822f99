"""What a token costs: k of the runs, where it levels off, and what laws make of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from handmade_fits import BESIROGLU, frontier_draws, handmade_fit, law_draws
from scipy.optimize import minimize_scalar

from bayes_scaling import compare, optimum, plan, predict
from bayes_scaling.errors import RunsWarning
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.law_surface import LawSurface, optima_of_laws
from bayes_scaling.planning.price import Price, price_of, price_of_runs
from bayes_scaling.planning.surface import surface_of

RISING = Price(level=3.6, rise=0.58, middle=2.4e8, power=1.4)
"""As of Marin's runs."""


def runs_of(k: object, params: np.ndarray, recipe: object = None) -> xr.Dataset:
    tokens = 20 * params
    runs = {"params": params, "tokens": tokens, "flops": k * params * tokens}
    constant = xr.Dataset({name: ("run", values) for name, values in runs.items()})
    return constant if recipe is None else constant.assign(recipe=("run", recipe))


def test_runs_without_flops_of_their_own_cost_six_to_the_bit():
    params = np.geomspace(1e6, 1e10, 30)
    price = price_of(runs_of(6.0, params))
    assert price == Price(6.0)
    assert price.compute(3e9, 7e10) == 6.0 * 3e9 * 7e10
    assert price.params(6.0 * 3e9) == 3e9
    assert (price.drift(params) == 0).all()
    other = price_of(runs_of(7.3, params))
    assert (other.level, other.rise) == (pytest.approx(7.3, rel=1e-14), 0.0)


def test_runs_of_six_nd_say_nothing_beside_runs_with_flops_of_their_own():
    params = np.geomspace(1e6, 1e10, 30)
    k = np.where(np.arange(30) < 10, 6.0, 7.3)
    price = price_of(runs_of(k, params))
    assert (price.level, price.rise) == (pytest.approx(7.3, rel=1e-14), 0.0)


def test_recipes_may_cost_differently_without_k_changing_with_the_size():
    params = np.concatenate([np.geomspace(1e6, 1e8, 9), np.geomspace(1e8, 1e10, 9)])
    price = price_of(runs_of(np.repeat([5.0, 8.0], 9), params, recipe=np.repeat(["a", "b"], 9)))
    assert price.rise == 0
    assert price.level == pytest.approx(40**0.5)


@pytest.mark.parametrize("rise", [0.58, -0.4])
def test_a_k_that_levels_off_is_found_and_stays_beyond_the_runs(rise: float):
    truth = Price(4.5, rise, 3e8, 1.3)
    params = np.geomspace(1e8, 1e10, 60)
    noise = np.exp(0.01 * np.random.default_rng(1).normal(size=60))
    price = price_of(runs_of(truth.k(params) * noise, params))
    np.testing.assert_allclose(price.k(params), truth.k(params), rtol=0.01)
    np.testing.assert_allclose(price.k(np.array([1e12, 1e15])), truth.k(1e12), rtol=0.01)
    size = np.geomspace(1e5, 1e14, 50)
    np.testing.assert_allclose(price.params(price.compute(size, 1.0)), size, rtol=1e-12)
    step = np.log(price.k(size * 1.0001) / price.k(size / 1.0001)) / np.log(1.0001**2)
    np.testing.assert_allclose(price.drift(size), step, atol=1e-7)


def test_a_k_that_rises_to_the_last_run_goes_on_by_a_sixth_of_that_at_most():
    params = np.geomspace(1e8, 1e10, 40)
    k = 5 * (params / 1e8) ** 0.04
    price = price_of(runs_of(k, params))
    np.testing.assert_allclose(price.k(params), k, rtol=0.01)
    assert np.log(price.k(1e18) / price.k(1e10)) < np.log(k[-1] / k[0]) / 6


def test_no_k_falls_faster_than_the_size_grows():
    params = np.geomspace(1e8, 2e8, 10)
    price = price_of(runs_of(6.5 * (params / 1e8) ** -2.0, params))
    assert (price.drift(np.geomspace(1e6, 1e11, 200)) >= -0.9 - 1e-12).all()


def test_marins_k_levels_off_at_that_of_its_largest_runs(shared: Path):
    runs = pd.read_csv(shared / "marin_isoflop" / "runs.csv").query("group == 'comma' and split == 'isoflop'")
    k = (runs["flops"] / runs["params"] / runs["tokens"]).to_numpy()
    price = price_of(runs_of(k, runs["params"].to_numpy(float)))
    np.testing.assert_allclose(price.k(runs["params"].to_numpy()), k, rtol=0.02)
    assert price.k(1e12) == pytest.approx(k[runs["params"].to_numpy().argmax()], rel=0.01)


def searched(function: object, near: float) -> tuple[float, float]:
    bounds = np.log(near) - 5, np.log(near) + 5
    found = minimize_scalar(function, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x)), float(found.fun)


@pytest.mark.parametrize("price", [RISING, Price(8.0, -0.3, 1e9, 1.2)])
def test_a_law_is_spent_at_the_k_of_each_size(price: Price):
    """Optimum, least cost and regret where k changes with the size: against searches."""
    surface = LawSurface({name: np.array([value]) for name, value in BESIROGLU.items()}, price)
    for compute in (1e18, 1e20, 1e22, 1e25):
        params, tokens, loss = (values.item() for values in surface.optimum(compute))

        def reached(x: float, compute: float = compute) -> float:
            return float(chinchilla.loss(np.exp(x), compute / price.compute(np.exp(x), 1.0), **BESIROGLU))

        least = searched(reached, params)
        assert loss == pytest.approx(least[1], rel=1e-12)
        assert params == pytest.approx(least[0], rel=1e-5)
        assert price.compute(params, tokens) == pytest.approx(compute, rel=1e-12)
        assert surface.params_of_tokens(tokens).item() == pytest.approx(params, rel=1e-9)
        assert surface.params(tokens, compute) == pytest.approx(params, rel=1e-12)
        assert surface.regret(params, tokens).item() == pytest.approx(0, abs=1e-7)
        for served in (0.0, tokens):

            def cost(x: float, served: float = served, loss: float = loss) -> float:
                count = surface.tokens_to_reach(np.exp(x), loss).item()
                return float(np.log(price.compute(np.exp(x), count + served / 3)))

            found = surface.least_lifetime_compute(loss, served).item()
            assert found == pytest.approx(np.exp(searched(cost, params)[1]), rel=1e-7)
        worse = surface.loss(3 * params, compute / price.compute(3 * params, 1.0))
        wasted = surface.regret(3 * params, compute / price.compute(3 * params, 1.0)).item()
        assert wasted == pytest.approx(1 - surface.least_compute(worse).item() / compute, rel=1e-9)
    assert np.isinf(surface.least_compute(BESIROGLU["E"]))


def test_resampled_laws_are_spent_at_the_k_of_each_size():
    laws = xr.Dataset({name: ("resample", np.array([value, np.nan])) for name, value in BESIROGLU.items()})
    compute = xr.DataArray([1e20, 1e24], dims="compute", coords={"compute": [1e20, 1e24]})
    found = optima_of_laws(laws, compute, RISING)
    surface = LawSurface({name: np.array([value]) for name, value in BESIROGLU.items()}, RISING)
    for i, budget in enumerate((1e20, 1e24)):
        for name, value in zip(
            ("params_opt", "tokens_opt", "loss_opt"), surface.optimum(budget), strict=True
        ):
            assert float(found[name][{"resample": 0, "compute": i}]) == pytest.approx(value.item(), rel=1e-12)
    assert found.isel(resample=1).isnull().to_array().all()


def test_approach_3_spends_at_the_k_of_each_size_where_that_drifts():
    """Runs of a law without noise: the approach and a posterior of that law have one answer."""
    params, tokens = (grid.ravel() for grid in np.meshgrid([1e8, 3e8, 1e9, 3e9], [2e9, 1e10, 5e10, 2e11]))
    runs = pd.DataFrame(
        {
            "params": params,
            "tokens": tokens,
            "flops": RISING.compute(params, tokens),
            "loss": chinchilla.loss(params, tokens, **BESIROGLU),
        }
    )
    price = price_of_runs(runs)
    assert price.rise == pytest.approx(RISING.rise, rel=0.3), "there is something to go by"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        found = compare(runs, 1e24, resamples=20, progress=False).sel(estimator="approach-3", compute=1e24)
    expected = LawSurface({name: np.array([value]) for name, value in BESIROGLU.items()}, price).optimum(1e24)
    for name, value in zip(("params_opt", "tokens_opt"), expected, strict=False):
        assert float(found[name].sel(statistic="estimate")) == pytest.approx(value.item(), rel=1e-3)
    said = found.sel(statistic="estimate")
    spent = price.compute(float(said["params_opt"]), float(said["tokens_opt"]))
    assert spent == pytest.approx(1e24, rel=1e-9)


def with_own_flops(fit: xr.DataTree) -> xr.DataTree:
    constant = fit["constant_data"].to_dataset()
    fit["constant_data"] = xr.DataTree(
        constant.assign(flops=constant["flops"] * RISING.k(constant["params"]) / 6)
    )
    return fit


def test_every_model_and_every_answer_counts_a_run_alike():
    flops = tuple(np.geomspace(1e18, 1e22, 9))
    draws = {**law_draws(60), "E": np.zeros(60)}
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    law = with_own_flops(handmade_fit({**draws, **noise}, flops=flops, spec="parametric"))
    scatters = {f"{name}_scatter": 0.0 for name in ("params", "loss", "kappa")}
    line = with_own_flops(
        handmade_fit(
            {**frontier_draws(draws), **scatters, **noise},
            law="isoflop-skewed",
            flops=flops,
            spec="isoflop-skewed",
        )
    )
    runs = law["constant_data"].dataset
    for size, tokens in ((3e8, 1e11), (1e12, 2e13)):
        costs = []
        for fit in (law, line):
            planned, predicted = plan(fit, 1e23, params=size, tokens=tokens), predict(fit, size, tokens)
            np.testing.assert_allclose(
                predicted["law"].values.ravel(), planned["proposed_loss"].values.ravel()
            )
            assert float(predicted["flops"][0]) == pytest.approx(
                float(planned["proposed_compute"]), rel=1e-12
            )
            costs.append(float(planned["proposed_compute"]))
        assert costs[0] == costs[1]
    k = costs[0] / size / tokens
    own = (runs["flops"] / runs["params"] / runs["tokens"]).to_numpy()
    assert k == pytest.approx(own[-1], rel=0.02), "at a size far beyond the runs that of the largest of them"
    for fit in (law, line):
        surface, best = surface_of(fit).surface, optimum(fit, 1e24)
        for name, found in zip(("params_opt", "tokens_opt", "loss_opt"), surface.optimum(1e24), strict=True):
            np.testing.assert_allclose(found, best[name].values.ravel(), rtol=1e-12)
