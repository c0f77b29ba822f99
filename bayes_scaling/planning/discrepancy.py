"""How the truth beyond the runs deviates from the law that they tell: a line in decades of compute.

No law is right, and a posterior does not know by how much its own is wrong: beyond the largest run the log
loss leaves the law by `slope * decades`, with the same slope for all runs beyond, and by nothing up to there.

What slope is to be expected is told by studies that were cut at a lower compute: the slopes of one study at
different cuts resemble each other, and those of different studies differ many times over. So a study's slopes
are a Gaussian process over the log compute of the cut,

    slope(cut) ~ GP(mean, scale^2 (shared + (1 - shared) exp(-|log10 cut - log10 cut'| / decades)))

whose scale is the study's own, log-Normal over studies. A study without cuts of its own has the mixture of
all scales; one with cuts has those scales and slopes that agree with what its own cuts showed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

type Array = np.ndarray[Any, Any]

_NODES = np.linspace(-2.4, 2.4, 13)
"""Scales of a study that are weighed, in standard deviations of their logarithm about its mean."""


@dataclass(frozen=True)
class Population:
    """What slopes studies have.

    Attributes
    ----------
    mean : float
        Of the slope, per decade.
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
"""Of the log loss, as estimated over the published studies by benchmarks/backtest.py."""

PARAMS_SLOPES = Population(mean=0.0, scale=0.26, spread=0.47, shared=0.0, decades=0.01)
"""Of log N_opt, in nats per decade of compute; likewise. Its cuts share a scale and nothing else: on which
side of the line the next optima lie is not learned from the last."""


@dataclass(frozen=True)
class Seen:
    """A slope that runs beyond a cut have shown."""

    cut: float
    """In FLOPs."""
    slope: float
    """Per decade."""
    error: float
    """Its standard error: by the noise of the runs, and by what the law's own posterior leaves open."""


@dataclass(frozen=True)
class Slope:
    """What is expected of a slope: a mixture of Normal distributions, dims ("node",)."""

    weight: Array
    mean: Array
    sd: Array

    def draws(self, size: int, rng: np.random.Generator, *, below: Array | float = np.inf) -> Array:
        """Draw slopes, dims ("draw",), each below a bound of its own if one is given."""
        from scipy.special import ndtr, ndtri

        room = ndtr((np.broadcast_to(below, (size,))[:, None] - self.mean) / np.maximum(self.sd, 1e-12))
        reached = np.cumsum(self.weight * room, axis=1)
        at = rng.uniform(size=size)[:, None] * reached[:, -1:]
        node = np.minimum((reached < at).sum(axis=1), len(self.weight) - 1)
        share = rng.uniform(size=size) * room[np.arange(size), node]
        return self.mean[node] + self.sd[node] * ndtri(np.maximum(share, 1e-300))

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        mean = float(self.weight @ self.mean)
        return mean, float(np.sqrt(self.weight @ (self.sd**2 + (self.mean - mean) ** 2)))


def expected_slope(population: Population, cut: float, seen: Sequence[Seen] = ()) -> Slope:
    """Work out what slope to expect beyond a cut.

    Parameters
    ----------
    population : Population
        What slopes studies have.
    cut : float
        In FLOPs: the largest run that the law was fitted to.
    seen : sequence of Seen
        Slopes of the same study, each beyond a lower cut, by runs up to this one.

    Returns
    -------
    Slope
        Given `seen`, by the Normal densities of their slopes; exact but for the scale, which is weighed at 13
        nodes.
    """
    weight = np.exp(-0.5 * _NODES**2)
    variance = (population.scale * np.exp(population.spread * _NODES)) ** 2
    if not seen:
        return Slope(weight / weight.sum(), np.full(len(_NODES), population.mean), np.sqrt(variance))
    at = np.log10([*(each.cut for each in seen), cut])
    alike = np.exp(-np.abs(at[:, None] - at) / population.decades)
    alike = population.shared + (1 - population.shared) * alike
    error = np.diag([each.error**2 for each in seen])
    found = np.array([each.slope for each in seen]) - population.mean
    log_weight, mean, sd = np.log(weight), np.empty(len(weight)), np.empty(len(weight))
    for i, own in enumerate(variance):
        covariance, with_cut = own * alike[:-1, :-1] + error, own * alike[:-1, -1]
        explained = np.linalg.solve(covariance, np.column_stack([found, with_cut]))
        mean[i] = population.mean + with_cut @ explained[:, 0]
        sd[i] = np.sqrt(max(own - with_cut @ explained[:, 1], 0.0))
        log_weight[i] -= 0.5 * (np.linalg.slogdet(covariance)[1] + found @ explained[:, 0])
    weight = np.exp(log_weight - log_weight.max())
    return Slope(weight / weight.sum(), mean, sd)


def decades_beyond(compute: Any, largest: float) -> Any:
    """Decades of compute beyond the largest run; 0 up to there."""
    return np.maximum(np.log10(compute / largest), 0.0)
