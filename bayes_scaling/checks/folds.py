"""Where a study is cut by compute: fit on the runs up to a cut, predict those beyond it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_scaling.approaches.parametric import undetermined
from bayes_scaling.approaches.recipes import by_recipe
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.quantities import format_flops
from bayes_scaling.runs.check import check_runs

MOST_CUTS = 6
"""Cuts of a recipe unless they are given: more have nearly the same runs on either side."""

DECADES_FITTED, DECADES_PREDICTED, LEAST_FITTED = 1.0, 0.5, 12
"""Decades of compute up to a cut, and beyond it; and runs up to it, two for each of the law's parameters."""

LEARNING_CUTS, DECADES_LEARNING, BEYOND = 12, 0.5, 1.2
"""Of cuts that are not scored but show how the study deviates: how many there may be, the decades up to them,
and the factor of compute beyond."""

_SAME = 0.05
"""Runs whose compute differs by less than this share are of one level, and no cut parts them."""


@dataclass(frozen=True)
class Fold:
    """The runs of one recipe on either side of a cut."""

    recipe: str
    """Its name; "" where the table has none."""
    cut: float
    """In FLOPs: the most compute of a run that is fitted."""
    fitted: pd.DataFrame
    predicted: pd.DataFrame
    scored: bool
    """Whether its predictions are scored, or only show how the study deviates from its law."""

    @property
    def decades(self) -> float:
        """Decades of compute from the cut to the largest run."""
        return float(np.log10(self.predicted["flops"].max() / self.cut))


def folds(runs: pd.DataFrame, cuts: Sequence[float] | None = None) -> list[Fold]:
    """Cut each recipe of a study at several computes.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    cuts : sequence of float, optional
        Where to score, in FLOPs, the same for all recipes; unless given, up to six of the study's `levels`
        that have 12 runs and a decade of compute up to them, enough to determine the law, and half a decade
        beyond. Where none has as much, those that determine the law and leave a run beyond.

    Returns
    -------
    list of Fold
        By recipe, then by rising cut. Beside those that are scored up to twelve others, with half a decade up
        to them, that only show how the study deviates from its law.

    Raises
    ------
    InputError
        If a cut is no number of FLOPs, no run lies beyond one, or no recipe can be cut.
    """
    if cuts is not None and not all(np.isfinite(cut) and cut > 0 for cut in cuts):
        raise InputError(f"cuts must be positive numbers of FLOPs, not {list(cuts)}")
    largest = float(runs["flops"].max())
    far = [format_flops(cut) for cut in cuts or () if cut * (1 + _SAME) >= largest]
    if far:
        raise InputError(
            f"{runs.attrs.get('source', 'runs')}: no run has {_SAME:.0%} more than {', '.join(far)} FLOP "
            f"(the largest has {format_flops(largest)}), so nothing is left to predict; cut below the largest"
        )
    found: list[Fold] = []
    reasons = []
    for part in by_recipe(runs, always=True):
        own, why = _cut(part.recipe, part.runs, cuts)
        found += own
        reasons += [f"{part.recipe or 'the runs'}: {why}"] if not own else []
    if not found:
        raise InputError(
            f"{runs.attrs.get('source', 'runs')}: no cut leaves runs that determine the law up to it and "
            f"runs beyond it ({'; '.join(reasons)}); add runs of more compute, or name cuts"
        )
    return found


def levels(flops: np.ndarray) -> np.ndarray:
    """Find the computes of a study, those within 5 % being one.

    Parameters
    ----------
    flops : ndarray, dims ("run",)

    Returns
    -------
    ndarray
        The largest compute of each level, rising.
    """
    ordered = np.sort(flops)
    starts, start = [0], ordered[0]
    for i, value in enumerate(ordered):
        if value > start * (1 + _SAME):
            starts.append(i)
            start = value
    return ordered[np.array([*starts[1:], len(ordered)]) - 1]


def _cut(recipe: str, runs: pd.DataFrame, cuts: Sequence[float] | None) -> tuple[list[Fold], str]:
    flops = runs["flops"].to_numpy(float)
    usable, why = [], "all runs are of one compute"
    for level in levels(flops):
        if level < flops.max():
            why = undetermined(runs[flops <= level])
            if not why:
                usable.append(float(level))
    if cuts is None:
        scored = _spread(_enough(usable, flops), MOST_CUTS)
    else:
        # The last level up to a cut is where the fitted runs end; runs may exceed a nominal compute a bit.
        below = [[level for level in usable if level <= cut * (1 + _SAME)] for cut in cuts]
        scored = [levels_below[-1] for levels_below in below if levels_below]
    if not scored:
        return (
            [],
            why or f"no level of compute that determines the law lies up to {min(cuts or [0.0]):g} FLOP",
        )
    learning = [
        level
        for level in usable
        if np.log10(level / flops.min()) >= DECADES_LEARNING
        and (flops <= level).sum() >= LEAST_FITTED
        and level * BEYOND < flops.max()
    ]
    every = sorted({*scored, *_spread(learning, LEARNING_CUTS)})
    return [_fold(recipe, runs, cut, scored=cut in scored) for cut in every], ""


def _enough(cuts: list[float], flops: np.ndarray) -> list[float]:
    """Keep the cuts with as much on either side as one wants; if there are none, as many as there are."""
    wanted = [
        cut
        for cut in cuts
        if np.log10(flops.max() / cut) >= DECADES_PREDICTED
        and np.log10(cut / flops.min()) >= DECADES_FITTED
        and (flops <= cut).sum() >= LEAST_FITTED
    ]
    return wanted or cuts


def _spread(cuts: list[float], most: int) -> list[float]:
    """Keep some cuts, as evenly spaced in log compute as they come."""
    if len(cuts) <= most:
        return cuts
    logs = np.log(cuts)
    nearest = {int(abs(logs - at).argmin()) for at in np.linspace(logs[0], logs[-1], most)}
    return [cuts[i] for i in sorted(nearest)]


def _fold(recipe: str, runs: pd.DataFrame, cut: float, *, scored: bool) -> Fold:
    below = runs["flops"].to_numpy(float) <= cut
    with warnings.catch_warnings():
        # What is doubtful about the runs was said of the whole table.
        warnings.simplefilter("ignore", RunsWarning)
        fitted, predicted = (check_runs(runs[part].reset_index(drop=True)) for part in (below, ~below))
    source = runs.attrs.get("source", "runs")
    fitted.attrs["source"] = f"{source}, up to {format_flops(cut)} FLOP"
    return Fold(recipe, cut, fitted, predicted, scored)
