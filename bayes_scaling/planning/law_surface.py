"""The surface of the Chinchilla law, for every draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.laws import chinchilla, inverse, lifetime
from bayes_scaling.planning.price import Price

type Array = np.ndarray[Any, Any]

_OPTIMUM, _CHEAPEST = 16, 3
"""Steps after which a size has all its digits, and after which its cost has ten, being flat there."""


@dataclass(frozen=True)
class LawSurface:
    """The surface of the Chinchilla law: in closed form where k is one number.

    Where k grows with the size, it is about a size a power of it. In k N in place of N the law is then a
    Chinchilla law again, with other A and alpha, whose closed forms hold: they are asked about the size that
    they gave, until it stays.
    """

    law: dict[str, Array]
    """E, A, B, alpha and beta; dims ("draw",)."""
    price: Price

    def optimum(self, compute: Any) -> tuple[Array, Array, Array]:
        """As `Surface.optimum`."""
        params, tokens, loss = chinchilla.optimum(compute, **self.law, flops_per_param_token=self.price.level)
        if self.price.rise:
            for _ in range(_OPTIMUM):
                near, size = self._near(params)
                params = size(chinchilla.optimum(compute, **near, flops_per_param_token=1.0)[0])
            tokens = compute / self.price.compute(params, 1.0)
            loss = self.loss(params, tokens)
        return params, tokens, loss

    def loss(self, params: Any, tokens: Any) -> Array:
        """As `Surface.loss`."""
        return chinchilla.loss(params, tokens, **self.law)

    def compute(self, params: Any, tokens: Any) -> Any:
        """As `Surface.compute`."""
        return self.price.compute(params, tokens)

    def params(self, tokens: Any, compute: Any) -> Any:
        """As `Surface.params`."""
        return self.price.params(compute / tokens)

    def regret(self, params: Any, tokens: Any) -> Array:
        """As `Surface.regret`."""
        if self.price.rise:
            return 1 - self.least_compute(self.loss(params, tokens)) / self.compute(params, tokens)
        # In logarithms, and by the best size alone: a plan asks this of millions of sizes and draws.
        A, B, alpha, beta = (self.law[name] for name in ("A", "B", "alpha", "beta"))
        a, _ = chinchilla.exponents(alpha, beta)
        log_product = np.log(np.multiply(params, tokens))
        log_ratio = np.log(params) - inverse.log_balance(A, B, alpha, beta) - a * log_product
        return chinchilla.regret_at_log(log_ratio, alpha=alpha, beta=beta)

    def least_compute(self, loss: Any) -> Array:
        """As `Surface.least_compute`."""
        return self.least_lifetime_compute(loss, 0.0)

    def least_lifetime_compute(self, loss: Any, served: float) -> Array:
        """As `Surface.least_lifetime_compute`."""
        if not self.price.rise:
            return lifetime.least_lifetime_compute(
                loss, served, **self.law, flops_per_param_token=self.price.level
            )
        params, tokens, _ = lifetime.cheapest_run(loss, served, **self.law)
        for _ in range(_CHEAPEST):
            near, size = self._near(params)
            product, tokens, _ = lifetime.cheapest_run(loss, served, **near, flops_per_param_token=1.0)
            params = size(product)
        # A run that has the loss, whatever the last step was short of: only its cost is not quite the least.
        return np.asarray(self.compute(params, tokens + served * lifetime.INFERENCE_SHARE))

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """As `Surface.tokens_to_reach`."""
        return inverse.tokens_to_reach(loss, params, **self.law)

    def params_of_tokens(self, tokens: Any) -> Array:
        """As `Surface.params_of_tokens`."""
        found = inverse.params_of_tokens(tokens, **{n: v for n, v in self.law.items() if n != "E"})
        if self.price.rise:
            for _ in range(_OPTIMUM):
                near, size = self._near(found)
                del near["E"]
                found = size(inverse.params_of_tokens(tokens, **near))
        return found

    def at_draws(self, which: Array) -> LawSurface:
        """As `Surface.at_draws`."""
        return replace(self, law={name: values[which] for name, values in self.law.items()})

    def _near(self, params: Array) -> tuple[dict[str, Array], Callable[[Array], Array]]:
        """Give the law in k N as it is about a size, and what turns k N back into a size."""
        # Beyond floats there is no k.
        params = np.clip(params, 1e-300, 1e300)
        growth = 1 + self.price.drift(params)
        log_scale = np.log(self.price.k(params)) - (growth - 1) * np.log(params)
        alpha = self.law["alpha"] / growth
        A = np.exp(np.log(self.law["A"]) + log_scale * alpha)
        return (
            {**self.law, "A": A, "alpha": alpha},
            lambda product: np.exp((np.log(product) - log_scale) / growth),
        )


def optima_of_laws(laws: xr.Dataset, compute: xr.DataArray, price: Price) -> xr.Dataset:
    """Work out the optima of Chinchilla laws that are not a fit's, at the k of each size.

    Parameters
    ----------
    laws : Dataset
        E, A, B, alpha and beta, of any dims.
    compute : DataArray, dims compute
        Budgets in FLOPs.
    price : Price
        What a token costs.

    Returns
    -------
    Dataset
        params_opt, tokens_opt, tokens_per_param and loss_opt, with the dim compute too; NaN of laws that are.
    """
    law: dict[str, Any] = {name: laws[name] for name in ("E", "A", "B", "alpha", "beta")}
    with np.errstate(invalid="ignore"):
        params, tokens, loss = LawSurface(law, price).optimum(compute)
    found = {"params_opt": params, "tokens_opt": tokens, "tokens_per_param": tokens / params}
    return xr.Dataset({**found, "loss_opt": loss})
