from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from bayes_scaling.checks.folds import folds, levels
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.simulate import isoflop_design, simulate_runs

LAW = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def study(budgets: list[float], seed: int = 0) -> pd.DataFrame:
    design = isoflop_design(budgets, params_low=1e7, params_high=1e9, sizes=6)
    with warnings.catch_warnings():
        # Of one budget: all runs on one line.
        warnings.simplefilter("ignore", RunsWarning)
        return simulate_runs(design, LAW, sigma=0.005, seed=seed)


def test_computes_within_five_per_cent_are_one_level():
    assert levels(np.array([1e20, 1.04e20, 3e20, 1e21])).tolist() == [1.04e20, 3e20, 1e21]


def test_cuts_leave_a_decade_below_and_half_a_decade_beyond():
    runs = study([1e18, 3e18, 1e19, 3e19, 1e20])
    scored = [fold for fold in folds(runs) if fold.scored]
    # 3e18 has half a decade below it, 1e20 nothing beyond.
    assert [round(np.log10(fold.cut), 2) for fold in scored] == [19.0, 19.48]
    assert [(len(fold.fitted), len(fold.predicted)) for fold in scored] == [(18, 12), (24, 6)]
    assert scored[0].decades == pytest.approx(1.0)


def test_other_cuts_only_teach():
    others = [fold for fold in folds(study([1e18, 3.2e18, 1e19, 3e19, 1e20])) if not fold.scored]
    assert [f"{fold.cut:.1e}" for fold in others] == ["3.2e+18"]


def test_no_run_is_on_both_sides_and_none_is_lost():
    runs = study([1e18, 3e18, 1e19, 3e19, 1e20])
    for fold in folds(runs):
        assert fold.fitted["flops"].max() == fold.cut < fold.predicted["flops"].min()
        assert {*fold.fitted["run_id"], *fold.predicted["run_id"]} == {*runs["run_id"]}


def test_a_narrow_study_is_cut_where_it_can_be():
    scored = [fold for fold in folds(study([1e18, 3e18, 4e18])) if fold.scored]
    assert [f"{fold.cut:.1e}" for fold in scored] == ["3.0e+18"]
    assert len(scored[0].fitted) == 12


def test_given_cuts_end_at_the_runs_below_them():
    runs = study([1e18, 3e18, 1e19, 3e19, 1e20])
    scored = [fold.cut for fold in folds(runs, [2e19, 5e19]) if fold.scored]
    assert [f"{cut:.0e}" for cut in scored] == ["1e+19", "3e+19"]


def test_a_cut_at_a_nominal_budget_takes_the_runs_that_exceed_it_a_bit():
    runs = study([1e18, 3e18, 1e19, 3e19, 1e20])
    above = runs.assign(flops=runs["flops"] * 1.001, tokens=runs["tokens"] * 1.001)
    assert [f"{fold.cut:.3e}" for fold in folds(above, [3e19]) if fold.scored] == ["3.003e+19"]


def test_recipes_are_cut_by_themselves():
    one, other = study([1e18, 3e18, 1e19, 3e19]), study([1e18, 3e18, 1e19], seed=1)
    both = pd.concat([one.assign(recipe="one"), other.assign(recipe="other")]).drop(columns="run_id")
    found = folds(check_runs(both.reset_index(drop=True)))
    assert {fold.recipe for fold in found} == {"one", "other"}
    assert max(fold.cut for fold in found if fold.recipe == "other") < 5e18


@pytest.mark.parametrize(
    ("budgets", "cuts", "message"),
    [
        ([1e19], None, "no cut leaves runs"),
        ([1e18, 1e19, 1e20], [-1.0], "positive numbers of FLOPs"),
        ([1e18, 1e19, 1e20], [1e15], "no level of compute"),
        ([1e18, 1e19, 1e20], [1e19, 9.9e19, 1e23], "no run has 5% more than 9.9e19, 1e23 FLOP"),
    ],
)
def test_what_cannot_be_cut_is_refused(budgets, cuts, message):
    with pytest.raises(InputError, match=message):
        folds(study(budgets), cuts)
