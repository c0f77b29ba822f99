from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import compare, interval, optimum, plot_compare, plot_law, plot_optimum
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.plots.axes import log_quantities, save_figure
from bayes_scaling.quantities import format_flops, format_quantity


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_every_run_is_drawn_and_the_law_goes_through_them(simulated_fit: xr.DataTree):
    ax = plot_law(simulated_fit)
    points = ax.collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], simulated_fit["constant_data"]["flops"])
    np.testing.assert_allclose(points[:, 1], simulated_fit["observed_data"]["loss"])
    envelope = next(line for line in ax.lines if "optimum" in line.get_label())
    expected = optimum(simulated_fit, envelope.get_xdata())["loss_opt"].median(("chain", "draw"))
    np.testing.assert_allclose(envelope.get_ydata(), expected)
    assert "nats/token" in ax.get_ylabel()


def test_the_band_of_the_optimum_is_the_posteriors_interval(simulated_fit: xr.DataTree):
    ax = plot_optimum(simulated_fit, [1e23], prob=0.8)
    band = next(c for c in ax.collections if "80 % interval" in str(c.get_label()))
    reach = band.get_paths()[0].vertices
    end = reach[reach[:, 0] == reach[:, 0].max()]
    summary = interval(optimum(simulated_fit, float(end[0, 0]))["params_opt"].isel(compute=0), 0.8)
    assert end[:, 1].min() == pytest.approx(float(summary.sel(statistic="low")))
    assert end[:, 1].max() == pytest.approx(float(summary.sel(statistic="high")))
    assert reach[:, 0].max() >= 1e23
    shaded = next(patch for patch in ax.patches if patch.get_label() == "compute of the runs")
    assert shaded.get_x() == pytest.approx(1e19)
    assert shaded.get_x() + shaded.get_width() == pytest.approx(1e21)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (2e18, 3e23, ["1e19", "1e20", "1e21", "1e22", "1e23"]),
        (1.5e14, 4e15, ["2e14", "5e14", "1e15", "2e15"]),
        (4.1e14, 9.5e14, ["5e14", "6e14", "7e14", "8e14", "9e14"]),
        (8e5, 2.2e6, ["1e6", "1.5e6", "2e6"]),
        (1.295e23, 1.415e23, ["1.3e23", "1.32e23", "1.34e23", "1.36e23", "1.38e23", "1.4e23"]),
    ],
)
def test_every_axis_has_labels_enough_to_tell_its_scale(low: float, high: float, labels: list[str]):
    figure, ax = plt.subplots()
    ax.set_xlim(low, high)
    log_quantities(ax, x=format_flops)
    figure.canvas.draw()
    seen = [text for text, at in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True) if low <= at <= high]
    assert [text.get_text() for text in seen] == labels


def test_the_curves_reach_from_the_smallest_size_to_the_largest(simulated_fit: xr.DataTree):
    said = [text.get_text() for text in plot_law(simulated_fit).get_legend().get_texts()]
    params = simulated_fit["constant_data"]["params"]
    assert said[0] == f"law at {format_quantity(float(params.min()))} parameters"
    assert said[-2] == f"law at {format_quantity(float(params.max()))} parameters"


@pytest.mark.parametrize("quantity", ["params_opt", "tokens_opt", "tokens_per_param"])
def test_each_quantity_can_be_drawn_on_the_callers_axes(simulated_fit: xr.DataTree, quantity: str):
    _, ax = plt.subplots()
    assert plot_optimum(simulated_fit, quantity=quantity, ax=ax) is ax
    median = next(line for line in ax.lines if "median" in line.get_label())
    expected = optimum(simulated_fit, median.get_xdata())[quantity].median(("chain", "draw"))
    np.testing.assert_allclose(median.get_ydata(), expected)


def test_an_unknown_quantity_is_refused(simulated_fit: xr.DataTree):
    with pytest.raises(InputError, match="did you mean 'params_opt'"):
        plot_optimum(simulated_fit, quantity="param_opt")


