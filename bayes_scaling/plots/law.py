"""The runs with the fitted law through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, interval
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.price import price_of
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity, format_share
from bayes_scaling.sampling.artefact import fit_facts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = 5
"""Model sizes whose curve is drawn."""


def plot_law(
    fit: xr.DataTree,
    *,
    recipe: str | None = None,
    prob: float = PROB,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw loss against compute: the runs, the fitted law at several model sizes, and its lower envelope.

    Parameters
    ----------
    fit : DataTree
        Of a Chinchilla law, from `fit` or `open_fit`.
    recipe : str, optional
        Of a fit that tells recipes apart, which to draw.
    prob : float
        Probability inside the bands, which are those of the law, without the noise of a run.
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
        If the fit is of an IsoFLOP model, or is of several recipes and none of them is named.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    fit = law_of_fit(fit, recipe)
    if "A" not in fit["posterior"]:
        raise InputError(
            f"the model {fit_facts(fit)['model']} has no law to draw between its budgets; use plot_profiles"
        )
    ax = axes_or_new(ax, figsize)
    facts, constant = fit_facts(fit), fit["constant_data"].dataset
    law: dict[str, Any] = {name: fit["posterior"][name] for name in ("E", "A", "B", "alpha", "beta")}
    price = price_of(constant)
    params, flops = constant["params"], constant["flops"]
    # A little beyond the runs, so that neither the lightest nor the darkest of them vanishes.
    colour = LogNorm(float(params.min()) / 1.5, float(params.max()) * 1.5)

    # From the smallest to the largest, each at the size of a run: it then has runs of its colour about it.
    there, wanted = np.unique(params), np.geomspace(params.min(), params.max(), CURVES)
    sizes = np.unique([there[np.abs(np.log(there / size)).argmin()] for size in wanted])
    for size in sizes:
        own = flops.values[np.abs(np.log(params.values / size)) < np.log(1.5)]
        compute = _grid(own.min() / 1.5, own.max() * 1.5)
        summary = interval(chinchilla.loss(size, compute / price.compute(size, 1.0), **law), prob)
        label = f"law at {format_quantity(size)} parameters"
        _line_with_band(ax, compute, summary, colormaps["viridis"](colour(size)), label)
    compute = _grid(float(flops.min()), float(flops.max()))
    envelope: Any = LawSurface(law, price).optimum(compute)[2]
    _line_with_band(
        ax, compute, interval(envelope, prob), "black", f"law at its optimum, {format_share(prob)} band"
    )

    points = ax.scatter(
        flops,
        fit["observed_data"]["loss"],
        c=params,
        norm=colour,
        cmap="viridis",
        s=14,
        linewidths=0,
        alpha=0.8,
    )
    bar = ax.figure.colorbar(points, ax=ax, label="parameters")
    log_quantities(bar.ax, y=format_quantity)
    log_quantities(ax, x=format_flops)
    ax.set(
        xlabel="training compute (FLOP)",
        ylabel=f"loss ({facts['labels']['loss_unit']})",
        title=f"{len(flops)} runs and the fitted law",
    )
    ax.legend(frameon=False, fontsize="small")
    return ax


def _grid(low: float, high: float) -> xr.DataArray:
    values = np.geomspace(low, high, 80)
    return xr.DataArray(values, dims="compute", coords={"compute": values})


def _line_with_band(
    ax: Axes, compute: xr.DataArray, summary: xr.DataArray, colour: object, label: str
) -> None:
    low, middle, high = (summary.sel(statistic=name) for name in ("low", "estimate", "high"))
    ax.fill_between(compute, low, high, color=colour, alpha=0.3, linewidth=0)
    ax.plot(compute, middle, color=colour, linewidth=1.2, label=label)
