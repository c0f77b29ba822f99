"""What `check` says of studies of which it is known what is wrong with them, and of sound ones."""

from __future__ import annotations

import re

import flawed_studies as studies
import numpy as np
import pandas as pd
import pytest
from handmade_fits import fit_of_draws, fit_of_prior, laplace_fit, point_fit

from bayes_scaling import check
from bayes_scaling.checks.findings import LEVEL
from bayes_scaling.errors import InputError
from bayes_scaling.runs.check import check_runs

TESTS = ("prior predictive", "trend: compute", "trend: params", "trend: tokens", "trend: tokens_per_param",
         "noise: even", "largest residuals", "tails")  # fmt: skip


def failed(table: pd.DataFrame) -> set[str]:
    return set(table.index[table["passed"].eq(False).fillna(False)])


@pytest.fixture(scope="module")
def sound() -> pd.DataFrame:
    return check(laplace_fit(studies.sound(), draws=1000))


def test_a_sound_fit_passes_every_check(sound: pd.DataFrame):
    assert failed(sound) == set()
    assert sound["passed"].all()
    assert (sound["remedy"] == "").all()
    assert sound["text"].str.len().min() > 0
    assert sound.attrs == {"model": "parametric-normal", "converged": 1}
    assert (sound.loc[list(TESTS), "p_value"] >= LEVEL).all()
    assert sound.index.is_unique


def test_outliers_are_found_by_name_under_normal_noise_and_borne_by_student_t():
    runs = studies.with_outliers()
    table = check(laplace_fit(runs))
    assert {"largest residuals", "LOO-PIT"} <= failed(table)
    far = table.loc["largest residuals"]
    assert far["p_value"] < 1e-4
    assert runs["run_id"][50] in far["text"]
    assert "StudentT" in far["remedy"]
    borne = failed(check(laplace_fit(runs, "parametric", nu=2.0)))
    assert not {"LOO-PIT", "largest residuals"} & borne


def test_noise_that_grows_towards_small_compute_is_found():
    table = check(laplace_fit(studies.with_noise_at_small_compute()))
    noise = table.loc["noise: even"]
    assert not noise["passed"]
    assert noise["p_value"] < 1e-6
    assert "larger at 1e19 FLOP than at 1e21" in noise["text"]
    assert 'growth = "compute"' in noise["remedy"]


def test_a_law_of_another_form_is_found_along_what_it_lacks():
    table = check(laplace_fit(studies.of_another_law()))
    trend = table.loc["trend: tokens_per_param"]
    assert not trend["passed"]
    assert trend["p_value"] < 1e-6
    assert trend["remedy"]


def test_one_ratio_is_a_design_that_leaves_the_split_to_the_prior():
    table = check(laplace_fit(studies.of_one_ratio()))
    ratios = table.loc["design: ratios"]
    assert not ratios["passed"]
    assert "about 20 tokens per parameter" in ratios["text"]
    assert pd.isna(table.loc["trend: tokens_per_param", "passed"])


def test_a_fit_that_is_not_converged_says_so_first():
    runs = studies.sound()
    good = laplace_fit(runs, draws=300)
    bad = fit_of_draws(runs, "parametric-normal", good["posterior"].to_dataset(), converged=False)
    table = check(bad)
    assert table.index[0] == "convergence"
    assert not table.loc["convergence", "passed"]
    assert table.loc["convergence", "text"] == "it was made so"
    assert table.attrs["converged"] == 0


def test_draws_without_a_density_leave_little_to_say():
    runs = studies.sound()
    posterior = laplace_fit(runs, draws=50)["posterior"].to_dataset()
    posterior["sigma"][0, 3] = np.inf
    table = check(fit_of_draws(runs, "parametric-normal", posterior, converged=False))
    assert pd.isna(table.loc["draws", "passed"])
    assert table.index[-1] == "draws"
    assert "largest residuals" not in table.index


@pytest.mark.parametrize("name", ["parametric-raw", "isoflop-skewed"])
def test_every_model_of_one_recipe_is_checked(name: str):
    """By draws from its prior: what is said is of no interest here, but all of it is."""
    table = check(fit_of_prior(studies.sound(), name))
    assert set(TESTS) < set(table.index)
    assert not table["text"].str.contains("nan").any()


def test_recipes_are_judged_each_by_itself():
    two = [studies.sound(seed).assign(recipe=recipe) for seed, recipe in ((1, "web"), (2, "books"))]
    runs = pd.concat(two, ignore_index=True).assign(run_id=lambda table: [f"run {i}" for i in table.index])
    # One recipe bends away at many tokens a parameter.
    bent = runs["loss"] * np.where(runs["recipe"] == "books", 1.2, 1.0)
    ratio = runs["tokens"] / runs["params"]
    runs["loss"] = np.where(ratio > 300, bent, runs["loss"])
    table = check(fit_of_prior(check_runs(runs), "parametric-recipes"))
    assert table.loc["design: sizes", "text"] == "good for each of 2 recipes"
    assert set(TESTS) < set(table.index)
    alone = check(runs)
    assert set(alone.index) == {
        f"design: {name}" for name in ("sizes", "tokens", "ratios", "runs", "budgets", "minima")
    }


def test_recipes_that_one_law_is_fitted_to_are_told_apart_where_they_differ():
    runs = studies.sound().assign(recipe=["web", "books"] * 30)
    alike = check(laplace_fit(runs)).loc["trend: recipe"]
    assert alike["passed"]
    shifted = runs.assign(loss=runs["loss"] * np.where(runs["recipe"] == "books", 1.02, 1.0))
    apart = check(laplace_fit(shifted)).loc["trend: recipe"]
    assert not apart["passed"]
    assert re.search("those of 'books' lie [12].[0-9] % above those of 'web'", apart["text"])
    assert "parametric-recipes" in apart["remedy"]


def test_it_takes_whole_fits_and_runs_alone():
    with pytest.raises(InputError, match="lacks log_likelihood and posterior_predictive"):
        check(point_fit())
    with pytest.raises(InputError, match="a fit or a table of runs, not str"):
        check("fit.nc")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="positive"):
        check(laplace_fit(studies.sound(), draws=50), compute=-1.0)
