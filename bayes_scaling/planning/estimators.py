"""What every estimator of a comparison says, in one form: approaches, posteriors and published estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.approaches.frontier import optimum_on
from bayes_scaling.approaches.methods import Approach
from bayes_scaling.approaches.published import published_estimates
from bayes_scaling.approaches.recipes import RecipeRuns
from bayes_scaling.intervals import STATISTICS, interval
from bayes_scaling.planning.isoflop import local_exponents
from bayes_scaling.planning.law_surface import optima_of_laws
from bayes_scaling.planning.optimum import optimum
from bayes_scaling.planning.price import Price
from bayes_scaling.planning.recipes import recipes_of_runs
from bayes_scaling.quantities import format_share
from bayes_scaling.runs.check import data_hash
from bayes_scaling.runs.doubts import warn_of_runs, warn_of_units
from bayes_scaling.sampling.artefact import fit_facts

EXPONENTS = ("a", "b")
PER_BUDGET = ("params_opt", "tokens_opt", "tokens_per_param", "loss_opt")
OUTSIDE = ("extrapolation", "below_runs")

MOST_FAILED = 0.05
"""Share of resamples without an estimate from which on there is no interval: the others are a choice."""


@dataclass(frozen=True)
class Row:
    """One estimator's answer at the budgets, for one recipe or for all runs together."""

    name: str
    recipe: str = ""
    """"" where it is of all runs, or of none of them."""
    summary: xr.Dataset | None = None
    """a and b, dims statistic, the optimum, dims compute and statistic; None if the estimator cannot run."""
    law: xr.Dataset | None = None
    """By draw what tells the regret of any plan: params_opt, alpha and beta; None if nothing does."""
    outside: xr.Dataset | None = None
    """How far out the budgets lie, as `optimum` has it, dims compute; None for that of all runs compared."""
    runs: int = 0
    resamples: int = 0
    failed: int = 0
    converged: bool = True
    same_units: bool = True
    """Whether its loss and tokens are counted as the runs' are."""
    prob: float = np.nan
    """Inside the intervals, where that is not what was asked for."""
    discrepancy: str = ""
    """By what it leaves its law beyond the runs, in words; "" if by nothing."""
    reason: str = ""
    notes: Sequence[str] = ()


def approach_row(
    approach: Approach,
    budgets: xr.DataArray,
    *,
    prob: float,
    scheme: str,
    recipe: str,
    outside: xr.Dataset,
    price: Price,
) -> Row:
    """Summarise an approach by its bootstrap.

    Parameters
    ----------
    approach : Approach
        From `run_approaches`.
    budgets : DataArray, dims compute
        In FLOPs.
    prob : float
        Probability inside the intervals.
    scheme : str
        Of the bootstrap.
    recipe : str
        Whose runs it rests on; "" for all.
    outside : Dataset, dims compute
        How far the budgets lie outside those runs, as from `planning.optimum.outside`.
    price : Price
        What a token costs by those runs: where that changes with the size, the optimum of an approach that
        has a law is that at the k of each size, as a posterior's is.

    Returns
    -------
    Row
    """
    if approach.frontier is None or approach.resamples is None:
        return Row(approach.name, recipe, outside=outside, reason=approach.reason)
    estimate = _read(approach.frontier.isel(resample=0), budgets, price)
    draws = _read(approach.resamples.rename(resample="draw"), budgets, price)
    count, failed = draws.sizes["draw"], int(draws["a"].isnull().sum())
    notes = list(approach.notes)
    if scheme == "subsample":
        notes.insert(0, f"percentiles over subsamples, about half as wide as a {format_share(prob)} interval")
    too_many = failed > MOST_FAILED * count
    if too_many:
        notes.insert(0, "no interval: too many resamples gave no estimate")
    return Row(
        approach.name,
        recipe,
        _summary(estimate, no_spread(estimate) if too_many else _spread(draws, prob)),
        _law(draws),
        outside,
        runs=approach.runs,
        resamples=count,
        failed=failed,
        notes=notes,
    )


def posterior_rows(
    fit: xr.DataTree,
    budgets: xr.DataArray,
    runs: pd.DataFrame,
    parts: Sequence[RecipeRuns],
    *,
    prob: float,
    discrepancy: bool,
    allow_unconverged: bool,
) -> list[Row]:
    """Summarise a posterior: a row for each recipe that it tells apart, else one.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    budgets : DataArray, dims compute
        In FLOPs.
    runs : DataFrame
        The checked table of all runs compared.
    parts : sequence of RecipeRuns
        The same by recipe.
    prob : float
        Probability inside the intervals.
    discrepancy : bool
        As for `optimum`.
    allow_unconverged : bool
        Take a posterior although it breaks a convergence rule.

    Returns
    -------
    list of Row

    Raises
    ------
    NotConvergedError
        If the fit is not converged and its use was not allowed.

    Warns
    -----
    RunsWarning
        If the fit is of other runs than those compared.
    """
    facts = fit_facts(fit)
    optima = optimum(fit, budgets.values, discrepancy=discrepancy, allow_unconverged=allow_unconverged)
    converged = bool(optima.attrs["converged"])
    notes = [] if converged else [f"NOT converged: {', '.join(facts['verdict']['problems'])}"]
    if facts["data_hash"] not in {data_hash(runs), *(data_hash(part.runs) for part in parts)}:
        notes.append("fitted on other runs than these")
        warn_of_runs(f"the fit of {facts['model']} is of other runs than those compared")
    draws = optima[[*EXPONENTS, *PER_BUDGET, *OUTSIDE]].assign(local_exponents(fit["posterior"].dataset))
    of_runs = recipes_of_runs(fit)
    if "recipe" in optima.dims:
        names = [str(name) for name in optima["recipe"].values]
    else:
        # A posterior of one recipe's runs is that recipe's; one law for several is no recipe's.
        named = {part.recipe for part in parts} - {""}
        single = set(of_runs.tolist())
        names = [single.pop() if len(single) == 1 and single <= named else ""]
        if not names[0] and len(single) > 1:
            notes.append(f"one law for all {len(single)} recipes")
    rows, carried = [], optima.attrs["discrepancy"].splitlines()
    for name in names:
        one = draws.sel(recipe=name, drop=True) if "recipe" in draws.dims else draws
        whose = f"{name}: " if "recipe" in draws.dims else ""
        said = [line.removeprefix(whose) for line in carried if line.startswith(whose)]
        flat = one.drop_vars(OUTSIDE).stack(draws=("chain", "draw"))
        flat = flat.reset_index("draws", drop=True).rename(draws="draw")
        rows.append(
            Row(
                facts["model"],
                name,
                _summary(flat.median("draw"), _spread(flat, prob)),
                _law(flat),
                one[list(OUTSIDE)],
                runs=int((of_runs == name).sum()) if "recipe" in optima.dims else len(of_runs),
                converged=converged,
                discrepancy="".join(said),
                notes=notes,
            )
        )
    return rows


