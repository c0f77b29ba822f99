"""Plans that others made, marked on the optimum of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB
from bayes_scaling.plots.optimum import plot_optimum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_PLAN = {"params_opt": "params", "tokens_opt": "tokens", "loss_opt": "loss"}
_MARKS = "sDv^<>PX*hp"


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
    """Draw the optimum against compute with every plan marked at its own compute.

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
    one: dict[str, Any] = {"recipe": audited.attrs["recipe"]} if audited.attrs["recipe"] else {}
    values = audited[_OF_PLAN[quantity]]
    if "draw" in values.dims:
        values = values.median(("chain", "draw"))
    ax = plot_optimum(
        fit,
        audited["compute"].values.tolist(),
        quantity=quantity,
        prob=prob,
        **one,
        allow_unconverged=allow_unconverged,
        ax=ax,
        figsize=figsize,
    )
    points = zip(audited["plan"].values, audited["compute"].values, values.values, strict=True)
    for i, (name, compute, value) in enumerate(points):
        # Plans lie close together: a name beside each would cover the others.
        mark = _MARKS[(i // 10 + i) % len(_MARKS)]
        label = str(name).replace("$", r"\$")
        ax.plot(
            compute,
            value,
            mark,
            color=f"C{i % 10}",
            markeredgecolor="black",
            markersize=6,
            label=label,
            zorder=6,
        )
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax
