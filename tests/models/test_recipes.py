"""Models of several recipes: what pooling means, exactly, without a sampler."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest

from bayes_scaling import build_model, load_spec, sample_prior, simulate_runs
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.models.build import runs_of_model
from bayes_scaling.models.plain import PLAIN
from bayes_scaling.models.pooling import checked_index
from bayes_scaling.models.spec import Noise, Prior, Spec
from bayes_scaling.runs.budgets import runs_in_profiles
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.simulate import isoflop_design
from bayes_scaling.sampling.observed import constant_data
from bayes_scaling.sampling.pointwise import log_likelihood

SPECS = ("isoflop-parabola", "isoflop-skewed", "parametric-recipes")
OTHER = {"E": 2.2, "A": 900.0, "B": 500.0, "alpha": 0.40, "beta": 0.29}


@pytest.fixture(scope="module")
def two(simulated: pd.DataFrame) -> pd.DataFrame:
    """Runs of two laws at quite different compute, in no order."""
    design = isoflop_design([1e18, 1e19, 1e20], params_low=3e7, params_high=3e9, sizes=10)
    other = simulate_runs(design, OTHER, sigma=0.004, seed=5)
    parts = [
        runs.assign(recipe=name, run_id=[f"{name}/{run}" for run in runs["run_id"]])
        for name, runs in (("pile", simulated), ("c4", other))
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))].reset_index(drop=True)
    return rows.assign(flops=rows["flops"] * np.linspace(0.98, 1.02, len(rows)))


def pooled(spec: str, how: str, *, spread: float | None = None, **noise: str) -> Spec:
    """The spec with every parameter pooled in one way."""
    found = load_spec(spec)
    priors = {name: prior for name, prior in found.priors.items() if not name.endswith("_spread")}
    if noise:
        found = replace(found, noise=Noise(**noise))
        priors["sigma_growth"] = Prior("HalfNormal", {"sigma": 0.2})
    names = [*found.law_priors, *found.noise.priors]
    priors = {name: priors[name] for name in names}
    if how == "partial":
        sd = {"sigma": 0.3 if spread is None else spread}
        priors |= {f"{name}_spread": Prior("HalfNormal", sd) for name in names}
    return replace(found, priors=priors, pooling=dict.fromkeys(names, how))


def compiled_density(model: pm.Model):
    return model.compile_logp(mode=PLAIN)


# -- what pooling means --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS[1:])
def test_unpooled_recipes_are_as_many_models(two: pd.DataFrame, spec: str):
    """The density of all is the product of those of each by itself, at any point."""
    apart = pooled(spec, "none")
    joint = build_model(two, apart)
    alone = [build_model(two[two["recipe"] == name], apart) for name in joint.coords["recipe"]]
    rng = np.random.default_rng(3)
    points = [
        {
            name: value + 0.2 * rng.normal(size=np.shape(value))
            for name, value in model.initial_point().items()
        }
        for model in alone
    ]
    both = {
        name: np.concatenate([np.atleast_1d(point[name]) for point in points])
        for name in joint.initial_point()
    }
    separate = sum(float(compiled_density(m)(point)) for m, point in zip(alone, points, strict=True))
    assert float(compiled_density(joint)(both)) == pytest.approx(separate, rel=1e-9)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("how", ["full", "partial"])
def test_fully_pooled_recipes_obey_one_law(two: pd.DataFrame, spec: str, how: str):
    """Wherever each recipe's runs lie; and partial pooling with hardly a spread is full pooling."""
    prior = sample_prior(two, pooled(spec, how, spread=1e-9), draws=6, seed=2)["prior"].to_dataset()
    names = ("E", "A", "B") if spec == "parametric-recipes" else (
        "E", "gamma", "params_coefficient", "loss_coefficient"
    )  # fmt: skip
    for name in names:
        assert prior[name].dims == ("chain", "draw", "recipe")
        one, other = prior[name].values[0].T
        np.testing.assert_allclose(one, other, rtol=1e-5, err_msg=name)
    if "kappa" in prior:
        compute = two.groupby("recipe")["flops"].agg(lambda c: np.exp(np.log(c).mean()))
        ratio = compute["pile"] / compute["c4"]
        kappa = prior["kappa"]
        expected = kappa.sel(recipe="c4") * ratio ** prior["kappa_slope"]
        expected = expected if "recipe" not in expected.dims else expected.isel(recipe=0)
        np.testing.assert_allclose(kappa.sel(recipe="pile"), expected, rtol=1e-5)


