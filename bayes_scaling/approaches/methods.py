"""The three approaches on one table of runs, each with its bootstrap or the reason why it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.approaches import isoflop, parametric
from bayes_scaling.approaches.bootstrap import Estimator, bootstrap
from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.quantities import format_flops, format_share
from bayes_scaling.runs.budgets import isoflop_profiles
from bayes_scaling.runs.cells import is_blank
from bayes_scaling.runs.check import flops_per_param_token

NAMES = ("approach-1", "approach-2", "approach-3")

LEAST_RESAMPLES = 20
"""Fewer have no ends of an interval to speak of."""

OFTEN = 0.05
"""Share of the resamples from which on what happens in them is said."""

FEW_CLUSTERS = 10
"""Training runs below which their resamples say little of how much another study would differ."""

OFF_BUDGET = 0.05
"""How far k N_opt D_opt may be from the budget, as a share of it, before it is said."""

LADDER = "ladder_run"
"""Column that, where a table has it, says which training run a row is a checkpoint or a part of."""


@dataclass(frozen=True)
class Approach:
    """What one approach says of some runs."""

    name: str
    frontier: xr.Dataset | None = None
    """Its estimate, as `frontier_through` gives it, with a dim resample of 1; None if it cannot run."""
    resamples: xr.Dataset | None = None
    """The same of each resample, NaN where that has no estimate."""
    runs: int = 0
    """Runs, or training curves, that the estimate rests on."""
    reason: str = ""
    """Why it cannot run."""
    notes: list[str] = field(default_factory=list)
    """What to know of the estimate."""


def run_approaches(
    runs: pd.DataFrame,
    curves: xr.Dataset | None = None,
    *,
    resamples: int = 1000,
    scheme: str = "bootstrap",
    cluster: str | None = None,
    hull: bool = False,
    keep_unbracketed: bool = False,
    degree: int = 2,
    within: float | None = None,
    seed: int = 0,
    workers: int = 1,
    label: str = "",
    progress: bool = False,
) -> list[Approach]:
    """Run the three approaches and their bootstraps.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    curves : Dataset, optional
        Training curves, as `reduce_curves` returns them; approach 1 needs them.
    resamples, scheme, seed, workers
        As for `bootstrap`. Approach 1 draws curves, the others runs.
    cluster : str, optional
        Column of `runs` that says which training run a row belongs to, where rows are checkpoints; unless
        given, "ladder_run" if there is such a column, and each row by itself otherwise.
    hull, keep_unbracketed : bool
        Of approach 1, as for `approach_1`.
    degree, within
        Degree of approach 2's polynomials, and how far they reach, as for `approach_2`.
    label : str
        What the progress bars say after the approach's name, such as " of c4 (2 of 30)".
    progress : bool
        Show progress bars on standard error.

    Returns
    -------
    list of Approach
        In the order of `NAMES`.

    Raises
    ------
    InputError
        If an option is unknown or out of range, resamples below 20, or there is no such column.
    """
    if resamples < LEAST_RESAMPLES:
        raise InputError(
            f"resamples is {resamples}; fewer than {LEAST_RESAMPLES} make no interval, and 1000 a good one"
        )
    clusters, clustered = _clusters(runs, cluster)
    resampled = partial(
        bootstrap, resamples=resamples, scheme=scheme, seed=seed, workers=workers, progress=progress
    )
    names = [f"{name}{label}" for name in NAMES]
    return [
        _approach_1(curves, partial(resampled, what=names[0]), hull, keep_unbracketed, runs),
        _approach_2(runs, clusters, clustered, partial(resampled, what=names[1]), degree, within),
        _approach_3(runs, clusters, clustered, partial(resampled, what=names[2])),
    ]


def _clusters(runs: pd.DataFrame, cluster: str | None) -> tuple[np.ndarray, list[str]]:
    """Which training run each row is of, and the note that says so."""
    if cluster is not None and cluster not in runs:
        raise InputError(
            f"{runs.attrs.get('source', 'runs')}: there is no column {cluster!r} to cluster by"
            f"{did_you_mean(cluster, map(str, runs.columns))}"
        )
    name = cluster or (LADDER if LADDER in runs else None)
    blank = runs["run_id"][[is_blank(cell) for cell in runs[name]]] if name else runs["run_id"]
    if name is None or (cluster is None and len(blank) == len(runs)):
        return np.arange(len(runs)), []
    if len(blank):
        raise InputError(
            f"{runs.attrs.get('source', 'runs')}: column {name}, by which rows are drawn together, is blank "
            f"for {len(blank)} rows ({', '.join(blank[:3])}); fill it in"
        )
    clusters = runs[name].astype(str).to_numpy()
    count = len(set(clusters))
    few = ", too few for a bootstrap to know their spread" if count < FEW_CLUSTERS else ""
    return clusters, [f"resampled by {name}: {count} training runs, {len(runs)} rows{few}"]


def _approach_1(
    curves: xr.Dataset | None,
    resampled: Callable[..., xr.Dataset],
    hull: bool,
    keep_unbracketed: bool,
    runs: pd.DataFrame,
) -> Approach:
    if curves is None:
        reason = "needs training curves: a table of run_id, params, tokens, loss, several points a run"
        return Approach(NAMES[0], reason=reason)
    if not curves.sizes["curve"]:
        return Approach(NAMES[0], reason="none of the training curves has the run_id of one of these runs")
    from bayes_scaling.approaches.envelope import approach_1

    estimator = partial(approach_1, curves, hull=hull, keep_unbracketed=keep_unbracketed)
    count = curves.sizes["curve"]
    frontier = estimator(np.ones((1, count)))
    if np.isnan(frontier["a"].item()):
        reason = f"the envelope of the {count} curves is of fewer than 2 sizes that have others on both sides"
        return Approach(NAMES[0], reason=reason)
    truncated, unbracketed = (frontier[name].item() for name in ("truncated", "unbracketed"))
    notes = [
        f"{format_share(truncated, 2)} of the envelope lies on the first or the last point of a curve",
        f"{format_share(unbracketed, 2)} of it is of the smallest or largest size there, "
        f"{'and kept' if keep_unbracketed else 'and left out'}",
    ]
    resamples = resampled(estimator, np.arange(count))
    notes += _frontier_notes(frontier, resamples, runs)
    return Approach(NAMES[0], frontier, resamples, count, notes=notes)


def _approach_2(
    runs: pd.DataFrame,
    clusters: np.ndarray,
    clustered: list[str],
    resampled: Callable[..., xr.Dataset],
    degree: int,
    within: float | None,
) -> Approach:
    profiles = isoflop_profiles(runs)
    estimator: Estimator = partial(isoflop.approach_2, profiles, degree=degree, within=within)
    frontier = estimator(np.ones((1, len(runs))))
    reason = isoflop.why_not(frontier)
    if not reason and "budget" not in runs and frontier["usable"].item() < profiles.sizes["budget"] / 2:
        reason = (
            f"{frontier['usable'].item()} of {profiles.sizes['budget']} groups of runs with like FLOPs have "
            "a minimum: these runs are no IsoFLOP design; if they are, say so by a column budget"
        )
    if reason:
        return Approach(NAMES[1], reason=reason)
    status = frontier["status"].isel(resample=0)
    usable = status == isoflop.STATUSES[isoflop.USABLE]
    notes = [
        f"budget {float(budget):.3g} not used: {why!s}".replace("e+", "e")
        for budget, why in zip(status["budget"].values, status.values, strict=True)
        if why != isoflop.STATUSES[isoflop.USABLE]
    ]
    if left_out := profiles.attrs["left_out"]:
        notes.append(f"in no profile: {left_out}")
    if "budget" not in runs:
        notes.append(f"grouped by {profiles.attrs['grouped_by']}")
    used = int(frontier["runs"].isel(resample=0).where(usable, 0).sum())
    resamples = resampled(estimator, clusters)
    notes += [*_frontier_notes(frontier, resamples, runs), *clustered]
    return Approach(NAMES[1], frontier, resamples, used, notes=notes)


def _approach_3(
    runs: pd.DataFrame, clusters: np.ndarray, clustered: list[str], resampled: Callable[..., xr.Dataset]
) -> Approach:
    if reason := parametric.undetermined(runs):
        return Approach(NAMES[2], reason=reason)
    frontier = parametric.approach_3(runs)
    if np.isnan(frontier["a"].item()):
        reason = "in the law that fits best the loss does not fall with size and with data: it has no optimum"
        return Approach(NAMES[2], reason=reason)
    estimator: Estimator = partial(parametric.approach_3, runs, near=frontier)
    resamples = resampled(estimator, clusters)
    return Approach(NAMES[2], frontier, resamples, len(runs), notes=clustered)


def _frontier_notes(frontier: xr.Dataset, resamples: xr.Dataset, runs: pd.DataFrame) -> list[str]:
    """Say where a frontier drawn through points leaves the budget, or a loss that stays above zero."""
    notes = []
    one = frontier.isel(resample=0)
    compute = float(runs["flops"].max())
    spent = flops_per_param_token(runs) * float(
        one["params_coefficient"] * one["tokens_coefficient"] * compute ** (one["a"] + one["b"] - 1)
    )
    if abs(spent - 1) > OFF_BUDGET:
        notes.append(
            f"N_opt and D_opt are regressions of their own: at {format_flops(compute)} FLOP they spend "
            f"{spent:.2g} times the budget"
        )
    known = resamples["E"].dropna("resample")
    bare = float((known == 0).sum()) / max(1, known.size)
    if one["E"].item() == 0 or bare > OFTEN:
        notes.append(
            f"do not use its loss column: in {format_share(bare, 2)} of the resamples the curve through its "
            "minima finds no irreducible loss E, so the loss that it gives for larger budgets is too low"
        )
    return notes
