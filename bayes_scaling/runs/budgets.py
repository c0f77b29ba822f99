"""IsoFLOP profiles: which runs of a table were trained with the same compute."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.quantities import format_share
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.doubts import some_runs, warn_of_runs

SIZES_NEEDED = 3
"""Sizes that make a profile: fewer determine no parabola."""

SAME_SIZE = 0.01
"""Sizes that differ by less than this share are one: a figure read twice, or two counts of one model."""

TOLERANCE = 0.1
"""How far from its budget a run's FLOPs may lie, where no column says which budget that is."""

_WIDEST = 0.5
"""Budgets of a study often lie a factor of 3 apart: a wider tolerance would join them."""


def isoflop_profiles(runs: pd.DataFrame, *, tolerance: float = TOLERANCE) -> xr.Dataset:
    """Group runs by their budget.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs of one recipe.
    tolerance : float
        Without a column budget: how far from their budget the FLOPs of runs may lie, as a share of it.

    Returns
    -------
    Dataset, dims run and budget
        params, tokens, flops and loss of each run, in the order of the table, and `profile`: which budget,
        from 0 up, or -1 for none. The coordinate budget is in FLOPs: the number in the column, or else the
        geometric mean of the runs' own. `sizes` and `runs` count what each profile holds. The attribute
        left_out says in words which runs are in no profile, and why; it is empty if there are none.

    Raises
    ------
    InputError
        If the tolerance is not above 0 and at most 0.5.

    Notes
    -----
    With a column budget, runs that share a number in it are a profile, however few, and a blank cell means
    none. Without, the window of FLOPs from budget / (1 + tolerance) to budget (1 + tolerance) that holds most
    sizes becomes a profile (of several, the narrowest, then the lowest), its runs leave, and so on, until no
    window holds three sizes. Neither the order of the runs nor the unit of their FLOPs decides anything.
    """
    if isinstance(tolerance, bool) or not 0 < tolerance <= _WIDEST:
        raise InputError(
            f"tolerance is {tolerance!r}; it must be above 0 and at most {_WIDEST}: 0.1 lets the FLOPs of "
            "runs lie 10 % from their budget"
        )
    flops, log_params = runs["flops"].to_numpy(float), np.log(runs["params"].to_numpy(float))
    labelled, near = "budget" in runs, format_share(tolerance)
    if labelled:
        cells = runs["budget"].to_numpy(float)
        budgets = np.unique(cells[~np.isnan(cells)])
        profile = np.where(np.isnan(cells), -1, np.searchsorted(budgets, cells))
        why = "have no budget in the column budget"
    else:
        profile = _snap(np.log(flops), log_params, tolerance)
        budgets = np.array(
            [np.exp(np.log(flops[profile == i]).mean()) for i in range(int(profile.max()) + 1)], dtype=float
        )
        why = f"are of fewer than {SIZES_NEEDED} sizes within {near} of one budget in FLOPs"
    outside = runs["run_id"][profile < 0].tolist()
    members = [profile == i for i in range(len(budgets))]
    return xr.Dataset(
        {
            **{name: ("run", runs[name].to_numpy(float)) for name in ("params", "tokens", "flops", "loss")},
            "profile": ("run", profile.astype(int)),
            "runs": ("budget", np.array([member.sum() for member in members], dtype=int)),
            "sizes": (
                "budget",
                np.array([len(set(distinct(log_params[member]))) for member in members], dtype=int),
            ),
        },
        {"run": runs["run_id"].to_numpy(object), "budget": ("budget", budgets, {"units": "FLOP"})},
        {
            "left_out": f"{some_runs(outside, len(runs))} {why}" if outside else "",
            "grouped_by": "the column budget" if labelled else f"FLOPs, within {near} of a budget",
        },
    )