@pytest.mark.parametrize("spec", SPECS[1:])
def test_one_recipe_is_taken_as_if_there_were_no_pooling(two: pd.DataFrame, spec: str):
    runs = two[two["recipe"] == "pile"].reset_index(drop=True)
    model = build_model(runs, spec)
    point = {name: value + 0.3 for name, value in model.initial_point().items()}
    unnamed = build_model(runs.drop(columns="recipe"), spec)
    assert float(compiled_density(unnamed)(point)) == float(compiled_density(model)(point))
    if spec != "parametric-recipes":
        found = load_spec(spec)
        priors = {name: prior for name, prior in found.priors.items() if not name.endswith("_spread")}
        without = build_model(runs, replace(found, pooling={}, priors=priors))
        assert float(compiled_density(without)(point)) == float(compiled_density(model)(point))
    assert not any(name.endswith(("_typical", "_spread")) for name in model.named_vars)


def test_one_recipe_of_the_pooled_law_is_the_parametric_model(simulated: pd.DataFrame):
    """Dirichlet(2, 1, 1) of three shares is Beta(2, 2) of the first and uniform of how the rest divides."""
    one, other = (build_model(simulated, spec) for spec in ("parametric", "parametric-recipes"))
    law = {"loss_ratio": 1.1, "alpha": 0.3, "beta": 0.4, "sigma": 0.01, "nu": 5.0, "sigma_growth": 1.5}
    for irreducible, share in ((0.6, 0.3), (0.2, 0.7)):
        shares = [irreducible, (1 - irreducible) * share, (1 - irreducible) * (1 - share)]
        theirs = density_at(one, {**law, "share": shares})
        ours = density_at(other, {**law, "irreducible": irreducible, "params_share": share})
        assert ours == pytest.approx(theirs + np.log(1 - irreducible), rel=1e-9)


def density_at(model: pm.Model, values: dict[str, object]) -> float:
    """Log density of the parameters themselves, without the slopes of the sampler's coordinates."""
    point = {}
    for variable in model.free_RVs:
        value, transform = model.rvs_to_values[variable], model.rvs_to_transforms[variable]
        there = np.asarray(values[variable.name], dtype=float)
        forward = transform.forward(there, *variable.owner.inputs) if transform else there
        point[value.name] = forward.eval(mode=PLAIN) if transform else there
    return float(model.compile_logp(jacobian=False, mode=PLAIN)(point))


# -- run by run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        *SPECS[1:],
        pooled("isoflop-parabola", "partial", family="Laplace", scale="raw", growth="compute"),
        pooled("parametric-recipes", "none", family="StudentT", scale="raw", growth="compute"),
        pooled("parametric-recipes", "full"),
    ],
    ids=str,
)
def test_log_likelihood_agrees_with_pymc(two: pd.DataFrame, spec: str | Spec):
    spec = load_spec(spec)
    known = spec.noise.growth == "compute"
    table = two.assign(loss_se=0.001 * np.arange(1, len(two) + 1)) if known else two
    runs = runs_of_model(check_runs(table), spec)
    model = build_model(runs, spec)
    drawn = sample_prior(runs, spec, draws=3, seed=1)["prior"].to_dataset()
    constant = constant_data(runs, spec)
    ours = log_likelihood(drawn, constant, spec)["loss"]
    assert list(ours["run"].values) == list(runs["run_id"])
    name = "log_loss" if spec.noise.scale == "log" else "loss"
    density = pm.logp(model[name], model[f"{name}_observed"])
    if name == "log_loss":
        density = density - np.log(runs["loss"].to_numpy())
    function = pytensor.function(model.free_RVs, density, mode=PLAIN, on_unused_input="ignore")
    for i in range(3):
        values = [drawn[variable.name].isel(chain=0, draw=i).values for variable in model.free_RVs]
        np.testing.assert_allclose(ours.isel(chain=0, draw=i), function(*values), rtol=1e-7)


