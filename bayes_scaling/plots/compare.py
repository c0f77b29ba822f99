"""What the approaches and the posteriors say, one above the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WORDS = {
    "params_opt": "N_opt (parameters)",
    "tokens_opt": "D_opt (tokens)",
    "tokens_per_param": "D_opt / N_opt (tokens per parameter)",
    "loss_opt": "loss at the optimum",
    "a": "a, in N_opt ~ C^a",
    "b": "b, in D_opt ~ C^b",
}
_LOGARITHMIC = ("params_opt", "tokens_opt", "tokens_per_param")

MANY = 40
"""Rows beyond which they stand closer."""


def plot_compare(
    comparison: xr.Dataset,
    *,
    quantity: str = "params_opt",
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw every estimator's estimate and interval of one quantity, a row each, under the name of its recipe.

    Parameters
    ----------
    comparison : Dataset
        From `compare`; or those of its estimators that are to be drawn, as in
        `comparison.isel(estimator=comparison["recipe"] == "c4")`.
    quantity : {"params_opt", "tokens_opt", "tokens_per_param", "loss_opt", "a", "b"}
        What to draw; at each of several budgets in its own colour, where it depends on the budget.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches; unless given, as high as the rows need. What has no
        interval, such as a published estimate, is a hollow point; an interval of another probability than the
        others says so beside the name, and so does one that carries the discrepancy beyond the runs.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If this is no comparison, or there is no such quantity.
    """
    if "estimator" not in comparison.dims:
        raise InputError("plot_compare takes what compare returns, and this Dataset is not")
    if quantity not in _WORDS:
        raise InputError(f"no quantity {quantity!r} to draw{did_you_mean(quantity, _WORDS)}")
    values = comparison[quantity]
    names, rows, headings = _places(comparison)
    slots = len(rows) + len(headings)
    ax = axes_or_new(ax, figsize or (8.0, 1.4 + (0.4 if slots <= MANY else 0.25) * slots))
    budgets = comparison["compute"].values if "compute" in values.dims else [None]
    for i, budget in enumerate(budgets):
        at = values if budget is None else values.isel(compute=i)
        estimate, low, high = (at.sel(statistic=name).values for name in ("estimate", "low", "high"))
        y = rows + 0.5 * ((i + 0.5) / len(budgets) - 0.5)
        label = None if budget is None else f"{format_flops(float(budget))} FLOP"
        # Not error bars: a published interval need not hold its own estimate.
        ax.hlines(y, low, high, color=f"C{i}", linewidth=1.6)
        ax.plot(estimate, y, "o", color=f"C{i}", markersize=5, label=label)
        exact = np.where(np.isnan(low), estimate, np.nan)
        ax.plot(exact, y, "o", color=f"C{i}", markerfacecolor="white", markersize=5)
    for i in np.flatnonzero(~_known(values, "estimate")).tolist():
        # An approach and a posterior say everything or nothing: a gap is what a paper does not print.
        gap = f"no {_WORDS[quantity].partition(' (')[0].partition(',')[0]} published"
        why = gap if comparison["available"].values[i] else "not available"
        ax.text(0.01, rows[i], why, transform=ax.get_yaxis_transform(), va="center", color="0.5")
    converged = comparison["converged"].values
    said = list(names)
    if "compute" in values.dims:
        # The exponents are those of the law itself.
        carried = (comparison["discrepancy"] != "").to_numpy()
        said = [f"{name} + discrepancy" if i else name for name, i in zip(said, carried, strict=True)]
    said = [name if good else f"{name} (NOT converged)" for name, good in zip(said, converged, strict=True)]
    probs, prob = comparison["prob"].values, comparison.attrs["prob"]
    for i in np.flatnonzero(_known(values, "low") & (probs != prob)).tolist():
        said[i] += f" ({format_share(probs[i])})"
    ax.set_yticks(rows, said)
    for row, heading in headings.items():
        # Inside, where a long name has room.
        ax.text(
            0.01,
            row,
            heading,
            transform=ax.get_yaxis_transform(),
            va="center",
            fontweight="bold",
            parse_math=False,
        )
        ax.axhspan(row - 0.5, row + 0.5, color="0.95", zorder=0)
    ax.set_ylim(slots - 0.5, -0.5)
    if quantity in _LOGARITHMIC:
        log_quantities(ax, x=format_quantity)
    ax.grid(axis="x", which="both", color="0.92")
    ax.set_axisbelow(True)
    source = Path(comparison.attrs["source"]).name
    title = f"{source}: {format_share(prob)} intervals"
    if len(budgets) == 1 and budgets[0] is not None:
        title = f"{source} at {format_flops(float(budgets[0]))} FLOP: {format_share(prob)} intervals"
    ax.set(xlabel=_WORDS[quantity], title=title)
    if len(budgets) > 1:
        ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _known(values: xr.DataArray, statistic: str) -> np.ndarray:
    """Tell of which estimators a statistic is known, at any budget."""
    known = values.sel(statistic=statistic).notnull()
    return (known.any("compute") if "compute" in known.dims else known).to_numpy()


def _places(comparison: xr.Dataset) -> tuple[list[str], np.ndarray, dict[int, str]]:
    """Name every row, and place it; and place and word the headings of the recipes, if there are any."""
    names = [str(name) for name in comparison["method"].values]
    recipes = [str(recipe) for recipe in comparison["recipe"].values]
    if not any(recipes):
        return names, np.arange(len(names)), {}
    rows: list[int] = []
    headings: dict[int, str] = {}
    for i, recipe in enumerate(recipes):
        if i == 0 or recipe != recipes[i - 1]:
            headings[i + len(headings)] = recipe or "all recipes together; other runs"
        rows.append(i + len(headings))
    return names, np.array(rows), headings
