from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import xarray as xr

from bayes_scaling import (
    build_model,
    fit,
    fit_facts,
    interval,
    load_dataset,
    load_spec,
    optimum,
    plot_profiles,
    read_runs,
    sample_prior,
    simulate_runs,
)
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.laws import chinchilla, isoflop
from bayes_scaling.models.plain import PLAIN
from bayes_scaling.planning.isoflop import frontier_optimum, local_exponents
from bayes_scaling.planning.parameters import parameters
from bayes_scaling.runs.budgets import runs_in_profiles
from bayes_scaling.runs.simulate import isoflop_design
from bayes_scaling.sampling.compile import compile_model, with_model_data
from bayes_scaling.sampling.nuts import Sampling, draw_posterior
from bayes_scaling.sampling.observed import constant_data
from bayes_scaling.sampling.pointwise import log_likelihood

SPECS = ("isoflop-parabola", "isoflop-skewed")
TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


@pytest.fixture(scope="module")
def skewed_fit(simulated: pd.DataFrame) -> xr.DataTree:
    return fit(simulated, "isoflop-skewed", seed=2)


# -- the law -------------------------------------------------------------------------------------------------


def test_the_skewed_profile_is_the_slice_through_a_law():
    """Along a budget of any law: its loss over the least, in units of the curvature at the minimum."""
    law = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.45, "beta": 0.2}
    params, tokens, least = chinchilla.optimum(1e21, **law)
    u = np.linspace(-2, 2, 9)
    loss = chinchilla.loss(params * np.exp(u), tokens * np.exp(-u), **law)
    kappa = law["alpha"] * law["beta"] * (least - law["E"]) / 2
    np.testing.assert_allclose(
        kappa * isoflop.rise(u, alpha=0.45, beta=0.2), loss - least, rtol=1e-9, atol=1e-12
    )


def test_both_profiles_have_unit_curvature():
    h = 1e-4
    for skew in ({}, {"alpha": 0.6, "beta": 0.2}):
        rises = isoflop.rise(np.array([-h, 0.0, h]), **skew)
        assert rises[1] == pytest.approx(0, abs=1e-14)
        assert (rises[0] + rises[2]) / (2 * h**2) == pytest.approx(1, rel=1e-4)


# -- the model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS)
def test_whitening_leaves_the_posterior_as_it_is(simulated: pd.DataFrame, spec: str):
    """The density in the sampler's coordinates is the model's times the slope of the map, at any point."""
    model = build_model(simulated, spec)
    point = {name: value + 0.3 for name, value in model.initial_point().items()}
    with_slope, without = (
        model.compile_logp(jacobian=jacobian, mode=PLAIN)(point) for jacobian in (True, False)
    )
    log_slope = 0.0
    for name in ("log_params_min", "log_loss_min", "log_kappa"):
        variable = model[name]
        transform = model.rvs_to_transforms[variable]
        value = model.rvs_to_values[variable]
        back = model.replace_rvs_by_values([transform.backward(value, *variable.owner.inputs)])[0]
        slope = pytensor.function(
            model.value_vars, pytensor.gradient.jacobian(back, value), mode=PLAIN, on_unused_input="ignore"
        )
        log_slope += np.linalg.slogdet(slope(**point))[1]
        there = transform.forward(back, *variable.owner.inputs)
        forth = pytensor.function(
            model.value_vars, model.replace_rvs_by_values([there])[0], mode=PLAIN, on_unused_input="ignore"
        )
        np.testing.assert_allclose(forth(**point), point[value.name], rtol=1e-6, atol=1e-9)
    others = sum(
        float(model.compile_logp(vars=[model[name]], jacobian=True, mode=PLAIN)(point))
        - float(model.compile_logp(vars=[model[name]], jacobian=False, mode=PLAIN)(point))
        for name in load_spec(spec).priors
        if name in model.named_vars
    )
    assert float(with_slope - without) == pytest.approx(log_slope + others, rel=1e-8)


