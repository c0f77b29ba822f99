"""Limits on a plan: kept, never of advantage, and explained where they leave nothing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling import plan
from bayes_scaling.errors import InputError

COST = 5.76e23


@pytest.fixture(scope="module")
def uncertain() -> xr.DataTree:
    return handmade_fit(law_draws(30, spread=0.05))


def plan_or_refusal(fit: xr.DataTree, **asked: object) -> xr.Dataset | str:
    try:
        return plan(fit, COST, **asked)
    except InputError as error:
        return str(error)


factors = st.floats(0.05, 20)


@given(
    smallest=st.none() | factors,
    largest=st.none() | factors,
    most_tokens=st.none() | factors,
    sizes=st.none() | st.lists(factors, min_size=1, max_size=5),
    served=st.none() | st.floats(0.01, 10),
    unique=st.none() | st.floats(0.02, 3),
)
@settings(max_examples=40, deadline=None)
def test_a_limited_plan_keeps_its_limits_and_is_no_better(
    uncertain: xr.DataTree, smallest, largest, most_tokens, sizes, served, unique
):
    size, tokens = 7e10, 1.4e12
    paid = {
        "served_tokens": None if served is None else served * tokens,
        "unique_tokens": None if unique is None else unique * tokens,
    }
    limits = {
        "min_params": None if smallest is None else smallest * size,
        "max_params": None if largest is None else largest * size,
        "max_tokens": None if most_tokens is None else most_tokens * tokens,
        "sizes": None if sizes is None else [factor * size for factor in sizes],
    }
    free = plan(uncertain, COST, **paid)
    held = plan_or_refusal(uncertain, **limits, **paid)
    if isinstance(held, str):
        # What is refused has a limit to blame.
        assert any(name in held for name in (*limits, "served_tokens"))
        return
    params, count = float(held["recommended_params"]), float(held["recommended_tokens"])
    rounding = 1 + 1e-9
    assert params >= (limits["min_params"] or 0) / rounding
    assert params <= (limits["max_params"] or np.inf) * rounding
    assert 0 < count <= (limits["max_tokens"] or np.inf) * (1 + 1e-8)
    assert limits["sizes"] is None or params in limits["sizes"]
    assert float(held["recommended_cost"]) == pytest.approx(COST, rel=1e-9)
    best = float(free["recommended_expected_regret"])
    # Against the best plan without limits the one within them does no better than the free one.
    judged = plan(uncertain, COST, params=params, tokens=count, **paid)
    assert float(judged["proposed_expected_regret"]) >= best - 1e-6
    assert float(held["recommended_expected_regret"]) >= -1e-12
    # Nothing within the limits reaches what the best plan within them reaches at a lower cost.
    assert (held["recommended_regret"] >= -1e-12).all()
    assert float(held["unconstrained_expected_regret"]) == pytest.approx(best, abs=1e-9)
    assert float(held["unconstrained_params"]) == pytest.approx(float(free["recommended_params"]), rel=1e-4)
    # No other size within the limits is better.
    assert float(held["size_expected_regret"].min()) >= float(held["recommended_expected_regret"]) - 1e-12
    ends = held["region"].values[np.isfinite(held["region"].values)]
    assert (ends >= (limits["min_params"] or 0) / rounding).all()
    assert (ends <= (limits["max_params"] or np.inf) * rounding).all()


def test_a_limit_that_binds_is_met_and_named(uncertain: xr.DataTree):
    served = plan(uncertain, COST, max_params=1e10)
    assert float(served["recommended_params"]) == 1e10
    assert served.attrs["binding"] == "max_params"
    short = plan(uncertain, COST, max_tokens=1e12)
    assert float(short["recommended_tokens"]) == pytest.approx(1e12, rel=1e-9)
    assert float(short["recommended_params"]) == pytest.approx(COST / 6e12, rel=1e-9)
    assert short.attrs["binding"] == "max_tokens"
    assert plan(uncertain, COST, max_params=1e12).attrs["binding"] == ""
    # Within its limits it is the best plan whatever the law, and what they cost is said apart.
    assert float(served["recommended_expected_regret"]) == pytest.approx(0, abs=1e-9)
    assert (served["region"].sel(side="high") == 1e10).all()
    wasted = plan(uncertain, COST, params=1e10)["proposed_regret"]
    np.testing.assert_allclose(served["limits_price"], wasted, atol=1e-9)
    assert float(wasted.mean()) > 0.3


def test_without_limits_there_is_nothing_to_be_priced(uncertain: xr.DataTree):
    assert "limits_price" not in plan(uncertain, COST)
    loose = plan(uncertain, COST, max_params=1e15, max_tokens=1e18, min_params=1.0)
    plain = plan(uncertain, COST)
    for name in ("recommended_regret", "size_expected_regret", "recommended_params"):
        np.testing.assert_allclose(loose[name], plain[name], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(loose["limits_price"], 0, atol=1e-9)


def test_of_a_list_the_size_of_least_expected_regret_is_chosen(uncertain: xr.DataTree):
    built = plan(uncertain, COST, sizes=[7e9, 6.5e10, 1.3e11, 4e11])
    assert float(built["recommended_params"]) == 6.5e10
    assert built["size"].values.tolist() == [7e9, 6.5e10, 1.3e11, 4e11]
    # One of them is the best by each draw, and the others waste something.
    assert float(built["recommended_regret"].min()) == pytest.approx(0, abs=1e-12)
    region = built["region"].sel(regret_bound=0.05, probability=0.5)
    assert set(region.values.tolist()) == {6.5e10}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            {"max_params": 1e10, "max_tokens": 1e12},
            r"max_params and max_tokens contradict .* from 96B parameters on, 9\.6 times the 10B .* to 6e22",
        ),
        ({"min_params": 2e10, "max_params": 1e10}, "min_params 20B and max_params 10B"),
        (
            {"min_params": 1e12, "served_tokens": 1e12},
            r"min_params and served_tokens contradict .* from 288B parameters on, .* at least 1T, 3\.4",
        ),
        (
            {"sizes": [1e9, 2e9], "min_params": 1e10},
            r"none of the sizes satisfies min_params .* 2B, .* factor of 5",
        ),
        (
            {"sizes": [3e10], "max_params": 1e10},
            r"none of the sizes satisfies max_params .* 30B, .* factor of 3",
        ),
        (
            {"sizes": [1e10], "max_tokens": 1e12},
            r"satisfies max_tokens .* at least 96B .* 10B, .* factor of 9\.6",
        ),
        ({"sizes": []}, "sizes must be a number of parameters or a list of them, and not empty"),
        ({"max_tokens": -1}, "max_tokens must be positive"),
    ],
)
def test_a_request_that_nothing_satisfies_says_what_contradicts_it_and_by_how_much(
    uncertain: xr.DataTree, limits: dict, said: str
):
    with pytest.raises(InputError, match=said):
        plan(uncertain, COST, **limits)
