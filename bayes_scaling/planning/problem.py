"""What a plan is judged by: what it costs, the loss it reaches, and the compute it wastes, for every draw.

Three costs and losses in one: training alone; training and serving the model for its lifetime; and training
on unique tokens that run out, so that they are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bayes_scaling.laws import repeated
from bayes_scaling.laws.lifetime import INFERENCE_SHARE
from bayes_scaling.planning.surface import Surface

type Array = np.ndarray[Any, Any]

_BLOCK = 2**19
"""Sizes times draws that are worked on at once: some ten arrays of four megabytes."""

_NUDGE = 1e-4
"""Step in log N by which a plan is called too large; the slope there has errors of its square."""

_HALVINGS = 60

_DOUBLINGS = 60
"""Steps in log N, each as long as a size may lie above the best without repetition at first."""


@dataclass(frozen=True)
class Problem:
    """A surface of loss, with the tokens to be served and the unique tokens there are."""

    surface: Surface
    served: float = 0.0
    """Tokens of inference over the model's lifetime."""
    unique: float = np.inf
    """Unique training tokens; beyond them tokens are repeated."""
    least: Callable[[Array], Array] | None = None
    """Least cost to a loss, where more than training is paid for or limited: from `reference.prepared`."""

    @property
    def plain(self) -> bool:
        """Whether training on fresh tokens is all that is paid for."""
        return not self.served and not np.isfinite(self.unique)

    def cost(self, params: Any, tokens: Any) -> Any:
        """Lifetime compute in FLOPs: k N D for training, and k / 3 a parameter and token served."""
        return self.surface.compute(params, tokens + self.served * INFERENCE_SHARE)

    def tokens(self, params: Any, cost: Any) -> Any:
        """Training tokens that a lifetime compute leaves; below 0 where serving alone is dearer."""
        return cost / self.surface.compute(params, 1.0) - self.served * INFERENCE_SHARE

    def loss(self, params: Any, tokens: Any) -> Array:
        """Loss of a plan, repetition counted."""
        if np.isfinite(self.unique):
            params, tokens = (
                self._worth(params),
                repeated.effective(tokens, self.unique, repeated.TOKENS_DECAY),
            )
        return self.surface.loss(params, tokens)

    def least_cost(self, loss: Any) -> Array:
        """Least cost to a loss, had one known the truth: by the same tokens and limits, once prepared."""
        if self.least is not None:
            return self.least(loss)
        if not self.plain:
            raise ValueError("prepare the problem for a cost, by reference.prepared")
        return self.surface.least_compute(loss)

    def regret(self, params: Any, tokens: Any) -> Array:
        """Share of a plan's cost that the optimal plan would have saved at equal loss."""
        if self.plain and self.least is None:
            return self.surface.regret(params, tokens)
        return 1 - self.least_cost(self.loss(params, tokens)) / self.cost(params, tokens)

    def too_large(self, params: Any, tokens: Any) -> Array:
        """Whether a smaller model would have had the lower loss at the same cost."""
        cost = self.cost(params, tokens)
        larger, smaller = params * np.exp(_NUDGE), params * np.exp(-_NUDGE)
        more, left = self.tokens(smaller, cost), np.asarray(self.tokens(larger, cost))
        # Where serving the larger one alone costs more, it has no loss, and a smaller one has tokens to gain.
        none = left <= 0
        return none | (self.loss(larger, np.where(none, 1.0, left)) > self.loss(smaller, more))

    def best(self, cost: Any, halvings: int = _HALVINGS) -> tuple[Array, Array, Array]:
        """Best size, its tokens and loss at a cost for every draw, had one known the truth."""
        if self.plain:
            return self.surface.optimum(cost)
        plain, most = self.surface.optimum(cost)[0], np.log(self.largest(cost))
        high = np.minimum(np.log(plain) + 0.1, most)
        low = high - np.log(1e12)
        # Serving makes the best model smaller; repetition may make it larger, where size is worth more.
        for _ in range(_DOUBLINGS if np.isfinite(self.unique) else 0):
            size = np.exp(high)
            short = (high < most) & ~self.too_large(size, self.tokens(size, cost))
            if not short.any():
                break
            low, high = np.where(short, high, low), np.where(short, np.minimum(high + 1.0, most), high)
        for _ in range(halvings):
            middle = (low + high) / 2
            size = np.exp(middle)
            large = self.too_large(size, self.tokens(size, cost))
            low, high = np.where(large, low, middle), np.where(large, middle, high)
        params = np.exp((low + high) / 2)
        tokens = self.tokens(params, cost)
        return params, tokens, self.loss(params, tokens)

    def largest(self, cost: Any) -> Any:
        """Size that a cost can serve with next to nothing left to train it."""
        if not self.served:
            return np.full(np.shape(cost), np.inf)
        return self.surface.params(self.served * INFERENCE_SHARE, cost) * (1 - 10 * _NUDGE)

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """Training tokens to a loss, repetition counted; infinite where a size never reaches it."""
        if not np.isfinite(self.unique):
            return self.surface.tokens_to_reach(params, loss)
        fresh = self.surface.tokens_to_reach(self._worth(params), loss)
        return repeated.count_for(fresh, self.unique, repeated.TOKENS_DECAY)

    def _worth(self, params: Any) -> Array:
        return np.asarray(repeated.effective(params, self._fed, repeated.PARAMS_DECAY))

    @cached_property
    def _fed(self) -> Array:
        return self.surface.params_of_tokens(self.unique)


def blocks(sizes: Array, draws: int) -> Iterator[tuple[slice, Array]]:
    """Cut sizes into blocks that bound memory, each a column to broadcast against draws."""
    rows = max(1, _BLOCK // draws)
    for start in range(0, len(sizes), rows):
        cut = slice(start, start + rows)
        yield cut, sizes[cut, None]
