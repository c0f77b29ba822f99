"""Where the estimators of a comparison contradict each other, in words, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.quantities import format_flops, format_quantity, format_share


def disagreements(comparison: xr.Dataset) -> list[str]:
    """Say which estimators' intervals do not overlap, and what it costs to follow the wrong one.

    Parameters
    ----------
    comparison : Dataset
        From `compare`.

    Returns
    -------
    list of str
        For each recipe by itself, and what is of all runs, and each budget: a sentence for each pair of
        estimators whose intervals of N_opt do not overlap, or one of which was published without an interval
        and lies outside the other's, with
        the share of the compute misspent by each if the other is right; then one for each whose intervals of
        the loss at the optimum do not overlap. Two that were published without an interval are not compared;
        nor is a published loss, which is of other data, nor anything published in other units than the runs'.

    Raises
    ------
    InputError
        If this is no comparison.
    """
    if "misspent" not in comparison:
        raise InputError("disagreements takes what compare returns, and this Dataset is not")
    sentences = []
    for recipe in _recipes(comparison):
        own = comparison.isel(
            estimator=np.flatnonzero((comparison["recipe"] == recipe) & comparison["same_units"])
        )
        for i, compute in enumerate(comparison["compute"].values):
            at = own.isel(compute=i)
            where = f"{recipe}, at" if recipe else "at"
            where = f"{where} {format_flops(float(compute))} FLOP"
            for one, other, how in _apart(at, "params_opt", "N_opt", format_quantity):
                sentences.append(f"{where} {how}: {_cost(at, one, other)}")
            known = at.isel(estimator=np.flatnonzero(at["loss_opt"].sel(statistic="low").notnull()))
            for _, _, how in _apart(known, "loss_opt", "the loss at the optimum", "{:.4g}".format):
                sentences.append(f"{where} {how}")
    return sentences


def overlaps_known(comparison: xr.Dataset) -> bool:
    """Tell whether two estimators of one recipe have an interval of N_opt, so that they could disagree."""
    has_interval = np.isfinite(comparison["params_opt"].sel(statistic="low").isel(compute=0))
    return any(int(has_interval[comparison["recipe"] == name].sum()) > 1 for name in _recipes(comparison))


def _recipes(comparison: xr.Dataset) -> list[str]:
    return list(dict.fromkeys(comparison["recipe"].values.tolist()))


def _apart(
    at: xr.Dataset, quantity: str, words: str, write: Callable[[float], str]
) -> Iterator[tuple[str, str, str]]:
    """Find the pairs that contradict each other, and say how."""
    known = {str(name): _range(at.sel(estimator=name), quantity) for name in at["estimator"].values}
    said = dict(zip(known, at["method"].values.tolist(), strict=True))
    for (one, (low, high)), (other, (other_low, other_high)) in combinations(known.items(), 2):
        # Where nothing is known neither comparison holds.
        if not (high < other_low or other_high < low):
            continue
        if low < high and other_low < other_high:
            ranges = (f"{write(low)} to {write(high)}", f"{write(other_low)} to {write(other_high)}")
            how = f"{words} of {said[one]} ({ranges[0]}) and of {said[other]} ({ranges[1]}) do not overlap"
            yield one, other, how
        elif low < high or other_low < other_high:
            point, wide = (other, one) if low < high else (one, other)
            value, interval = known[point][0], " to ".join(map(write, known[wide]))
            how = (
                f"{words} of {said[point]}, {write(value)} (no interval published), lies outside that of "
                f"{said[wide]} ({interval})"
            )
            yield one, other, how


def _range(one: xr.Dataset, quantity: str) -> tuple[float, float]:
    estimate, low, high = (float(one[quantity].sel(statistic=name)) for name in ("estimate", "low", "high"))
    # An approach without an interval has too many resamples without an estimate: it is not sure, not exact.
    is_point = not np.isfinite(low) and not one["resamples"].item()
    return (estimate, estimate) if is_point else (low, high)


def _cost(at: xr.Dataset, one: str, other: str) -> str:
    parts = []
    for planner, judge in ((one, other), (other, one)):
        share = float(at["misspent"].sel(estimator=planner, judge=judge))
        if np.isfinite(share):
            planned, right = (str(at["method"].sel(estimator=name).item()) for name in (planner, judge))
            wasted = format_share(share, 2)
            parts.append(f"{wasted} of the compute is misspent by {planned} if {right} is right")
    return ", ".join(parts) or "neither has a law of the loss, so the cost is not known"
