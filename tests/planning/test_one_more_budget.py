"""A planned run of an IsoFLOP model is one more budget: it scatters about the line as theirs do."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import frontier_draws, handmade_fit, law_draws

from bayes_scaling import audit, design, optimum, plan, predict
from bayes_scaling.planning.surface import surface_of

BUDGET = 1e23
LAW = {**law_draws(400, spread=0.02), "E": np.zeros(400)}
NOISE = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}


def with_scatter(params: float, loss: float = 0.0, kappa: float = 0.0, **more: object) -> xr.DataTree:
    scatters = {"params_scatter": params, "loss_scatter": loss, "kappa_scatter": kappa}
    draws = {**frontier_draws(LAW), **scatters, **NOISE}
    return handmade_fit(draws, law="isoflop-skewed", spec="isoflop-skewed", **more)


@pytest.fixture(scope="module")
def fit() -> xr.DataTree:
    return with_scatter(0.3, 0.02, 0.2)


def test_a_plan_is_for_one_more_budget_by_the_luck_of_the_optimum(fit: xr.DataTree):
    planned, new = plan(fit, BUDGET, below=6e10), optimum(fit, BUDGET, new_budget=True)
    for name in ("params_opt", "tokens_opt", "loss_opt"):
        np.testing.assert_allclose(planned[name].values.ravel(), new[name].values.ravel(), rtol=1e-12)
    assert float(planned["params_opt_below"][0]) == float((new["params_opt"] < 6e10).mean())
    assert planned.attrs["new_budget"] == 1
    line = plan(with_scatter(0.0), BUDGET)
    assert float(np.log(planned["params_opt"]).std()) == pytest.approx(
        float(np.hypot(np.log(line["params_opt"]).std(), 0.3)), rel=0.1
    )
    assert float(planned["recommended_expected_regret"]) > 2 * float(line["recommended_expected_regret"])
    # The less is known, the fewer sizes are surely good.
    held = {"regret_bound": 0.05, "probability": 0.8}
    known, scattered = (
        np.log(each["region"].sel(held)).diff("side").item()
        for each in (line, plan(with_scatter(0.3), BUDGET))
    )
    assert scattered < 0.5 * known


def test_what_a_plan_says_of_its_loss_is_what_is_predicted(fit: xr.DataTree):
    planned, predicted = plan(fit, BUDGET, params=2e10, tokens=1e12), predict(fit, 2e10, 1e12)
    assert float(predicted["flops"][0]) == float(planned["proposed_compute"])
    # The noise of a run is in the one and not in the other.
    gap = np.log(predicted["loss"].values.ravel() / planned["proposed_loss"].values.ravel())
    assert np.abs(np.median(gap)) < 0.001
    assert np.quantile(np.abs(gap), 0.9) < 0.02
    on_line = np.log(predicted["law"].values.ravel() / planned["proposed_loss"].values.ravel())
    assert np.quantile(np.abs(on_line), 0.9) > 0.03


def test_whoever_asks_for_the_line_gets_it(fit: xr.DataTree):
    line, best = surface_of(fit, new_budget=False), optimum(fit, BUDGET)
    for name, found in zip(
        ("params_opt", "tokens_opt", "loss_opt"), line.surface.optimum(BUDGET), strict=True
    ):
        np.testing.assert_allclose(found, best[name].values.ravel(), rtol=1e-12)
    assert not line.new_budget
    assert surface_of(fit).new_budget
    assert not surface_of(handmade_fit(LAW)).new_budget
    assert plan(handmade_fit(LAW), BUDGET).attrs["new_budget"] == 0


def test_a_recipe_has_the_same_luck_however_it_is_asked_for():
    draws = frontier_draws(LAW)
    both = {name: np.stack([values, values], axis=-1) for name, values in draws.items()}
    scatters = {"params_scatter": 0.3, "loss_scatter": 0.02, "kappa_scatter": 0.2}
    fit = handmade_fit(
        {**both, **scatters, **NOISE}, law="isoflop-skewed", spec="isoflop-skewed", recipes=("web", "code")
    )
    new = optimum(fit, BUDGET, new_budget=True).sel(recipe="code")
    planned = plan(fit, BUDGET, recipe="code")
    np.testing.assert_allclose(planned["loss_opt"].values.ravel(), new["loss_opt"].values.ravel(), rtol=1e-12)
    size, tokens = (float(new[name].median()) for name in ("params_opt", "tokens_opt"))
    predicted = predict(fit, size, tokens, recipe="code")
    judged = plan(fit, BUDGET, recipe="code", params=size, tokens=tokens)["proposed_loss"]
    gap = np.log(predicted["loss"].values.ravel() / judged.values.ravel())
    assert np.quantile(np.abs(gap), 0.9) < 0.02


def test_an_audit_judges_one_budget_more_too(fit: xr.DataTree):
    one, line = audit(fit), audit(with_scatter(0.0))
    assert (one["regret"].std(("chain", "draw")) > line["regret"].std(("chain", "draw"))).all()


def test_pilot_runs_do_not_tell_how_the_target_scatters():
    known = design(with_scatter(0.001), BUDGET, 1e21, 3)
    scattered = design(with_scatter(0.4), BUDGET, 1e21, 3)
    planned = plan(with_scatter(0.4), BUDGET)
    before, after = scattered["expected_regret"].values
    assert before == pytest.approx(float(planned["recommended_expected_regret"]), rel=1e-6)
    np.testing.assert_allclose(
        scattered["params_opt"].sel(stage="before"),
        np.quantile(planned["params_opt"], [0.05, 0.5, 0.95]),
        rtol=1e-4,
    )
    assert float(known["expected_regret"][1]) < 0.2 * after
    # What stays is the regret of scatter alone.
    of_scatter = float(plan(with_scatter(0.4), BUDGET)["recommended_expected_regret"])
    assert 0.5 * of_scatter < after
