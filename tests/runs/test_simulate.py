"""Simulated runs have the law, the noise and the design that were asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_scaling.errors import InputError
from bayes_scaling.runs.check import check_runs, flops_per_param_token
from bayes_scaling.runs.simulate import isoflop_design, simulate_runs

LAW = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def law(params, tokens):
    return 1.8 + 480.0 / params**0.35 + 2100.0 / tokens**0.37


@pytest.fixture(scope="module")
def design():
    return isoflop_design([1e18, 1e19, 1e20], params_low=5e7, params_high=5e9, sizes=2000)


@pytest.mark.parametrize("flops_per_param_token", [6.0, 5.3])
def test_isoflop_design_keeps_each_budget_and_spaces_sizes_evenly_in_log(flops_per_param_token):
    design = isoflop_design(
        [1e18, 1e20],
        params_low=[1e7, 1e8],
        params_high=[1e9, 1e10],
        sizes=9,
        flops_per_param_token=flops_per_param_token,
    )
    assert design.groupby("budget").size().to_dict() == {1e18: 9, 1e20: 9}
    spent = flops_per_param_token * design["params"] * design["tokens"]
    np.testing.assert_allclose(spent, design["budget"], rtol=1e-15)
    assert (design["flops"] == design["budget"]).all()
    assert (design["params"] == design["params"].round()).all()
    for (_, profile), (low, high) in zip(design.groupby("budget"), [(1e7, 1e9), (1e8, 1e10)], strict=True):
        assert profile["params"].iloc[[0, -1]].tolist() == [low, high]
        np.testing.assert_allclose(np.diff(np.log(profile["params"])), np.log(100) / 8, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"budgets": [1e18, -1.0]}, "budgets"),
        ({"params_low": 1e10}, "params_low"),
        ({"params_low": 10, "params_high": 12}, "distinct"),
        ({"sizes": 0}, "sizes"),
    ],
)
def test_isoflop_design_refuses_what_it_cannot_lay_out(change, named):
    asked = {"budgets": [1e18], "params_low": 1e7, "params_high": 1e9, "sizes": 9} | change
    with pytest.raises(InputError, match=named):
        isoflop_design(asked.pop("budgets"), **asked)


@pytest.mark.parametrize(
    ("family", "distribution"),
    [("StudentT", stats.t(5.0)), ("Laplace", stats.laplace()), ("Normal", stats.norm())],
)
@pytest.mark.parametrize("scale", ["log", "raw"])
def test_residuals_have_the_distribution_that_was_asked_for(design, family, distribution, scale):
    runs = simulate_runs(design, LAW, sigma=0.01, nu=5.0, family=family, scale=scale, seed=3)
    mu = law(runs["params"], runs["tokens"])
    if scale == "log":
        residuals = np.log(runs["loss"] / mu) / 0.01
    else:
        residuals = (runs["loss"] - mu) / (0.01 * stats.gmean(mu))
    assert stats.kstest(residuals, distribution.cdf).pvalue > 0.01
    # 6,000 draws: five standard errors of the mean, and of the spread as far as these tails let it settle.
    assert abs(residuals.mean()) < 5 * distribution.std() / np.sqrt(len(runs))
    assert residuals.std() == pytest.approx(distribution.std(), rel=0.1)


def test_without_noise_the_losses_are_the_law(design):
    runs = simulate_runs(design, LAW, sigma=0, seed=1)
    np.testing.assert_allclose(runs["loss"], law(design["params"], design["tokens"]), rtol=1e-12)


def test_any_function_of_params_and_tokens_is_a_law(design):
    runs = simulate_runs(design, lambda params, tokens: 2 + 1e4 / np.sqrt(params * tokens), sigma=0, seed=1)
    np.testing.assert_allclose(runs["loss"], 2 + 1e4 / np.sqrt(design["params"] * design["tokens"]))
    assert "alpha" not in runs.attrs["truth"]
    constant = simulate_runs(design, lambda *_: 3.0, sigma=0, seed=1)
    assert (constant["loss"] == 3.0).all()


def test_the_seed_decides_the_runs(design):
    first, again, other = (simulate_runs(design, LAW, sigma=0.01, seed=seed) for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(first, again)
    assert (first["loss"] != other["loss"]).all()


def test_flops_follow_from_the_design_only_where_it_has_none(design):
    derived = simulate_runs(design[["params", "tokens"]], LAW, sigma=0.01, seed=1)
    assert derived.attrs["flops_source"] == "6ND"
    given = simulate_runs(design.assign(flops=design["flops"] * 1.1), LAW, sigma=0.01, seed=1)
    assert given.attrs["flops_source"] == "given"
    assert flops_per_param_token(given) == pytest.approx(6.6)
    assert (given["loss"] == derived["loss"]).all()


def test_the_table_is_checked_labelled_and_keeps_what_the_design_knows():
    design = pd.DataFrame(
        {
            "run_id": list("abc"),
            "params": [1e8, 2e8, 4e8],
            "tokens": [3e9, 4e9, 1e9],
            "recipe": ["x", "x", "y"],
            "seed": [1, 2, 3],
        }
    )
    before = design.copy()
    runs = simulate_runs(design, LAW, sigma=0.01, nu=3, seed=5, flops_per_param_token=7.0)
    pd.testing.assert_frame_equal(design, before)
    pd.testing.assert_frame_equal(check_runs(runs), runs)
    assert runs["run_id"].tolist() == list("abc")
    assert runs["recipe"].tolist() == ["x", "x", "y"]
    assert runs["seed"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(runs["flops"], 7.0 * runs["params"] * runs["tokens"])
    assert flops_per_param_token(runs) == pytest.approx(7.0)
    noise = {"family": "StudentT", "scale": "log", "sigma": 0.01, "nu": 3.0}
    assert runs.attrs["truth"] == {**LAW, "noise": noise, "seed": 5}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"family": "studentt"}, "did you mean 'StudentT'"),
        ({"scale": "logarithmic"}, "scale"),
        ({"sigma": -0.1}, "sigma"),
        ({"sigma": np.nan}, "sigma"),
        ({"nu": 0}, "nu"),
        ({"law": {**LAW, "gamma": 1.0}}, "gamma"),
        ({"law": {"E": 1.0}}, "missing A, B, alpha, beta"),
        ({"law": lambda params, _: params - 1e8}, "positive"),
        ({"law": 3.0}, "law must be"),
        ({"design": pd.DataFrame({"params": [1e8]})}, "tokens"),
        ({"design": pd.DataFrame({"params": [1e8, -1e8], "tokens": 1e9})}, "row 2, column params"),
        ({"design": pd.DataFrame({"params": ["70 bn"], "tokens": 1e9})}, "row 1, column params"),
    ],
)
def test_bad_requests_are_refused_by_name(options, named):
    design = pd.DataFrame({"params": [1e8, 2e8], "tokens": [1e9, 2e9]})
    asked = {"design": design, "law": LAW, "sigma": 0.01, "seed": 1} | options
    with pytest.raises(InputError, match=named):
        simulate_runs(asked.pop("design"), asked.pop("law"), **asked)
