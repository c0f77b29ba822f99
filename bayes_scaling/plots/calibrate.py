"""A calibration in one panel: ranks of every quantity against the uniform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.errors import InputError
from bayes_scaling.plots.axes import axes_or_new
from bayes_scaling.plots.uniform import draw_uniform_band, ecdf_less_uniform
from bayes_scaling.quantities import format_share

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

_NAMED = 3
"""Quantities of the least p-values that are drawn in colour and named, and all that are not uniform."""


def plot_calibrate(
    calibration: xr.Dataset, *, ax: Axes | None = None, figsize: tuple[float, float] | None = None
) -> Axes:
    """Draw the empirical distribution of every quantity's ranks less the uniform one, in their common band.

    Parameters
    ----------
    calibration : Dataset
        From `calibrate`.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes
        A curve a quantity; those of the least p-values are named. A curve that rises above zero at the left
        and falls below it at the right says that the posterior is too narrow; the other way round, too wide;
        above or below zero throughout, that it lies too high or too low.

    Raises
    ------
    InputError
        If it is no result of `calibrate`.

    Notes
    -----
    One band holds all curves at once if all ranks are uniform, with the probability in the attribute prob;
    a curve leaves it if and only if `calibrate` says that its quantity is not uniform. ArviZ's own figure,
    `plot_ecdf_pit`, has other bands than that test, which are deprecated, or else none.
    """
    if not {"rank", "p_value", "uniform"} <= set(getattr(calibration, "data_vars", ())):
        raise InputError("plot_calibrate takes the Dataset that calibrate returns")
    ax = axes_or_new(ax, figsize)
    ranked = calibration["rank"].dropna("replicate", how="all").transpose("quantity", "replicate")
    quantities = ranked["quantity"].values.tolist()
    prob = calibration.attrs["prob"]
    draw_uniform_band(
        ax,
        ranked.sizes["replicate"],
        1 - (1 - prob) / len(quantities),
        label=f"band of all {len(quantities)} quantities, {format_share(prob)}",
    )
    p_values = calibration["p_value"].to_numpy()
    order = np.argsort(p_values, kind="stable")
    outside = int((~calibration["uniform"]).sum())
    named = order[: max(_NAMED, outside)]
    # Those that are named lie over the others.
    for i in order[::-1]:
        at, difference = ecdf_less_uniform(ranked.values[i])
        if i in named:
            label = f"{quantities[i]}, p = {p_values[i]:.2g}"
            ax.plot(at, difference, linewidth=1.2, label=label)
        else:
            ax.plot(at, difference, color="0.6", linewidth=0.6)
    ax.set(
        xlim=(0, 1), xlabel="rank of the true value among the draws, as a share", ylabel="ECDF less uniform"
    )
    ax.set_title(
        f"{calibration.attrs['model']}: calibration by {ranked.sizes['replicate']} simulated data sets",
        fontsize="medium",
    )
    ax.legend(framealpha=0.8, edgecolor="none", fontsize="small")
    ax.margins(y=0.12)
    return ax
