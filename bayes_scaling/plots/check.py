"""What `check` looks at, in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from bayes_scaling.checks.residuals import residuals
from bayes_scaling.checks.trends import PROPERTIES
from bayes_scaling.intervals import PROB
from bayes_scaling.plots.axes import legend_below
from bayes_scaling.plots.loo_pit import plot_loo_pit
from bayes_scaling.plots.predictive import plot_predictive
from bayes_scaling.plots.residuals import plot_residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_check(
    fit: xr.DataTree, *, prob: float = PROB, figsize: tuple[float, float] = (16.0, 8.5)
) -> list[Axes]:
    """Draw the residuals along each property of the runs, the replicated losses, and the LOO-PIT values.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, with all of its groups; converged or not.
    prob : float
        Probability inside the predictive intervals of the residuals.
    figsize : tuple of float
        Width and height, in inches.

    Returns
    -------
    list of Axes
        Of the six panels: compute, parameters, LOO-PIT; tokens, tokens per parameter, losses.

    Raises
    ------
    InputError
        If the fit lacks a group that this rests on, or `prob` is not between 0 and 1.
    """
    import matplotlib.pyplot as plt

    found = residuals(fit, prob=prob)
    figure, axes = plt.subplots(2, 3, figsize=figsize, layout="constrained")
    places = (axes[0, 0], axes[0, 1], axes[1, 0], axes[1, 1])
    for ax, against in zip(places, PROPERTIES, strict=True):
        plot_residuals(found, against=against, ax=ax).set_title("")
        ax.get_legend().remove()
    # Four panels have one legend, where it covers no run.
    handles, labels = places[0].get_legend_handles_labels()
    height, columns = legend_below(labels, figsize[0])
    figure.set_figheight(figsize[1] + max(0.0, height - 0.22))
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, frameon=False, fontsize="small")
    for ax in (axes[0, 1], axes[1, 1]):
        ax.set_ylabel("")
    plot_loo_pit(found, ax=axes[0, 2]).set_title("")
    plot_predictive(fit, ax=axes[1, 2]).set_title("")
    note = "" if found.attrs["converged"] else ", NOT converged"
    figure.suptitle(
        f"{found.attrs['model']}{note}: {found.sizes['run']} runs, each against what the others predict"
    )
    return list(axes.ravel())
