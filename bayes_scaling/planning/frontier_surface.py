"""The surface of an IsoFLOP model: its frontier, and about it the profiles, for every draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.laws import frontier, isoflop
from bayes_scaling.laws.lifetime import INFERENCE_SHARE
from bayes_scaling.planning.crossing import first_crossing, golden_section
from bayes_scaling.planning.price import Price

type Array = np.ndarray[Any, Any]

_RUNGS = 25
"""Steps in log compute in which a size's own compute to a loss is sought, up to 10^36 times the least."""

_NEWTON, _GOLDEN = 7, 32
"""Steps after which each search below has its answer to some ten digits."""

_PRICES = 8
"""Steps after which a size that costs what it should has all its digits."""

_BY_DRAW = ("params_coefficient", "a", "E", "loss_coefficient", "gamma", "log_kappa", "kappa_slope")


@dataclass(frozen=True)
class FrontierSurface:
    """The surface of an IsoFLOP model: the line of its minima, or one more budget scattered about it.

    Far from the frontier its profiles are extrapolated. At one size a parabola's loss rises again once the
    tokens are far too many for it; the first crossing of a loss is the one that counts.
    """

    params_coefficient: Array
    a: Array
    E: Array
    loss_coefficient: Array
    gamma: Array
    log_kappa: Array
    kappa_slope: Array
    """Dims ("draw",), as are those above."""
    skew: dict[str, Any]
    """alpha and beta, dims ("draw",); of a parabola neither."""
    price: Price
    typical_compute: float
    """Where the curvature is kappa, in FLOPs."""

    def optimum(self, compute: Any) -> tuple[Array, Array, Array]:
        """As `Surface.optimum`."""
        params = self._params_opt(compute)
        return params, compute / self.price.compute(params, 1.0), self._least_loss(compute)

    def loss(self, params: Any, tokens: Any) -> Array:
        """As `Surface.loss`."""
        return self._loss_at(params, self.compute(params, tokens))

    def compute(self, params: Any, tokens: Any) -> Any:
        """As `Surface.compute`."""
        return self.price.compute(params, tokens)

    def params(self, tokens: Any, compute: Any) -> Any:
        """As `Surface.params`."""
        return self.price.params(compute / tokens)

    def regret(self, params: Any, tokens: Any) -> Array:
        """As `Surface.regret`."""
        compute = self.compute(params, tokens)
        least = self._least_loss(compute)
        kappa = np.exp(self.log_kappa + self.kappa_slope * np.log(compute / self.typical_compute))
        rise = isoflop.rise(np.log(params / self._params_opt(compute)), **self.skew)
        # What the loss lies above the frontier, over what the frontier lies above the irreducible loss.
        return -np.expm1(-np.log1p(kappa * rise * least / (least - self.E)) / self.gamma)

    def least_compute(self, loss: Any) -> Array:
        """As `Surface.least_compute`."""
        return frontier.least_compute(
            loss, E=self.E, loss_coefficient=self.loss_coefficient, gamma=self.gamma
        )

    def params_of_tokens(self, tokens: Any) -> Array:
        """As `Surface.params_of_tokens`."""
        # C is a power of N_opt, and so is D_opt = C / (k N_opt) but for k, which is that of the answer.
        power = 1 / self.a - 1
        log_start = np.log(tokens) + np.log(self.params_coefficient) / self.a
        found = np.exp((log_start + np.log(self.price.level)) / power)
        for _ in range(_PRICES if self.price.rise else 0):
            gap = log_start + np.log(self.price.k(found)) - power * np.log(found)
            found = found * np.exp(gap / (power - self.price.drift(found)))
        return found

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """Search up from the least compute to the loss: first on a ladder, then by secants."""
        params = np.asarray(params, dtype=float)
        start = np.log(self.least_compute(loss))
        none = ~np.isfinite(start)
        start = np.where(none, 0.0, start)

        def gap(log_compute: Array) -> Array:
            return np.asarray(self._loss_at(params, np.exp(log_compute)) - loss)

        low = np.broadcast_to(start, np.broadcast_shapes(params.shape, start.shape))
        log_compute, found = first_crossing(gap, low, rungs=_RUNGS)
        tokens = np.exp(log_compute) / self.price.compute(params, 1.0)
        return np.where(found & ~none, tokens, np.inf)

    def at_draws(self, which: Array) -> FrontierSurface:
        """As `Surface.at_draws`."""
        own = {name: getattr(self, name)[which] for name in _BY_DRAW}
        return replace(self, **own, skew={name: values[which] for name, values in self.skew.items()})

    def least_lifetime_compute(self, loss: Any, served: float) -> Array:
        """Search the computes at which the size left of the optimum has the loss for the cheapest lifetime.

        None is cheaper than the least compute to the loss, nor dearer than the lifetime of the run there.
        """
        if not served:
            return self.least_compute(loss)
        least = self.least_compute(loss)
        none = ~np.isfinite(least)
        # Some number to search about where there is none, and one with a logarithm.
        least = np.maximum(np.where(none, 1.0, least), 1e-300)
        # Without digits to spare a loss may lie a rounding below its own frontier.
        most = least + self._serving(self._params_opt(least), served)

        def cost(log_compute: Array) -> Array:
            compute = np.exp(log_compute)
            rise = loss / self._least_loss(compute) - 1
            kappa = np.exp(self.log_kappa + self.kappa_slope * (log_compute - np.log(self.typical_compute)))
            log_ratio = -self._below(np.maximum(rise, 0.0) / kappa)
            return compute + self._serving(self._params_opt(compute) * np.exp(log_ratio), served)

        best = cost(golden_section(cost, np.log(least), np.log(most), steps=_GOLDEN))
        return np.where(none, np.inf, best)

    def _serving(self, params: Any, served: float) -> Any:
        return self.compute(params, served * INFERENCE_SHARE)

    def _below(self, rise: Array) -> Array:
        """How far below the best size, in log N, a profile has risen by so much, by Newton's method."""
        if not self.skew:
            return np.sqrt(rise)
        alpha, beta = self.skew["alpha"], self.skew["beta"]
        log_a, log_b = np.log(beta / (alpha + beta)), np.log(alpha / (alpha + beta))
        wanted = np.log1p(alpha * beta / 2 * rise)
        # From either start Newton's first step lands above the root, and stays there.
        root = np.minimum((wanted - log_a) / alpha, np.sqrt(rise))
        for _ in range(_NEWTON):
            size, data = np.exp(log_a + alpha * root - wanted), np.exp(log_b - beta * root - wanted)
            slope = alpha * size - beta * data
            # At the very bottom of the profile the slope vanishes with the gap.
            root = root - np.log(size + data) * (size + data) / np.where(slope > 0, slope, np.inf)
        return np.maximum(root, 0.0)

    def _params_opt(self, compute: Any) -> Array:
        return np.exp(np.log(self.params_coefficient) + self.a * np.log(compute))

    def _least_loss(self, compute: Any) -> Array:
        return frontier.least_loss(
            compute, E=self.E, loss_coefficient=self.loss_coefficient, gamma=self.gamma
        )

    def _loss_at(self, params: Any, compute: Any) -> Array:
        return frontier.profile_loss(
            np.log(params / self._params_opt(compute)),
            np.log(compute / self.typical_compute),
            loss_opt=self._least_loss(compute),
            log_kappa=self.log_kappa,
            kappa_slope=self.kappa_slope,
            **self.skew,
        )
