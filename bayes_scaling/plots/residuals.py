"""Residuals against a property of the runs, each from what the model predicts for it by the other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import stats

from bayes_scaling.checks.findings import LEVEL
from bayes_scaling.checks.trends import PROPERTIES, runs_along
from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.plots.axes import axes_or_new, log_quantities
from bayes_scaling.quantities import format_flops, format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS, LEAST_IN_BIN = 8, 6
"""Bins of about as many runs each, and runs that each needs, so that its median has an interval."""

SAME = 0.03
"""Relative difference of values that are meant to be one, such as the compute of a budget's runs."""

FEW = 10
"""As many recipes as there are colours in Matplotlib's cycle."""

NAMED = 4
"""Runs far out that are named."""

_LABELS = {
    "compute": "training compute (FLOP)",
    "params": "parameters",
    "tokens": "training tokens",
    "tokens_per_param": "tokens per parameter",
}


def plot_residuals(
    residuals: xr.Dataset,
    *,
    against: str = "compute",
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
) -> Axes:
    """Draw by how much each loss lies above the law, against a property of the runs.

    Parameters
    ----------
    residuals : Dataset, dims run
        From `residuals`.
    against : {"compute", "params", "tokens", "tokens_per_param"}
        The property.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    figsize : tuple of float, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    Axes
        Grey bars are predictive intervals of the runs, noise included, each from all the other runs. Black
        points are medians of about as many runs each, with their 90 % intervals: where the law holds they lie
        about zero. Runs beyond chance are ringed in red and named; triangles lie beyond the figure.

    Raises
    ------
    InputError
        If there is no such property, or this is not what `residuals` returns.
    """
    if "pareto_k" not in residuals:
        raise InputError("plot_residuals takes what residuals returns, and this Dataset is not")
    if against not in PROPERTIES:
        raise InputError(f"no property {against!r} of runs{did_you_mean(against, PROPERTIES)}")
    ax = axes_or_new(ax, figsize)
    x = runs_along(residuals, against)
    rise, low, high = (100 * np.expm1(residuals[name].to_numpy()) for name in ("residual", "low", "high"))
    reach = _reach(rise, low, high)
    prob = residuals.attrs["prob"]
    ax.vlines(x, low, high, color="0.87", linewidth=3, label=f"{prob:.0%} predictive intervals", zorder=1)
    ax.axhline(0.0, color="0.5", linewidth=0.8, zorder=2)
    _draw_runs(ax, residuals["recipe"].to_numpy(), x, rise, reach)
    _draw_medians(ax, x, rise)
    _name_the_farthest(ax, residuals, x, np.clip(rise, -reach, reach))
    log_quantities(ax, x=format_flops if against == "compute" else format_quantity)
    ax.set_ylim(-1.08 * reach, 1.08 * reach)
    ax.set(xlabel=_LABELS[against], ylabel="loss above the law (%)")
    ax.set_title(f"{residuals.attrs['model']}: {len(x)} runs", fontsize="medium")
    ax.legend(framealpha=0.8, edgecolor="none", fontsize="small")
    return ax


def _reach(rise: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """How far up and down to draw: all but a few runs far out, and nearly all intervals whole."""
    ends = np.concatenate([-low, high])
    return float(max(1.1 * np.quantile(ends, 0.95), 1.1 * np.quantile(np.abs(rise), 0.97)))


def _draw_runs(ax: Axes, recipe: np.ndarray, x: np.ndarray, rise: np.ndarray, reach: float) -> None:
    names = list(dict.fromkeys(recipe.tolist()))
    apart = 1 < len(names) <= FEW
    for i, name in enumerate(names if apart else [""]):
        own = recipe == name if apart else np.ones(len(x), dtype=bool)
        label = (name if apart else "runs").replace("$", r"\$")
        for mark, rows in (
            ("o", own & (np.abs(rise) <= reach)),
            ("^", own & (rise > reach)),
            ("v", own & (rise < -reach)),
        ):
            ax.plot(
                x[rows],
                np.clip(rise[rows], -reach, reach),
                mark,
                color=f"C{i}",
                markersize=3.5 if mark == "o" else 6,
                markeredgewidth=0,
                alpha=0.8,
                label=label if mark == "o" else None,
                zorder=3,
            )


def _draw_medians(ax: Axes, x: np.ndarray, rise: np.ndarray) -> None:
    rows = _bins(x)
    if len(rows) < 2:
        return
    middle = np.array([np.exp(np.log(x[own]).mean()) for own in rows])
    medians = np.array([np.median(rise[own]) for own in rows])
    ends = np.array([_median_interval(rise[own]) for own in rows])
    ax.errorbar(
        middle,
        medians,
        yerr=np.abs(ends.T - medians),
        fmt="o-",
        color="black",
        markersize=4,
        linewidth=1.0,
        capsize=2,
        label="medians, 90% intervals",
        zorder=4,
    )


def _bins(x: np.ndarray) -> list[np.ndarray]:
    """Put the runs into bins of about as many each; runs of nearly one value stay together."""
    order = np.argsort(x, kind="stable")
    steps = np.diff(np.log(x[order]), append=np.inf)
    wanted = max(LEAST_IN_BIN, len(x) / BINS)
    found, start = [], 0
    for i, step in enumerate(steps, start=1):
        count, rest = i - start, len(x) - i
        if rest == 0 or (
            rest >= LEAST_IN_BIN and count >= wanted and (step > SAME or (step > 0 and count >= 3 * wanted))
        ):
            found.append(order[start:i])
            start = i
    return found


def _median_interval(values: np.ndarray) -> tuple[float, float]:
    """Find the 90 % interval of the median that holds for any distribution: between two of the values."""
    ordered = np.sort(values)
    out = max(int(stats.binom.ppf(0.05, len(ordered), 0.5)) - 1, 0)
    return float(ordered[out]), float(ordered[-1 - out])


def _name_the_farthest(ax: Axes, residuals: xr.Dataset, x: np.ndarray, shown: np.ndarray) -> None:
    p_values = residuals["p_value"].to_numpy() * len(x)
    for i in np.argsort(p_values, kind="stable")[:NAMED]:
        if p_values[i] < LEVEL:
            ax.plot(x[i], shown[i], "o", markerfacecolor="none", markeredgecolor="C3", markersize=9, zorder=5)
            # To the middle, where there is room.
            left, down = np.log(x[i]) > np.log(x).mean(), np.sign(shown[i])
            ax.annotate(
                str(residuals["run"].values[i]),
                (x[i], shown[i]),
                xytext=(-7 if left else 7, -9 * down),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize="small",
                color="C3",
                parse_math=False,
                zorder=6,
            )