def test_constant_data_say_which_profile_is_whose(two: pd.DataFrame):
    spec = load_spec("isoflop-skewed")
    runs = runs_of_model(check_runs(two), spec)
    constant = constant_data(runs, spec)
    pairs = set(zip(constant["profile_recipe"].values, constant["profile_budget"].values, strict=True))
    assert pairs == set(zip(runs["recipe"], runs["budget"], strict=True))
    assert constant["profile"].values.tolist() == list(build_model(runs, spec).coords["profile"])
    assert constant["recipe"].values.tolist() == runs["recipe"].tolist()


# -- which runs ----------------------------------------------------------------------------------------------


def test_runs_of_two_recipes_make_no_profile_together():
    """Three sizes at one compute, but two of them of another recipe."""
    table = pd.DataFrame({
        "params": [1e8, 2e8, 4e8, 1.1e8, 2.1e8, 3e8],
        "flops": [1e19, 1e19, 1.02e19, 1.03e19, 1.03e19, 3e19],
        "loss": [3.0, 2.9, 3.1, 2.8, 2.7, 2.5],
        "recipe": list("aaabbb"),
    })  # fmt: skip
    runs = check_runs(table.assign(tokens=table["flops"] / (6 * table["params"])))
    with pytest.warns(RunsWarning, match=r"recipe 'b': 3 of 3 runs .* fewer than 3 sizes"):
        kept = runs_in_profiles(runs)
    assert set(kept["recipe"]) == {"a"}
    assert kept["budget"].nunique() == 1
    with pytest.warns(RunsWarning, match="1 of 6 runs"):
        assert len(runs_in_profiles(runs.drop(columns="recipe"))) == 5


@pytest.mark.parametrize("spec", SPECS)
def test_one_law_for_several_recipes_is_told_only_where_it_is_one(two: pd.DataFrame, spec: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_model(two, spec)
    with pytest.warns(RunsWarning, match=r"2 recipes \('c4', 'pile'\)"):
        build_model(two, "parametric")


def test_a_recipe_that_borrows_nothing_must_bear_its_own_law(two: pd.DataFrame):
    few = pd.concat([two[two["recipe"] == "pile"], two[two["recipe"] == "c4"].head(4)])
    assert build_model(few, "parametric-recipes")
    with pytest.raises(InputError, match=r"recipe 'c4': has 4 runs; the law has five parameters"):
        build_model(few, pooled("parametric-recipes", "none"))


def test_an_index_that_points_nowhere_never_reaches_the_machine_code():
    assert checked_index(np.array([0, 1, 1]), 2).tolist() == [0, 1, 1]
    for wrong in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="there are 2 to point at"):
            checked_index(np.array(wrong), 2)


# -- the spec ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('alpha = "partial"', 'alhpa = "partial"', "[pooling]: unknown key 'alhpa'; did you mean 'alpha'"),
        ('alpha = "partial"', 'alpha = "partal"', "'partal' is not one of none, partial, full; did you mean"),
        ('alpha = "partial"', "", "[pooling]: missing alpha"),
        ('alpha = "partial"', 'alpha = "full"', "alpha_spread is the spread of alpha over recipes, but its"),
        ('alpha_spread = { dist = "Gamma", alpha = 2.0, beta = 8.0 }', "", "[priors]: missing alpha_spread"),
        ('alpha_spread = { dist = "Gamma", alpha = 2.0, beta = 8.0 }',
         'alpha_spread = { dist = "Normal", sigma = 1.0 }', "alpha_spread: it reaches below"),
        ('params_share = { dist = "Beta"', 'params_share = { dist = "Gamma"', "must be a Beta or Uniform"),
        ('loss_ratio = "none"', 'share = "none"', "unknown key 'share'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_pooling_is_named(
    tmp_path: Path, two: pd.DataFrame, old: str, new: str, said: str
):
    text = (Path(__file__).parents[2] / "models" / "parametric-recipes.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "my.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        build_model(two, path)
    assert said in str(caught.value)