def test_draws_that_have_not_converged_are_not_drawn_unless_allowed(unconverged_fit: xr.DataTree):
    with pytest.raises(NotConvergedError):
        plot_optimum(unconverged_fit)
    assert plot_optimum(unconverged_fit, allow_unconverged=True).lines


def test_a_figure_is_written_in_the_format_of_its_name(simulated_fit: xr.DataTree, tmp_path: Path):
    ax = plot_optimum(simulated_fit, figsize=(3, 2))
    save_figure(ax, tmp_path / "o.svg")
    assert "<svg" in (tmp_path / "o.svg").read_text()
    with pytest.raises(InputError, match=r"no figure format '\.xyz'; known: .*png"):
        save_figure(ax, tmp_path / "o.xyz")
    assert [path.name for path in tmp_path.iterdir()] == ["o.svg"]


@pytest.fixture(scope="module")
def comparison(simulated: pd.DataFrame, simulated_fit: xr.DataTree) -> xr.Dataset:
    return compare(simulated, [1e22, 5.76e23], fits=[simulated_fit], published=True, resamples=30)


@pytest.mark.parametrize("quantity", ["params_opt", "tokens_opt", "tokens_per_param", "loss_opt", "a", "b"])
def test_every_estimator_is_drawn_with_its_interval(comparison: xr.Dataset, quantity: str):
    ax = plot_compare(comparison, quantity=quantity)
    names = comparison["estimator"].values.tolist()
    low = comparison[quantity].sel(statistic="low")
    has_interval = (low.notnull().any("compute") if "compute" in low.dims else low.notnull()).values
    budgets = 2 if "compute" in comparison[quantity].dims else 1
    # What an exponent is beyond the runs is no question.
    said = [f"{name} + discrepancy" if name == "parametric" and budgets == 2 else name for name in names]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{name} (80 %)" if own and prob == 0.8 else name
        for name, own, prob in zip(said, has_interval, comparison["prob"].values, strict=True)
    ]
    assert (len(ax.lines), len(ax.collections)) == (2 * budgets, budgets)
    drawn = comparison[quantity].isel(compute=-1) if budgets == 2 else comparison[quantity]
    points, hollow = ax.lines[-2:]
    np.testing.assert_allclose(points.get_xdata(), drawn.sel(statistic="estimate"))
    exact = drawn.sel(statistic="low").isnull() & drawn.sel(statistic="estimate").notnull()
    assert (np.isfinite(hollow.get_xdata()) == exact).all()
    ends = np.array([segment[:, 0] for segment in ax.collections[-1].get_segments() if len(segment)])
    known = drawn.sel(statistic=["low", "high"]).dropna("estimator")
    assert known.sizes["estimator"] >= 3
    np.testing.assert_allclose(ends, known.transpose("estimator", "statistic"))
    assert ax.texts[0].get_text() == "not available"
    silent = (drawn.sel(statistic="estimate").isnull() & comparison["available"]).sum()
    words = {"params_opt": "N_opt", "tokens_opt": "D_opt", "tokens_per_param": "D_opt / N_opt"}
    words |= {"loss_opt": "loss at the optimum"}
    assert [text.get_text() for text in ax.texts[1:]] == [
        f"no {words.get(quantity)} published" for _ in range(int(silent))
    ]


def test_the_only_budget_is_in_the_title_and_several_in_a_legend(comparison: xr.Dataset):
    one, two = plot_compare(comparison.isel(compute=[0])), plot_compare(comparison)
    assert (one.get_legend(), "at 1e22 FLOP" in one.get_title()) == (None, True)
    assert [text.get_text() for text in two.get_legend().get_texts()] == ["1e22 FLOP", "5.76e23 FLOP"]


def test_a_comparison_is_drawn_on_the_callers_axes(comparison: xr.Dataset):
    _, ax = plt.subplots()
    assert plot_compare(comparison, ax=ax) is ax
    with pytest.raises(InputError, match="did you mean 'params_opt'"):
        plot_compare(comparison, quantity="params_op")
