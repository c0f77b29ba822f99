"""Which of several models predicts losses best: leave-one-out predictive densities, and their doubts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.arviz_calls import leave_one_out
from bayes_scaling.errors import InputError
from bayes_scaling.planning.recipes import distinct_names, recipes_of_runs
from bayes_scaling.planning.stacking import stack_scores
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.runs.doubts import some_runs
from bayes_scaling.sampling.artefact import fit_facts

COLUMNS = ("group", "rank", "elpd", "se", "elpd_diff", "dse", "p", "weight", "runs", "high_k", "notes")

SMALL_DIFFERENCE = 4
"""Difference of ELPD below which models predict about as well (Sivula et al. 2025, arXiv 2008.10296)."""

FEW_RUNS = 100
"""Runs below which the standard error of a difference is itself in doubt (ibid.)."""


@dataclass(frozen=True)
class _Scored:
    """One fit, its losses and its leave-one-out densities."""

    name: str
    losses: dict[str, float]
    """Loss of each run by its id."""
    elpd: Any
    """ArviZ's ELPDData, pointwise."""
    notes: list[str]

    @property
    def observations(self) -> frozenset[tuple[str, float]]:
        return frozenset(self.losses.items())

    @property
    def high_k(self) -> list[str]:
        """Runs whose left-out density importance sampling does not give reliably."""
        k = self.elpd.pareto_k
        return [str(run) for run in k["run"].values[~(k.values <= self.elpd.good_k)]]


def rank_models(fits: Sequence[xr.DataTree], *, allow_unconverged: bool = False) -> pd.DataFrame:
    """Rank fits by how well each predicts the loss of a run that it has not seen.

    Only fits of the same observations, that is of the same run ids with the same losses, can be ranked
    against each other; what else the models know of the runs may differ. An IsoFLOP fit leaves out runs in
    no profile, and is then of other observations than a law's fit of the same table: such fits are in a
    group of their own, which says so.

    Parameters
    ----------
    fits : sequence of DataTree
        Two or more, from `fit` or `open_fit`, with all of their groups.
    allow_unconverged : bool
        Rank draws although they break a convergence rule; the notes say so.

    Returns
    -------
    DataFrame
        A row a fit, best first within its group; the index is the name of its model, with its recipe where
        fits of single recipes differ in that, and with a number where there are several such. group: from 1
        up, the fits of the same observations. rank: from 1 up in the group. elpd: expected log pointwise
        predictive density of the losses themselves, in nats, summed over the runs and estimated by
        leave-one-out cross-validation; se, its standard error. elpd_diff: less that of the group's best;
        dse, its standard error. p: effective number of parameters. weight: by stacking, within the group.
        runs: how many. high_k: runs whose Pareto k is too high for the estimate to be trusted. notes: in
        words what to know, a line each. elpd_diff, dse and weight are NaN of a fit alone in its group.

    Raises
    ------
    InputError
        If there are fewer than two fits, or one was opened without the groups that this needs.
    NotConvergedError
        If a fit is not converged and its use was not allowed.

    Notes
    -----
    Pareto-smoothed importance sampling (Vehtari et al. 2017, arXiv 1507.04544; 2024, arXiv 1507.02646) by
    `arviz.loo` and `arviz.compare`; stacking by Yao et al. 2018, arXiv 1704.02030. The density is that of the
    loss whichever scale the noise has, so that models of the loss and of its logarithm can be compared.
    """
    fits = list(fits)
    if not all(isinstance(fit, xr.DataTree) for fit in fits):
        raise InputError("fits must be a list of fits, as from fit or open_fit")
    if len(fits) < 2:
        raise InputError(
            f"a ranking needs two fits or more, not {len(fits)}; arviz.loo(fit) scores one alone"
        )
    names = fit_names(fits)
    for fit, name in zip(fits, names, strict=True):
        require_usable(fit, allow_unconverged=allow_unconverged)
        if missing := [group for group in ("log_likelihood", "observed_data") if group not in fit.children]:
            raise InputError(
                f"the fit of {name} lacks {' and '.join(missing)}, which its ranking rests on: open it whole,"
                " by open_fit(path) without groups"
            )
    scored = [_score(fit, name) for fit, name in zip(fits, names, strict=True)]
    groups: dict[frozenset[tuple[str, float]], list[_Scored]] = {}
    for each in scored:
        groups.setdefault(each.observations, []).append(each)
    # The largest group first: it is what the others are told apart from.
    ordered = sorted(groups.values(), key=lambda group: (-len(group), -len(group[0].losses)))
    rows = []
    for number, group in enumerate(ordered, start=1):
        others = [] if number == 1 else [_told_apart(group[0], ordered[0][0])]
        rows += [{"group": number, **row} for row in _ranked(group, others)]
    return pd.DataFrame(rows).set_index("model")[list(COLUMNS)]


