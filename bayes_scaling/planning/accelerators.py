"""Compute in a person's units: accelerators for hours, and money."""

from __future__ import annotations

from dataclasses import dataclass

from bayes_scaling.errors import InputError
from bayes_scaling.planning.constraints import one_positive

SECONDS = 3600.0
"""In an hour."""


@dataclass(frozen=True)
class Rate:
    """What an hour of an accelerator does, and costs."""

    flops_per_hour: float | None = None
    """FLOPs of training in an hour of one accelerator: peak times utilisation."""
    price: float | None = None
    """Money for an hour of one accelerator."""

    def hours(self, compute: float) -> float | None:
        """Accelerator-hours of a compute in FLOPs."""
        return None if self.flops_per_hour is None else compute / self.flops_per_hour

    def money(self, compute: float) -> float | None:
        """Price of a compute in FLOPs, in the unit of the price of an hour."""
        hours = self.hours(compute)
        return None if hours is None or self.price is None else hours * self.price


def rate(*, peak: float | None = None, mfu: float | None = None, price: float | None = None) -> Rate:
    """Check what an accelerator does and costs.

    Parameters
    ----------
    peak : float, optional
        FLOPs a second at best.
    mfu : float, optional
        Share of the peak that training reaches (model FLOPs utilisation), above 0 and at most 1.
    price : float, optional
        Money for an hour of one accelerator, in any currency.

    Returns
    -------
    Rate

    Raises
    ------
    InputError
        If a number is not positive, the share is above 1, or one of peak and mfu is there without the other.
    """
    if (peak is None) != (mfu is None):
        there, missing = ("peak", "mfu") if mfu is None else ("mfu", "peak")
        raise InputError(f"{there} says what an accelerator does only with {missing}; give both")
    if price is not None and peak is None:
        raise InputError("price is for an accelerator-hour: give peak and mfu, which say what one does")
    speed = None
    if peak is not None and mfu is not None:
        share = one_positive("mfu", mfu)
        if share > 1:
            raise InputError(f"mfu is a share of the peak, at most 1, such as 0.4, not {share:g}")
        speed = one_positive("peak", peak) * share * SECONDS
    return Rate(speed, None if price is None else one_positive("price", price))


def budget(
    rate: Rate,
    *,
    compute: float | None = None,
    gpus: float | None = None,
    hours: float | None = None,
    money: float | None = None,
) -> float | None:
    """Turn the one way in which a budget is given into FLOPs.

    Parameters
    ----------
    rate : Rate
        Of an accelerator.
    compute : float, optional
        The budget in FLOPs.
    gpus, hours : float, optional
        Accelerators, and hours for which they train.
    money : float, optional
        To be spent at the price of the rate.

    Returns
    -------
    float or None
        In FLOPs; None if no budget is given.

    Raises
    ------
    InputError
        If the budget is given in more than one way, or by half of one.
    """
    if (gpus is None) != (hours is None):
        there, missing = ("gpus", "hours") if hours is None else ("hours", "gpus")
        raise InputError(f"{there} is half of a budget; give {missing} too")
    ways = {"compute": compute, "gpus and hours": gpus, "money": money}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"the budget is given {len(given)} times, by {', by '.join(given)}; give it once")
    if compute is not None:
        return one_positive("compute", compute)
    if not given:
        return None
    if rate.flops_per_hour is None:
        raise InputError(
            f"a budget by {given[0]} is turned into FLOPs by peak and mfu, which say what an accelerator "
            "does; give both"
        )
    if gpus is not None and hours is not None:
        return one_positive("gpus", gpus) * one_positive("hours", hours) * rate.flops_per_hour
    if rate.price is None:
        raise InputError("money buys accelerator-hours at a price; give price")
    return one_positive("money", money) / rate.price * rate.flops_per_hour
