"""The three approaches, posteriors and published estimates side by side, each recipe by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.approaches.methods import run_approaches
from bayes_scaling.approaches.recipes import RecipeRuns, by_recipe
from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, check_prob
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.estimators import (
    EXPONENTS,
    PER_BUDGET,
    Row,
    approach_row,
    nothing_known,
    posterior_rows,
    published_rows,
)
from bayes_scaling.planning.optimum import UNITS, check_budgets, outside
from bayes_scaling.planning.price import price_of_runs
from bayes_scaling.planning.recipes import distinct_names
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.doubts import warn_before_fitting

if TYPE_CHECKING:
    import pandas as pd


def compare(
    runs: pd.DataFrame,
    compute: float | Sequence[float] | np.ndarray,
    *,
    curves: pd.DataFrame | str | Path | xr.Dataset | None = None,
    fits: Sequence[xr.DataTree] = (),
    unavailable: Mapping[str, str] | None = None,
    published: bool = False,
    prob: float = PROB,
    resamples: int = 1000,
    scheme: str = "bootstrap",
    cluster: str | None = None,
    hull: bool = False,
    keep_unbracketed: bool = False,
    degree: int = 2,
    within: float | None = None,
    seed: int = 0,
    workers: int = 2,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
    progress: bool | None = None,
) -> xr.Dataset:
    """Set the Chinchilla paper's three approaches, with bootstrap intervals, beside posteriors.

    Runs of several recipes may obey different laws, so the approaches take each recipe by itself.

    Parameters
    ----------
    runs : DataFrame
        Table of runs, as `read_runs` returns it; checked again here.
    compute : float or sequence of float
        Budgets in FLOPs.
    curves : DataFrame, str, Path or Dataset, optional
        Training curves, which approach 1 needs: a table of run_id, params, tokens and loss, a file of it,
        or what `reduce_curves` made of either. Of several recipes, a curve is of that of the run whose run_id
        it has.
    fits : sequence of DataTree
        Posteriors to set beside them, from `fit` or `open_fit`.
    unavailable : mapping of str to str, optional
        Models that could not be fitted, and why: each keeps a row.
    published : bool
        Add the estimates that others published.
    prob : float
        Probability inside the intervals; those of published estimates are as published.
    resamples : int
        Resamples of each approach's bootstrap, 20 or more.
    scheme : {"bootstrap", "subsample"}
        "bootstrap": as many runs as there are, with replacement. "subsample": 80 % of them, as the paper did;
        what is then given are percentiles of estimates that share most of their runs, about half as wide as
        an interval of that probability.
    cluster : str, optional
        Column of `runs` that says which training run a row belongs to, where rows are checkpoints: its rows
        are drawn together. Unless given "ladder_run", if there is such a column.
    hull : bool
        Approach 1 by the lower convex hull of the curves instead of 1,500 values of compute.
    keep_unbracketed : bool
        Approach 1 as published, with the points of its envelope whose size is the smallest or the largest of
        the curves that reach there, so that there was nothing to compare it with on one side.
    degree : {2, 3}
        Degree of approach 2's polynomials in log size.
    within : float, optional
        Approach 2: only sizes within this factor of the best of their profile.
    seed : int
        Seed of the resamples: the same seed gives the same ones.
    workers : int
        Threads.
    discrepancy : bool
        Let posteriors carry that beyond the runs their law may not hold, as in `optimum`; the approaches and
        what is published never do.
    allow_unconverged : bool
        Take a posterior although it breaks a convergence rule.
    progress : bool, optional
        Show progress on standard error; by default if that is a terminal.

    Returns
    -------
    Dataset, dims estimator, judge, compute and statistic
        a and b, dims estimator and statistic; params_opt (parameters), tokens_opt (tokens), tokens_per_param
        and loss_opt (unit of the runs), dims estimator, compute and statistic ("estimate", "low", "high",
        "mean", "sd"). The estimate of an approach is that of all its runs, of a posterior its median; the
        rest is that of the draws, NaN where more than 5 % of the resamples gave no estimate. misspent, dims
        estimator, judge and compute: the regret of training the estimator's N_opt if the judge, an estimator
        of the same recipe, is right, as a share of the budget, by its law's exponents; the median over the
        judge's draws, NaN if it has no law of the loss around its optimum, or is of another recipe.
        extrapolation, dims estimator and compute: by what factor the budget lies outside the compute of the
        recipe's runs, of a posterior outside that of its own, of a published estimate outside that of all
        runs given; and below_runs, of the same dims, whether below. And by estimator:
        available, reason (why it is not), notes (a line each), discrepancy (by what the answers beyond the
        runs leave the law, in words; "" of those that do not), prob inside its intervals, converged (false
        only for a posterior that breaks a rule), same_units (false only for what was published of losses in
        another unit), runs, resamples and failed, how many of these gave no estimate.

        Along estimator two more coordinates say what a row is: method ("approach-1", "parametric", …) and
        recipe. Of several recipes, the approaches and each posterior that tells recipes apart have a row for
        each, whose label in estimator is "method [recipe]"; one recipe's rows follow each other, as in
        `comparison.isel(estimator=comparison["recipe"] == "c4")`. The recipe is "" of what is of all the runs
        together, as one law for several recipes and everything where there is but one, and of what is of none
        of them: published estimates. A posterior of the runs of one recipe alone is in that recipe's rows.

    Raises
    ------
    InputError
        If a budget, an option or the runs are wrong.
    NotConvergedError
        If a fit is not converged and its use was not allowed.

    Warns
    -----
    RunsWarning
        If a fit is of other runs than these, published estimates are of losses in another unit, a recipe's
        FLOPs per parameter and token drift, the curves are of other runs, or of several recipes a curve is of
        none.
    """
    check_prob(prob)
    budgets = check_budgets(compute)
    # A tree by itself is a sequence too, of the names of its groups.
    if not all(isinstance(fit, xr.DataTree) for fit in list(fits)):
        raise InputError("fits must be a list of fits, as from fit or open_fit")
    # What comes from a saved fit can be refused before curves are read and resamples drawn, not after.
    for fit in fits:
        require_usable(fit, allow_unconverged=allow_unconverged)
    runs = check_runs(runs)
    if curves is not None and not isinstance(curves, xr.Dataset):
        from bayes_scaling.approaches.envelope import reduce_curves

        curves = reduce_curves(curves)
    parts = by_recipe(runs, curves, always=any("recipe" in fit["posterior"].dims for fit in fits))
    posteriors = [
        posterior_rows(
            fit,
            budgets,
            runs,
            parts,
            prob=prob,
            discrepancy=discrepancy,
            allow_unconverged=allow_unconverged,
        )
        for fit in fits
    ]
    approaches: dict[str, list[Row]] = {}
    for i, part in enumerate(parts, start=1):
        warn_before_fitting(part.runs)
        beyond, price = _outside(budgets, part.runs), price_of_runs(part.runs)
        for approach in run_approaches(
            part.runs,
            part.curves,
            resamples=resamples,
            scheme=scheme,
            cluster=cluster,
            hull=hull,
            keep_unbracketed=keep_unbracketed,
            degree=degree,
            within=within,
            seed=seed,
            workers=workers,
            label=f" of {part.recipe} ({i} of {len(parts)})" if len(parts) > 1 else "",
            progress=sys.stderr.isatty() if progress is None else progress,
        ):
            row = approach_row(
                approach,
                budgets,
                prob=prob,
                scheme=scheme,
                recipe=part.recipe,
                outside=beyond,
                price=price,
            )
            approaches.setdefault(approach.name, []).append(row)
    estimators = [*approaches.values(), *posteriors]
    estimators += [[Row(name, reason=reason)] for name, reason in (unavailable or {}).items()]
    if published:
        labels = {name: runs.attrs[name] for name in ("params_count", "loss_unit")}
        estimators += [[row] for row in published_rows(budgets, **labels)]
    rows = _in_order(estimators, parts)
    return _table(rows, budgets, _outside(budgets, runs), prob, runs.attrs)


def _outside(budgets: xr.DataArray, runs: pd.DataFrame) -> xr.Dataset:
    return outside(budgets, xr.DataArray(runs["flops"].to_numpy(), dims="run"))


def _in_order(estimators: Sequence[Sequence[Row]], parts: Iterable[RecipeRuns]) -> list[Row]:
    """Put the rows together by recipe, that of all runs last, each with a name of its own there."""
    names = distinct_names(
        [rows[0].name for rows in estimators], [{row.recipe for row in rows} for rows in estimators]
    )
    named = [replace(row, name=name) for name, rows in zip(names, estimators, strict=True) for row in rows]
    recipes = dict.fromkeys([part.recipe for part in parts] + [row.recipe for row in named])
    return [
        row for recipe in sorted(recipes, key=lambda name: not name) for row in named if row.recipe == recipe
    ]


def _table(
    rows: Sequence[Row],
    budgets: xr.DataArray,
    beyond_all: xr.Dataset,
    prob: float,
    labels: Mapping[Any, Any],
) -> xr.Dataset:
    names = [f"{row.name} [{row.recipe}]" if row.recipe else row.name for row in rows]
    nothing = nothing_known(budgets)
    summaries = [nothing if row.summary is None else row.summary for row in rows]
    comparison = xr.concat(summaries, "estimator", data_vars="all").assign_coords(
        estimator=names,
        method=("estimator", [row.name for row in rows]),
        recipe=("estimator", [row.recipe for row in rows]),
    )
    facts = {
        "available": [row.summary is not None for row in rows],
        "reason": [row.reason for row in rows],
        "notes": ["\n".join(row.notes) for row in rows],
        "discrepancy": [row.discrepancy for row in rows],
        "prob": [prob if np.isnan(row.prob) else row.prob for row in rows],
        "converged": [row.converged for row in rows],
        "same_units": [row.same_units for row in rows],
        "runs": [row.runs for row in rows],
        "resamples": [row.resamples for row in rows],
        "failed": [row.failed for row in rows],
    }
    comparison = comparison.assign({name: ("estimator", values) for name, values in facts.items()})
    beyond = [beyond_all if row.outside is None else row.outside for row in rows]
    for fact in ("extrapolation", "below_runs"):
        comparison[fact] = (("estimator", "compute"), np.stack([each[fact].values for each in beyond]))
    for name in (*EXPONENTS, *PER_BUDGET, "extrapolation"):
        comparison[name].attrs["units"] = UNITS.get(name, "")
    comparison["loss_opt"].attrs["units"] = str(labels.get("loss_unit", ""))
    comparison["params_opt"].attrs["count"] = str(labels.get("params_count", ""))
    comparison.attrs = {"prob": prob, "source": str(labels.get("source", "runs"))}
    shares = _misspent(comparison["params_opt"].sel(statistic="estimate").values, rows)
    misspent = xr.DataArray(
        shares, dims=("estimator", "judge", "compute"), coords={"judge": names}
    ).assign_attrs(units="share of the budget")
    return comparison.assign(misspent=misspent).transpose("estimator", "judge", "compute", "statistic")


def _misspent(sizes: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    """Judge every estimator's size, dims estimator and compute, by each law of the same recipe."""
    shares = np.full((len(rows), *sizes.shape), np.nan)
    for i, judge in enumerate(rows):
        judged = [j for j, row in enumerate(rows) if row.recipe == judge.recipe]
        if judge.law is None:
            continue
        plans = xr.DataArray(sizes[judged], dims=("estimator", "compute"))
        with np.errstate(invalid="ignore"):  # an estimator that cannot run has no size
            regret = chinchilla.regret(
                plans / judge.law["params_opt"].drop_vars("compute"),
                alpha=judge.law["alpha"],
                beta=judge.law["beta"],
            )
        shares[judged, i] = regret.median("draw").transpose("estimator", "compute").values
    return shares
