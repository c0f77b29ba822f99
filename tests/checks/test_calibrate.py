"""Calibration: ranks of true values, uniform if and only if draws are from the posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_scaling import build_model, calibrate, load_spec
from bayes_scaling.checks.calibrate import LOG_LIKELIHOOD, calibrate_one
from bayes_scaling.errors import BayesScalingError, InputError
from bayes_scaling.executor import run_tasks
from bayes_scaling.models.spec import Prior, spec_to_dict
from bayes_scaling.sampling import nuts


@pytest.fixture(scope="module")
def few(simulated: pd.DataFrame) -> pd.DataFrame:
    return simulated.iloc[::3].reset_index(drop=True)


def test_each_replicate_ranks_every_quantity_and_none_is_done_twice(few: pd.DataFrame, tmp_path: Path):
    given: dict[str, Any] = {"seed": 3, "draws": 100, "tune": 100, "workers": 1, "progress": False}
    results = tmp_path / "replicates.jsonl"
    first = calibrate(few, replicates=2, results=results, **given)
    assert {"alpha", "E", "share[0]", "share[2]", LOG_LIKELIHOOD} <= set(first["quantity"].values)
    assert ((first["rank"] > 0) & (first["rank"] < 1)).all()
    stamp = results.stat().st_mtime_ns
    again = calibrate(few, replicates=2, results=results, **given)
    assert again.identical(first)
    assert results.stat().st_mtime_ns == stamp


def test_a_data_set_that_cannot_be_fitted_is_told_and_ends_nothing(
    few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    draw, calls = nuts.draw_posterior, []

    def failing_first(*given: Any, **options: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise BayesScalingError("no point to start from")
        return draw(*given, **options)

    monkeypatch.setattr(nuts, "draw_posterior", failing_first)
    given: dict[str, Any] = {"seed": 3, "draws": 100, "tune": 100, "workers": 1, "progress": False}
    found = calibrate(few, replicates=2, **given)
    assert found["reason"].values.tolist() == ["no point to start from", ""]
    assert not found["converged"][0]
    assert found["rank"][0].isnull().all()
    # What is left is tested: one rank, whose p-value is twice its distance from the nearer end.
    alone = found["rank"][1]
    np.testing.assert_allclose(found["p_value"], 2 * np.minimum(alone, 1 - alone), atol=0.03)
    calls.clear()
    with pytest.raises(BayesScalingError, match="none of 1 data sets could be fitted: no point to start"):
        calibrate(few, replicates=1, **given)


def test_a_prior_that_predicts_no_losses_is_refused(few: pd.DataFrame):
    spec = load_spec("parametric")
    wild = replace(spec, priors={**spec.priors, "sigma": Prior("HalfNormal", {"sigma": 1e4})})
    with pytest.raises(InputError, match="give tighter priors"):
        calibrate(few, wild, replicates=3, workers=1, progress=False)
    with pytest.raises(InputError, match="replicates must be at least 1, not 0"):
        calibrate(few, replicates=0)


@pytest.mark.slow
def test_the_parametric_model_is_calibrated(few: pd.DataFrame, tmp_path: Path):
    found = calibrate(few, replicates=300, workers=2, results=tmp_path / "replicates.jsonl", progress=False)
    assert float(found["converged"].mean()) > 0.95
    assert found["uniform"].all(), found["p_value"].to_series()


def with_other_prior(task: Mapping[str, Any]) -> dict[str, Any]:
    """Fit by a prior that the true values were not drawn from."""
    spec = load_spec("parametric")
    other = replace(spec, priors={**spec.priors, "alpha": Prior("LogNormal", {"mu": -0.6, "sigma": 0.5})})
    return calibrate_one({**task, "spec": spec_to_dict(other)})


@pytest.mark.slow
def test_a_posterior_of_another_model_is_found_out(few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    from bayes_scaling.checks import calibrate as module

    monkeypatch.setattr(
        module, "run_tasks", lambda _, tasks, **options: run_tasks(with_other_prior, tasks, **options)
    )
    found = calibrate(few, replicates=150, workers=1, progress=False)
    assert found["p_value"].sel(quantity="alpha") < 1e-3
    assert not found["uniform"].sel(quantity="alpha")
    assert float(np.mean(found["rank"].sel(quantity="alpha"))) < 0.5


def test_known_errors_mean_the_same_where_losses_are_drawn_and_fitted(few: pd.DataFrame):
    """Relative to the losses that priors are centred at, not to those that happened to be drawn."""
    runs, drawn = few.assign(loss_se=0.02), few.assign(loss=few["loss"] * 2, loss_se=0.02)
    centre = runs["loss"].to_numpy()
    given = [build_model(runs), build_model(drawn, centre_loss=centre)]
    np.testing.assert_array_equal(*(model["relative_se"].get_value() for model in given))


def test_too_few_draws_to_rank_among_are_refused(few: pd.DataFrame):
    with pytest.raises(InputError, match="must give 100 draws to rank among, not 40"):
        calibrate(few, draws=20, chains=2)
