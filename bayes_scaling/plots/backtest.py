"""A backtest in three panels: coverage, error against distance, and PIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.errors import InputError
from bayes_scaling.plots.axes import SIZE
from bayes_scaling.quantities import format_share

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes


def plot_backtest(
    backtest: xr.Dataset, *, figsize: tuple[float, float] = (2.1 * SIZE[0], SIZE[1])
) -> np.ndarray:
    """Draw how well larger runs were predicted.

    Parameters
    ----------
    backtest : Dataset
        From `backtest`.
    figsize : tuple of float
        Width and height in inches.

    Returns
    -------
    ndarray of Axes
        Coverage of the intervals against their probability, a line an estimator; by how much losses left
        the model's prediction, against decades beyond the cut, with what the model with its discrepancy had
        as its 90 % interval; and the empirical distribution of PIT. The runs beyond a cut err together, so
        PIT has no bands: those for independent runs would say more than is known.

    Raises
    ------
    InputError
        If it is no result of `backtest`.
    """
    if "pooled_coverage" not in getattr(backtest, "data_vars", ()):
        raise InputError("plot_backtest takes the Dataset that backtest returns")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 3, figsize=figsize, layout="constrained")
    _coverage(axes[0], backtest)
    _errors(axes[1], backtest)
    _pit(axes[2], backtest)
    return axes


def _coverage(ax: Axes, backtest: xr.Dataset) -> None:
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name in backtest["estimator"].values.tolist():
        covered = backtest["pooled_coverage"].sel(estimator=name)
        ax.plot(covered["prob"], covered, marker="o", label=name)
    ax.set(xlabel="probability of the interval", ylabel="share of the runs inside", xlim=(0, 1), ylim=(0, 1))
    ax.legend(fontsize="small")


def _errors(ax: Axes, backtest: xr.Dataset) -> None:
    plain = backtest.sel(estimator=backtest.attrs["model"])
    last = backtest.isel(estimator=1).sel(prob=backtest.attrs["scored_prob"])
    decades = backtest["decades_beyond"].to_numpy()
    ends = [100 * np.log(last[end].to_numpy() / plain["estimate"].to_numpy()) for end in ("low", "high")]
    interval = f"{format_share(backtest.attrs['scored_prob'])} interval of {last['estimator'].item()}"
    ax.vlines(decades, *ends, color="C1", alpha=0.15, linewidth=1, label=interval)
    model = backtest.attrs["model"]
    ax.plot(decades, 100 * plain["error"], ".", color="C0", markersize=4, label=f"runs, against {model}")
    ax.axhline(0, color="0.7", linewidth=1)
    ax.set(xlabel="decades of compute beyond the cut", ylabel="loss over that predicted, %")
    # A band that faint is not found again in a legend.
    legend = ax.legend(fontsize="small", frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1))
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _pit(ax: Axes, backtest: xr.Dataset) -> None:
    ax.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name in backtest["estimator"].values.tolist():
        found = np.sort(backtest["pit"].sel(estimator=name).dropna("prediction"))
        ax.step(found, (np.arange(len(found)) + 1) / len(found), where="post")
    ax.set(
        xlabel="PIT: predictive probability below the loss",
        ylabel="share of the runs up to it",
        xlim=(0, 1),
        ylim=(0, 1),
    )
