from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import fit, optimum
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.optimum import default_budgets


def test_every_draw_is_its_own_optimum(simulated_fit: xr.DataTree):
    budgets = [1e20, 5.76e23]
    optima = optimum(simulated_fit, budgets, discrepancy=False)
    assert optima["params_opt"].dims == ("chain", "draw", "compute")
    draw = {"chain": 2, "draw": 17}
    law = {n: float(simulated_fit["posterior"][n].isel(draw)) for n in ("E", "A", "B", "alpha", "beta")}
    expected = chinchilla.optimum(np.array(budgets), **law, flops_per_param_token=6.0)
    for name, values in zip(("params_opt", "tokens_opt", "loss_opt"), expected, strict=True):
        np.testing.assert_allclose(optima[name].isel(draw), values, rtol=1e-12)
    np.testing.assert_allclose(optima["a"] + optima["b"], 1.0)


def test_the_budget_is_spent_by_the_runs_own_rate(simulated: pd.DataFrame):
    """Runs that spend 8 FLOPs a parameter and token are planned for at that rate, not at 6."""
    runs = simulated.assign(flops=8 * simulated["params"] * simulated["tokens"])
    optima = optimum(fit(runs, seed=2), 1e22)
    np.testing.assert_allclose(8 * optima["params_opt"] * optima["tokens_opt"], 1e22)


def test_extrapolation_is_part_of_the_answer(simulated_fit: xr.DataTree):
    factors = optimum(simulated_fit, [1e18, 1e20, 1e24])["extrapolation"]
    np.testing.assert_allclose(factors, [10.0, 1.0, 1000.0], rtol=1e-6)


def test_default_budgets_start_at_the_largest_run(simulated_fit: xr.DataTree):
    np.testing.assert_allclose(default_budgets(simulated_fit["constant_data"]["flops"]), [1e21, 1e22, 1e23])


@pytest.mark.parametrize("budget", [0, -1e20, np.nan, np.inf, [], [[1e20]]])
def test_a_budget_must_be_a_positive_number(simulated_fit: xr.DataTree, budget: object):
    with pytest.raises(InputError, match="compute must be"):
        optimum(simulated_fit, budget)


def test_draws_that_have_not_converged_are_refused_unless_allowed(unconverged_fit: xr.DataTree):
    with pytest.raises(
        NotConvergedError, match=r"effective sample size .* is below 400.*--allow-unconverged"
    ):
        optimum(unconverged_fit, 1e22)
    optima = optimum(unconverged_fit, 1e22, allow_unconverged=True)
    assert optima.attrs["converged"] == 0
