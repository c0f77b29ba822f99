"""Optima by recipe, and of a recipe not seen yet: from draws of the prior, which need no sampler."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import load_spec, optimum, plot_law, plot_optimum, plot_profiles, predict, simulate_runs
from bayes_scaling.cli.documents import fit_document, optimum_document
from bayes_scaling.cli.output import print_fit, print_optimum
from bayes_scaling.errors import InputError
from bayes_scaling.models.build import runs_of_model
from bayes_scaling.models.spec import Prior, Spec, spec_to_dict
from bayes_scaling.planning.parameters import parameters
from bayes_scaling.planning.recipes import one_recipe
from bayes_scaling.plots.panels import panels_by_recipe
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.simulate import isoflop_design
from bayes_scaling.sampling.artefact import label_fit
from bayes_scaling.sampling.prior import sample_prior

SPECS = ("isoflop-skewed", "parametric-recipes")
BUDGETS = [1e20, 1e23]
DRAWS = 2000


@pytest.fixture(scope="module")
def two(simulated: pd.DataFrame) -> pd.DataFrame:
    law = {"E": 2.2, "A": 900.0, "B": 500.0, "alpha": 0.40, "beta": 0.29}
    design = isoflop_design(
        [1e18, 1e19, 1e20], params_low=3e7, params_high=3e9, sizes=10, flops_per_param_token=7.0
    )
    other = simulate_runs(design, law, sigma=0.004, seed=5)
    parts = [
        runs.assign(recipe=name, run_id=[f"{name}/{run}" for run in runs["run_id"]])
        for name, runs in (("pile", simulated), ("c4", other))
    ]
    return check_runs(pd.concat(parts, ignore_index=True))


def as_fit(runs: pd.DataFrame, spec: Spec, draws: int = DRAWS) -> xr.DataTree:
    """Draws of the prior in the form of a fit."""
    runs = runs_of_model(runs, spec)
    tree = sample_prior(runs, spec, draws=draws, seed=4)
    verdict = {"converged": True, "problems": [], "rhat_max": 1.0, "ess_bulk_min": 1.0, "ess_tail_min": 1.0}
    facts = {
        "model": spec.name,
        "law": spec.law,
        "spec": spec_to_dict(spec),
        "labels": {"loss_unit": "nats", "params_count": "total"},
        "verdict": {**verdict, "divergences": 0, "ebfmi_min": 1.0},
        "warnings": [],
        "seconds": 1.0,
    }
    groups = {
        "posterior": tree["prior"].to_dataset(),
        "observed_data": tree["observed_data"].to_dataset(),
        "constant_data": tree["constant_data"].to_dataset(),
    }
    return label_fit(groups, facts)


@pytest.fixture(scope="module")
def fits(two: pd.DataFrame) -> dict[str, xr.DataTree]:
    return {name: as_fit(two, load_spec(name)) for name in SPECS}


@pytest.mark.parametrize("name", SPECS)
def test_each_recipe_s_optimum_is_that_of_its_own_law_and_runs(fits: dict[str, xr.DataTree], name: str):
    answer = optimum(fits[name], BUDGETS)
    assert answer["params_opt"].dims == ("chain", "draw", "recipe", "compute")
    assert answer["a"].dims == answer["b"].dims == ("chain", "draw", "recipe")
    assert answer["recipe"].values.tolist() == ["pile", "c4"]
    np.testing.assert_allclose(answer["flops_per_param_token"], [6, 7], rtol=1e-6)
    np.testing.assert_allclose(answer["extrapolation"], [[1, 100], [1, 1000]], rtol=1e-6)
    for recipe in ("pile", "c4"):
        alone = optimum(one_recipe(fits[name], recipe), BUDGETS)
        for each in alone.data_vars:
            np.testing.assert_array_equal(answer[each].sel(recipe=recipe), alone[each], err_msg=str(each))


def test_new_budgets_of_two_recipes_have_nothing_in_common(fits: dict[str, xr.DataTree]):
    fit = fits["isoflop-skewed"]
    line, new = (optimum(fit, 1e20, new_budget=new)["params_opt"].isel(compute=0) for new in (False, True))
    luck = (np.log(new / line) / fit["posterior"]["params_scatter"]).transpose("recipe", ...)
    one, other = luck.values.reshape(2, -1)
    assert np.corrcoef(one, other)[0, 1] == pytest.approx(0, abs=0.06)
    assert one.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", SPECS)
def test_a_new_recipe_is_drawn_from_the_population(fits: dict[str, xr.DataTree], name: str):
    fit = fits[name]
    posterior = fit["posterior"].dataset
    answer = optimum(fit, BUDGETS, new_recipe=True)
    assert answer["params_opt"].dims == ("chain", "draw", "compute")
    assert answer["loss_opt"].isnull().all()
    assert answer.attrs["loss_unknown"] == "loss_ratio"
    assert answer["params_opt"].notnull().all()
    assert answer.identical(optimum(fit, BUDGETS, new_recipe=True))
    np.testing.assert_array_equal(
        optimum(fit, BUDGETS[1], new_recipe=True)["params_opt"].isel(compute=0),
        answer["params_opt"].isel(compute=1),
    )
    spent = answer["flops_per_param_token"] * answer["params_opt"] * answer["tokens_opt"]
    if name == "parametric-recipes":
        np.testing.assert_allclose(spent, answer["compute"].broadcast_like(spent), rtol=1e-9)
    else:
        luck = (answer["a"] - posterior["a_typical"]) / posterior["a_spread"]
        assert float(luck.mean()) == pytest.approx(0, abs=0.07)
        assert float(luck.std()) == pytest.approx(1, abs=0.05)


def test_a_new_recipe_s_size_is_that_of_the_population_at_the_common_centre(
    fits: dict[str, xr.DataTree], two: pd.DataFrame
):
    """Where the population is read, its size scatters by its own spread alone."""
    fit = fits["isoflop-skewed"]
    posterior = fit["posterior"].dataset
    centre = float(np.exp(np.log(fit["constant_data"]["flops"]).mean()))
    size = np.log(optimum(fit, centre, new_recipe=True)["params_opt"].isel(compute=0))
    # Over N0, the geometric mean over the profiles of the size with the least loss.
    best = [
        np.log(rows.loc[rows["loss"].idxmin(), "params"]) for _, rows in two.groupby(["recipe", "budget"])
    ]
    sizes = size - np.mean(best) - np.log(posterior["params_ratio_typical"])
    luck = sizes / posterior["params_ratio_spread"]
    assert float(luck.mean()) == pytest.approx(0, abs=0.07)
    assert float(luck.std()) == pytest.approx(1, abs=0.05)


def test_a_new_recipe_s_new_budget_scatters_too(fits: dict[str, xr.DataTree]):
    fit = fits["isoflop-skewed"]
    line, new = (optimum(fit, 1e20, new_recipe=True, new_budget=new) for new in (False, True))
    luck = np.log(new["params_opt"] / line["params_opt"]) / fit["posterior"]["params_scatter"]
    assert float(luck.std()) == pytest.approx(1, abs=0.05)


def changed(spec: Spec, **pooling: str) -> Spec:
    priors = dict(spec.priors)
    for name, how in pooling.items():
        priors.pop(f"{name}_spread", None)
        if how == "partial":
            priors[f"{name}_spread"] = Prior("HalfNormal", {"sigma": 0.1})
    return replace(spec, priors=priors, pooling={**spec.pooling, **pooling})


def test_what_is_not_pooled_says_nothing_about_a_new_recipe(two: pd.DataFrame, fits: dict[str, xr.DataTree]):
    spec = load_spec("parametric-recipes")
    apart = as_fit(two, changed(spec, alpha="none"), draws=20)
    with pytest.raises(InputError, match=r"alpha 'none', beta 'partial'; set alpha = \"partial\""):
        optimum(apart, 1e20, new_recipe=True)
    one = as_fit(check_runs(two[two["recipe"] == "pile"]), spec, draws=20)
    with pytest.raises(InputError, match="was fitted to one law"):
        optimum(one, 1e20, new_recipe=True)
    without = fits["parametric-recipes"].copy()
    del without["observed_data"]
    with pytest.raises(InputError, match="observed_data"):
        optimum(without, 1e20, new_recipe=True)
    with pytest.raises(InputError, match="has no budgets"):
        optimum(fits["parametric-recipes"], 1e20, new_recipe=True, new_budget=True)


@pytest.mark.parametrize("name", SPECS)
def test_a_pooled_level_gives_a_new_recipe_its_loss(two: pd.DataFrame, name: str):
    fit = as_fit(two, changed(load_spec(name), loss_ratio="partial"), draws=50)
    answer = optimum(fit, BUDGETS, new_recipe=True)
    assert answer["loss_opt"].notnull().all()
    assert answer.attrs["loss_unknown"] == ""
    assert (answer["loss_opt"].isel(compute=1) < answer["loss_opt"].isel(compute=0)).all()


# -- what is shown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_each_recipe_has_its_own_row(
    fits: dict[str, xr.DataTree], name: str, capsys: pytest.CaptureFixture[str]
):
    fit = fits[name]
    table = parameters(fit)
    assert {"a_typical", "a_spread"} <= set(table) or name == "parametric-recipes"
    assert table["alpha"].dims == ("statistic", "recipe")
    assert table["alpha_spread"].dims == ("statistic",)
    document = fit_document(fit, 0.9)
    assert [row["recipe"] for row in document["recipes"]] == ["pile", "c4"]
    assert "alpha" in document["recipes"][0]["parameters"]
    assert "alpha_typical" in document["parameters"]
    assert "alpha" not in document["parameters"]
    optima = optimum_document(optimum(fit, BUDGETS), 0.9)
    assert [(row["recipe"], row["compute"]) for row in optima["optima"]] == [
        (recipe, compute) for recipe in ("pile", "c4") for compute in BUDGETS
    ]
    assert [row["recipe"] for row in optima["recipes"]] == ["pile", "c4"]
    assert "a" not in optima
    json.dumps([document, optima])
    print_fit(document)
    print_optimum(optima)
    said = capsys.readouterr().out
    assert "of all recipes together" in said
    assert "c4: N_opt grows as C^a" in said
    new = optimum_document(optimum(fit, BUDGETS, new_recipe=True), 0.9)
    assert new["new_recipe"] is True
    assert new["loss_unknown"] == ["loss_ratio"]
    print_optimum(new)
    said = capsys.readouterr().out
    assert "of a recipe not seen yet" in said
    assert "nan" not in said
    assert "the loss of a new recipe is not known" in said


def test_plots_and_predictions_are_of_one_recipe(fits: dict[str, xr.DataTree]):
    profiles, law = (fits[name] for name in SPECS)
    for draw, fit in ((plot_profiles, profiles), (plot_law, law), (plot_optimum, law)):
        with pytest.raises(InputError, match=r"of 2 recipes.*name it .*'pile', 'c4'"):
            draw(fit)
    with pytest.raises(InputError, match="no recipe 'pil'; did you mean 'pile'"):
        plot_optimum(law, recipe="pil")
    with pytest.raises(InputError, match="has no law to draw"):
        plot_law(profiles, recipe="c4")
    assert plot_optimum(profiles, recipe="c4").get_title().startswith("N_opt")
    for draw, fit in ((plot_profiles, profiles), (plot_law, law)):
        first = panels_by_recipe(draw, fit, prob=0.9)
        titles = [ax.get_title() for ax in first.figure.axes]
        assert {"pile", "c4"} <= set(titles)
    runs = [line for line in plot_profiles(profiles, recipe="c4").lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in runs) == 30
    plan = predict(law, 1e9, 2e10, recipe="c4")
    assert float(plan["flops"][0]) == pytest.approx(7 * 2e19)
    with pytest.raises(InputError, match="of 2 recipes"):
        predict(law, 1e9, 2e10)
