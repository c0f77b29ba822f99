"""What each IsoFLOP profile, and each recipe, says by itself: point estimates for the sampler's coordinates.

They change no posterior. Near the truth they make it round: see `whitened`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from bayes_scaling.laws import isoflop
from bayes_scaling.models.noise_estimates import ROUNDS, NoiseEstimates, noise_estimates
from bayes_scaling.models.whitened import UNKNOWN

LEVELS = ("log_params_min", "log_loss_min", "log_kappa")
"""What each profile has of its own, relative to the typical best size and the typical loss of its recipe."""

_REACH = np.array([[15.0], [3.0], [12.0]])
"""Farther from the typical than this, in logarithms, a profile is a cusp about one run: it says nothing."""

_SKEW = -1.05
"""Where the search for log alpha and log beta starts, and is held if the profiles say nothing of them …"""
_SKEW_SD = 0.5
"""… give or take this."""


_IRREDUCIBLE_SD = 1.0
"""The same of the logit of the irreducible share, about 0."""


class ProfileEstimates(NamedTuple):
    """Estimates of the profiles of one recipe, and the errors that they have by their own runs."""

    levels: np.ndarray
    """Of `LEVELS`; dims ("level", "profile"); 0 where a profile has no minimum of its own."""
    errors: np.ndarray
    """Given the skew; dims ("level", "profile"); `UNKNOWN` there."""
    slopes: np.ndarray
    """By how much the estimates move with alpha and beta; dims ("level", "profile", "exponent"). As far as
    runs leave these open, estimates move nearly in proportion to them, and not to their logarithms."""
    skew: np.ndarray
    """log alpha and log beta; empty of parabolas."""
    skew_errors: np.ndarray
    """Of `skew`."""
    spread: float
    """Robust standard deviation of the log losses about profiles of the typical loss; NaN if unknown."""
    growth: float
    """Power of the loss with which it grows."""
    spare: int
    """Runs beyond those that the profiles' parameters use up."""


def profile_estimates(
    log_params: np.ndarray,
    log_loss: np.ndarray,
    profile: np.ndarray,
    profiles: int,
    *,
    skewed: bool,
    growing: bool,
) -> ProfileEstimates:
    """Fit the profiles of one recipe by least squares, each with a minimum of its own, all with one skew.

    Parameters
    ----------
    log_params, log_loss : ndarray, dims ("run",)
        Logarithms of size and loss over the typical ones.
    profile : ndarray of int, dims ("run",)
        Which profile each run is of.
    profiles : int
        How many there are.
    skewed : bool
        Slices through a Chinchilla law instead of parabolas.
    growing : bool
        Whether the noise may grow with the loss.

    Returns
    -------
    ProfileEstimates
    """
    levels, errors = np.zeros((3, profiles)), np.full((3, profiles), UNKNOWN)
    nothing = np.full(2 if skewed else 0, _SKEW)
    slopes = np.zeros((3, profiles, len(nothing)))
    start = {i: _vertex(log_params[profile == i], log_loss[profile == i]) for i in range(profiles)}
    known = [i for i in range(profiles) if start[i] is not None]
    rows = np.isin(profile, known)
    spare = int(rows.sum()) - 3 * len(known)
    if spare < 1:
        return ProfileEstimates(
            levels, errors, slopes, nothing, np.full(len(nothing), UNKNOWN), np.nan, 0.0, 0
        )
    x, y, index = log_params[rows], log_loss[rows], np.searchsorted(known, profile[rows])
    point = np.concatenate([np.array([start[i] for i in known], dtype=float).T.ravel(), nothing])

    def misses(point: np.ndarray) -> np.ndarray:
        at, least, log_kappa = point[: 3 * len(known)].reshape(3, -1)[:, index]
        skew = dict(zip(("alpha", "beta"), np.exp(point[3 * len(known) :]), strict=True)) if skewed else {}
        with np.errstate(over="ignore"):
            rise = isoflop.rise(np.clip(x - at, -50, 50), **skew)
            return y - least - np.log1p(np.minimum(np.exp(log_kappa) * np.maximum(rise, 0), 1e100))

    def scaled(point: np.ndarray, spreads: np.ndarray) -> np.ndarray:
        held = (point[3 * len(known) :] - _SKEW) / _SKEW_SD
        return np.concatenate([misses(point) / spreads, held])

    def noise_about(point: np.ndarray) -> NoiseEstimates:
        away = misses(point)
        return noise_estimates(away, y - away, parameters=3 * len(known), growing=growing)

    noise = noise_about(point)
    for _ in range(ROUNDS):
        before = noise
        found = least_squares(
            scaled, point, loss="soft_l1", x_scale="jac", max_nfev=200, args=(noise.spreads,)
        )
        point = found.x
        noise = noise_about(point)
        if noise.settled(before):
            break
    for i, number in enumerate(known):
        own = found.jac[:, [i, i + len(known), i + 2 * len(known)]]
        inverse = np.linalg.pinv(own)
        levels[:, number] = point[: 3 * len(known)].reshape(3, -1)[:, i]
        errors[:, number] = np.sqrt(np.diag(inverse @ inverse.T))
        slopes[:, number] = -inverse @ found.jac[:, 3 * len(known) :] * np.exp(-point[3 * len(known) :])
    skew_errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)))[3 * len(known) :]
    lost = ~(np.abs(levels) < _REACH).all(axis=0) | (errors > 10).any(axis=0)
    levels[:, lost], errors[:, lost], slopes[:, lost] = 0, UNKNOWN, 0
    errors, skew = np.clip(errors, 1e-6, UNKNOWN), point[3 * len(known) :]
    return ProfileEstimates(levels, errors, slopes, skew, skew_errors, noise.spread, noise.growth, spare)


