"""What a table of runs may hold but seldom should: each doubt is a warning, none changes the table."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_scaling.errors import RunsWarning

RUNS_SHOWN = 5

FEW = 6
LINE = 0.99
"""Correlation of log params and log tokens from which on they are one variable to a law."""

DRIFT = 0.05
"""Spread of flops / (params tokens) about its mean that goes unmentioned."""


def warn_of_doubts(runs: pd.DataFrame) -> None:
    """Warn of doubtful values in a checked table of runs.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.

    Warns
    -----
    RunsWarning
        Once for each rule broken, with the number of runs and the first five of their ids.
    """
    place = runs.attrs["source"]
    flops_ratio = runs["flops"] / runs["params"] / runs["tokens"] / 6
    repeated = runs.duplicated(["params", "tokens", "loss"], keep=False)
    doubts = {
        "params is below 1e3 or above 1e14 (70 for 70B?)": (runs["params"] < 1e3) | (runs["params"] > 1e14),
        "tokens is below 1e3 or above 1e14 (70 for 70B?)": (runs["tokens"] < 1e3) | (runs["tokens"] > 1e14),
        "loss is above 20 (a perplexity?)": runs["loss"] > 20,
        "params, tokens and loss are the same as another run's": repeated,
        "flops is more than a factor of 2 from 6 params tokens": (flops_ratio > 2) | (flops_ratio < 0.5),
    }
    if "budget" in runs:
        off_budget = np.abs(np.log(runs["flops"] / runs["budget"])) > np.log(1.5)
        doubts["flops is more than a factor of 1.5 from budget"] = off_budget
    for doubt, rows in doubts.items():
        if rows.any():
            warn_of_runs(f"{place}: {doubt}: {some_runs(runs['run_id'][rows], len(runs))}")
    if how := one_path(runs):
        warn_of_runs(
            f"{place}: all runs {how}, so they cannot tell alpha from beta: how a budget splits between "
            "params and tokens is the prior's word, not the data's; add runs at other ratios"
        )


def warn_before_fitting(runs: pd.DataFrame, *, tells_apart: bool = False) -> None:
    """Warn of what a table may well hold, and what one law fitted to it, or a plan made from that, may not.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    tells_apart : bool
        The model gives each recipe a law of its own.

    Warns
    -----
    RunsWarning
        If one law is fitted to runs of several recipes, or the FLOPs per parameter and token of the runs of
        one law differ by more than 5 %.
    """
    place = runs.attrs["source"]
    recipes = list(dict.fromkeys(runs["recipe"])) if "recipe" in runs else []
    if len(recipes) > 1 and not tells_apart:
        recipes = sorted(recipes)
        names = ", ".join(map(repr, recipes[:RUNS_SHOWN])) + (", …" if len(recipes) > RUNS_SHOWN else "")
        warn_of_runs(
            f"{place}: one law is fitted to runs of {len(recipes)} recipes ({names}), which may well obey "
            f"different ones; fit each by itself: --where 'recipe == \"{recipes[0]}\"', or together by a "
            "model that tells them apart: --model parametric-recipes"
        )
    k = runs["flops"] / runs["params"] / runs["tokens"]
    groups = {"": k}
    if len(recipes) > 1 and tells_apart:
        groups = {f", recipe {name!r}": k[runs["recipe"] == name] for name in recipes}
    for which, own in groups.items():
        mean = float(np.exp(np.log(own).mean()))
        if max(own.max() / mean, mean / own.min()) > 1 + DRIFT:
            warn_of_runs(
                f"{place}{which}: flops / (params tokens) goes from {own.min():.3g} to {own.max():.3g}: "
                f"budgets are planned at its geometric mean, {mean:.3g}; near either end the plan costs that "
                "much more or less"
            )


def warn_of_units(what: str, theirs: str, unit: str) -> None:
    """Warn of figures of others that are set beside runs whose loss has another unit.

    Parameters
    ----------
    what : str
        The figures, in words.
    theirs, unit : str
        Unit of their loss, and of that of the runs.

    Warns
    -----
    RunsWarning
        If the two differ.
    """
    if unit != theirs:
        warn_of_runs(
            f"{what} are of losses in {theirs}, and the loss of these runs is in {unit}: what is a token to "
            "the ones need not be one to the others (a byte is not), so sizes, tokens and losses cannot be "
            "compared; if only the label is wrong, correct loss_unit (--loss-unit)"
        )


def one_path(runs: pd.DataFrame) -> str:
    """Say on which one path through sizes and tokens all runs lie, if they do: no law can split the two.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.

    Returns
    -------
    str
        What follows "all runs", or nothing.
    """
    ratio = runs["tokens"] / runs["params"]
    if len(runs) > 1 and ratio.max() <= 1.05 * ratio.min():
        return f"have about {ratio.iloc[0]:.3g} tokens per parameter (within 5 %)"
    return "lie on one line in log params and log tokens" if _lie_on_one_line(runs) else ""


def _lie_on_one_line(runs: pd.DataFrame) -> bool:
    # A few runs are no design yet; and of one size or one length, which has a correlation with nothing.
    if len(runs) < FEW or runs["params"].nunique() == 1 or runs["tokens"].nunique() == 1:
        return False
    return abs(np.corrcoef(np.log(runs["params"]), np.log(runs["tokens"]))[0, 1]) > LINE


def warn_of_runs(text: str) -> None:
    """Issue a RunsWarning that points at the user's own line, however deep in this package it arose."""
    warnings.warn(text, RunsWarning, skip_file_prefixes=(str(Path(__file__).parents[1]),))


def some_runs(run_ids: Collection[str], total: int) -> str:
    """Say how many of all runs these are, and name the first few."""
    names = ", ".join(islice(run_ids, RUNS_SHOWN))
    return f"{len(run_ids)} of {total} runs ({names}{', …' if len(run_ids) > RUNS_SHOWN else ''})"
