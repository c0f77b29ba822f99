"""Residuals against fits that have not seen the run."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from flawed_studies import DESIGN, sound
from handmade_fits import laplace_fit, point_fit
from scipy import stats

from bayes_scaling import residuals
from bayes_scaling.checks.residuals import _weighted_quantiles
from bayes_scaling.errors import InputError
from bayes_scaling.runs.check import check_runs


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return residuals(laplace_fit(sound()))


def test_each_run_is_held_against_a_fit_without_it(found: xr.Dataset):
    """Refits without the run say the same of it, also where it lies far out and counts for much."""
    runs = sound()
    for row in (0, 11, int(np.abs(found["score"].to_numpy()).argmax())):
        kept = runs.drop(index=row).reset_index(drop=True)
        posterior = laplace_fit(kept, draws=2000)["posterior"]
        params, tokens = runs.loc[row, "params"], runs.loc[row, "tokens"]
        law = posterior["E"] + posterior["A"] / params ** posterior["alpha"]
        law = law + posterior["B"] / tokens ** posterior["beta"]
        z = (np.log(runs.loc[row, "loss"]) - np.log(law)) / posterior["sigma"]
        probability = float(stats.norm.cdf(z).mean())
        one = found.isel(run=row)
        assert float(one["score"]) == pytest.approx(stats.norm.ppf(probability), abs=0.12)
        assert float(one["predicted"]) == pytest.approx(float(law.median()), rel=5e-4)
        assert float(one["residual"]) == pytest.approx(
            np.log(runs.loc[row, "loss"] / float(law.median())), abs=5e-4
        )


def test_its_numbers_belong_together(found: xr.Dataset):
    assert found["run"].values.tolist() == sound()["run_id"].tolist()
    np.testing.assert_allclose(found["params"], DESIGN["params"])
    np.testing.assert_allclose(found["loss"], found["predicted"] * np.exp(found["residual"]))
    np.testing.assert_allclose(found["pit"], stats.norm.cdf(found["score"]))
    np.testing.assert_allclose(found["p_value"], 2 * stats.norm.sf(np.abs(found["score"])))
    inside = (found["low"] < found["residual"]) & (found["residual"] < found["high"])
    by_probability = np.abs(found["pit"] - 0.5) < 0.45
    # But for the noise of drawn losses at the very ends they are the same runs.
    assert int((inside != by_probability).sum()) <= 2
    assert found.attrs["prob"] == 0.9
    assert set(found["recipe"].values) == {""}


def test_a_run_far_out_is_told_apart_from_one_farther_out():
    runs = sound()
    p_values = []
    for factor in (1.06, 1.12):
        far = check_runs(runs.assign(loss=runs["loss"].where(runs.index != 30, runs["loss"] * factor)))
        p_values.append(float(residuals(laplace_fit(far))["p_value"][30]))
    assert p_values[1] < p_values[0] < 1e-4


def test_intervals_are_those_of_the_probability_asked_for():
    fit = laplace_fit(sound(), draws=200)
    narrow, wide = residuals(fit, prob=0.5), residuals(fit, prob=0.99)
    assert (narrow["high"] < wide["high"]).all()
    assert (narrow["low"] > wide["low"]).all()
    with pytest.raises(InputError, match="prob must lie between"):
        residuals(fit, prob=1.5)
    with pytest.raises(InputError, match="lacks log_likelihood"):
        residuals(point_fit())


def test_weighted_quantiles_are_those_of_repeated_values():
    rng = np.random.default_rng(1)
    values, counts = rng.normal(size=(50, 3)), rng.integers(0, 5, size=(50, 3))
    got = _weighted_quantiles(values, counts / counts.sum(axis=0), [0.1, 0.5, 0.9])
    for column in range(3):
        repeated = np.repeat(values[:, column], counts[:, column])
        wanted = np.quantile(repeated, [0.1, 0.5, 0.9], method="inverted_cdf")
        np.testing.assert_allclose(got[:, column], wanted)


def test_many_runs_and_draws_are_thinned(monkeypatch: pytest.MonkeyPatch):
    fit = laplace_fit(sound(), draws=500)
    whole = residuals(fit)
    monkeypatch.setattr("bayes_scaling.checks.residuals.MAX_VALUES", 60 * 4 * 100)
    thinned = residuals(fit)
    assert float(np.abs(thinned["score"] - whole["score"]).max()) < 0.5
    assert not np.array_equal(thinned["score"], whole["score"])
