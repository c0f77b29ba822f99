from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayes_scaling.sampling.convergence import judge


def draws(chains: int = 4, size: int = 1000, **changes: np.ndarray) -> tuple[xr.Dataset, xr.Dataset]:
    """Independent draws of one variable: as good as a fit can be, but for the changes."""
    rng = np.random.default_rng(5)
    values = {
        "x": rng.normal(size=(chains, size)),
        "diverging": np.zeros((chains, size), bool),
        "energy": rng.normal(size=(chains, size)),
        **changes,
    }
    arrays = {name: (("chain", "draw"), value) for name, value in values.items()}
    return xr.Dataset({"x": arrays["x"]}), xr.Dataset(
        {name: arrays[name] for name in ("diverging", "energy")}
    )


def test_one_chain_cannot_be_judged():
    assert judge(*draws(chains=1)).problems[0].startswith("these draws are too few to be judged")


def test_independent_draws_are_good():
    verdict = judge(*draws())
    assert verdict.converged
    assert verdict.problems == []
    assert verdict.ess_bulk_min == pytest.approx(4000, rel=0.15)


def shifted() -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(4, 1000))
    x[0] += 0.5
    return x


def sticky() -> np.ndarray:
    return np.repeat(np.random.default_rng(2).normal(size=(4, 50)), 20, axis=1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": shifted()}, "R-hat"),
        ({"x": sticky()}, "bulk effective sample size"),
        ({"diverging": np.eye(4, 1000, dtype=bool)}, "4 divergent transitions"),
        ({"energy": np.random.default_rng(3).normal(size=(4, 1000)).cumsum(axis=1)}, "E-BFMI"),
        ({"x": np.full((4, 1000), np.nan)}, "4000 draws are infinite"),
    ],
    ids=["chains apart", "sticky", "divergences", "energy walks", "not a number"],
)
def test_each_rule_can_fail(changes: dict, said: str):
    verdict = judge(*draws(**changes))
    assert not verdict.converged
    assert any(problem.startswith(said) for problem in verdict.problems), verdict.problems


@pytest.mark.parametrize("name", ["x", "energy"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_draw_that_is_no_finite_number_is_enough(name: str, value: float):
    values = np.random.default_rng(4).normal(size=(4, 1000))
    values[1, 7] = value
    verdict = judge(*draws(**{name: values}))
    assert verdict.problems == ["1 draws are infinite or no number: give tighter priors"]


def test_one_bad_element_of_a_vector_is_enough():
    good, stats = draws()
    vector = xr.concat([good["x"], xr.DataArray(shifted(), dims=("chain", "draw"))], dim="term")
    assert not judge(xr.Dataset({"x": good["x"], "v": vector}), stats).converged
