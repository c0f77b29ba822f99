"""What a person reads of draws or of runs, with numbers as the command line writes them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, interval
from bayes_scaling.quantities import format_flops, format_plain, format_quantity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_WRITTEN: dict[str, Callable[[float], str]] = {
    "FLOP": format_flops,
    "parameters": format_quantity,
    "tokens": format_quantity,
    "tokens per parameter": format_quantity,
}
"""How numbers are written, by their unit; with four significant digits in any other."""

_RUNS = {"params": "parameters", "tokens": "tokens", "flops": "FLOP", "budget": "FLOP", "loss": ""}
"""Units of the columns of runs that are written anew."""


def table(values: xr.Dataset | pd.DataFrame, prob: float = PROB) -> pd.DataFrame:
    """Show draws or runs as a table to be read: 653k, 1.42T, 5.76e23.

    Parameters
    ----------
    values : Dataset or DataFrame
        Draws, dims chain, draw and any others, such as `optimum`, `predict` or `compute_to_target` give; what
        has no draws is left out. Or a table of runs.
    prob : float
        Probability inside the equal-tailed interval of draws.

    Returns
    -------
    DataFrame
        Texts, to look at and not to calculate with. Of draws a row for each quantity at each label of its
        other dims (such as compute), with the columns median, low, high and unit; of runs the same rows, with
        their sizes, tokens, FLOPs and losses written short.

    Raises
    ------
    InputError
        If `values` are neither draws nor a table, or `prob` is not between 0 and 1.
    """
    import pandas as pd
    import xarray as xr

    if isinstance(values, pd.DataFrame):
        short = {name: values[name].map(_writer(unit)) for name, unit in _RUNS.items() if name in values}
        return values.assign(**short)
    names = []
    if isinstance(values, xr.Dataset):
        names = [name for name, each in values.items() if {"chain", "draw"} <= set(each.dims)]
    if not names:
        raise InputError(
            "table takes draws, a Dataset with the dims chain and draw, or a table of runs; of a fit, its "
            'posterior: fit["posterior"].dataset'
        )
    draws = values[names]
    dims = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    summary = interval(draws, prob)
    rows: dict[tuple[str, ...], list[str]] = {}
    # By place and then by quantity: what belongs to one budget stands together.
    for place in product(*(["", *draws[dim].to_numpy().tolist()] for dim in dims)):
        at = {dim: label for dim, label in zip(dims, place, strict=True) if label != ""}
        for name in names:
            if set(draws[name].dims) - {"chain", "draw"} == set(at):
                found = summary[name].sel(at)
                unit = str(draws[name].attrs.get("units", ""))
                ends = [float(found.sel(statistic=each)) for each in ("estimate", "low", "high")]
                labels = [_label(dim, at.get(dim, "")) for dim in dims]
                rows[*labels, str(name)] = [*map(_writer(unit), ends), unit if unit != "1" else ""]
    index = pd.MultiIndex.from_tuples(rows, names=[*map(str, dims), "quantity"])
    return pd.DataFrame(list(rows.values()), index, ["median", "low", "high", "unit"])


def _writer(unit: str) -> Callable[[float], str]:
    return _WRITTEN.get(unit, format_plain)


def _label(dim: Any, label: Any) -> str:
    if label == "" or isinstance(label, str):
        return str(label)
    return format_flops(label) if dim in ("compute", "budget") else f"{label:g}"
