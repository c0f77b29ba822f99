"""What a spec says of losses beyond the runs: which slopes studies have, by which they leave their law.

How a slope becomes a deviation, and what a study's own cuts teach of it, is in `planning.discrepancy`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayes_scaling.errors import InputError
from bayes_scaling.models.keys import check_keys, check_table

_PUBLISHED = "published"
"""What a spec writes in place of numbers."""


@dataclass(frozen=True)
class Population:
    """What slopes studies have.

    Attributes
    ----------
    mean : float
        Of the slope, per decade of compute.
    scale : float
        Median over studies of a study's standard deviation about it, per decade.
    spread : float
        Standard deviation over studies of the log of that.
    shared : float
        Share of a study's variance that is the same at all its cuts, from 0 to 1.
    decades : float
        Distance of cuts over which the rest is forgotten.
    """

    mean: float
    scale: float
    spread: float
    shared: float
    decades: float


LOSS_SLOPES = Population(mean=-0.037, scale=0.053, spread=0.67, shared=0.2, decades=0.66)
"""Of the log loss, as estimated by benchmarks/backtest.py over five published studies and our own."""

PARAMS_SLOPES = Population(mean=0.0, scale=0.26, spread=0.47, shared=0.0, decades=0.01)
"""Of log N_opt, in nats per decade of compute; likewise. Its cuts are taken to share a scale and nothing
else, though they mostly stray to one side: see FREE in benchmarks/backtest.py."""

_PUBLISHED_SLOPES = {"loss": LOSS_SLOPES, "params": PARAMS_SLOPES}


@dataclass(frozen=True)
class Discrepancy:
    """The slopes to expect before the runs have shown their own: of the log loss, and of log N_opt."""

    loss: Population
    params: Population


def discrepancy_from_dict(content: Any, place: str) -> Discrepancy:
    """Read the table [discrepancy] of a spec; `place` opens every error message.

    Each of `loss` and `params` is "published", or a table of the numbers of a `Population`.

    Raises
    ------
    InputError
        If a key is unknown or missing, or a value is no number or out of its range.
    """
    check_table(content, f"{place}: [discrepancy]")
    check_keys(content, set(_PUBLISHED_SLOPES), set(), f"{place}: [discrepancy]")
    return Discrepancy(
        **{name: _population(name, value, f"{place}: [discrepancy]") for name, value in content.items()}
    )


def _population(name: str, value: Any, place: str) -> Population:
    if value == _PUBLISHED:
        return _PUBLISHED_SLOPES[name]
    names = [each.name for each in dataclasses.fields(Population)]
    if not isinstance(value, Mapping):
        raise InputError(
            f'{place}: {name} must be "{_PUBLISHED}" or a table of {", ".join(names)}, not {value!r}'
        )
    check_keys(value, set(names), set(), f"{place}: {name}")
    for key, number in value.items():
        sound = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        if not sound or not _RANGES[key][0](number):
            raise InputError(f"{place}: {name}: {key} must be a number {_RANGES[key][1]}, not {number!r}")
    return Population(**{key: float(number) for key, number in value.items()})


_RANGES = {
    "mean": (lambda _: True, "per decade of compute"),
    "scale": (lambda x: x >= 0, "of at least 0"),
    "spread": (lambda x: x >= 0, "of at least 0"),
    "shared": (lambda x: 0 <= x <= 1, "from 0 to 1"),
    "decades": (lambda x: x > 0, "above 0"),
}
