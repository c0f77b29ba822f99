"""Bootstraps of the point estimators: which rows each resample holds, and estimating many at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.executor import Task, run_tasks

type Estimator = Callable[[np.ndarray], xr.Dataset]
"""From weights, dims ("resample", "row"), to estimates with the dim resample, NaN where there is none."""

SCHEMES = ("bootstrap", "subsample")
SUBSAMPLE = 0.8
"""Share of the units in a subsample: Hoffmann et al. 2022 take 100 subsamples of 80 %."""

_MOST_AT_ONCE, _CELLS_AT_ONCE = 50, 1_000_000
"""Resamples estimated together, and their weights: few enough to stay in a core's cache, and in memory."""


def bootstrap(
    estimator: Estimator,
    clusters: np.ndarray,
    *,
    resamples: int = 1000,
    scheme: str = "bootstrap",
    seed: int = 0,
    workers: int = 1,
    scheduler: str | None = None,
    what: str = "bootstrap",
    progress: bool = False,
) -> xr.Dataset:
    """Estimate on resampled rows.

    Parameters
    ----------
    estimator : callable
        From weights, dims ("resample", "row"), to a Dataset with the dim resample.
    clusters : ndarray, dims ("row",)
        Which training run each row belongs to: rows of one run are drawn together.
    resamples : int
        Resamples to draw.
    scheme : {"bootstrap", "subsample"}
        "bootstrap": as many training runs as there are, with replacement. "subsample": 80 % of them, without.
    seed : int
        Seed of the resamples: the same seed gives the same ones, on any number of workers.
    workers : int
        Threads that estimate at the same time.
    scheduler : str, optional
        Address of a dask.distributed scheduler, whose workers are used instead.
    what : str
        What the progress bar says.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Dataset, dims resample and the estimator's own

    Raises
    ------
    InputError
        If an option is unknown or out of range, or no scheduler answers.
    """
    check_resampling(resamples=resamples, scheme=scheme, seed=seed, workers=workers)
    units = np.unique(clusters, return_inverse=True)[1]
    # Its size must not depend on the workers: it decides which resamples share a stream of random numbers.
    chunk = int(np.clip(_CELLS_AT_ONCE // len(units), 1, _MOST_AT_ONCE))

    def estimate(task: Task) -> xr.Dataset:
        start = task["start"]
        rng = np.random.default_rng([seed, start])
        return estimator(resampling_weights(units, min(chunk, resamples - start), scheme, rng))

    # Threads: a process of its own would import for longer than a thousand resamples take.
    parts = run_tasks(
        estimate,
        [{"key": f"resamples from {start}", "start": start} for start in range(0, resamples, chunk)],
        workers=workers,
        threads=True,
        scheduler=scheduler,
        what=what,
        progress=progress,
    )
    return xr.concat(parts, "resample")


def check_resampling(*, resamples: int, scheme: str, seed: int, workers: int) -> None:
    """Refuse options of `bootstrap` that are unknown or out of range.

    Raises
    ------
    InputError
        With the option, its value and the rule.
    """
    if scheme not in SCHEMES:
        raise InputError(f"scheme: {scheme!r} is unknown{did_you_mean(scheme, SCHEMES)}")
    for name, value, least in (("resamples", resamples, 1), ("workers", workers, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, not {value}")


def resampling_weights(
    units: np.ndarray, resamples: int, scheme: str, rng: np.random.Generator
) -> np.ndarray:
    """Draw how often each row is in each resample.

    Parameters
    ----------
    units : ndarray of int, dims ("row",)
        Which unit, from 0 up, each row belongs to.
    resamples : int
        Resamples to draw.
    scheme : {"bootstrap", "subsample"}
        As for `bootstrap`.
    rng : Generator
        Where the draws come from.

    Returns
    -------
    ndarray of float, dims ("resample", "row")
        Counts.
    """
    count = int(units.max()) + 1
    if scheme == "bootstrap":
        counts = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)
    else:
        rank = rng.random((resamples, count)).argsort(axis=1).argsort(axis=1)
        counts = (rank < max(1, round(SUBSAMPLE * count))).astype(float)
    return counts[:, units]
