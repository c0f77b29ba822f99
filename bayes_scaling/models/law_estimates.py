"""What each recipe's runs say of a Chinchilla law by themselves: estimates for the sampler's coordinates.

They change no posterior. Near the truth they make it round: see `whitened`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from bayes_scaling.laws import chinchilla

NAMES = ("loss_ratio", "irreducible", "params_share", "alpha", "beta")
"""What is estimated, on the scales on which recipes scatter: log, logit, logit, log and log."""

_MIDDLE = np.array([0.0, 0.0, 0.0, -1.05, -1.05])
_WIDTH = np.array([0.5, 1.2, 1.8, 0.5, 0.5])
"""Where the search starts, and what holds it where runs say nothing: near the usual priors."""


def law_estimates(
    logs: Mapping[str, np.ndarray], recipe: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fit the law to each recipe's runs by robust least squares on the log loss.

    Parameters
    ----------
    logs : mapping of str to ndarray, dims ("run",)
        Logarithms of params, tokens and loss over their geometric means in the run's recipe.
    recipe : ndarray of int, dims ("run",)
        Of which recipe each run is, from 0 up.

    Returns
    -------
    dict of str to (ndarray, ndarray), dims ("recipe",)
        Estimates of `NAMES` and of sigma, and their errors.
    """
    found = [
        _one_recipe(*(logs[name][recipe == i] for name in ("params", "tokens", "loss")))
        for i in range(int(recipe.max()) + 1)
    ]
    values, errors = (np.array(each).T for each in zip(*found, strict=True))
    return {name: (values[i], errors[i]) for i, name in enumerate((*NAMES, "sigma"))}


def _one_recipe(x: np.ndarray, d: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def misses(point: np.ndarray) -> np.ndarray:
        irreducible, share = expit(point[1]), expit(point[2])
        loss = chinchilla.loss_at_logs(
            x,
            d,
            E=irreducible,
            A=(1 - irreducible) * share,
            B=(1 - irreducible) * (1 - share),
            alpha=np.exp(point[3]),
            beta=np.exp(point[4]),
        )
        return y - point[0] - np.log(loss)

    def scaled(point: np.ndarray, spread: float) -> np.ndarray:
        return np.concatenate([misses(point) / spread, (point - _MIDDLE) / _WIDTH])

    point, spread = _MIDDLE, max(float(np.std(y)) / 10, 1e-4)
    for _ in range(3):
        found = least_squares(scaled, point, loss="soft_l1", max_nfev=200, args=(spread,))
        point = found.x
        spare = max(len(y) - len(NAMES), 1)
        spread = max(1.4826 * float(np.median(np.abs(misses(point)))) * np.sqrt(len(y) / spare), 1e-5)
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    # The last is that of the logarithm of a standard deviation; heavy tails take their share.
    return np.append(point, np.log(spread)), np.append(errors, 1.5 / np.sqrt(spare))
