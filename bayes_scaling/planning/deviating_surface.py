"""The surface of a law that the truth leaves beyond the runs: by `planning.discrepancy`, for every draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.laws.lifetime import INFERENCE_SHARE
from bayes_scaling.planning.bends import frontier_rate
from bayes_scaling.planning.crossing import SECANTS, crossing, first_crossing, golden_section, valley
from bayes_scaling.planning.discrepancy import KEPT, decades_beyond, log_deviation
from bayes_scaling.planning.ladder import Ladder

if TYPE_CHECKING:
    from bayes_scaling.planning.surface import Surface

type Array = np.ndarray[Any, Any]

FAR = 12.0
"""Decades beyond the runs up to which a loss is sought."""

_RUNGS, _HALVES, _GOLDEN, _STEPS = 18, 12, 36, 40
"""Rungs that reach as far, and steps of the searches: a size that is small enough, the cheapest, a root."""

_SAME, _NEAR = 1e-12, 0.03
"""Shares of a loss: that rounding may make, and by which it may be lower than at the rungs beside it."""


@dataclass(frozen=True, eq=False)
class DeviatingSurface:
    """A law's surface up to the largest run, and beyond it what the draws' slopes make of that.

    Whatever has no closed form is sought along the frontier, whose loss falls all the way.
    """

    law: Surface
    largest: float
    """Compute of the largest run, in FLOPs."""
    slope: Array
    """Of the log loss, per decade; dims ("draw",)."""
    params_slope: Array
    """Of log N_opt, likewise."""
    bend: Array
    """Decades beyond the largest run up to which the slope holds, infinite if always; dims ("draw",)."""

    def optimum(self, compute: Any) -> tuple[Array, Array, Array]:
        """As `Surface.optimum`."""
        params, tokens, loss = self.law.optimum(compute)
        decades = decades_beyond(compute, self.largest)
        if not decades.any():
            return params, tokens, loss
        shift = self.params_slope * decades
        moved = params * np.exp(shift)
        tokens = np.where(shift == 0, tokens, compute / self.law.compute(moved, 1.0))
        return moved, tokens, loss * np.exp(self._log_deviation(compute, decades, loss))

    def loss(self, params: Any, tokens: Any) -> Array:
        """As `Surface.loss`."""
        return self.loss_of_runs(params, tokens, self.law.compute(params, tokens))

    def loss_of_runs(self, params: Any, tokens: Any, compute: Any) -> Array:
        """Loss of runs whose compute is known by itself, and lies so far beyond the largest run."""
        compute, decades = self._distance(compute)
        if not decades.any():
            return self.law.loss(params, tokens)
        by_law = self.law.loss(*self._run_of_law(params, tokens, decades))
        return by_law * np.exp(self._log_deviation(compute, decades))

    def compute(self, params: Any, tokens: Any) -> Any:
        """As `Surface.compute`."""
        return self.law.compute(params, tokens)

    def params(self, tokens: Any, compute: Any) -> Any:
        """As `Surface.params`."""
        return self.law.params(tokens, compute)

    def regret(self, params: Any, tokens: Any) -> Array:
        """As `Surface.regret`."""
        compute, decades = self._distance(self.law.compute(params, tokens))
        if not decades.any():
            return self.law.regret(params, tokens)
        run = self._run_of_law(params, tokens, decades)
        # A loss that no slope moves is reached by as much less compute as the law has it.
        plain = (decades == 0) | (self.slope == 0)
        if plain.all():
            return self.law.regret(*run)
        loss = self.law.loss(*run) * np.exp(self._log_deviation(compute, decades))
        least = self._least_compute(loss, max(FAR, float(decades.max())))
        # The run itself has the loss, whatever rounding says.
        found = 1 - np.minimum(least, compute) / compute
        return np.where(plain, self.law.regret(*run), found) if plain.any() else found

    def least_compute(self, loss: Any) -> Array:
        """As `Surface.least_compute`, within `FAR` decades of the runs."""
        return self._least_compute(loss, FAR)

    def least_lifetime_compute(self, loss: Any, served: float) -> Array:
        """Search the training computes, at each the smallest size that has the loss, for the cheapest."""
        least = self.least_compute(loss)
        if not served:
            return least
        by_law = self.law.least_lifetime_compute(loss, served)
        # What is as cheap within the runs is out of reach of what lies beyond them; and where nothing
        # deviates the law is right anyway.
        done = (by_law <= self.largest) | (least == np.inf) | ((self.slope == 0) & (self.params_slope == 0))
        where = np.nonzero(~done)
        if not where[-1].size:
            return np.where(least == np.inf, np.inf, by_law)
        part = self.at_draws(where[-1])
        wanted = np.broadcast_to(loss, least.shape)[where]
        found = np.where(least == np.inf, np.inf, by_law)
        found[where] = part._cheapest_lifetime(wanted, least[where], served * INFERENCE_SHARE)
        return found

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """As `Surface.tokens_to_reach`: the law's within the runs, else sought up from there."""
        tokens = np.array(self.law.tokens_to_reach(params, loss))
        # No run has the loss with less compute than the best of them.
        least = np.broadcast_to(self.least_compute(loss), tokens.shape)
        still = (self.slope == 0) & (self.params_slope == 0)
        open_yet = ~(still | (self.law.compute(params, tokens) <= self.largest))
        tokens[open_yet] = np.inf
        where = np.nonzero(open_yet & (least < np.inf))
        if not where[-1].size:
            return tokens
        part = self.at_draws(where[-1])
        size, loss = (np.broadcast_to(each, tokens.shape)[where] for each in (params, loss))
        start = np.log(np.maximum(least[where], self.largest))
        per_token = np.broadcast_to(self.law.compute(size, 1.0), size.shape)

        def gap_of(some: Array) -> Callable[[Array], Array]:
            own, sizes, wanted, cost = part.at_draws(some), size[some], loss[some], per_token[some]
            return lambda log_compute: own.loss(sizes, np.exp(log_compute) / cost) - wanted

        at, found = first_crossing(gap_of(np.arange(size.size)), start, rungs=_RUNGS)
        # Where the deviation takes more than tokens alone give, the loss falls and rises again, and a rung
        # may step over where it is low: looked for where a rung comes near it.
        missed = np.flatnonzero(~found)
        if missed.size:
            low, high, lowest = valley(gap_of(missed), start[missed], rungs=_RUNGS)
            near = np.flatnonzero(lowest <= _NEAR * loss[missed])
            missed, low, high = missed[near], low[near], high[near]
        if missed.size:
            gap = gap_of(missed)
            bottom = golden_section(gap, low, high, steps=_GOLDEN)
            at_bottom = gap(bottom)
            found[missed] = at_bottom <= _SAME * loss[missed]
            ends = np.maximum(gap(start[missed]), 0.0), np.minimum(at_bottom, 0.0)
            at[missed] = crossing(gap, start[missed], bottom, *ends, steps=2 * SECANTS)
        tokens[where] = np.where(found, np.exp(at) / per_token, np.inf)
        return tokens

    def params_of_tokens(self, tokens: Any) -> Array:
        """As `Surface.params_of_tokens`; that of the farthest compute, if the optimum never takes as many."""
        by_law = self.law.params_of_tokens(tokens)
        beyond = (self.law.compute(by_law, tokens) > self.largest) & (self.params_slope != 0)
        if not beyond.any():
            return by_law

        def gap(decades: Array) -> Array:
            return np.log(tokens) - np.log(self.optimum(self.largest * 10**decades)[1])

        low, high = np.zeros(by_law.shape), np.full(by_law.shape, FAR)
        at_low, at_high = gap(low), gap(high)
        at = crossing(gap, low, high, np.maximum(at_low, 0.0), np.minimum(at_high, 0.0), steps=_STEPS)
        at = np.where(at_high > 0, FAR, np.where(at_low <= 0, 0.0, at))
        return np.where(beyond, self.optimum(self.largest * 10**at)[0], by_law)

    def at_draws(self, which: Array) -> DeviatingSurface:
        """As `Surface.at_draws`."""
        own = {name: getattr(self, name)[which] for name in ("slope", "params_slope", "bend")}
        return replace(self, law=self.law.at_draws(which), **own)

    def _log_deviation(self, compute: Any, decades: Array, least_by_law: Array | None = None) -> Array:
        """By how much the log loss of runs of a compute deviates; 0 up to the largest run."""
        past = decades > self.bend
        if not past.any():
            return np.asarray(self.slope * decades)
        if least_by_law is not None:
            gain = self._gain(least_by_law)
        else:
            # Only past the bend is the law's own gain asked for, which is worth being sparing with.
            where = np.nonzero(past)
            own, there = where[-1], np.broadcast_to(compute, past.shape)[where]
            gain = np.zeros(past.shape)
            gain[where] = self._gain(self.law.at_draws(own).optimum(there)[2], own)
        return np.asarray(log_deviation(self.slope, decades, self.bend, gain, self._gain_at_bend))

    def _gain(self, loss: Any, draws: Any = slice(None)) -> Array:
        """By how much log losses lie below the least one at the largest run."""
        # Of a loss that is none, or of a draw that is no law, there is nothing to say.
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._log_start[draws] - np.log(loss))

    def _distance(self, compute: Any) -> tuple[Any, Array]:
        """Give compute, as one number where it is the same but for rounding, and its decades beyond."""
        compute = np.asarray(compute, dtype=float)
        if compute.size > 1 and np.ptp(compute) <= _SAME * compute.max():
            compute = compute.flat[0]
        return compute, decades_beyond(compute, self.largest)

    def _run_of_law(self, params: Any, tokens: Any, decades: Array) -> tuple[Array, Array]:
        """Give the run whose loss by the law a run beyond has, but for the deviation."""
        shift = self.params_slope * decades
        size = params * np.exp(-shift)
        bought = tokens * (self.law.compute(params, 1.0) / self.law.compute(size, 1.0))
        return size, np.where(shift == 0, tokens, bought)

    def _least_compute(self, loss: Any, far: float) -> Array:
        """Invert the frontier: in closed form up to the runs and past the bend, on the ladder between."""
        shape = np.broadcast_shapes(np.shape(loss), self.slope.shape)
        gain = np.broadcast_to(self._gain(loss), shape)
        by_law = ~(gain > 0) | (self.slope == 0)
        if by_law.all():
            return self.law.least_compute(loss)
        past = (gain > self._kept_at_bend) & (gain < np.inf) & ~by_law
        between = ~(by_law | (gain > self._kept_at_bend) | (gain == np.inf))
        decades = self._ladder.decades(np.where(between, gain, 0.0), far)
        found = np.where(between, self.largest * 10**decades, np.inf)
        if past.any():
            where = np.nonzero(past)
            own = where[-1]
            more = (gain[where] - self._kept_at_bend[own]) / KEPT
            wanted = np.exp(self._log_start[own] - self._gain_at_bend[own] - more)
            least = self.law.at_draws(own).least_compute(wanted)
            found[where] = np.where(least <= self.largest * 10**far, least, np.inf)
        if by_law.any():
            where = np.nonzero(by_law)
            wanted = np.broadcast_to(loss, shape)[where]
            found[where] = self.law.at_draws(where[-1]).least_compute(wanted)
        return found

    def _cheapest_lifetime(self, loss: Array, least: Array, served: float) -> Array:
        """Least lifetime compute to a loss, each draw's, from its least training compute up."""

        def cost(log_compute: Array) -> Array:
            compute = np.exp(log_compute)
            best = self.optimum(compute)[0]

            def gap(log_ratio: Array) -> Array:
                size = best * np.exp(log_ratio)
                return self.loss(size, compute / self.law.compute(size, 1.0)) - loss

            low, high = np.full(loss.shape, -0.25), np.zeros(loss.shape)
            at_low = gap(low)
            for _ in range(_HALVES):
                short = at_low <= 0
                if not short.any():
                    break
                high, low = np.where(short, low, high), np.where(short, 2 * low, low)
                at_low = np.where(short, gap(low), at_low)
            at_high = np.minimum(gap(high), 0.0)
            ratio = crossing(gap, low, high, np.maximum(at_low, 0.0), at_high)
            return compute + self.law.compute(best * np.exp(ratio), served)

        most = least + self.law.compute(self.optimum(least)[0], served)
        return cost(golden_section(cost, np.log(least), np.log(most), steps=_GOLDEN))

    @cached_property
    def _log_start(self) -> Array:
        """Log of the least loss at the compute of the largest run."""
        return np.log(self.law.optimum(self.largest)[2])

    @cached_property
    def _gain_at_bend(self) -> Array:
        """Fall of the law's least log loss from the largest run to the bend."""
        there = np.isfinite(self.bend)
        decades = np.where(there, self.bend, 0.0)
        return np.where(there, self._gain(self.law.optimum(self.largest * 10**decades)[2]), np.inf)

    @cached_property
    def _kept_at_bend(self) -> Array:
        """What the slope leaves of that."""
        return self._gain_at_bend - self.slope * np.where(np.isfinite(self.bend), self.bend, 0.0)

    @cached_property
    def _ladder(self) -> Ladder:
        """What the frontier gains by decades beyond the largest run, up to the bend."""

        def climb(decades: Array) -> tuple[Array, Array]:
            log_loss, rate = frontier_rate(self.law, self.largest, decades)
            return self._log_start - log_loss - self.slope * decades, rate - self.slope

        return Ladder(climb, self.bend)
