from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayes_scaling import interval
from bayes_scaling.errors import InputError
from bayes_scaling.intervals import interval_dict


def test_an_interval_is_equal_tailed_about_the_median():
    draws = xr.DataArray(np.arange(1001.0).reshape(7, 143), dims=("chain", "draw"))
    found = interval_dict(interval(draws, 0.8))
    assert found == pytest.approx(
        {"estimate": 500, "low": 100, "high": 900, "mean": 500, "sd": 288.96}, rel=1e-4
    )


def test_other_dims_and_several_quantities_are_kept():
    draws = xr.Dataset(
        {"x": (("chain", "draw", "compute"), np.ones((2, 5, 3))), "y": (("chain", "draw"), np.zeros((2, 5)))}
    )
    summary = interval(draws)
    assert set(summary["x"].dims) == {"statistic", "compute"}
    assert summary["y"].dims == ("statistic",)


def test_what_is_so_or_not_becomes_a_number():
    draws = xr.Dataset({"x": (("chain", "draw"), np.ones((2, 5))), "below": ("compute", [True, False])})
    assert interval(draws)["below"].sel(statistic="estimate").values.tolist() == [1.0, 0.0]


def test_a_draw_that_is_no_number_is_not_passed_over():
    draws = xr.DataArray([[1.0, 2.0, np.nan, 3.0]], dims=("chain", "draw"))
    assert np.isnan(interval(draws)).all()


@pytest.mark.parametrize("prob", [0, 1, 90, -0.5, float("nan")])
def test_a_probability_must_lie_inside(prob: float):
    with pytest.raises(InputError, match="prob must lie between 0 and 1"):
        interval(xr.DataArray(np.zeros((1, 4)), dims=("chain", "draw")), prob)


@pytest.mark.filterwarnings("error")
def test_draws_that_may_be_infinite_are_summarised_without_a_word():
    draws = xr.DataArray([[1.0, 2.0, 3.0, np.inf]], dims=("chain", "draw"), name="compute")
    found = interval(draws, 0.4)
    assert float(found.sel(statistic="estimate")) == 2.5
    assert np.isinf(found.sel(statistic="mean"))
    assert np.isnan(found.sel(statistic="sd"))