def runs_in_profiles(runs: pd.DataFrame, *, tolerance: float = TOLERANCE) -> pd.DataFrame:
    """Keep the runs that belong to an IsoFLOP profile of their recipe, each with its budget.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs, of one recipe or of several: runs of two recipes make no profile together.
    tolerance : float
        As for `isoflop_profiles`.

    Returns
    -------
    DataFrame
        A checked table of runs, in the order given, whose column budget is filled.

    Raises
    ------
    InputError
        If no run is in a profile, or the tolerance is out of range.

    Warns
    -----
    RunsWarning
        If runs are left out.
    """
    place = runs.attrs.get("source", "runs")
    names = list(dict.fromkeys(runs["recipe"])) if "recipe" in runs else []
    budget, left_out = np.full(len(runs), np.nan), []
    for name in names if len(names) > 1 else [None]:
        rows = np.ones(len(runs), dtype=bool) if name is None else (runs["recipe"] == name).to_numpy()
        profiles = isoflop_profiles(runs[rows], tolerance=tolerance)
        number = profiles["profile"].to_numpy()
        # A profile of no number is the last element of what follows the budgets.
        budget[rows] = np.append(profiles["budget"].to_numpy(), np.nan)[number]
        if profiles.attrs["left_out"]:
            left_out.append(("" if name is None else f"recipe {name!r}: ") + profiles.attrs["left_out"])
    kept = ~np.isnan(budget)
    if not kept.any():
        raise InputError(
            f"{place}: has no IsoFLOP profile: {'; '.join(left_out)}; an IsoFLOP model needs runs of "
            "several sizes at the same compute: add them, or say by a column budget which belong together"
        )
    if left_out:
        warn_of_runs(f"{place}: left out of the IsoFLOP model: {'; '.join(left_out)}")
    with warnings.catch_warnings():
        # What is doubtful about the runs was said when they were checked.
        warnings.simplefilter("ignore", RunsWarning)
        return check_runs(runs[kept].assign(budget=budget[kept]))


def distinct(logs: np.ndarray) -> np.ndarray:
    """Count values off from the smallest up, those that are nearly the same as one.

    Parameters
    ----------
    logs : ndarray, dims ("run",)
        Natural logarithms of sizes or tokens.

    Returns
    -------
    ndarray of int, dims ("run",)
        From 0 up. A number covers the values up to 1 % above the smallest that has it.
    """
    numbers = np.zeros(len(logs), dtype=int)
    number, start = -1, -np.inf
    for i in np.argsort(logs, kind="stable"):
        if logs[i] - start > np.log1p(SAME_SIZE):
            number, start = number + 1, logs[i]
        numbers[i] = number
    return numbers


def _snap(log_flops: np.ndarray, log_params: np.ndarray, tolerance: float) -> np.ndarray:
    """Find for each run which window of FLOPs it belongs to, numbered from the lowest up, or -1."""
    # Rounding must not push a run out of a window at whose very end it lies.
    width = 2 * np.log1p(tolerance) + 1e-9
    windows: list[np.ndarray] = []
    rest = np.lexsort((log_params, log_flops))
    while len(rest):
        window = _fullest_window(log_flops[rest], log_params[rest], width)
        if len(set(distinct(log_params[rest[window]]))) < SIZES_NEEDED:
            break
        windows.append(rest[window])
        rest = np.delete(rest, window)
    profile = np.full(len(log_flops), -1)
    for i, window in enumerate(sorted(windows, key=lambda window: log_flops[window].mean())):
        profile[window] = i
    return profile


def _fullest_window(log_flops: np.ndarray, log_params: np.ndarray, width: float) -> np.ndarray:
    """Find the window with most sizes, then the narrowest, then the lowest; the FLOPs are in order."""
    ends = np.searchsorted(log_flops, log_flops + width, side="right")
    counts = ends - np.arange(len(log_flops))
    best, window = (0, 0.0), np.arange(0)
    # A window holds no more sizes than runs, so most need no look.
    for start in np.argsort(-counts, kind="stable"):
        if counts[start] < best[0]:
            break
        rows = np.arange(start, ends[start])
        spread = log_flops[rows[-1]] - log_flops[start]
        # Rounded, so that windows as wide as each other are a tie in any unit.
        found = (len(set(distinct(log_params[rows]))), -round(spread, 9))
        if found > best or (found == best and start < window[0]):
            best, window = found, rows
    return window
