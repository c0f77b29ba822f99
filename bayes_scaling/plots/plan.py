"""What each size at a budget would waste: regret against size, with what the plan makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OF_DECISION = {"recommended": "C3", "continued": "C4", "proposed": "C1"}
"""Colours of the plans of a decision."""

_TOP = 0.5
"""Regret up to which the figure reaches at least half its width; beyond, nobody would train."""


def plot_plan(
    decision: xr.Dataset,
    *,
    region: tuple[float, float] = (0.05, 0.8),
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the regret of every size at a budget: its band, its expectation, and the sizes that keep it small.

    Parameters
    ----------
    decision : Dataset
        From `plan`.
    region : tuple of float
        Which region to shade: a bound on the regret and a probability, as `plan` has them.
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
        If this is no decision, or has no such region.
    """
    if "size_regret" not in decision:
        raise InputError("plot_plan takes what plan returns, and this Dataset is not")
    bound, probability = region
    known = decision["region"]
    if bound not in known["regret_bound"] or probability not in known["probability"]:
        raise InputError(
            f"region {region}: plan has the bounds {known['regret_bound'].values.tolist()} and the "
            f"probabilities {known['probability'].values.tolist()}"
        )
    ax = axes_or_new(ax, figsize)
    sizes = decision["size"].to_numpy()
    low, high = (decision["size_regret"].sel(statistic=name).to_numpy() for name in ("low", "high"))
    ends = known.sel(regret_bound=bound, probability=probability).to_numpy()
    if np.isfinite(ends).all() and not decision.attrs["listed"]:
        said = f"regret at most {format_share(bound)} with probability {format_share(probability)}"
        ax.axvspan(*ends, color="C2", alpha=0.2, linewidth=0, label=said, zorder=0)
    expected = decision["size_expected_regret"].to_numpy()
    band = f"{format_share(decision.attrs['prob'])} interval"
    if decision.attrs["listed"]:
        # Between the sizes that can be built there is nothing.
        ax.vlines(sizes, low, high, color="C0", linewidth=4, alpha=0.4, label=band)
        ax.plot(sizes, expected, "o", color="black", markersize=4, label="expected")
    else:
        ax.fill_between(sizes, low, high, color="C0", alpha=0.25, linewidth=0, label=band)
        ax.plot(sizes, expected, color="black", label="expected")
    for (name, colour), mark in zip(OF_DECISION.items(), ("o", "s", "D"), strict=True):
        if f"{name}_params" in decision:
            size, waste = (float(decision[f"{name}_{key}"]) for key in ("params", "expected_regret"))
            label = f"{name}: {format_quantity(size)}, {format_share(waste, 2)}"
            ax.plot(size, waste, mark, color=colour, markersize=7, label=label, zorder=5)
    _limit(ax, sizes, expected, decision)
    log_quantities(ax, x=format_quantity)
    ax.yaxis.set_major_formatter(lambda value, _: format_share(value))
    ax.set(
        xlabel="size N (parameters)",
        ylabel="regret (share of the budget wasted)",
        title=f"{format_flops(float(decision['compute']))} FLOP: regret of each size",
    )
    ax.legend(frameon=False, fontsize="small")
    return ax


def _limit(ax: Axes, sizes: np.ndarray, expected: np.ndarray, decision: xr.Dataset) -> None:
    """Show the sizes that somebody might train, and every plan."""
    # Of a list everything is shown; a grid reaches far beyond what matters.
    highest = expected.max() if decision.attrs["listed"] else max(_TOP, expected.min() * 1.2)
    near = sizes[expected <= highest]
    plans = [name for name in OF_DECISION if f"{name}_params" in decision]
    marked, wasted = (
        [float(decision[f"{name}_{key}"]) for name in plans] for key in ("params", "expected_regret")
    )
    ax.set_xlim(min([near[0], *marked]) / 1.1, max([near[-1], *marked]) * 1.1)
    top = max([highest, *wasted]) * 1.05
    ax.set_ylim(min([0.0, *wasted]) - 0.02 * top, top)
