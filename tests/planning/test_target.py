"""Compute to a target: against the law turned round, shares of draws, and searches."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import BESIROGLU, frontier_draws, handmade_fit, law_draws, point_fit

from bayes_scaling import compute_to_target, optimum, plan_to_target, worth_of_improvement
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.laws import chinchilla, lifetime


@pytest.fixture(scope="module")
def uncertain() -> xr.DataTree:
    return handmade_fit(law_draws(500, spread=0.05))


def test_the_least_compute_is_that_whose_optimum_has_the_loss(uncertain: xr.DataTree):
    found = compute_to_target(uncertain, [2.2, 2.0])
    assert found["compute"].dims == ("chain", "draw", "target")
    for draw in (0, 100, 499):
        for loss in (2.2, 2.0):
            compute = float(found["compute"].sel(target=loss).isel(chain=0, draw=draw))
            there = optimum(uncertain, compute)["loss_opt"].isel(chain=0, draw=draw).item()
            assert there == pytest.approx(loss, rel=1e-9)
    assert (found["compute"].sel(target=2.0) > found["compute"].sel(target=2.2)).all()
    assert found["extrapolation"].values[1] > found["extrapolation"].values[0] >= 1


def test_never_is_the_share_of_draws_whose_floor_is_above(uncertain: xr.DataTree):
    floor = uncertain["posterior"]["E"]
    found = compute_to_target(uncertain, [1.7, 1.82, 2.5])
    expected = [float((floor >= loss).mean()) for loss in (1.7, 1.82, 2.5)]
    np.testing.assert_allclose(found["never"], expected)
    assert expected[0] == 1
    assert 0 < expected[1] < 1
    assert expected[2] == 0


def test_an_improvement_is_worth_the_compute_that_buys_it(uncertain: xr.DataTree):
    worth = worth_of_improvement(uncertain, 1e22, 0.05)
    draw = {"chain": 0, "draw": 7}
    more = 1e22 * float(worth.isel(draw))
    ends = [optimum(uncertain, c)["loss_opt"].isel(draw).item() for c in (1e22, more)]
    assert ends[0] - ends[1] == pytest.approx(0.05, rel=1e-9)
    assert np.isinf(worth_of_improvement(uncertain, 1e22, 1.5)).all()


@pytest.mark.parametrize("served", [None, 1e11, 1e13])
def test_of_a_known_law_the_cheapest_plan_is_the_closed_form(served: float | None):
    planned = plan_to_target(point_fit(), 2.0, served_tokens=served)
    params, tokens, cost = lifetime.cheapest_run(2.0, served or 0.0, **BESIROGLU)
    assert float(planned["recommended_cost"]) == pytest.approx(cost, rel=1e-9)
    assert float(planned["recommended_params"]) == pytest.approx(params, rel=1e-4)
    assert float(planned["recommended_tokens"]) == pytest.approx(tokens, rel=1e-4)
    assert planned["lifetime"].item() == pytest.approx(cost, rel=1e-9)
    assert float(planned["recommended_reaches"]) == 1


@pytest.mark.parametrize("sure", [0.5, 0.8, 0.95])
def test_the_plan_reaches_its_target_as_surely_as_asked_and_no_cheaper_one_does(
    uncertain: xr.DataTree, sure: float
):
    planned = plan_to_target(uncertain, 2.0, sure=sure, served_tokens=1e12)
    law = {name: uncertain["posterior"][name].values.ravel() for name in BESIROGLU}
    params, tokens, cost = (float(planned[f"recommended_{n}"]) for n in ("params", "tokens", "cost"))
    assert float(planned["recommended_reaches"]) == pytest.approx(sure, abs=1 / 500 + 1e-9)
    assert (chinchilla.loss(params, tokens * (1 + 1e-9), **law) <= 2.0).mean() >= sure
    for size in params * np.geomspace(0.2, 5, 200):
        count = 0.999 * cost / (6 * size) - 1e12 / 3
        if count > 0:
            assert (chinchilla.loss(size, count, **law) <= 2.0).mean() < sure


def test_being_surer_costs_more(uncertain: xr.DataTree):
    costs = [
        float(plan_to_target(uncertain, 2.0, sure=sure)["recommended_cost"]) for sure in (0.5, 0.8, 0.95)
    ]
    assert costs[0] < costs[1] < costs[2]
    # At the median of the least compute no plan is even odds: it would need the best size of each draw.
    least = compute_to_target(uncertain, 2.0)["compute"]
    assert costs[0] >= np.quantile(least, 0.5, method="inverted_cdf")


def test_repetition_and_limits_cost_more_and_are_kept(uncertain: xr.DataTree):
    plain = plan_to_target(uncertain, 2.0)
    scarce = plan_to_target(uncertain, 2.0, unique_tokens=3e11)
    assert float(scarce["recommended_cost"]) > 1.05 * float(plain["recommended_cost"])
    assert float(scarce["recommended_reaches"]) == pytest.approx(0.8, abs=0.002)
    endless = plan_to_target(uncertain, 2.0, unique_tokens=1e20)
    assert float(endless["recommended_cost"]) == pytest.approx(float(plain["recommended_cost"]), rel=1e-9)
    small = plan_to_target(uncertain, 2.0, max_params=2e10)
    assert float(small["recommended_params"]) == pytest.approx(2e10)
    assert small.attrs["binding"] == "max_params"
    short = plan_to_target(uncertain, 2.0, max_tokens=5e11)
    assert float(short["recommended_tokens"]) <= 5e11
    assert short.attrs["binding"] == "max_tokens"
    built = plan_to_target(uncertain, 2.0, sizes=[1e10, 3e10, 2e11])
    assert float(built["recommended_params"]) == 3e10
    for held in (small, short, built):
        assert float(held["recommended_cost"]) > float(plain["recommended_cost"])


def test_an_isoflop_model_that_is_a_law_has_the_same_plan():
    law = {**law_draws(200, spread=0.05), "E": np.zeros(200)}
    goal = float(np.median(chinchilla.optimum(1e23, **law)[2]))
    expected = plan_to_target(handmade_fit(law), goal, served_tokens=1e12)
    found = plan_to_target(handmade_fit(frontier_draws(law), law="isoflop-skewed"), goal, served_tokens=1e12)
    for name in ("recommended_cost", "compute", "lifetime"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    np.testing.assert_allclose(found["recommended_params"], expected["recommended_params"], rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": 1.5}, "target 1.5: no draw of the fit reaches it with any compute"),
        ({"target": 1.82, "sure": 0.95}, r"no number of tokens reaches it with probability 0\.95; .* is 0\."),
        ({"target": 2.0, "max_params": 1e8}, r"within max_params no number of tokens .* loosen max_params"),
        (
            {"target": 2.0, "max_tokens": 1e10},
            r"takes at least .* tokens, .* times the 10B that max_tokens allows",
        ),
        ({"target": 2.0, "unique_tokens": 1e9}, "within unique_tokens no number of tokens"),
        ({"target": 2.0, "sizes": [1e9], "min_params": 1e10}, "none of the sizes lies between min_params"),
        ({"target": 2.0, "sure": 1.0}, "sure must lie between 0 and 1, such as 0.8, not 1"),
        ({"target": 0.0}, "target must be positive"),
    ],
)
def test_a_target_out_of_reach_says_why(uncertain: xr.DataTree, changes: dict, said: str):
    with pytest.raises(InputError, match=said):
        plan_to_target(uncertain, **changes)


def test_draws_that_have_not_converged_are_refused_unless_allowed():
    fit = handmade_fit(law_draws(20), converged=False)
    for ask in (
        lambda **how: compute_to_target(fit, 2.0, **how),
        lambda **how: plan_to_target(fit, 2.0, **how),
        lambda **how: worth_of_improvement(fit, 1e22, 0.01, **how),
    ):
        with pytest.raises(NotConvergedError):
            ask()
        assert ask(allow_unconverged=True).attrs["converged"] == 0