def fit_names(fits: Sequence[xr.DataTree]) -> list[str]:
    """Name fits by their models, with recipe or number where that is needed to tell them apart."""
    recipes = [sorted(set(recipes_of_runs(fit).tolist()) - {""}) for fit in fits]
    models = [str(fit_facts(fit)["model"]) for fit in fits]
    if any(own != recipes[0] for own in recipes):
        models = [
            f"{model} [{own[0]}]" if len(own) == 1 else model
            for model, own in zip(models, recipes, strict=True)
        ]
    return distinct_names(models, [{""}] * len(models))


def _score(fit: xr.DataTree, name: str) -> _Scored:
    """Score a fit by leave-one-out cross-validation, and say in words where that fails."""
    density, verdict = fit["log_likelihood"].dataset["loss"], fit_facts(fit)["verdict"]
    notes = [] if verdict["converged"] else [f"NOT converged: {', '.join(verdict['problems'])}"]
    elpd, warned = leave_one_out(density)
    notes += warned
    runs = [str(run) for run in density["run"].values]
    losses = fit["observed_data"].dataset["loss"].to_numpy().tolist()
    scored = _Scored(name, dict(zip(runs, losses, strict=True)), replace(elpd, log_weights=None), notes)
    if high := scored.high_k:
        notes.append(
            f"Pareto k of {some_runs(high, len(runs))} is above {elpd.good_k:.2f}, at most "
            f"{float(elpd.pareto_k.max()):.2f}: without such a run the posterior is so different that the "
            "draws do not tell what it would predict there, and elpd is probably too high; look whether the "
            "run is sound, or fit without it to see what it changes"
        )
    return scored


def _ranked(group: Sequence[_Scored], others: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of one group, best first."""
    notes = {each.name: [*each.notes, *others] for each in group}
    table, doubts = _compare(group) if len(group) > 1 else (None, [])
    order = list(table.index) if table is not None else [group[0].name]
    notes[order[0]] += doubts
    by_name = {each.name: each for each in group}
    rows = []
    for rank, name in enumerate(order, start=1):
        one = by_name[name]
        difference, error, weight = (
            (float(table[column][name]) for column in ("elpd_diff", "dse", "weight"))
            if table is not None
            else (np.nan, np.nan, np.nan)
        )
        if rank > 1 and abs(difference) < SMALL_DIFFERENCE:
            notes[name].append(
                f"predicts about as well as {order[0]}: a difference below {SMALL_DIFFERENCE} decides nothing"
            )
        if rank > 1 and len(one.losses) < FEW_RUNS:
            notes[name].append(
                f"compared on {len(one.losses)} runs: below {FEW_RUNS} the error of the difference may be "
                "larger than said"
            )
        rows.append(
            {
                "model": name,
                "rank": rank,
                "elpd": float(one.elpd.elpd),
                "se": float(one.elpd.se),
                "elpd_diff": difference,
                "dse": error,
                "p": float(one.elpd.p),
                "weight": weight,
                "runs": len(one.losses),
                "high_k": len(one.high_k),
                "notes": "\n".join(notes[name]),
            }
        )
    return rows


def _compare(group: Sequence[_Scored]) -> tuple[pd.DataFrame, list[str]]:
    """Let ArviZ compare a group, its runs in one order; and what it warns of."""
    import arviz_stats

    runs = list(group[0].losses)
    pointwise = [each.elpd.elpd_i.sel(run=runs) for each in group]
    # ArviZ takes the densities out of the logarithm, where that of a run far off is zero in every model. What
    # a run has in common in all models alters neither differences nor weights.
    common = np.max([values.values for values in pointwise], axis=0)
    elpds = {
        each.name: replace(each.elpd, elpd_i=values - common)
        for each, values in zip(group, pointwise, strict=True)
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = arviz_stats.compare(elpds, method="stacking", round_to="none")
    # Forward scores are stacked too: so that one search finds all weights, it is ours.
    weights = stack_scores(xr.concat(pointwise, "fit").assign_coords(fit=list(elpds)))
    table["weight"] = weights.sel(fit=list(table.index)).to_numpy()
    return table, [str(each.message) for each in caught]


def _told_apart(one: _Scored, other: _Scored) -> str:
    """Say how the observations of a fit differ from those of another."""
    missing = [run for run in other.losses if run not in one.losses]
    more = [run for run in one.losses if run not in other.losses]
    changed = [run for run, loss in one.losses.items() if other.losses.get(run, loss) != loss]
    parts = [
        f"{what} {some_runs(runs, total)}"
        for what, runs, total in (
            ("leaves out", missing, len(other.losses)),
            ("has, beside them,", more, len(one.losses)),
            ("has another loss for", changed, len(one.losses)),
        )
        if runs
    ]
    return (
        f"not ranked against {other.name}, for it is of other observations: it {', '.join(parts)}; "
        "predictive densities of different losses cannot be compared, so fit both to the same runs"
    )
