from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayes_scaling import build_model, load_spec
from bayes_scaling.models.plain import PLAIN
from bayes_scaling.models.spec import Prior
from bayes_scaling.sampling.compile import compile_model, constrain, with_model_data
from bayes_scaling.sampling.nuts import Sampling, draw_posterior


def log_density(compiled, point: np.ndarray) -> tuple[float, np.ndarray]:
    """Call the machine code as nutpie does."""
    gradient, value = np.empty_like(point), np.empty(())
    pointers = [x.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for x in (point, gradient, value)]
    code = compiled.nutpie.compiled_logp_func.ctypes(
        len(point), *pointers, compiled.nutpie.user_data.ctypes.data
    )
    assert code == 0
    return float(value), gradient


@pytest.fixture(scope="module")
def model(simulated: pd.DataFrame):
    return build_model(simulated)


@pytest.fixture(scope="module")
def compiled(model):
    return compile_model(model)


def test_the_log_density_and_its_gradient_are_pymcs(model, compiled):
    start = model.initial_point()
    rng = np.random.default_rng(3)
    theirs, slope = model.compile_logp(mode=PLAIN), model.compile_dlogp(mode=PLAIN)
    for _ in range(5):
        point = {name: value + 0.3 * rng.normal(size=np.shape(value)) for name, value in start.items()}
        flat = np.concatenate([np.ravel(value) for value in point.values()])
        value, gradient = log_density(compiled, flat)
        assert value == pytest.approx(float(theirs(point)), rel=1e-10)
        np.testing.assert_allclose(gradient, slope(point), rtol=1e-7, atol=1e-9)


def test_points_of_the_sampler_become_the_models_variables(model, compiled, simulated: pd.DataFrame):
    points = np.random.default_rng(1).normal(scale=0.3, size=(2, 3, 8))
    values = constrain(compiled, model, points)
    assert set(values.data_vars) == {variable.name for variable in [*model.free_RVs, *model.deterministics]}
    assert {"loss_ratio", "share", "E", "A", "B"} <= set(values.data_vars)
    assert values["share"].dims == ("chain", "draw", "term")
    # In the order of model.value_vars: loss_ratio (log), share (two for three on a simplex), alpha (log), …
    np.testing.assert_allclose(values["loss_ratio"], np.exp(points[..., 0]))
    np.testing.assert_allclose(values["alpha"], np.exp(points[..., 3]))
    np.testing.assert_allclose(values["share"].sum("term"), 1.0)
    typical = np.exp(np.log(simulated["loss"]).mean())
    size = np.exp(np.log(simulated["params"]).mean())
    size_term = values["loss_ratio"] * typical * values["share"].sel(term="params")
    np.testing.assert_allclose(values["A"], size_term * size ** values["alpha"])


def test_another_table_of_runs_needs_no_new_compilation(simulated: pd.DataFrame, compiled):
    """More runs, fewer runs, other runs: the same draws as from a model compiled for them."""
    for runs in (
        simulated.iloc[::2],
        pd.concat([simulated, simulated.assign(run_id=lambda t: t["run_id"] + "b")]),
    ):
        model = build_model(runs.drop_duplicates(["params", "tokens", "loss"]))
        sampling = Sampling(draws=50, tune=100, chains=2, seed=8)
        again = draw_posterior(model, sampling, compiled=with_model_data(compiled, model))[0]
        assert again.identical(draw_posterior(model, sampling)[0])


@pytest.mark.parametrize("change", ["prior", "noise", "standard errors"])
def test_a_model_of_another_form_is_refused(simulated: pd.DataFrame, compiled, change: str):
    """The machine code has its priors and its noise in it: given other data it would sample another model."""
    spec, runs = load_spec("parametric"), simulated
    if change == "prior":
        spec = replace(spec, priors={**spec.priors, "alpha": Prior("LogNormal", {"mu": -1.05, "sigma": 0.6})})
    elif change == "noise":
        spec = load_spec("parametric-laplace")
    else:
        runs = simulated.assign(loss_se=0.01)
    with pytest.raises(ValueError, match="of another form"):
        with_model_data(compiled, build_model(runs, spec))


def test_starting_points_do_not_depend_on_the_threads_that_ask(compiled):
    """Each chain asks from a thread of its own: with a shared state between seeding and drawing, they mix."""
    seeds = range(200)
    alone = [compiled.nutpie.initial_point_func(seed) for seed in seeds]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(compiled.nutpie.initial_point_func, seeds))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(together, alone)


@pytest.mark.slow
def test_other_runs_of_as_many_recipes_need_no_new_compilation(simulated: pd.DataFrame):
    """The machine code with other data gives the density of the model that has them."""
    runs = simulated.assign(recipe=np.where(simulated["params"] > 1e9, "a", "b"))
    first, second = (build_model(runs.assign(loss=runs["loss"] * x), "isoflop-parabola") for x in (1, 1.1))
    reused = with_model_data(compile_model(first), second)
    start = {name: np.asarray(value) + 0.1 for name, value in second.initial_point().items()}
    point = np.concatenate([value.ravel() for value in start.values()])
    value, gradient = log_density(reused, point)
    assert value == pytest.approx(float(second.compile_logp(mode=PLAIN)(start)), rel=1e-10)
    # PyTensor's plain Python refuses a gradient of so many terms: differences stand in for it.
    for i in range(0, len(point), 7):
        step = np.zeros_like(point)
        step[i] = 1e-5
        ends = [log_density(reused, point + sign * step)[0] for sign in (1, -1)]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-2)
    with pytest.raises(ValueError, match="another form"):
        with_model_data(reused, build_model(simulated, "isoflop-parabola"))
