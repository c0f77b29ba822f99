"""Which sizes a plan may have: what limits them, and what to do where nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.errors import InputError
from bayes_scaling.planning.numbers import positive_numbers
from bayes_scaling.planning.problem import Problem
from bayes_scaling.quantities import format_flops, format_quantity

type Array = np.ndarray[Any, Any]

_DIGITS = 1e-9
"""By how much, of itself, a size may miss a bound for rounding's sake."""


@dataclass(frozen=True)
class Limits:
    """What a caller allows."""

    min_params: float = 0.0
    max_params: float = np.inf
    max_tokens: float = np.inf
    sizes: Array | None = None
    """The sizes that can be built, rising; any size unless given."""

    def any(self) -> bool:
        """Whether there is a limit at all."""
        bounds = (self.min_params, self.max_params, self.max_tokens)
        return bounds != (0.0, np.inf, np.inf) or self.sizes is not None

    def near(self, size: float, low: Any, high: Any) -> Any:
        """Whether a size lies between bounds, but for rounding."""
        return (size >= low * (1 - _DIGITS)) & (size <= high * (1 + _DIGITS))

    def allows(self, params: float, tokens: float) -> bool:
        """Whether a plan is within all limits."""
        within = self.min_params <= params <= self.max_params and tokens <= self.max_tokens * (1 + _DIGITS)
        return within and (self.sizes is None or bool(np.isclose(self.sizes, params, rtol=_DIGITS).any()))


NO_LIMITS = Limits()


def limits(
    *,
    min_params: float | None = None,
    max_params: float | None = None,
    max_tokens: float | None = None,
    sizes: Sequence[float] | np.ndarray | None = None,
) -> Limits:
    """Check the limits that a caller gives.

    Parameters
    ----------
    min_params, max_params : float, optional
        Smallest and largest size allowed, in parameters.
    max_tokens : float, optional
        Most training tokens allowed.
    sizes : sequence of float, optional
        The sizes that can be built, in parameters.

    Returns
    -------
    Limits

    Raises
    ------
    InputError
        If one is not a positive, finite number, or they leave no size.
    """
    given = {"min_params": min_params, "max_params": max_params, "max_tokens": max_tokens}
    bounds = {name: one_positive(name, value) for name, value in given.items() if value is not None}
    found = Limits(
        **bounds, sizes=None if sizes is None else np.unique(positive_numbers("sizes", sizes, "parameters"))
    )
    if found.min_params > found.max_params:
        low, high = (format_quantity(bounds[name]) for name in ("min_params", "max_params"))
        raise InputError(f"no size satisfies min_params {low} and max_params {high}; move one past the other")
    return found


def one_positive(name: str, value: Any) -> float:
    """Make a float of one number that a caller gives, having refused what is no positive number."""
    numbers = positive_numbers(name, value)
    if len(numbers) > 1:
        raise InputError(f"{name} must be one number, not {len(numbers)}")
    return float(numbers[0])


@dataclass(frozen=True)
class Allowed:
    """The sizes that spend a budget within all limits."""

    low: float
    high: float
    sizes: Array | None
    reasons: dict[str, float]
    """The bound that each limit sets, by the limit's name."""

    def binding(self, params: float) -> list[str]:
        """Name the limits that a size has run into."""
        return [name for name, bound in self.reasons.items() if abs(np.log(params / bound)) < 1e-6]


ANY_SIZE = Allowed(0.0, np.inf, None, {})
"""Where nothing limits the size."""


def allowed_sizes(problem: Problem, cost: float, within: Limits) -> Allowed:
    """Find the sizes that spend a budget within all limits.

    Parameters
    ----------
    problem : Problem
        What a plan costs.
    cost : float
        The budget in FLOPs, of training and of serving.
    within : Limits
        From `limits`.

    Returns
    -------
    Allowed

    Raises
    ------
    InputError
        If there is none: with the limits that contradict each other, and by what factor.
    """
    budget = f"the budget of {format_flops(cost)} FLOPs"
    lows, highs = {"min_params": within.min_params}, {"max_params": within.max_params}
    if np.isfinite(within.max_tokens):
        # Whoever may not buy more tokens can spend the rest on size alone.
        served = problem.cost(1.0, within.max_tokens) / problem.surface.compute(1.0, 1.0)
        lows["max_tokens"] = float(problem.surface.params(served, cost))
    if problem.served:
        highs["served_tokens"] = float(problem.largest(cost))
    floor, ceiling = max(lows, key=lambda name: lows[name]), min(highs, key=lambda name: highs[name])
    low, high = lows[floor], highs[ceiling]
    if low > high * (1 + _DIGITS):
        least, most = format_quantity(low), format_quantity(high)
        factor = f"{low / high:.3g} times"
        if ceiling == "served_tokens":
            raise InputError(
                f"{floor} and served_tokens contradict each other: serving alone uses up {budget} from "
                f"{most} parameters on, and {floor} asks for at least {least}, {factor} as many; serve fewer "
                f"tokens, raise the budget, or loosen {floor}"
            )
        raise InputError(
            f"max_params and max_tokens contradict each other: with at most "
            f"{format_quantity(within.max_tokens)} tokens {budget} can only be spent from {least} parameters "
            f"on, {factor} the {most} that max_params allows; raise either by that factor, or lower the "
            f"budget to {format_flops(float(problem.cost(within.max_params, within.max_tokens)))}"
        )
    reasons = {name: bound for name, bound in (lows | highs).items() if 0 < bound < np.inf}
    if within.sizes is None:
        return Allowed(low, high, None, reasons)
    ok = (within.sizes >= low * (1 - _DIGITS)) & (within.sizes <= high * (1 + _DIGITS))
    if not ok.any():
        small = within.sizes[within.sizes < low]
        near, bound, name = (small[-1], low, floor) if len(small) else (within.sizes[0], high, ceiling)
        factor = format_quantity(max(near / bound, bound / near))
        raise InputError(
            f"none of the sizes satisfies {name} at {budget}: it asks for "
            f"{'at least' if name == floor else 'at most'} {format_quantity(bound)} parameters, and the "
            f"nearest size, {format_quantity(float(near))}, misses that by a factor of {factor}; add a size "
            f"or loosen {name}"
        )
    return Allowed(low, high, within.sizes[ok], reasons)
