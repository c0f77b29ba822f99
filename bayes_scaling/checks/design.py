"""What the runs of a study can tell apart at all, by their design: findings before any fit, and after."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayes_scaling.approaches.isoflop import BUDGETS_NEEDED, STATUSES, TOO_FEW, USABLE, approach_2
from bayes_scaling.checks.findings import Finding
from bayes_scaling.quantities import format_flops, format_quantity
from bayes_scaling.runs.budgets import isoflop_profiles
from bayes_scaling.runs.doubts import one_path

DECADE = 10.0
"""Range of sizes, and of tokens, below which an exponent is told from a constant by little."""

RUNS_WANTED = 20
"""Four a parameter of the law: with fewer, one run more or less changes the answer."""

RATIOS_WANTED = 3.0
"""Range of tokens per parameter below which the split of a budget is hardly seen."""


def design_findings(runs: pd.DataFrame, *, apart: bool = False) -> list[Finding]:
    """Judge the design of a study.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    apart : bool
        A model tells the recipes apart: each recipe's design is judged by itself.

    Returns
    -------
    list of Finding
        Of runs without a column budget nothing is said of IsoFLOP profiles.
    """
    tables = {"": runs}
    if apart and "recipe" in runs and runs["recipe"].nunique() > 1:
        tables = {str(name): own for name, own in runs.groupby("recipe", sort=False)}
    findings = [
        _ranges(tables, "sizes", "params", "parameters"),
        _ranges(tables, "tokens", "tokens", "tokens"),
        _ratios(tables),
        _counts(tables),
    ]
    if "budget" in runs and runs["budget"].notna().any():
        findings += _profiles(tables)
    return findings


def _ranges(tables: dict[str, pd.DataFrame], check: str, column: str, unit: str) -> Finding:
    said = {
        name: f"from {format_quantity(own[column].min())} to {format_quantity(own[column].max())} {unit}, a "
        f"factor of {format_quantity(own[column].max() / own[column].min())}"
        for name, own in tables.items()
    }
    narrow = [name for name, own in tables.items() if own[column].max() < DECADE * own[column].min()]
    exponent = "alpha" if column == "params" else "beta"
    return _of_recipes(
        f"design: {check}",
        said,
        narrow,
        f"below a decade {exponent} and E are hard to tell apart: add runs with fewer or more {unit}",
    )


def _ratios(tables: dict[str, pd.DataFrame]) -> Finding:
    said, wrong = {}, []
    for name, own in tables.items():
        ratio = own["tokens"] / own["params"]
        factor, path = ratio.max() / ratio.min(), one_path(own)
        least, most, times = (format_quantity(number) for number in (ratio.min(), ratio.max(), factor))
        said[name] = f"{least} to {most} tokens per parameter, a factor of {times}"
        if path:
            said[name] = f"all runs {path}"
        if path or factor < RATIOS_WANTED:
            wrong.append(name)
    return _of_recipes(
        "design: ratios",
        said,
        wrong,
        "how a budget splits between parameters and tokens is then the prior's word: add runs at other "
        "ratios of tokens to parameters, several sizes at the same compute",
    )


def _counts(tables: dict[str, pd.DataFrame]) -> Finding:
    said = {name: f"{len(own)} runs" for name, own in tables.items()}
    few = [name for name, own in tables.items() if len(own) < RUNS_WANTED]
    remedy = (
        f"below {RUNS_WANTED} the noise is hardly known, and with it the width of every interval: add runs"
    )
    return _of_recipes("design: runs", said, few, remedy)


def _profiles(tables: dict[str, pd.DataFrame]) -> list[Finding]:
    """Judge IsoFLOP profiles by what approach 2 makes of each."""
    counts, few, minima, off = {}, [], {}, []
    for name, own in tables.items():
        profiles = isoflop_profiles(own)
        found = approach_2(profiles, np.ones((1, profiles.sizes["run"]))).isel(resample=0)
        status = found["status"].to_numpy()
        enough = status != STATUSES[TOO_FEW]
        counts[name] = f"{enough.sum()} budgets with three sizes or more"
        if enough.sum() < BUDGETS_NEEDED:
            few.append(name)
        unusable = [
            f"{format_flops(budget)} ({why})"
            for budget, why in zip(found["budget"].values, status, strict=True)
            if why not in (STATUSES[USABLE], STATUSES[TOO_FEW])
        ]
        minima[name] = (
            f"parabolas find no minimum among the sizes at {', '.join(unusable)}"
            if unusable
            else "every budget's least loss lies among its sizes"
        )
        if unusable:
            off.append(name)
    return [
        _of_recipes(
            "design: budgets",
            counts,
            few,
            f"below {BUDGETS_NEEDED} the exponent a is a line through two points: add budgets",
        ),
        _of_recipes(
            "design: minima",
            minima,
            off,
            "the best size there is extrapolated: add runs beyond the side on which the loss still falls",
        ),
    ]


def _of_recipes(check: str, said: dict[str, str], wrong: list[str], remedy: str) -> Finding:
    """Word a finding of one study, or of its recipes: those that fail, or how many do not."""
    if "" in said:
        return Finding(check, not wrong, said[""], remedy if wrong else "")
    if not wrong:
        return Finding(check, True, f"good for each of {len(said)} recipes")
    shown = "; ".join(f"{name}: {said[name]}" for name in wrong)
    return Finding(check, False, f"{len(wrong)} of {len(said)} recipes: {shown}", remedy)
