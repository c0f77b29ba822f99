"""Plans, of others or one's own, marked on the optimum of a fit or of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB
from bayes_scaling.planning.mixture import Fits
from bayes_scaling.planning.ranking import fit_names
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.plots.optimum import ON_SHADE, draw_optimum
from bayes_scaling.plots.plan import OF_DECISION, plot_plan
from bayes_scaling.quantities import format_flops, format_quantity
from bayes_scaling.sampling.by_recipe import recipe_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_PLAN = {"params_opt": "params", "tokens_opt": "tokens", "loss_opt": "loss"}

_OF_FITS = ("C0", "C2", "C5", "C6", "C8", "C9")
"""Colours of several fits: none that a plan of `plan` has."""

_LINE = 0.055
"""Height of a name beside the axes, as a share of theirs."""


def plot_audit(
    fit: Fits,
    audited: xr.Dataset,
    *,
    quantity: str = "params_opt",
    prob: float = PROB,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the optimum against compute with every plan marked at its own compute, its name at the right.

    Parameters
    ----------
    fit : DataTree or sequence of DataTree
        That judged the plans, with the group observed_data; of several each has its line.
    audited : Dataset
        From `audit`, or from `plan`: the recommended plan, the proposed one and the run that is there.
    quantity : {"params_opt", "tokens_opt", "loss_opt"}
        What to draw: a plan's size, its tokens or the loss that the fit gives it (the median).
    prob : float
        Probability inside the band.
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
        If the quantity is unknown, or `audited` is not what `audit` or `plan` returns.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    if quantity not in _OF_PLAN:
        raise InputError(f"plans have no {quantity!r} to mark; known: {', '.join(_OF_PLAN)}")
    audited = plans_of(audited)
    values = audited[_OF_PLAN[quantity]]
    if "draw" in values.dims:
        values = values.median(("chain", "draw"))
    compute = audited["compute"].values
    ax = axes_or_new(ax, figsize)
    fits = [fit] if isinstance(fit, xr.DataTree) else list(fit)
    models = fit_names(fits) if len(fits) > 1 else [""]
    for i, (each, name) in enumerate(zip(fits, models, strict=True)):
        # A fit that tells recipes apart judged by one of them, which is the one to draw.
        tells = bool(recipe_names(each["posterior"].dataset))
        own = law_of_fit(each, (audited.attrs["recipe"] or None) if tells else None)
        draw_optimum(
            ax,
            own,
            compute.tolist(),
            quantity=quantity,
            prob=prob,
            discrepancy=discrepancy,
            allow_unconverged=allow_unconverged,
            color=_OF_FITS[i % len(_OF_FITS)],
            name=name,
            runs=i == 0,
        )
    # Hollow and of two sizes, for plans that lie on each other.
    names = [str(name) for name in audited["plan"].values]
    colours = [OF_DECISION.get(name, f"C{i % 10}") for i, name in enumerate(names)]
    for i, at in enumerate(zip(compute, values.values, strict=True)):
        ax.plot(*at, "o", color=colours[i], markerfacecolor="none", markersize=6 + 3 * (i % 2), zorder=6)
    log_quantities(ax, x=format_flops, y=format_quantity)
    _write_names(ax, names, colours, compute, values.values)
    ax.legend(**ON_SHADE)
    return ax


def plot_plans(
    fit: Fits,
    plans: xr.Dataset,
    *,
    prob: float = PROB,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
    figsize: tuple[float, float] | None = None,
) -> list[Axes]:
    """Draw N_opt, D_opt and the least loss against compute with every plan marked; of `plan` its regret too.

    Parameters
    ----------
    fit, plans, prob, discrepancy, allow_unconverged
        As for `plot_audit`, which draws each panel.
    figsize : tuple of float, optional
        Width and height, in inches.

    Returns
    -------
    list of Axes
        Of the size, the tokens and the loss; of what `plan` returns `plot_plan` before them.

    Raises
    ------
    InputError
        If `plans` is not what `audit` or `plan` returns.
    NotConvergedError
        If a fit is not converged and its use was not allowed.
    """
    import matplotlib.pyplot as plt

    plans_of(plans)
    decided = "recommended_params" in plans
    rows, columns = (2, 2) if decided else (1, 3)
    size = figsize or ((14.0, 9.6) if decided else (18.0, 5.0))
    _, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    panels = axes.ravel().tolist()
    if decided:
        plot_plan(plans, ax=panels[0])
    shown = panels[-3:]
    for ax, quantity in zip(shown, _OF_PLAN, strict=True):
        plot_audit(
            fit,
            plans,
            quantity=quantity,
            prob=prob,
            discrepancy=discrepancy,
            allow_unconverged=allow_unconverged,
            ax=ax,
        )
    for ax in shown[1:]:
        # The first one's holds for all.
        ax.get_legend().remove()
    return panels


def plans_of(judged: xr.Dataset) -> xr.Dataset:
    """Take the plans from what `audit` or `plan` returns: params, tokens, compute and loss, dim plan.

    Raises
    ------
    InputError
        If it is neither.
    """
    if "plan" in judged.dims and "regret" in judged:
        return judged
    if "recommended_loss" not in judged or "size_regret" not in judged:
        raise InputError("plot_audit takes what audit or plan returns, and this Dataset is neither")
    names = ["recommended", *(name for name in ("continued", "proposed") if f"{name}_params" in judged)]
    if bool(judged["recommended_continues"]):
        # It is the recommended one.
        names.remove("continued")
    plans = [
        xr.Dataset({key: judged[f"{name}_{key}"] for key in ("params", "tokens", "compute", "loss")})
        for name in names
    ]
    return xr.concat(plans, "plan").assign_coords(plan=names).assign_attrs(recipe=judged.attrs["recipe"])


def _write_names(ax: Axes, names: list[str], colours: list[str], x: np.ndarray, y: np.ndarray) -> None:
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
            color=colours[i],
            parse_math=False,
            arrowprops=line | {"color": colours[i]},
        )