def published_rows(budgets: xr.DataArray, *, params_count: str, loss_unit: str) -> list[Row]:
    """Read the published estimates at the budgets, with intervals where those are published.

    Parameters
    ----------
    budgets : DataArray, dims compute
        In FLOPs.
    params_count : str
        What the sizes of the runs count.
    loss_unit : str
        Unit of the loss of the runs.

    Returns
    -------
    list of Row

    Warns
    -----
    RunsWarning
        If the loss of the runs is in another unit.
    """
    estimates = published_estimates()
    theirs = estimates.attrs["loss_unit"]
    warn_of_units("the published estimates", theirs, loss_unit)
    rows = []
    for source in estimates["source"].values:
        one = estimates.sel(source=source)
        estimate = _read(one, budgets)
        spread = no_spread(estimate)
        known = one.reindex(compute=budgets["compute"]).reset_coords(drop=True)
        spread = spread.assign(
            {
                name: known[f"{name}_interval"].reindex(statistic=spread["statistic"])
                for name in (*EXPONENTS, "tokens_per_param")
            }
        )
        notes = [str(one["citation"].item()), str(one["note"].item())]
        own_prob = float(one["prob"])
        count = str(one["params_count"].item())
        if count != params_count and "unstated" not in (count, params_count):
            notes.append(f"its sizes count {count} parameters, those of the runs {params_count}")
        if loss_unit != theirs:
            notes.append(f"not comparable: its loss is in {theirs}, that of the runs in {loss_unit}")
        rows.append(
            Row(
                str(source),
                "",
                _summary(estimate, spread),
                _law(estimate.expand_dims("draw")) if loss_unit == theirs else None,
                prob=own_prob,
                same_units=loss_unit == theirs,
                notes=list(filter(None, notes)),
            )
        )
    return rows


def nothing_known(budgets: xr.DataArray) -> xr.Dataset:
    """Return the summary of an estimator that says nothing: NaN throughout."""
    unknown = xr.Dataset(dict.fromkeys(EXPONENTS, np.nan) | dict.fromkeys(PER_BUDGET, budgets * np.nan))
    return _summary(unknown, no_spread(unknown))


def no_spread(estimate: xr.Dataset) -> xr.Dataset:
    """Return the spread of an estimate without one: NaN throughout."""
    return xr.full_like(estimate, np.nan).expand_dims(statistic=list(STATISTICS[1:]))


def _read(frontier: xr.Dataset, budgets: xr.DataArray, price: Price | None = None) -> xr.Dataset:
    """Read the optima off a frontier, with the exponents of the law around it where they are known.

    Approach 1 knows only the frontier itself, not what a plan beside it costs.
    """
    unknown = xr.full_like(frontier["a"], np.nan)
    exponents = {name: frontier.get(name, unknown) for name in ("alpha", "beta")}
    optima = optimum_on(frontier, budgets)
    if price is not None and price.rise and "A" in frontier:
        optima = optima.assign(optima_of_laws(frontier, budgets, price).data_vars)
    return optima.assign(exponents).reset_coords(drop=True)


def _spread(draws: xr.Dataset, prob: float) -> xr.Dataset:
    """All of the statistics but the estimate; draws without one are counted, not used."""
    known = draws[[*EXPONENTS, *PER_BUDGET]].isel(draw=np.flatnonzero(draws["a"].notnull()))
    return interval(known.expand_dims("chain"), prob).sel(statistic=list(STATISTICS[1:]))


def _summary(estimate: xr.Dataset, spread: xr.Dataset) -> xr.Dataset:
    names = [*EXPONENTS, *PER_BUDGET]
    point = estimate[names].expand_dims(statistic=["estimate"])
    return xr.concat([point, spread[names]], "statistic", data_vars="all")


def _law(draws: xr.Dataset) -> xr.Dataset | None:
    """Keep of the draws those whose law has an optimum along a budget, or None of none."""
    sound = (draws["alpha"] > 0) & (draws["beta"] > 0)
    law = draws[["params_opt", "alpha", "beta"]].isel(draw=np.flatnonzero(sound))
    return law if law.sizes["draw"] else None
