"""IsoFLOP profiles: the runs of each budget, the fitted curve through them, and where its minimum lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, interval
from bayes_scaling.laws import isoflop
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity, format_share
from bayes_scaling.sampling.artefact import fit_facts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 60

MANY = 14
"""Profiles beyond which a scale of colours says their budgets, not a legend."""


def plot_profiles(
    fit: xr.DataTree,
    *,
    recipe: str | None = None,
    prob: float = PROB,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw every IsoFLOP profile: its runs, the posterior's curve and band, and the interval of its minimum.

    Parameters
    ----------
    fit : DataTree
        Of an IsoFLOP model, from `fit` or `open_fit`.
    recipe : str, optional
        Of a fit that tells recipes apart, which to draw.
    prob : float
        Probability inside the bands, which are those of the profile without the noise of a run, and inside
        the intervals of the minima.
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
        If the fit is not of an IsoFLOP model, or is of several recipes and none of them is named.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    fit = law_of_fit(fit, recipe)
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset
    facts = fit_facts(fit)
    if "log_params_min" not in posterior:
        raise InputError(f"the model {facts['model']} has no IsoFLOP profiles to draw; fit isoflop-skewed")
    ax = axes_or_new(ax, figsize or (8.0, 5.0))
    loss = fit["observed_data"]["loss"].to_numpy()
    params, flops, budget = (constant[name].to_numpy() for name in ("params", "flops", "budget"))
    centre = isoflop.reference(params, flops, loss, budget)
    skew: dict[str, Any] = {name: posterior[name] for name in ("alpha", "beta") if name in posterior}
    many = len(centre.budget) > MANY
    by_compute = ScalarMappable(LogNorm(centre.budget.min(), centre.budget.max()), "viridis")
    for i, label in enumerate(centre.budget):
        rows = centre.profile == i
        even = colormaps["viridis"](i / max(1, len(centre.budget) - 1))
        colour = by_compute.to_rgba(np.asarray(label, dtype=float)) if many else even
        own = posterior.isel(budget=i)
        ends = params[rows].min() / 1.2, params[rows].max() * 1.2
        sizes = xr.DataArray(np.geomspace(*ends, POINTS), dims="size")
        log_ratio = np.log(sizes / centre.params[0]) - own["log_params_min"]
        curve = own["loss_min"] * (1 + np.exp(own["log_kappa"]) * isoflop.rise(log_ratio, **skew))
        band = interval(curve, prob)
        ax.fill_between(
            sizes, band.sel(statistic="low"), band.sel(statistic="high"), color=colour, alpha=0.3, linewidth=0
        )
        ax.plot(sizes, band.sel(statistic="estimate"), color=colour, linewidth=1.0)
        ax.plot(params[rows], loss[rows], "o", color=colour, markersize=3, label=format_flops(float(label)))
        size, least = (interval(own[name], prob) for name in ("params_min", "loss_min"))
        at = float(size.sel(statistic="estimate")), float(least.sel(statistic="estimate"))
        ax.hlines(at[1], float(size.sel(statistic="low")), float(size.sel(statistic="high")), color="C3")
        ax.plot(*at, "|", color="C3", markersize=8)
    log_quantities(ax, x=format_quantity)
    ax.set(
        xlabel="parameters",
        ylabel=f"loss ({facts['labels']['loss_unit']})",
        title=f"{facts['model']}: minima of {len(centre.budget)} profiles, {format_share(prob)} intervals",
    )
    if many:
        # More names than the height of a figure has room for.
        bar = ax.figure.colorbar(by_compute, ax=ax, label="budget (FLOP)")
        log_quantities(bar.ax, y=format_flops)
    else:
        beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        ax.legend(title="budget (FLOP)", frameon=False, fontsize="small", **beside)
    return ax