@pytest.mark.parametrize("spec", SPECS)
def test_log_likelihood_agrees_with_pymc(simulated: pd.DataFrame, spec: str):
    runs = simulated.assign(flops=simulated["flops"] * np.linspace(0.97, 1.03, len(simulated)))
    model = build_model(runs, spec)
    drawn = sample_prior(runs, spec, draws=4, seed=1)["prior"].to_dataset()
    ours = log_likelihood(drawn, constant_data(runs_in_profiles(runs)), load_spec(spec))["loss"]
    density = pm.logp(model["log_loss"], model["log_loss_observed"])
    # Of the loss, not of its logarithm.
    density = density - np.log(runs["loss"].to_numpy())
    inputs = model.free_RVs
    function = pytensor.function(inputs, density, mode=PLAIN, on_unused_input="ignore")
    for i in range(4):
        values = [drawn[variable.name].isel(chain=0, draw=i).values for variable in inputs]
        np.testing.assert_allclose(ours.isel(chain=0, draw=i), function(*values), rtol=1e-8)


def test_simulated_profiles_give_their_law_back(skewed_fit: xr.DataTree):
    assert fit_facts(skewed_fit)["verdict"]["converged"]
    true = dict(zip(("params_opt", "tokens_opt", "loss_opt"), chinchilla.optimum(1e22, **TRUTH), strict=True))
    answer = optimum(skewed_fit, 1e22)
    summary = interval(answer.isel(compute=0)[["a", "b", *true]], 0.98)
    true |= dict(zip(("a", "b"), chinchilla.exponents(TRUTH["alpha"], TRUTH["beta"]), strict=True))
    for name, value in true.items():
        assert summary[name].sel(statistic="low") < value < summary[name].sel(statistic="high"), name


def test_the_answer_has_the_shape_of_every_model_s(skewed_fit: xr.DataTree, simulated_fit: xr.DataTree):
    one, other = (optimum(each, [1e21, 1e23]) for each in (skewed_fit, simulated_fit))
    assert set(one) == set(other)
    for name in one:
        assert (one[name].dims, one[name].attrs) == (other[name].dims, other[name].attrs), name
    spent = one["flops_per_param_token"] * one["params_opt"] * one["tokens_opt"]
    np.testing.assert_allclose(spent, one["compute"].broadcast_like(spent), rtol=1e-9)
    np.testing.assert_allclose(one["a"] + one["b"], 1, rtol=1e-9)


def test_a_new_budget_scatters_about_the_line(skewed_fit: xr.DataTree, simulated_fit: xr.DataTree):
    line, new = (optimum(skewed_fit, [1e22, 1e23], new_budget=new) for new in (False, True))
    scatter = skewed_fit["posterior"]["params_scatter"]
    luck = np.log(new["params_opt"] / line["params_opt"]) / scatter
    assert float(luck.std()) == pytest.approx(1, abs=0.05)
    assert float(luck.mean()) == pytest.approx(0, abs=0.05)
    spent = new["flops_per_param_token"] * new["params_opt"] * new["tokens_opt"]
    np.testing.assert_allclose(spent, new["compute"].broadcast_like(spent), rtol=1e-9)
    with pytest.raises(InputError, match="parametric has no budgets of its own"):
        optimum(simulated_fit, 1e22, new_budget=True)


@pytest.mark.filterwarnings("ignore::bayes_scaling.errors.RunsWarning")
def test_tokens_cost_what_they_cost_the_runs(shared: Path):
    """Marin's FLOPs per parameter and token run from 4.5 to 6.4, by the size: 6 N D misses by a tenth."""
    where = "group == 'comma' and split == 'isoflop'"
    runs = read_runs(shared / "marin_isoflop" / "runs.csv", where=where)
    draws = sample_prior(runs, "isoflop-skewed", draws=50)["prior"].to_dataset()
    of_runs = (runs["flops"] / runs["params"] / runs["tokens"]).to_numpy()
    budgets = xr.DataArray([1e19, 1e21], dims="compute", coords={"compute": [1e19, 1e21]})
    answer = frontier_optimum(draws, constant_data(runs), budgets, new_budget=False)
    k = budgets / answer["params_opt"] / answer["tokens_opt"]
    sizes = runs["params"].to_numpy(float)
    order = np.argsort(sizes)
    expected = xr.apply_ufunc(
        lambda size: np.interp(np.log(size), np.log(sizes[order]), of_runs[order]), answer["params_opt"]
    )
    within = (answer["params_opt"] > sizes.min()) & (answer["params_opt"] < sizes.max())
    assert float(within.mean()) > 0.5
    assert float(np.abs(k / expected - 1).where(within).max()) < 0.03
    # A larger model costs more a parameter, so that the tokens grow more slowly than without.
    assert (answer["b"] < 1 - answer["a"]).all()


