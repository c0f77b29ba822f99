"""Is something left in the losses that the model could have said: a test of deviations added to it.

To the law, or to the noise's scale, a deviation gamma h(x) is added in thought, in logarithms, with h smooth
in one property of the runs. Where gamma = 0 is right, the derivative of the log marginal density of all
losses by gamma, with the parameters integrated out, has mean zero and a known variance:

    S = E[sum_i h_i s_i]      V = E[sum_i h_i I_i h_i'] - Var[sum_i h_i I_i eta_i]

with s_i the derivative of one loss's log density by its logarithm eta_i (of the law, or of the scale), I_i
the expected square of s_i, and means and variance over the posterior. So S' V^-1 S is about chi-squared: the
score test of the marginal model, V by Louis 1982 (JRSS B 44) with the model's own expectations. The data are
used twice, once to fit and once to test, and V accounts for it: what the parameters can soak up of h is taken
out of it, as it is of S. The posterior predictive p-value of the same statistic takes no account of that, and
hardly ever fails (Robins et al. 2000, JASA 95).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from bayes_scaling.models.noise_scores import Score

DEGREE = 4
"""Of the polynomial in the logarithm of a property that a deviation of the law may be."""

LEAST_SHARE = 0.15
"""Where the parameters soak up all but this share of a direction, it is not tested: V would be noise."""


class Evidence(NamedTuple):
    """What a test of any deviation needs of the losses."""

    mean: np.ndarray
    """Posterior mean of each loss's score; dims ("run",)."""
    information: np.ndarray
    """Posterior mean of the expected square of it; dims ("run",)."""
    response: np.ndarray
    """Information times what the draws differ by in the logarithm that deviates; dims ("draw", "run")."""


class Deviation(NamedTuple):
    """A deviation from a model along one property of the runs."""

    p_value: float
    """NaN where nothing could be tested."""
    directions: int
    """Degrees of freedom: how many shapes of deviation were tested together."""
    size: np.ndarray
    """What of it is left at each run beside what the parameters have soaked up, smoothed along the basis, in
    the unit of the logarithm; dims ("run",)."""


def evidence(score: Score) -> Evidence:
    """Collect what the tests of deviations share.

    Parameters
    ----------
    score : Score
        By the logarithm that deviates: of the law's loss, or of the noise's scale.

    Returns
    -------
    Evidence
    """
    information, at = (_by_run(each, score.value) for each in (score.information, score.at))
    return Evidence(
        _by_run(score.value, score.value).mean(axis=0),
        information.mean(axis=0),
        information * (at - at.mean(axis=0)),
    )


def smooth_basis(values: np.ndarray, degree: int, rows: np.ndarray) -> np.ndarray:
    """Polynomials without a constant in the logarithm of a property.

    Parameters
    ----------
    values : ndarray, dims ("run",)
        The property, such as compute.
    degree : int
        The highest power.
    rows : ndarray of bool, dims ("run",)
        Which runs deviate; the others have zeros.

    Returns
    -------
    ndarray, dims ("run", "power")
        As many powers as the runs have distinct values for, less one.
    """
    logs = np.log(values[rows])
    spread = np.ptp(logs)
    powers = min(degree, len(np.unique(np.round(logs, 6))) - 1)
    basis = np.zeros((len(values), max(powers, 0)))
    if spread > 0 and powers > 0:
        basis[rows] = np.polynomial.legendre.legvander(2 * (logs - logs.min()) / spread - 1, powers)[:, 1:]
    return basis


def deviation_test(found: Evidence, basis: np.ndarray) -> Deviation:
    """Test whether a deviation along a basis would make the losses more probable.

    Parameters
    ----------
    found : Evidence
        From `evidence`.
    basis : ndarray, dims ("run", "direction")
        Shapes of the deviation.

    Returns
    -------
    Deviation
    """
    rows = np.flatnonzero(basis.any(axis=1))
    directions = _orthonormal(basis[rows], found.information[rows])
    size = np.zeros(len(basis))
    if not directions.shape[1]:
        return Deviation(np.nan, 0, size)
    mean = found.mean[rows] @ directions
    soaked_up = np.atleast_2d(np.cov(found.response[:, rows] @ directions, rowvar=False))
    share, axes = np.linalg.eigh(np.eye(len(mean)) - soaked_up)
    kept = share > LEAST_SHARE
    if not kept.any():
        return Deviation(np.nan, 0, size)
    along = axes[:, kept].T @ mean
    statistic = float((along**2 / share[kept]).sum())
    size[rows] = directions @ (axes[:, kept] @ along)
    return Deviation(float(stats.chi2.sf(statistic, kept.sum())), int(kept.sum()), size)


def _by_run(values: Any, like: xr.DataArray) -> np.ndarray:
    """One value a draw and run; dims ("draw", "run")."""
    if not isinstance(values, xr.DataArray):
        values = xr.full_like(like, values)
    array = values.broadcast_like(like).transpose("chain", "draw", "run").to_numpy()
    return array.reshape(-1, array.shape[2])


def _orthonormal(basis: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Combine the columns so that each has unit information and no two share any."""
    root = np.sqrt(information)[:, None]
    left, values, _ = np.linalg.svd(root * basis, full_matrices=False)
    good = values > 1e-8 * max(values.max(initial=0.0), 1e-300)
    return left[:, good] / root
