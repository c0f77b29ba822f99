from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from bayes_scaling import plot_calibrate
from bayes_scaling.checks.calibrate import _table
from bayes_scaling.errors import InputError


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def calibration(replicates: int = 300, **powers: float) -> xr.Dataset:
    """Of a first data set that could not be fitted, and of ranks that are powers of uniform numbers."""
    rng = np.random.default_rng(4)
    facts = {"divergences": 0, "seconds": 1.0}
    found = [{"ranks": {}, "rhat": None, "reason": "no start", **facts}]
    for _ in range(replicates):
        ranks = {name: rng.uniform() ** power for name, power in powers.items()}
        found.append({"ranks": ranks, "rhat": 1.0, "reason": "", **facts})
    return _table(found, {"model": "m", "seed": 0, "drawn_again": 0})


def test_a_curve_leaves_the_band_where_its_ranks_are_not_uniform():
    found = calibration(alpha=1.0, beta=1.5, E=1.0, A=1.0, B=0.6)
    assert found["uniform"].values.tolist() == [True, False, True, True, False]
    ax = plot_calibrate(found)
    at, edge = ax.collections[0].get_paths()[0].vertices.T
    upper, lower = (np.array([pick(edge[at == x]) for x in np.unique(at)]) for pick in (np.max, np.min))
    outside = []
    for name in found["quantity"].values:
        ranks = found["rank"].sel(quantity=name).dropna("replicate").to_numpy()
        curve = [(ranks <= x).mean() - x for x in np.unique(at)]
        outside.append(bool(((curve > upper + 0.01) | (curve < lower - 0.01)).any()))
    assert (~np.array(outside) == found["uniform"].to_numpy()).all()


def test_what_is_farthest_from_uniform_is_named():
    found = calibration(alpha=1.0, beta=1.5, E=1.0, A=1.0, B=0.6)
    labels = plot_calibrate(found).get_legend_handles_labels()[1]
    assert labels[0] == "band of all 5 quantities, 99 %"
    assert {label.split(",")[0] for label in labels[1:]} > {"beta", "B"}
    assert len(labels) == 4
    assert "300 simulated data sets" in plot_calibrate(found).get_title()


def test_axes_that_are_given_are_drawn_on():
    _, ax = plt.subplots()
    assert plot_calibrate(calibration(alpha=1.0), ax=ax) is ax


def test_other_things_are_refused():
    with pytest.raises(InputError, match="that calibrate returns"):
        plot_calibrate(xr.Dataset())