def recipe_estimates(found: ProfileEstimates, log_compute: np.ndarray) -> dict[str, tuple[float, float]]:
    """Estimate the parameters of one recipe from its profiles, each on the scale on which recipes scatter.

    Parameters
    ----------
    found : ProfileEstimates
        Of its profiles.
    log_compute : ndarray, dims ("profile",)
        Logarithm of each profile's compute over the recipe's typical one.

    Returns
    -------
    dict of str to (float, float)
        Estimate and error of what the profiles determine.
    """
    estimates: dict[str, tuple[float, float]] = {}
    for level, names in ((0, ("params_ratio", "a")), (2, ("kappa", "kappa_slope"))):
        line = _line(log_compute, found.levels[level], found.errors[level])
        if line is not None:
            estimates |= {name: (line[0][i], line[1][i]) for i, name in enumerate(names)}
    estimates |= _frontier(log_compute, found.levels[1], found.errors[1])
    if np.isfinite(found.spread):
        # That of the logarithm of a standard deviation; heavy tails take their share.
        estimates["sigma"] = float(np.log(found.spread)), 1.5 / np.sqrt(found.spare)
        estimates["sigma_growth"] = found.growth, 5 / np.sqrt(found.spare)
    skew = zip(("alpha", "beta"), found.skew, found.skew_errors, strict=False)
    return estimates | {name: (float(value), float(error)) for name, value, error in skew}


def _line(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Weighted straight line: values at zero and slope, with errors that hold the points' scatter."""
    kept = error < UNKNOWN
    x, y, error = x[kept], y[kept], error[kept]
    if len(np.unique(x.round(6))) < 3:
        return None
    powers, scatter = np.stack([np.ones_like(x), x], axis=1), 0.0
    for _ in range(3):
        weights = 1 / (error**2 + scatter**2 + 1e-12)
        covariance = np.linalg.inv(powers.T @ (weights[:, None] * powers))
        line = covariance @ (powers.T @ (weights * y))
        away = y - powers @ line
        scatter = noise_estimates(away, np.zeros_like(away), parameters=2, growing=False).spread
    return line, np.sqrt(np.diag(covariance))


def _frontier(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> dict[str, tuple[float, float]]:
    """Estimate the frontier of the least losses, log y = log loss_ratio + log_frontier(x), likewise."""
    line = _line(x, y, error)
    if line is None or line[0][1] >= 0:
        return {}
    (level, slope), (level_error, slope_error) = line
    estimates = {"loss_ratio": (level, level_error), "loss_slope": (np.log(-slope), slope_error / -slope)}
    kept = error < UNKNOWN
    x, y, error = x[kept], y[kept], error[kept]

    def misses(point: np.ndarray) -> np.ndarray:
        irreducible = 1 / (1 + np.exp(-point[2]))
        gamma = np.exp(point[1]) / (1 - irreducible)
        return y - point[0] - isoflop.log_frontier(x, irreducible=irreducible, gamma=gamma)

    point, spreads = np.array([level, np.log(-slope), 0.0]), error
    for _ in range(3):
        found = least_squares(
            lambda point, spreads: np.append(misses(point) / spreads, point[2] / _IRREDUCIBLE_SD),
            point,
            x_scale="jac",
            args=(spreads,),
        )
        point, away = found.x, misses(found.x)
        scatter = noise_estimates(away, np.zeros_like(away), parameters=3, growing=False).spread
        spreads = np.sqrt(error**2 + scatter**2)
    by_runs = found.jac[:-1]
    errors = np.sqrt(np.diag(np.linalg.pinv(by_runs.T @ by_runs)))
    if len(x) > 3 and errors[2] < 2 * _IRREDUCIBLE_SD:
        names = ("loss_ratio", "loss_slope", "irreducible")
        estimates |= {name: (float(point[i]), float(errors[i])) for i, name in enumerate(names)}
    return estimates


def _vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float] | None:
    """Position, height and log curvature of a parabola's minimum; None if there is none."""
    if len(np.unique(x.round(6))) < 3:
        return None
    powers = np.stack([np.ones_like(x), x, x**2], axis=1)
    level, slope, square = np.linalg.lstsq(powers, y)[0]
    if square <= 0:
        return None
    at = -slope / (2 * square)
    return at, level - square * at**2, np.log(square)
