"""The one way this package turns draws into numbers: median, equal-tailed interval, mean, sd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayes_scaling.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

PROB = 0.9
"""Probability inside an interval unless said otherwise."""

STATISTICS = ("estimate", "low", "high", "mean", "sd")


def interval[Draws: (xr.DataArray, xr.Dataset)](draws: Draws, prob: float = PROB) -> Draws:
    """Summarise draws by their median, equal-tailed interval, mean and standard deviation.

    Parameters
    ----------
    draws : DataArray or Dataset, dims chain, draw and any others
        Draws of one or of several quantities.
    prob : float
        Probability inside the interval, between 0 and 1.

    Returns
    -------
    DataArray or Dataset
        Dim "statistic" (estimate, low, high, mean, sd) in place of chain and draw; "estimate" is the median.

    Raises
    ------
    InputError
        If `prob` is not between 0 and 1.
    """
    import numpy as np
    import xarray as xr

    check_prob(prob)
    dims = ("chain", "draw")
    tail = (1 - prob) / 2
    if isinstance(draws, xr.Dataset):
        # What is so or not, such as below_runs of an optimum, has no quantiles.
        draws = draws.assign({name: each.astype(float) for name, each in draws.items() if each.dtype == bool})
    quantiles = draws.quantile([0.5, tail, 1 - tail], dim=dims, skipna=False).rename(quantile="statistic")
    # Of draws that may be infinite, such as the compute to a loss, the sd is NaN, and no mishap.
    with np.errstate(invalid="ignore"):
        moments: list[Any] = [draws.mean(dims, skipna=False), draws.std(dims, skipna=False)]
    parts = [quantiles.drop_vars("statistic"), *moments]
    every: Any = {"data_vars": "all"} if isinstance(draws, xr.Dataset) else {}
    return xr.concat(parts, dim="statistic", **every).assign_coords(statistic=list(STATISTICS))


def check_prob(prob: float) -> None:
    """Refuse a probability that makes no interval.

    Raises
    ------
    InputError
        If `prob` is not between 0 and 1.
    """
    if not 0 < prob < 1:
        raise InputError(f"prob must lie between 0 and 1, such as 0.9, not {prob:g}")


def interval_dict(summary: xr.DataArray) -> dict[str, float]:
    """One summarised quantity as {"estimate", "low", "high", "mean", "sd"}, for JSON and tables.

    Parameters
    ----------
    summary : DataArray, dims statistic
        One quantity out of what `interval` returned.

    Returns
    -------
    dict of str to float
    """
    return {name: float(summary.sel(statistic=name)) for name in STATISTICS}
