"""The sampler's coordinates, and the estimates that choose them: none of it may change a posterior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.pytensorf import find_rng_nodes, reseed_rngs

from bayes_scaling import build_model, simulate_runs
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.law_estimates import NAMES, law_estimates
from bayes_scaling.models.noise_estimates import noise_estimates
from bayes_scaling.models.plain import PLAIN
from bayes_scaling.models.priors import prior_draws
from bayes_scaling.models.profile_estimates import profile_estimates, recipe_estimates
from bayes_scaling.models.spec import Prior, load_spec
from bayes_scaling.models.whitened import UNKNOWN, Bent, NearZero, Whitened
from bayes_scaling.sampling.starts import initial_point

LAW = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
OTHER = {"E": 1.69, "A": 300.0, "B": 4000.0, "alpha": 0.28, "beta": 0.45}


# -- near zero -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 0.2, 10.0])
def test_near_zero_goes_back_and_forth_with_its_slope(scale: float):
    transform, x = NearZero(scale), pt.vector("x")
    there = transform.backward(x)
    outputs = [there, transform.forward(there), pt.exp(transform.log_jac_det(x))]
    function = pytensor.function([x], outputs, mode=PLAIN)
    # Not at 1, where PyMC's log_cdf has a step of 1e-8 between two of its formulas.
    values = np.linspace(-6, 5, 240)
    at, back, slope = function(values)
    np.testing.assert_allclose(back, values, atol=1e-6)
    ends = [function(values + step)[0] for step in (-1e-5, 1e-5)]
    np.testing.assert_allclose(slope, (ends[1] - ends[0]) / 2e-5, rtol=1e-5)
    assert (at > 0).all()
    assert function(np.array([0.0]))[0][0] == pytest.approx(scale * np.log(2))


def test_near_zero_is_for_priors_on_all_positive_numbers_alone(simulated: pd.DataFrame):
    spec = load_spec("isoflop-parabola")
    model = build_model(simulated, spec)
    assert isinstance(model.rvs_to_transforms[model["loss_scatter"]], NearZero)
    bounded = Prior("Uniform", {"lower": 0.0, "upper": 0.1})
    other = build_model(simulated, replace(spec, priors={**spec.priors, "loss_scatter": bounded}))
    assert not isinstance(other.rvs_to_transforms[other["loss_scatter"]], NearZero)


def test_what_draws_from_a_prior_decide_is_decided_for_good():
    prior = Prior("HalfNormal", {"sigma": 0.3})
    np.testing.assert_array_equal(prior_draws("x", prior), prior_draws("x", prior))


# -- bent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 0.35, 10.0])
def test_bent_is_a_logarithm_below_its_scale_and_straight_above_it(scale: float):
    transform, x = Bent(scale), pt.vector("x")
    there = transform.backward(x)
    outputs = [there, transform.forward(there), pt.exp(transform.log_jac_det(x))]
    function = pytensor.function([x], outputs, mode=PLAIN)
    values = np.linspace(-20, 20, 161)
    at, back, slope = function(values)
    np.testing.assert_allclose(back, values, atol=1e-6)
    np.testing.assert_allclose(at[:20], scale * np.exp(values[:20]), rtol=1e-6)
    np.testing.assert_allclose(at[-20:], scale * values[-20:], rtol=1e-6)
    ends = [function(values + step)[0] for step in (-1e-5, 1e-5)]
    np.testing.assert_allclose(slope, (ends[1] - ends[0]) / 2e-5, rtol=1e-5)


@pytest.mark.parametrize("bent", [None, 0.35])
def test_whitened_goes_back_and_forth_with_its_slope(bent: float | None):
    transform, x = Whitened(bent), pt.vector("x")
    mean, sd, estimate, error = (pt.as_tensor(values) for values in (-1.0, 0.5, -0.4, 0.3))
    inputs = ("size", mean, sd, estimate, error)
    there = transform.backward(x, *inputs)
    outputs = [there, transform.forward(there, *inputs), transform.log_jac_det(x, *inputs)]
    function = pytensor.function([x], outputs, mode=PLAIN)
    values = np.linspace(-4, 4, 33)
    at, back, log_slope = function(values)
    np.testing.assert_allclose(back, values, atol=1e-9)
    ends = [function(values + step)[0] for step in (-1e-5, 1e-5)]
    np.testing.assert_allclose(np.exp(log_slope), (ends[1] - ends[0]) / 2e-5, rtol=1e-6)
    # At 0 lies the mean of both sources, weighed by their precisions, with their common standard deviation.
    precisions = np.array([0.5**-2, 0.3**-2])
    assert at[16] == pytest.approx(precisions @ [-1.0, -0.4] / precisions.sum())
    assert np.exp(log_slope[16]) == pytest.approx(precisions.sum() ** -0.5)


# -- estimates -----------------------------------------------------------------------------------------------


def test_noise_and_its_growth_are_found_among_outliers():
    rng = np.random.default_rng(0)
    log_loss = rng.uniform(-0.3, 0.7, 4000)
    misses = 0.01 * np.exp(3 * log_loss) * rng.normal(size=4000)
    misses[::50] *= 8
    found = noise_estimates(misses, log_loss, parameters=5, growing=True)
    assert found.growth == pytest.approx(3, abs=0.5)
    assert found.spread == pytest.approx(0.01, rel=0.15)
    np.testing.assert_allclose(found.spreads, found.spread * np.exp(found.growth * log_loss))
    assert noise_estimates(misses, log_loss, parameters=5, growing=False).growth == 0


def profiles(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Five profiles of a law, and the truth of each minimum: log size, log loss, log curvature."""
    budgets = np.geomspace(1e17, 1e21, 5)
    best, _, least = chinchilla.optimum(budgets, **LAW)
    u = np.linspace(-1.5, 1.5, 15)
    params = best[:, None] * np.exp(u)
    loss = chinchilla.loss(params, budgets[:, None] / (6 * params), **LAW)
    log_loss = np.log(loss) + noise * np.random.default_rng(seed).normal(size=loss.shape)
    kappa = LAW["alpha"] * LAW["beta"] * (least - LAW["E"]) / (2 * least)
    truth = np.stack([np.log(best), np.log(least), np.log(kappa)])
    return np.log(params).ravel(), log_loss.ravel(), np.repeat(np.arange(5), 15), truth


