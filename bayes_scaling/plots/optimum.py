"""How the compute-optimal run grows with compute, and how sure the fit is of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.intervals import PROB, interval
from bayes_scaling.planning.optimum import optimum
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.plots.axes import axes_or_new, draw_band, log_quantities
from bayes_scaling.plots.frontier import draw_minima
from bayes_scaling.quantities import format_flops, format_quantity, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ON_SHADE: dict[str, Any] = {"fontsize": "small", "framealpha": 0.9, "edgecolor": "none"}
"""Of a legend: the shade of the runs' compute is told apart from what lies under the legend."""

_WORDS = {
    "params_opt": ("N_opt", "params", "parameters"),
    "tokens_opt": ("D_opt", "tokens", "tokens"),
    "tokens_per_param": ("D_opt / N_opt", None, "tokens per parameter"),
    "loss_opt": ("least loss", None, "loss"),
}


def plot_optimum(
    fit: xr.DataTree,
    compute: Sequence[float] = (),
    *,
    quantity: str = "params_opt",
    recipe: str | None = None,
    new_budget: bool = False,
    prob: float = PROB,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the compute-optimal size, tokens, their ratio or the loss against compute, with its band.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    compute : sequence of float
        Budgets in FLOPs to mark with their interval; the curve reaches at least as far. The compute
        of the runs is shaded: beyond it the law is extrapolated. Of an IsoFLOP model the size is drawn with
        the minima of its profiles.
    quantity : {"params_opt", "tokens_opt", "tokens_per_param", "loss_opt"}
        What to draw.
    recipe : str, optional
        Of a fit that tells recipes apart, which to draw.
    new_budget : bool
        Of an IsoFLOP model: mark one more budget's optimum, with its scatter.
    prob : float
        Probability inside the band and the marked intervals.
    discrepancy : bool
        Carry that beyond the runs the law may not hold, as `optimum` does.
    allow_unconverged : bool
        Draw although the fit breaks a convergence rule.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If the quantity is unknown, a budget is not a positive number, or the fit is of several recipes and
        none of them is named.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    if quantity not in _WORDS:
        raise InputError(f"no quantity {quantity!r} to draw{did_you_mean(quantity, _WORDS)}")
    fit = law_of_fit(fit, recipe)
    carried: dict[str, Any] = {"discrepancy": discrepancy, "allow_unconverged": allow_unconverged}
    marked = None
    if len(compute):
        marked = _summary(fit, compute, quantity, prob, new_budget=new_budget, **carried)
    ax = axes_or_new(ax, figsize)
    draw_optimum(ax, fit, compute, quantity=quantity, prob=prob, **carried)
    if marked is not None:
        middle = marked.sel(statistic="estimate")
        arms = [middle - marked.sel(statistic="low"), marked.sel(statistic="high") - middle]
        ax.errorbar(
            compute,
            middle,
            yerr=arms,
            fmt="o",
            color="C3",
            markersize=4,
            capsize=3,
            label="one more budget's" if new_budget else "budgets asked for",
        )
    log_quantities(ax, x=format_flops, y=format_quantity)
    ax.legend(**ON_SHADE)
    return ax


def draw_optimum(
    ax: Axes,
    fit: xr.DataTree,
    compute: Sequence[float],
    *,
    quantity: str,
    prob: float,
    discrepancy: bool,
    allow_unconverged: bool,
    color: str = "C0",
    name: str = "",
    runs: bool = True,
) -> None:
    """Draw the runs, and the optimum against compute with its band, for more to be drawn on top.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    fit : DataTree
        Of one recipe, as `law_of_fit` returns it.
    compute : sequence of float
        Budgets in FLOPs as far as which the curve reaches at least.
    quantity, prob, discrepancy, allow_unconverged
        As for `plot_optimum`.
    color : str
        Of the line and its band.
    name : str
        Of the fit, where there are several.
    runs : bool
        Whether to draw the runs too.
    """
    symbol, column, unit = _WORDS[quantity]
    constant = fit["constant_data"].dataset
    flops = constant["flops"]
    low, high = float(flops.min()), float(flops.max())
    reach = np.geomspace(min([low, *compute]), max([high, *compute]) * 1.5, 100)
    band = _summary(fit, reach, quantity, prob, discrepancy=discrepancy, allow_unconverged=allow_unconverged)
    if runs:
        ax.axvspan(low, high, color="0.92", zorder=0, label="compute of the runs")
        # The ratio has no column of its own, and the loss is what was observed.
        if quantity == "loss_opt":
            own = fit["observed_data"]["loss"]
        else:
            own = constant[column] if column else constant["tokens"] / constant["params"]
        ax.scatter(flops, own, s=8, color="0.6", linewidths=0, label="runs", zorder=1)
    draw_band(ax, band, color=color, label=None if name else f"{format_share(prob)} interval")
    ax.plot(reach, band.sel(statistic="estimate"), color=color, label=name or "median")
    if runs and quantity == "params_opt" and "params_min" in fit["posterior"].dataset:
        draw_minima(ax, fit, prob=prob, color="C2")
    ax.set(
        xlabel="training compute C (FLOP)",
        ylabel=unit,
        title=f"{symbol} against compute, {format_share(prob)} interval",
    )


def _summary(
    fit: xr.DataTree,
    compute: Sequence[float] | np.ndarray,
    quantity: str,
    prob: float,
    *,
    new_budget: bool = False,
    **carried: bool,
) -> xr.DataArray:
    return interval(optimum(fit, compute, new_budget=new_budget, **carried)[quantity], prob)
