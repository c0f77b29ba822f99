"""What a token costs: FLOPs per parameter and token, as a function of the size, the same for every model.

Training costs k N D FLOPs. Where embeddings or attention count, k changes with the size and levels off, so
that a power of the size, which fits the runs, is wrong beyond them. Here log k goes from one level to another
along a logistic curve in log N, such as that of a model whose embeddings are counted and cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    import pandas as pd

type Array = Any
"""A float, NumPy array or xarray DataArray."""

_MIDDLES, _STEEPNESS = np.linspace(0, 1, 21), (4.0, 5.0, 6.0, 7.0, 8.0)
"""Curves that are tried: where the middle lies, from the smallest size of the runs to the largest, and how
many logits lie between these. Any less steep would level off far beyond the runs alone."""

_ROUNDING = 1e-6
"""Of log k: FLOPs in tables have some seven digits."""

_STEEPEST_FALL = -0.9
"""Of log k in log N; at -1 a larger model would cost no more a token."""

_NEWTON = 40


@dataclass(frozen=True)
class Price:
    """Training FLOPs per parameter and token, k = level exp(rise / (1 + (N / middle)^-power))."""

    level: float
    """k of the smallest models; of all of them where nothing rises."""
    rise: float = 0.0
    """By how much log k rises from the smallest models to the largest."""
    middle: float = 1.0
    """Size at which half of that is done."""
    power: float = 0.0

    def k(self, params: Array) -> Array:
        """FLOPs per parameter and token of a size."""
        return self.level * np.exp(self.rise * self._done(params))

    def drift(self, params: Array) -> Array:
        """Power of the size with which k grows there; 0 far beyond the runs."""
        done = self._done(params)
        return self.rise * self.power * done * (1 - done)

    def compute(self, params: Array, tokens: Array) -> Array:
        """Training compute k N D in FLOPs."""
        return self.k(params) * params * tokens

    def params(self, flops_per_token: Array) -> Array:
        """Size whose tokens cost so many FLOPs each: where k N is that, by Newton's method."""
        if not self.rise:
            return flops_per_token / self.level
        wanted = np.log(flops_per_token)
        log_params = wanted - np.log(self.k(flops_per_token / self.level))
        for _ in range(_NEWTON):
            size = np.exp(log_params)
            step = (log_params + np.log(self.k(size)) - wanted) / (1 + self.drift(size))
            log_params = log_params - step
            if np.all(np.abs(step) < 1e-14 * (1 + np.abs(log_params))):
                break
        return np.exp(log_params)

    def _done(self, params: Array) -> Array:
        """Share of the rise that a size has behind it."""
        # Of numbers far out the power would overflow, and the share is 0 or 1.
        logits = self.power * (np.log(params) - np.log(self.middle))
        return 1 / (1 + np.exp(-np.clip(logits, -700, 700)))


def price_of(constant: xr.Dataset) -> Price:
    """Read off the runs what a token costs at a size, and beyond them.

    Parameters
    ----------
    constant : Dataset, dims run
        params, tokens and flops; recipe where there is one.

    Returns
    -------
    Price
        Of runs whose flops / (params tokens) is one number that number; of others a curve fitted to its
        logarithm by least squares, which has levelled off soon beyond the largest and smallest of them. Runs
        of 6 N D among runs with FLOPs of their own are taken to have none, and recipes to differ in level
        alone.
    """
    log_params, log_tokens, log_flops = (
        np.log(constant[name].to_numpy()) for name in ("params", "tokens", "flops")
    )
    log_k = log_flops - log_params - log_tokens
    stated = np.abs(log_k - np.log(6)) > _ROUNDING
    own = stated if stated.any() else ~stated
    recipe = constant["recipe"].to_numpy().astype(str) if "recipe" in constant else np.full(len(log_k), "")
    log_params, log_k, recipe = log_params[own], log_k[own], recipe[own]
    within = _centred(log_k, recipe)
    low, spread = log_params.min(), np.ptp(log_params)
    if np.abs(within).max() < _ROUNDING or spread < _ROUNDING:
        return Price(float(np.exp(log_k.mean())) if stated.any() else 6.0)
    best, found = np.inf, Price(float(np.exp(log_k.mean())))
    for middle in low + _MIDDLES * spread:
        for steepness in _STEEPNESS:
            power = steepness / spread
            done = 1 / (1 + np.exp(-power * (log_params - middle)))
            shape = _centred(done, recipe)
            rise = max((shape @ within) / (shape @ shape), 4 * _STEEPEST_FALL / power)
            missed = ((within - rise * shape) ** 2).sum()
            if missed < best:
                level = np.exp(log_k.mean() - rise * done.mean())
                best, found = missed, Price(float(level), float(rise), float(np.exp(middle)), float(power))
    return found


def price_of_runs(runs: pd.DataFrame) -> Price:
    """Read off a table of runs what a token costs, as `price_of` does of a fit's."""
    columns = [name for name in ("params", "tokens", "flops", "recipe") if name in runs]
    return price_of(xr.Dataset({name: ("run", runs[name].to_numpy()) for name in columns}))


def _centred(values: np.ndarray, recipe: np.ndarray) -> np.ndarray:
    """Subtract from the values of each recipe their mean."""
    _, number = np.unique(recipe, return_inverse=True)
    return np.asarray(values - (np.bincount(number, values) / np.bincount(number))[number])