@pytest.mark.slow
def test_other_runs_need_no_new_compilation(simulated: pd.DataFrame):
    first, second = (
        build_model(simulated.assign(loss=simulated["loss"] * factor), SPECS[0]) for factor in (1, 1.1)
    )
    compiled = compile_model(first)
    sampling = Sampling(draws=50, tune=100, chains=2, seed=0)
    # Also where a chain starts is the second model's: the draws are the same, to the last bit.
    reused, alone = (
        draw_posterior(second, sampling, compiled=code)[0]
        for code in (with_model_data(compiled, second), None)
    )
    assert reused.identical(alone)


# -- what it takes -------------------------------------------------------------------------------------------


def test_budgets_with_little_to_say_are_kept(simulated: pd.DataFrame):
    """Three runs at one budget, and one whose minimum lies off its grid: both borrow from the others."""
    budgets = sorted(set(simulated["budget"]))
    few = (simulated["budget"] == budgets[1]) & ~simulated.index.isin([13, 16, 19])
    off = (simulated["budget"] == budgets[3]) & (simulated["params"] < 1e9)
    runs = simulated[~few & ~off].reset_index(drop=True)
    # Five budgets, two of which say little, leave E to the prior's tail: that takes more draws.
    found = fit(runs, "isoflop-skewed", seed=3, draws=2000)
    assert fit_facts(found)["verdict"]["converged"]
    sd = np.log(found["posterior"]["params_min"]).std(("chain", "draw"))
    assert found["posterior"].sizes["budget"] == 5
    assert float(sd.sel(budget=budgets[1])) > float(sd.sel(budget=budgets[2]))


def test_runs_of_no_profile_are_left_out_by_name_and_none_is_refused(simulated: pd.DataFrame):
    blank = simulated.assign(budget=simulated["budget"].where(simulated.index != 7))
    with pytest.warns(RunsWarning, match=r"left out of the IsoFLOP model: 1 of 60 runs \(run-8\)"):
        model = build_model(blank, "isoflop-parabola")
    assert len(model.coords["run"]) == 59
    rng = np.random.default_rng(0)
    design = pd.DataFrame({"params": 10 ** rng.uniform(7, 10, 9), "tokens": 10 ** np.linspace(8, 12, 9)})
    scattered = simulate_runs(design, TRUTH, sigma=0.01, seed=0)
    with pytest.raises(InputError, match="has no IsoFLOP profile"):
        build_model(scattered, "isoflop-skewed")


def test_a_prior_without_meaning_is_refused(tmp_path: Path, simulated: pd.DataFrame):
    text = (Path(__file__).parents[2] / "models" / "isoflop-skewed.toml").read_text(encoding="utf-8")
    for old, new, message in (
        ('irreducible = { dist = "Beta"', 'irreducible = { dist = "Gamma"', "must be a Beta or Uniform"),
        (
            'kappa = { dist = "LogNormal"',
            'kappa = { dist = "Normal"',
            "kappa: it reaches below zero",
        ),
    ):
        path = tmp_path / "my.toml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            build_model(simulated, path)


# -- what is shown -------------------------------------------------------------------------------------------


def test_the_table_of_parameters_names_what_the_model_has(skewed_fit: xr.DataTree):
    table = parameters(skewed_fit)
    assert {"E", "gamma", "kappa", "params_scatter", "alpha", "beta", "a", "b", "sigma"} <= set(table)
    assert "A" not in table


