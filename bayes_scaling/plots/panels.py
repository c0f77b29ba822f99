"""One figure of a fit of several recipes: a panel for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.plots.axes import SIZE
from bayes_scaling.quantities import format_share
from bayes_scaling.sampling.by_recipe import recipe_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def panels_by_recipe(draw: Callable[..., Axes], fit: xr.DataTree, *, prob: float) -> Axes:
    """Draw a fit, or each of its recipes in a panel of its own.

    Parameters
    ----------
    draw : callable
        A plotting function that takes a fit, recipe, prob and ax.
    fit : DataTree
        From `fit` or `open_fit`.
    prob : float
        Probability inside the bands.

    Returns
    -------
    Axes
        The only, or the first.
    """
    names = recipe_names(fit["posterior"].dataset)
    if not names:
        return draw(fit, prob=prob)
    import matplotlib.pyplot as plt

    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    size = columns * SIZE[0] * 1.2, rows * SIZE[1]
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for name, ax in zip(names, axes.flat, strict=False):
        draw(fit, recipe=name, prob=prob, ax=ax)
        ax.set_title(name, fontsize="medium")
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    figure.suptitle(f"{len(names)} recipes, {format_share(prob)} intervals")
    return np.ravel(axes)[0]