def test_estimates_of_profiles_are_right_and_move_with_the_skew_as_they_say():
    x, y, index, truth = profiles(noise=1e-4)
    found = profile_estimates(x - 20, y - 1, index, 5, skewed=True, growing=True)
    truth = truth - np.array([[20.0], [1.0], [0.0]])
    by_skew = np.array([LAW["alpha"], LAW["beta"]]) - np.exp(found.skew)
    at_truth = found.levels + found.slopes @ by_skew
    np.testing.assert_allclose(at_truth[:2], truth[:2], atol=5e-3)
    np.testing.assert_allclose(at_truth[2], truth[2], atol=0.03)
    assert (abs(at_truth - truth) < 5 * found.errors + 5e-3).all()


def test_the_frontier_of_the_least_losses_is_estimated():
    x, y, index, truth = profiles(noise=1e-3)
    found = profile_estimates(x - 20, y - 1, index, 5, skewed=True, growing=False)
    log_compute = np.log(np.geomspace(1e17, 1e21, 5))
    log_compute -= log_compute.mean()
    said = recipe_estimates(found, log_compute)
    a, _ = chinchilla.exponents(LAW["alpha"], LAW["beta"])
    share = LAW["E"] / np.exp(truth[1, 2])
    gamma = LAW["alpha"] * LAW["beta"] / (LAW["alpha"] + LAW["beta"])
    expected = {
        "a": a,
        "loss_ratio": truth[1, 2] - 1,
        "irreducible": np.log(share / (1 - share)),
        "loss_slope": np.log(gamma * (1 - share)),
    }
    for name, value in expected.items():
        estimate, error = said[name]
        assert abs(estimate - value) < 4 * error + 0.02, name
        assert error < 0.3