def test_the_law_around_the_frontier_is_that_of_the_runs(skewed_fit: xr.DataTree):
    found = local_exponents(skewed_fit["posterior"].dataset).median()
    assert float(found["alpha"]) == pytest.approx(TRUTH["alpha"], rel=0.15)
    assert float(found["beta"]) == pytest.approx(TRUTH["beta"], rel=0.15)


def test_every_profile_is_drawn_with_its_runs_and_its_minimum(
    skewed_fit: xr.DataTree, simulated_fit: xr.DataTree
):
    ax = plot_profiles(skewed_fit)
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in points) == 60
    minima = [line for line in ax.lines if line.get_marker() == "|"]
    sizes = skewed_fit["posterior"]["params_min"].median(("chain", "draw"))
    np.testing.assert_allclose([line.get_xdata()[0] for line in minima], sizes)
    with pytest.raises(InputError, match="parametric has no IsoFLOP profiles"):
        plot_profiles(simulated_fit)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_scaling.errors.RunsWarning")
def test_wide_profiles_show_the_parabola_s_bias_and_not_the_slice_s():
    """Czech et al. 2026: alpha above beta and sizes within a factor of 16 move a parabola's D_opt by -23%."""
    law = {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.465, "beta": 0.155}
    budgets = np.geomspace(1e17, 1e21, 5)
    centre = chinchilla.optimum(budgets, **law)[0]
    design = isoflop_design(budgets, params_low=centre / 16, params_high=centre * 16, sizes=15)
    runs = simulate_runs(design, law, sigma=0.001, family="Normal", seed=0)
    true = chinchilla.optimum(1e24, **law)[1]
    errors = {}
    for spec in SPECS:
        answer = optimum(fit(runs, spec), 1e24, discrepancy=False, allow_unconverged=True)
        errors[spec] = float(answer["tokens_opt"].mean() / true - 1)
    assert errors["isoflop-parabola"] < -0.15
    assert abs(errors["isoflop-skewed"]) < 0.03


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_scaling.errors.RunsWarning")
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", ["chinchilla", "comma", "dclm", "pocket", "porian"])
def test_real_profiles_sample_cleanly(shared: Path, name: str, spec: str):
    if name == "chinchilla":
        tables = [read_runs(shared / "chinchilla_epoch" / "runs.csv", where="source_excluded == 0")]
    elif name == "porian":
        everything = pd.read_csv(shared / "porian" / "runs.csv")
        tables = [read_runs(rows) for _, rows in everything.groupby("group")]
    elif name == "pocket":
        tables = [load_dataset("pocket")]
    else:
        path, where = shared / "marin_isoflop" / "runs.csv", f"group == '{name}' and split == 'isoflop'"
        without = {"columns": {"params": "params_nonemb"}, "params_count": "non_embedding"}
        tables = [read_runs(path, where=where), read_runs(path, where=where, **without)]
    for runs in tables:
        verdict = fit_facts(fit(runs, spec))["verdict"]
        assert verdict["converged"], verdict["problems"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_scaling.errors.RunsWarning")
@pytest.mark.parametrize(("name", "joint"), [("comma", 0.355), ("dclm", 0.390)])
def test_the_slice_s_exponent_is_nearer_the_joint_law_s_than_the_parabola_s(
    shared: Path, name: str, joint: float
):
    """Czech et al. 2026: on these runs the parabola's a leaves that of the law fitted to all of them."""
    where = f"group == '{name}' and split == 'isoflop'"
    runs = read_runs(shared / "marin_isoflop" / "runs.csv", where=where)
    found = {spec: interval(optimum(fit(runs, spec), 1e21)["a"]) for spec in SPECS}
    off = {spec: abs(float(a.sel(statistic="estimate")) - joint) for spec, a in found.items()}
    assert off["isoflop-skewed"] < 0.01
    assert off["isoflop-skewed"] < off["isoflop-parabola"] / 2
    ends = found["isoflop-skewed"]
    assert float(ends.sel(statistic="low")) < joint < float(ends.sel(statistic="high"))
