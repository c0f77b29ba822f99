from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from flawed_studies import sound, with_outliers
from handmade_fits import laplace_fit, point_fit

from bayes_scaling import (
    plot_check,
    plot_loo_pit,
    plot_predictive,
    plot_residuals,
    residuals,
    sample_prior,
)
from bayes_scaling.errors import InputError
from bayes_scaling.plots.residuals import _bins, _median_interval


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def outlying() -> xr.DataTree:
    return laplace_fit(with_outliers(), draws=400)


@pytest.fixture(scope="module")
def found(outlying: xr.DataTree) -> xr.Dataset:
    return residuals(outlying)


def points(ax: plt.Axes) -> np.ndarray:
    """Of all runs drawn, near and far."""
    drawn = [
        line.get_xydata()
        for line in ax.lines
        if line.get_marker() in "o^v" and line.get_linestyle() == "None"
    ]
    return np.concatenate([xy for xy in drawn if len(xy)])


@pytest.mark.parametrize("against", ["compute", "params", "tokens", "tokens_per_param"])
def test_every_run_is_drawn_at_its_residual_or_at_the_edge(found: xr.Dataset, against: str):
    ax = plot_residuals(found.assign_attrs(model="m"), against=against)
    x = (
        found["tokens"] / found["params"]
        if against == "tokens_per_param"
        else found["flops" if against == "compute" else against]
    )
    ringed = 3
    drawn = points(ax)
    assert len(drawn) == 60 + sum(1 for text in ax.texts)
    np.testing.assert_allclose(np.sort(np.unique(drawn[:, 0])), np.unique(x), rtol=1e-12)
    assert np.abs(drawn[:, 1]).max() < ax.get_ylim()[1]
    assert len(ax.texts) <= ringed
    assert ax.get_xscale() == "log"


def test_runs_beyond_chance_are_named(found: xr.Dataset):
    named = {text.get_text() for text in plot_residuals(found).texts}
    assert str(found["run"].values[50]) in named
    assert not plot_residuals(residuals(laplace_fit(sound(), draws=400))).texts


def test_recipes_have_colours_of_their_own(found: xr.Dataset):
    two = found.assign(recipe=("run", np.where(np.arange(60) % 2, "web", "books")))
    labels = plot_residuals(two).get_legend_handles_labels()[1]
    assert {"web", "books"} < set(labels)
    assert "runs" not in labels


def test_medians_are_of_whole_bins():
    x = np.repeat([1.0, 1.001, 10.0, 100.0], [10, 10, 25, 4])
    bins = _bins(x)
    assert sorted(np.concatenate(bins).tolist()) == list(range(49))
    # What is nearly one value stays together, and too few at the end join their neighbours.
    assert [len(rows) for rows in bins] == [20, 29]


def test_the_interval_of_a_median_covers_it():
    rng = np.random.default_rng(0)
    ends = np.array([_median_interval(rng.standard_cauchy(15)) for _ in range(1000)])
    assert 0.9 <= ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean() < 0.99


def test_the_loo_pit_curve_is_the_ecdf_less_the_uniform(found: xr.Dataset):
    ax = plot_loo_pit(found)
    curve = next(line for line in ax.lines if line.get_label() == "60 runs").get_xydata()
    pit = found["pit"].to_numpy()
    for at in (0.101, 0.5001, 0.907):
        after = curve[curve[:, 0] <= at][-1]
        assert after[1] + after[0] == pytest.approx((pit <= at).mean())
    assert "99% simultaneous band" in ax.get_legend_handles_labels()[1]


def test_observed_and_replicated_losses_are_drawn_of_a_fit_and_of_a_prior(outlying: xr.DataTree):
    for tree, whose in ((outlying, "posterior"), (sample_prior(sound(), draws=50), "prior")):
        ax = plot_predictive(tree)
        observed = next(line for line in ax.lines if line.get_label() == "observed").get_xydata()
        np.testing.assert_allclose(observed[1:-1, 0], np.sort(tree["observed_data"]["loss"]))
        assert ax.get_title() == f"{whose} predictive losses"
        assert ax.get_xlim()[0] < observed[1, 0]


def test_all_of_it_in_one_figure(outlying: xr.DataTree):
    axes = plot_check(outlying, figsize=(9, 5))
    assert len(axes) == 6
    assert len({ax.figure for ax in axes}) == 1
    assert axes[0].figure.get_size_inches().tolist() == [9, 5]
    axes[0].figure.canvas.draw()


def test_axes_that_are_given_are_drawn_on(found: xr.Dataset, outlying: xr.DataTree):
    for draw, what in ((plot_residuals, found), (plot_loo_pit, found), (plot_predictive, outlying)):
        _, ax = plt.subplots()
        assert draw(what, ax=ax) is ax


def test_other_things_are_refused(found: xr.Dataset):
    with pytest.raises(InputError, match="did you mean 'compute'"):
        plot_residuals(found, against="computes")
    with pytest.raises(InputError, match="what residuals returns"):
        plot_residuals(xr.Dataset())
    with pytest.raises(InputError, match="what residuals returns"):
        plot_loo_pit(xr.Dataset())
    with pytest.raises(InputError, match="a whole fit"):
        plot_predictive(point_fit())
