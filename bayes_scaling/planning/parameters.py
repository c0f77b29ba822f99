"""The parameters of a fit as a table: the law, its exponents in compute, and the noise."""

from __future__ import annotations

import xarray as xr

from bayes_scaling.intervals import PROB, interval
from bayes_scaling.laws import chinchilla

_LAW = ("E", "A", "B", "alpha", "beta")
_NOISE = ("sigma", "nu", "sigma_growth")


def parameters(fit: xr.DataTree, *, prob: float = PROB) -> xr.Dataset:
    """Summarise the posterior of every parameter that has a name in the field.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`; converged or not: its verdict stands beside this table.
    prob : float
        Probability inside the interval.

    Returns
    -------
    Dataset, dims statistic
        E, A, B, alpha, beta, the exponents a and b of N_opt and D_opt in compute, and the noise's
        sigma and, where the model has them, nu and sigma_growth.

    Raises
    ------
    InputError
        If `prob` is not between 0 and 1.
    """
    posterior = fit["posterior"].dataset
    a, b = chinchilla.exponents(posterior["alpha"], posterior["beta"])
    noise = [name for name in _NOISE if name in posterior]
    return interval(posterior[[*_LAW]].assign(a=a, b=b).assign(posterior[noise].data_vars), prob)
