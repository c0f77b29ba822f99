"""N_opt against compute: the frontier of a fit, and the minima of its IsoFLOP profiles along it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.intervals import PROB, interval
from bayes_scaling.planning.optimum import optimum
from bayes_scaling.planning.recipes import recipes_of_runs
from bayes_scaling.planning.usable import check_fit
from bayes_scaling.plots.axes import SIZE, Colour, axes_or_new, draw_band, legend_below, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity, format_share
from bayes_scaling.sampling.artefact import fit_facts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS, AT_ONCE = 60, 16
"""Budgets at which the frontier is worked out, and how many of them at once: draws by recipe fill memory."""

FEW = 10
"""As many recipes as there are colours in Matplotlib's cycle."""

BEYOND = 10.0
"""How far the frontier is drawn beyond the runs, as a factor of compute."""


def plot_frontier(
    fit: xr.DataTree,
    compute: Sequence[float] = (),
    *,
    prob: float = PROB,
    recipe: str | None = None,
    new_budget: bool = False,
    new_recipe: bool = False,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the compute-optimal size against compute: its median and band, and the profiles' minima.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`. Of an IsoFLOP model the minimum of each budget is drawn with its interval,
        and, where one recipe is drawn, the wider band in which the minimum of one more budget would lie. A
        law has neither: its frontier is all there is.
    compute : sequence of float
        Budgets in FLOPs to mark with their interval; the curves reach at least as far.
    prob : float
        Probability inside the bands and the intervals.
    recipe : str, optional
        Of a fit that tells recipes apart, which to draw; all, each in its own colour, unless given.
    new_budget : bool
        Of an IsoFLOP model: mark one more budget's minimum, with its scatter.
    new_recipe : bool
        Of a model that pools recipes: draw one more recipe's optimum too, in black.
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
        The line is dashed, and the band pale, where the frontier is extrapolated: beyond the compute of the
        recipe's runs, up to ten times the most, or to the largest budget marked.

    Raises
    ------
    InputError
        If there is no such recipe, or what is asked for is not known of this model.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    from matplotlib import colormaps

    check_fit(fit)
    names = _recipes(fit, recipe)
    flops, of_runs = fit["constant_data"].dataset["flops"].to_numpy(), recipes_of_runs(fit)
    ends = {}
    for name in names:
        own = flops[of_runs == name] if name else flops
        ends[name] = float(own.min()), float(own.max()), max([BEYOND * float(own.max()), *compute])
    every = np.array(list(ends.values()))
    least = min([every.min(), *compute])
    # Each recipe's own ends are among them, so that its line ends there.
    reach = np.unique(np.concatenate([np.geomspace(least, every.max(), POINTS), every.ravel()]))
    has_minima, alone = "params_min" in fit["posterior"].dataset, len(names) == 1
    carried = {"discrepancy": discrepancy, "allow_unconverged": allow_unconverged}
    sizes = _sizes(fit, reach, prob, **carried)
    scattered = _sizes(fit, reach, prob, new_budget=True, **carried) if has_minima and alone else None

    legend_height, columns = (
        (0.0, 1) if alone else legend_below([*names, "a new recipe, and beyond"], SIZE[0])
    )
    ax = axes_or_new(ax, figsize or (SIZE[0], SIZE[1] + legend_height))
    marked = None
    if len(compute):
        marked = _sizes(fit, np.array(compute), prob, new_budget=new_budget, **carried)
    for i, (name, (low, high, end)) in enumerate(ends.items()):
        color = f"C{i}" if len(names) <= FEW else colormaps["turbo"]((i + 0.5) / len(names))
        inside, beyond = (reach >= low) & (reach <= high), (reach >= high) & (reach <= end)
        below = (reach <= low) & (low > min([low, *compute]))
        for here, solid in ((inside, True), (beyond, False), *([(below, False)] if below.any() else [])):
            if scattered is not None:
                wide = _of(scattered, name).isel(compute=here)
                label = f"{format_share(prob)} interval of one more budget's minimum" if solid else None
                draw_band(ax, wide, color=color, alpha=0.12 if solid else 0.07, label=label)
            band = _of(sizes, name).isel(compute=here)
            draw_band(ax, band, color=color, alpha=0.35 if solid else 0.2)
            label = (f"N_opt, median and {format_share(prob)} interval" if alone else name) if solid else None
            middle = band.sel(statistic="estimate")
            ax.plot(reach[here], middle, "-" if solid else "--", color=color, label=label)
        if has_minima:
            draw_minima(
                ax,
                fit,
                recipe=name,
                prob=prob,
                color="C3" if alone else color,
                label="minima of the profiles" if alone else None,
            )
        if marked is not None:
            # Beside each other, where several recipes have one budget.
            aside = 1.08 ** (i - (len(names) - 1) / 2)
            _mark(ax, marked, name, aside=aside, color="C3" if alone else color, label=alone)
    if new_recipe:
        _draw_new_recipe(ax, fit, reach, compute, prob, new_budget=new_budget, **carried)
    ax.plot([], [], "--", color="C0" if alone else "0.4", label="beyond the runs")
    log_quantities(ax, x=format_flops, y=format_quantity)
    facts, whose = fit_facts(fit), f", {recipe}" if recipe else ""
    count = facts["labels"].get("params_count", "unstated")
    ax.set(
        xlabel="training compute C (FLOP)",
        ylabel="parameters" if count == "unstated" else f"parameters ({count.replace('_', '-')})",
        title=f"{facts['model']}{whose}: N_opt against compute, {format_share(prob)} intervals",
    )
    if alone:
        ax.legend(frameon=False, fontsize="small")
    else:
        beneath: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": columns}
        ax.legend(frameon=False, fontsize="small", **beneath)
    return ax


def _mark(
    ax: Axes, marked: xr.DataArray, recipe: str, *, aside: float, color: Colour, label: bool = False
) -> None:
    """Mark the size at each budget with its interval."""
    sizes = _of(marked, recipe)
    low, middle, high = (sizes.sel(statistic=name).to_numpy() for name in ("low", "estimate", "high"))
    ax.errorbar(
        sizes["compute"].to_numpy() * aside,
        middle,
        yerr=[middle - low, high - middle],
        fmt="o",
        color=color,
        markersize=4,
        capsize=3,
        label="budgets asked for" if label else None,
    )


def _draw_new_recipe(
    ax: Axes,
    fit: xr.DataTree,
    reach: np.ndarray,
    compute: Sequence[float],
    prob: float,
    *,
    new_budget: bool,
    **carried: bool,
) -> None:
    def sizes(at: Sequence[float] | np.ndarray, *, new_budget: bool = False) -> xr.DataArray:
        found = optimum(fit, at, new_recipe=True, new_budget=new_budget, **carried)
        return interval(found["params_opt"], prob)

    band = sizes(reach)
    draw_band(ax, band, color="black", alpha=0.12)
    ax.plot(reach, band.sel(statistic="estimate"), "-.", color="black", label="a new recipe")
    if len(compute):
        _mark(ax, sizes(compute, new_budget=new_budget), "", aside=1.0, color="black")


def draw_minima(
    ax: Axes,
    fit: xr.DataTree,
    *,
    recipe: str = "",
    prob: float,
    color: Colour,
    label: str | None = "minima of the profiles",
) -> None:
    """Draw the posterior of each IsoFLOP profile's minimum, at the typical compute of its runs.

    Parameters
    ----------
    ax : Axes
        Of compute and size.
    fit : DataTree
        Of an IsoFLOP model.
    recipe : str
        Whose profiles; "" for all.
    prob : float
        Probability inside the intervals.
    color, label
        As Matplotlib takes them.
    """
    draws = profile_minima(fit, recipe)
    compute, summary = draws["compute"].to_numpy(), interval(draws, prob)
    middle, low, high = (summary.sel(statistic=name).to_numpy() for name in ("estimate", "low", "high"))
    ax.errorbar(
        compute,
        middle,
        yerr=[middle - low, high - middle],
        fmt="o",
        color=color,
        markersize=4,
        capsize=3,
        label=label,
        zorder=3,
    )


def profile_minima(fit: xr.DataTree, recipe: str = "") -> xr.DataArray:
    """Draws of the best size of each IsoFLOP profile, with the compute that it is for.

    Parameters
    ----------
    fit : DataTree
        Of an IsoFLOP model.
    recipe : str
        Whose profiles; "" for all.

    Returns
    -------
    DataArray, dims chain, draw, minimum
        In parameters; the coordinate compute is the geometric mean of the profile's runs' own FLOPs, which is
        where the model places the minimum.
    """
    constant, sizes = fit["constant_data"].dataset, fit["posterior"].dataset["params_min"]
    of_runs = recipes_of_runs(fit)
    if "profile" in sizes.dims:
        budgets, owners = (constant[f"profile_{name}"].to_numpy() for name in ("budget", "recipe"))
        sizes = sizes.rename(profile="minimum")
    else:
        budgets = sizes["budget"].to_numpy()
        owners = np.full(len(budgets), recipe)
        sizes = sizes.rename(budget="minimum")
    kept = np.flatnonzero(owners == recipe) if recipe else np.arange(len(budgets))
    log_flops, budget = np.log(constant["flops"].to_numpy()), constant["budget"].to_numpy()
    compute = [
        np.exp(log_flops[(budget == budgets[i]) & ((of_runs == owners[i]) | (owners[i] == ""))].mean())
        for i in kept
    ]
    return (
        sizes.drop_vars("minimum", errors="ignore")
        .isel(minimum=kept)
        .assign_coords(compute=("minimum", compute))
    )


def _recipes(fit: xr.DataTree, recipe: str | None) -> list[str]:
    """Names of the recipes to draw; "" of a fit that does not tell any apart."""
    known = fit["posterior"].dataset.coords.get("recipe")
    names = [] if known is None else [str(name) for name in known.values]
    if recipe is None:
        return names or [""]
    if not names:
        raise InputError(f"the fit of {fit_facts(fit)['model']} tells no recipes apart; leave recipe out")
    if recipe not in names:
        raise InputError(f"the fit has no recipe {recipe!r}{did_you_mean(recipe, names)}")
    return [recipe]


def _sizes(
    fit: xr.DataTree, reach: np.ndarray, prob: float, *, new_budget: bool = False, **how: bool
) -> xr.DataArray:
    """Summary of N_opt at each compute."""
    parts = [
        interval(optimum(fit, reach[i : i + AT_ONCE], new_budget=new_budget, **how)["params_opt"], prob)
        for i in range(0, len(reach), AT_ONCE)
    ]
    return xr.concat(parts, "compute")


def _of(summary: xr.DataArray, recipe: str) -> xr.DataArray:
    return summary.sel(recipe=recipe) if recipe else summary