def test_a_profile_that_is_a_cusp_about_one_run_says_nothing():
    x, y, index, _ = profiles(noise=0.001)
    y = y - 1
    y[[7, 9]] = -7.0, 5.0
    found = profile_estimates(x - 20, y, index, 5, skewed=True, growing=True)
    known = (found.errors < UNKNOWN).all(axis=0)
    assert known[1:].all()
    assert (abs(found.levels[2]) < 12).all()


def test_each_recipe_s_law_is_estimated_from_runs_that_scatter_more_where_losses_are_high():
    rng = np.random.default_rng(3)
    n, d = rng.normal(0, 1.5, 300), rng.normal(0, 1.5, 300)
    law = {"E": 0.6, "A": 0.15, "B": 0.25, "alpha": 0.35, "beta": 0.45}
    loss = chinchilla.loss_at_logs(n, d, **law)
    y = np.log(loss) + 0.002 * loss**4 * rng.normal(size=300)
    found = law_estimates({"params": n, "tokens": d, "loss": y}, np.zeros(300, dtype=int), growing=True)
    truth = {
        "loss_ratio": 0.0,
        "irreducible": np.log(0.6 / 0.4),
        "params_share": np.log(0.15 / 0.25),
        "alpha": np.log(0.35),
        "beta": np.log(0.45),
    }
    assert set(truth) == set(NAMES)
    for name, value in truth.items():
        (estimate,), (error,) = found[name]
        assert abs(estimate - value) < 4 * error + 0.02, name
    assert found["sigma_growth"][0][0] == pytest.approx(4, abs=0.75)


# -- starts --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grids() -> list[pd.DataFrame]:
    """Two studies on one design: by the law, and by one whose sizes grow faster with compute."""
    from bayes_scaling.runs.simulate import isoflop_design

    design = isoflop_design(np.geomspace(1e17, 1e21, 5), params_low=1e7, params_high=1e10, sizes=9)
    return [simulate_runs(design, law, sigma=0.001, seed=1) for law in (LAW, OTHER)]


def test_chains_start_where_the_runs_say(grids: list[pd.DataFrame]):
    for runs, law in zip(grids, (LAW, OTHER), strict=True):
        model = build_model(runs, "isoflop-parabola")
        starts = [model.initial_point(random_seed=seed) for seed in range(12)]
        a = np.array([start["a"] for start in starts])
        assert a.mean() == pytest.approx(chinchilla.exponents(law["alpha"], law["beta"])[0], abs=0.1)
        assert 0 < a.std() < 0.2


def test_chains_of_several_recipes_start_where_profiles_are(grids: list[pd.DataFrame]):
    runs = pd.concat(
        [
            each.assign(recipe=name, run_id=name + each["run_id"])
            for name, each in zip("ab", grids, strict=True)
        ],
        ignore_index=True,
    )
    model = build_model(runs, "isoflop-skewed")
    start = initial_point(model)
    for seed in range(4):
        reseed_rngs(find_rng_nodes(start.maker.fgraph.outputs), seed)
        by_name = dict(zip((value.name for value in model.value_vars), start(), strict=True))
        for name, values in by_name.items():
            assert np.abs(values).max() < 12, name
            if "whitened" in name or "anchored" in name:
                assert np.abs(values).max() < 1.01, name


def test_priors_may_be_centred_at_other_losses(grids: list[pd.DataFrame]):
    """What calibration rests on: the same density of parameters whatever the losses are."""
    one, other = grids
    centre = one["loss"].to_numpy()
    for spec in ("parametric", "isoflop-parabola"):
        models = [build_model(one, spec), build_model(other, spec, centre_loss=centre)]
        point = models[0].initial_point(random_seed=1)
        names = ["alpha", "loss_ratio"] if spec == "parametric" else ["a", "loss_ratio"]
        for name in names:
            given = [float(m.compile_logp(vars=[m[name]], mode=PLAIN)(point)) for m in models]
            assert given[0] == given[1]
        for name in ("params_ref", "typical_loss"):
            np.testing.assert_array_equal(*(model[name].get_value() for model in models))
        assert not np.array_equal(*(m["log_loss_observed"].get_value() for m in models))
