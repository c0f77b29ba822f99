"""How losses scatter about fitted ones: robust point estimates for the sampler's coordinates.

They change no posterior. Near the truth they make it round: see `whitened`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ROUNDS = 25
"""A fit and the noise that weighs its runs are found in turns: at most so many."""

_POWERS = np.linspace(0, 6, 25)


class NoiseEstimates(NamedTuple):
    """How far misses reach, and how that grows with the loss."""

    spread: float
    """Robust standard deviation where the loss is the typical one."""
    growth: float
    """Power of the loss with which it grows."""
    spreads: np.ndarray
    """That of each run; dims ("run",)."""

    def settled(self, before: NoiseEstimates) -> bool:
        """Whether another round would hardly change the weights of the runs."""
        return self.growth == before.growth and abs(np.log(self.spread / before.spread)) < 0.02


def noise_estimates(
    misses: np.ndarray, log_loss: np.ndarray, *, parameters: int, growing: bool
) -> NoiseEstimates:
    """Estimate the noise from what a fit misses: few runs far off must not widen it.

    Parameters
    ----------
    misses : ndarray, dims ("run",)
        Observed less fitted log losses.
    log_loss : ndarray, dims ("run",)
        Logarithm of each fitted loss over the typical one.
    parameters : int
        Of the fit, which the runs have paid for.
    growing : bool
        Whether the noise may grow with the loss.

    Returns
    -------
    NoiseEstimates
    """
    growth = _growth(misses, log_loss) if growing else 0.0
    weights = np.exp(growth * log_loss)
    share = np.sqrt(len(misses) / max(len(misses) - parameters, 1))
    # 1.4826 times the median absolute value of a Normal is its standard deviation.
    spread = max(1.4826 * float(np.median(np.abs(misses) / weights)) * share, 1e-6)
    return NoiseEstimates(spread, growth, spread * weights)


def _growth(misses: np.ndarray, log_loss: np.ndarray) -> float:
    """Find the likeliest power if the noise were Laplace, held as the priors that ship hold it.

    Left to itself, and found in turns with the fit, it would run off to where the few runs of the least loss
    are fitted exactly and no other run counts.
    """
    scaled = np.abs(misses) * np.exp(-_POWERS[:, None] * log_loss)
    costs = np.log(np.maximum(scaled.mean(axis=1), 1e-12)) + _POWERS * log_loss.mean()
    costs = len(misses) * costs + (_POWERS - 2) ** 2 / (2 * 2**2)
    return float(_POWERS[costs.argmin()])
