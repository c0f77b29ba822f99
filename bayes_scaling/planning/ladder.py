"""A rising function of every draw, known at the rungs of a ladder and cubic between them, turned round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

type Array = np.ndarray[Any, Any]

_RUNG = 0.1
"""Decades of compute. What changes over whole decades is a cubic between rungs to some eight digits."""

_NEWTON = 4
"""Steps from a straight line to where a cubic has a value."""

_BLOCK = 2**15
"""Gains that are worked on at once: a plan asks of millions, and these stay in the processor's cache."""


@dataclass
class Ladder:
    """Gains at rungs of compute, from 0 on, worked out as far up as they are asked about.

    Rungs lie where they lie whatever is asked, so that no answer depends on what was asked before it.
    """

    climb: Callable[[Array], tuple[Array, Array]]
    """Gain and its slope at decades of every draw, dims ("draw",)."""
    end: Array
    """Decades at which each draw's ladder ends; dims ("draw",)."""
    _rungs: list[tuple[Array, Array, Array]] = field(default_factory=list)

    def decades(self, gain: Array, far: float) -> Array:
        """Find at how many decades the gain is so much, dims (…, "draw"); infinite if not up to `far`."""
        draws = len(self.end)
        rows = gain.reshape(-1, draws)
        self._reach(rows.max(axis=0), far)
        at, value, slope = (np.array(each) for each in zip(*self._rungs, strict=True))
        width, rise = np.diff(at, axis=0), np.diff(value, axis=0)
        first, last = width * slope[:-1], width * slope[1:]
        square, cube = 3 * rise - 2 * first - last, first + last - 2 * rise
        # At its end a draw's gains are all there are, but for rounding.
        most = np.where(at[-1] >= self.end, np.inf, value[-1])

        found = np.empty(rows.shape)
        step = max(1, _BLOCK // draws)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            passed = np.zeros(part.shape, dtype=np.int16)
            for inner in value[1:-1]:
                passed += (part > inner).view(np.int8)
            cell = passed * np.intp(draws) + np.arange(draws)
            c1, c2, c3 = (each.take(cell) for each in (first, square, cube))
            above, whole = part - value.take(cell), rise.take(cell)
            share = np.minimum(above / np.where(whole > 0, whole, 1.0), 1.0)
            for _ in range(_NEWTON):
                here = ((c3 * share + c2) * share + c1) * share - above
                steep = (3 * c3 * share + 2 * c2) * share + c1
                share -= here / np.where(steep > 0, steep, 1.0)
            at_gain = at.take(cell) + share * width.take(cell)
            found[start : start + step] = np.where(part <= most, at_gain, np.inf)
        return found.reshape(gain.shape)

    def _reach(self, gain: Array, far: float) -> None:
        """Climb until every draw has the gain, or is at its end, or as far as is asked."""
        while len(self._rungs) < 2 or (len(self._rungs) - 1) * _RUNG < far:
            if len(self._rungs) > 1:
                at, value, _ = self._rungs[-1]
                if not ((gain > value) & (at < self.end)).any():
                    return
            at = np.minimum(len(self._rungs) * _RUNG, self.end)
            self._rungs.append((at, *self.climb(at)))
