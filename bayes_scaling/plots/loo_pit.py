"""Is each loss where the other runs say it should be: leave-one-out probabilities against the uniform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from bayes_scaling.checks.findings import LEVEL
from bayes_scaling.errors import InputError
from bayes_scaling.intervals import check_prob
from bayes_scaling.plots.axes import axes_or_new
from bayes_scaling.plots.uniform import draw_uniform_band, ecdf_less_uniform

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_loo_pit(
    residuals: xr.Dataset,
    *,
    prob: float = 1 - LEVEL,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the empirical distribution of the LOO-PIT values less the uniform one, in its simultaneous band.

    Parameters
    ----------
    residuals : Dataset, dims run
        From `residuals`.
    prob : float
        Probability with which the whole curve of a calibrated model stays inside the band; that of the check
        LOO-PIT unless given.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes
        A curve that rises above zero at the left and falls below it at the right says that intervals are too
        narrow; the other way round, too wide; above or below zero throughout, that losses lie low or high.

    Raises
    ------
    InputError
        If this is not what `residuals` returns, or `prob` is not between 0 and 1.

    Notes
    -----
    The band is that of independent uniform numbers, as in `bayes_scaling.checks.uniformity`; LOO-PIT values
    depend on each other a little, which keeps them inside more often than said.
    """
    if "pit" not in residuals:
        raise InputError("plot_loo_pit takes what residuals returns, and this Dataset is not")
    check_prob(prob)
    ax = axes_or_new(ax, figsize)
    pit = residuals["pit"].to_numpy()
    draw_uniform_band(ax, len(pit), prob, label=f"{prob:.0%} simultaneous band")
    ax.plot(*ecdf_less_uniform(pit), color="C0", linewidth=1.2, label=f"{len(pit)} runs")
    ax.set(xlim=(0, 1), xlabel="predictive probability below the loss (LOO-PIT)", ylabel="ECDF less uniform")
    ax.set_title(f"{residuals.attrs['model']}: calibration", fontsize="medium")
    ax.legend(framealpha=0.8, edgecolor="none", fontsize="small")
    ax.margins(y=0.12)
    return ax
