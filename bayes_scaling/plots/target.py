"""The posterior of the compute to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, check_prob
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 60
_SEEN = 0.98
"""Share of the draws that the axis shows; the last few may lie orders of magnitude beyond."""


def plot_target(
    cheapest: xr.Dataset,
    *,
    prob: float = PROB,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw the posterior of the least compute that reaches a loss, with its interval and the plan that does.

    Parameters
    ----------
    cheapest : Dataset
        From `plan_to_target`; or from `compute_to_target`, of one target.
    prob : float
        Probability inside the interval.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes
        Draws that never reach the target are counted in its title, and not drawn.

    Raises
    ------
    InputError
        If this is not of one target, no draw reaches it, or `prob` is not between 0 and 1.
    """
    check_prob(prob)
    if "never" not in cheapest or cheapest["never"].size != 1:
        raise InputError("plot_target takes what plan_to_target returns, or compute_to_target of one target")
    draws = np.sort(cheapest["compute"].to_numpy().ravel())
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        raise InputError("no draw reaches the target with any compute: there is nothing to draw")
    tail = (1 - prob) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail], method="inverted_cdf")
    ax = axes_or_new(ax, figsize)
    edge = (1 - _SEEN) / 2
    start, end = np.quantile(finite, [edge, 1 - edge], method="inverted_cdf")
    bins = np.geomspace(start, end * (1 + 1e-9), _BINS)
    # Of all draws, so that what never gets there is missing from the area.
    ax.hist(finite, bins=bins.tolist(), weights=np.full(len(finite), 1 / len(draws)), color="C0", alpha=0.5)
    shown = min(high, end)
    ax.axvspan(low, shown, color="C0", alpha=0.12, linewidth=0, label=f"{format_share(prob)} interval")
    if np.isfinite(middle):
        ax.axvline(middle, color="C0", label=f"median {format_flops(float(middle))}")
    if "recommended_compute" in cheapest:
        compute, sure = (float(cheapest[name]) for name in ("recommended_compute", "sure"))
        label = f"plan that reaches it with probability {format_share(sure)}: {format_flops(compute)}"
        ax.axvline(compute, color="C3", linestyle="--", label=label)
    log_quantities(ax, x=format_flops)
    never = cheapest["never"].item()
    beyond = f"; never with probability {format_share(never, 2)}" if never else ""
    target = f"a loss of {cheapest['target'].item():g}"
    ax.set(
        xlabel=f"least training compute to {target} (FLOP)",
        ylabel="share of the draws",
        title=f"compute to {target}{beyond}",
    )
    # Below, where no bar is hidden.
    ax.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.13))
    return ax
