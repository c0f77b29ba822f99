"""Designs that leave something untold, each by what it lacks."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from flawed_studies import DESIGN, TRUTH, of_one_ratio, sound

from bayes_scaling import check, simulate_runs
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.runs.simulate import isoflop_design


def failed(runs: pd.DataFrame) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        table = check(runs)
    assert (table["remedy"] == "").eq(table["passed"]).all()
    return table.loc[~table["passed"].astype(bool), "text"].to_dict()


def simulated(design: pd.DataFrame) -> pd.DataFrame:
    return simulate_runs(design, TRUTH, sigma=0.001, seed=1)


def test_a_good_design_passes():
    assert failed(sound()) == {}


def test_one_ratio():
    assert set(failed(of_one_ratio())) == {"design: ratios"}


def test_less_than_a_decade_of_sizes():
    budgets = [1e19, 1e20, 1e21]
    narrow = isoflop_design(budgets, params_low=[2e8, 4e8, 8e8], params_high=[9e8, 1.2e9, 1.9e9], sizes=8)
    found = failed(simulated(narrow))
    assert "design: sizes" in found
    assert "a factor of 9.5" in found["design: sizes"]


def test_few_runs_and_few_budgets():
    found = failed(simulated(DESIGN[DESIGN["budget"] < 5e19].iloc[::2]))
    assert found["design: runs"] == "12 runs"
    assert found["design: budgets"] == "2 budgets with three sizes or more"


def test_a_minimum_off_the_grid_is_named_by_its_budget():
    low = [1e8, 1e8, 1e8, 1e8, 8e9]
    off = isoflop_design([1e19, 3e19, 1e20, 3e20, 1e21], params_low=low, params_high=4e10, sizes=10)
    found = failed(simulated(off))
    assert "1e21 (vertex outside the grid)" in found["design: minima"]


def test_without_budgets_nothing_is_said_of_profiles():
    table = check(sound().drop(columns="budget"))
    assert not {"design: budgets", "design: minima"} & set(table.index)


def test_of_recipes_those_that_fail_are_named():
    good = sound().assign(recipe="web")
    poor = sound().assign(recipe="books").iloc[np.arange(0, 60, 8)]
    runs = pd.concat([good, poor], ignore_index=True)
    runs["run_id"] = [f"run {i}" for i in range(len(runs))]
    found = failed(runs)
    assert found["design: runs"] == "1 of 2 recipes: books: 8 runs"


def test_runs_that_are_no_runs_are_refused():
    with pytest.raises(InputError, match="no column loss"):
        check(pd.DataFrame({"params": [1.0]}))
