"""Plans that others made, marked on the optimum of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.plots.optimum import ON_SHADE, draw_optimum
from bayes_scaling.quantities import format_flops, format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_PLAN = {"params_opt": "params", "tokens_opt": "tokens", "loss_opt": "loss"}

_LINE = 0.055
"""Height of a name beside the axes, as a share of theirs."""


def plot_audit(
    fit: xr.DataTree,
    audited: xr.Dataset,
    *,
    quantity: str = "params_opt",
    prob: float = PROB,
    allow_unconverged: bool = False,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the optimum against compute with every plan marked at its own compute, its name at the right.

    Parameters
    ----------
    fit : DataTree
        That judged the plans.
    audited : Dataset
        From `audit`, by this fit.
    quantity : {"params_opt", "tokens_opt", "loss_opt"}
        What to draw: a plan's size, its tokens or the loss that the fit gives it (the median).
    prob : float
        Probability inside the band.
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
        If the quantity is unknown, or `audited` is not what `audit` returns.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    if quantity not in _OF_PLAN:
        raise InputError(f"plans have no {quantity!r} to mark; known: {', '.join(_OF_PLAN)}")
    if "plan" not in audited.dims or "regret" not in audited:
        raise InputError("plot_audit takes what audit returns, and this Dataset is not")
    # A fit that tells recipes apart was audited by one of them, which is the one to draw.
    fit = law_of_fit(fit, audited.attrs["recipe"] or None)
    values = audited[_OF_PLAN[quantity]]
    if "draw" in values.dims:
        values = values.median(("chain", "draw"))
    compute = audited["compute"].values
    ax = axes_or_new(ax, figsize)
    draw_optimum(ax, fit, compute.tolist(), quantity=quantity, prob=prob, allow_unconverged=allow_unconverged)
    # Hollow and of two sizes, for plans that lie on each other.
    for i, at in enumerate(zip(compute, values.values, strict=True)):
        ax.plot(*at, "o", color=f"C{i % 10}", markerfacecolor="none", markersize=6 + 3 * (i % 2), zorder=6)
    log_quantities(ax, x=format_flops, y=format_quantity)
    _write_names(ax, [str(name) for name in audited["plan"].values], compute, values.values)
    ax.legend(**ON_SHADE)
    return ax


def _write_names(ax: Axes, names: list[str], x: np.ndarray, y: np.ndarray) -> None:
    """Write each mark's name to the right of the axes, as high as the mark or as near as others let it."""
    from scipy.optimize import isotonic_regression

    low, high = np.log(ax.get_ylim())
    heights = (np.log(y) - low) / (high - low)
    order = np.argsort(heights, kind="stable")
    # Without the line that each needs, the places may not fall: those are the nearest that do not.
    lines = _LINE * np.arange(len(order))
    places = np.clip(isotonic_regression(heights[order] - lines).x, 0, 1 - lines[-1]) + lines
    line = {"arrowstyle": "-", "linewidth": 0.6, "alpha": 0.6, "shrinkB": 4}
    for i, place in zip(order.tolist(), places.tolist(), strict=True):
        ax.annotate(
            names[i],
            (float(x[i]), float(y[i])),
            xytext=(1.04, place),
            textcoords="axes fraction",
            annotation_clip=False,
            va="center",
            fontsize="small",
            color=f"C{i % 10}",
            parse_math=False,
            arrowprops=line | {"color": f"C{i % 10}"},
        )
