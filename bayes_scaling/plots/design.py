"""Pilot runs: where they lie among the runs there are, and what they do to the interval at the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.planning.optimum import optimum
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_APART = 1.12
"""By what factor in compute the two intervals at the target stand apart."""


def plot_design(
    fit: xr.DataTree,
    proposed: xr.Dataset,
    *,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw size against compute: the runs there are, the proposed ones, and N_opt at the target.

    Parameters
    ----------
    fit : DataTree
        That the runs were proposed from.
    proposed : Dataset
        From `design`.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes
        With the interval of N_opt at the target before and after the proposed runs.

    Raises
    ------
    InputError
        If `proposed` is not from `design`.
    """
    if "pilot_run" not in proposed.dims:
        raise InputError("plot_design takes what design returns, and this Dataset is not")
    own = law_of_fit(fit, proposed.attrs["recipe"] or None)
    runs, target = own["constant_data"].dataset, float(proposed["target"])
    ax = axes_or_new(ax, figsize)
    flops = runs["flops"].to_numpy()
    ax.plot(flops, runs["params"], "o", color="grey", markersize=4, alpha=0.6, label="runs there are")
    compute = np.geomspace(min(flops.min(), float(proposed["compute"].min())), target, 60)
    # Whether an unconverged fit may be used has been asked already.
    best = optimum(own, compute, discrepancy=False, allow_unconverged=True)["params_opt"]
    middle = best.median(("chain", "draw"))
    ax.plot(compute, middle, color="C0", linewidth=1, label="N_opt, median")
    ax.plot(
        proposed["compute"],
        proposed["params"],
        "D",
        color="C3",
        markersize=6,
        label=f"proposed: {format_flops(float(proposed['compute'].sum()))} FLOP in all",
    )
    for stage, colour, at in (("before", "C0", target / _APART), ("after", "C3", target * _APART)):
        one = proposed.sel(stage=stage)
        low, estimate, high = (
            float(one["params_opt"].sel(statistic=name)) for name in ("low", "estimate", "high")
        )
        label = (
            f"N_opt {stage}, {format_share(proposed.attrs['prob'])} interval; "
            f"expected regret {format_share(float(one['expected_regret']), 2)}"
        )
        ax.plot(
            [at, at], [low, high], color=colour, linewidth=4, alpha=0.6, solid_capstyle="butt", label=label
        )
        ax.plot(at, estimate, "_", color="black", markersize=8)
    log_quantities(ax, x=format_flops, y=format_quantity)
    ax.set(
        xlabel="compute C (FLOP)",
        ylabel="size N (parameters)",
        title=f"pilot runs for {format_flops(target)} FLOP, by the law alone",
    )
    ax.legend(frameon=False, fontsize="small")
    return ax
