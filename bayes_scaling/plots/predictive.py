"""The losses of the runs among the losses that a model draws for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB
from bayes_scaling.plots.axes import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES, REPLICATES = 40, 400
"""Replicated sets of losses that are drawn, and of which the band is made."""

POINTS = 200


def plot_predictive(
    fit: xr.DataTree, *, ax: Axes | None = None, figsize: tuple[float, float] | None = None
) -> Axes:
    """Draw how the observed losses are distributed, and how those are that the model draws for the same runs.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`: replicated by the posterior. Or what `sample_prior` returns: by the prior.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes
        The share of runs with a loss below each value: of the observed losses, of some replicated sets, and
        the band in which 90 % of replicated sets lie at each value.

    Raises
    ------
    InputError
        If the tree has no predictive losses.
    """
    group = "posterior_predictive" if "posterior_predictive" in fit.children else "prior_predictive"
    if group not in fit.children or "observed_data" not in fit.children:
        raise InputError(
            "plot_predictive takes a whole fit, or what sample_prior returns, and this is neither"
        )
    ax = axes_or_new(ax, figsize)
    observed = np.sort(fit["observed_data"].dataset["loss"].to_numpy())
    drawn = fit[group].dataset["loss"].transpose("chain", "draw", "run").to_numpy()
    drawn = np.sort(drawn.reshape(-1, drawn.shape[2]), axis=1)
    drawn = drawn[np.linspace(0, len(drawn) - 1, min(REPLICATES, len(drawn))).astype(int)]
    low, high = observed[0], observed[-1]
    if group == "prior_predictive":
        # As far as half of the sets reach: priors have long tails.
        low, high = min(low, np.median(drawn[:, 0])), max(high, np.median(drawn[:, -1]))
    margin = 0.05 * (high - low)
    at = np.linspace(low - margin, high + margin, POINTS)
    shares = np.array([np.searchsorted(losses, at, side="right") for losses in drawn]) / len(observed)
    for line in shares[:: -(-len(shares) // LINES)]:
        ax.plot(at, line, color="C0", linewidth=0.4, alpha=0.25)
    tail = (1 - PROB) / 2
    ends = np.quantile(shares, [tail, 1 - tail], axis=0)
    whose = "posterior" if group == "posterior_predictive" else "prior"
    ax.fill_between(
        at, *ends, color="C0", alpha=0.2, linewidth=0, label=f"{PROB:.0%} of sets drawn from the {whose}"
    )
    ax.step(
        np.concatenate([[at[0]], observed, [at[-1]]]),
        np.concatenate([[0.0], np.arange(1, len(observed) + 1) / len(observed), [1.0]]),
        where="post",
        color="black",
        linewidth=1.2,
        label="observed",
    )
    ax.set(xlim=(at[0], at[-1]), ylim=(0, 1), xlabel="loss", ylabel="share of runs with a lower loss")
    ax.set_title(f"{whose} predictive losses", fontsize="medium")
    ax.legend(frameon=False, fontsize="small", loc="lower right")
    return ax
