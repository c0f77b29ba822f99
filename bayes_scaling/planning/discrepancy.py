"""How the truth beyond the runs deviates from the law that they tell: a line in decades of compute.

No law is right, and a posterior does not know by how much its own is wrong. So beyond the largest run, of
compute C_max, every draw has a slope of its log loss and one, eps, of its log N_opt, both per decade, and by
d = log10(C / C_max) decades out

    L'(N, D) = L(N', D') exp(dev(C)),   N' = N exp(-eps d),   k(N') N' D' = k(N) N D = C

so that N_opt' = N_opt exp(eps d), D_opt' is what is left of C = k N D, and L_opt' = L_opt exp(dev(C)). Up to
C_max there is no deviation at all. More compute must never stop helping: with g(d) the fall of log L_opt from
C_max on, the frontier keeps at least half of the rate g' that the law gives it,

    dev(C) = slope d                                 up to the bend d*, where slope = g'(d*) / 2
    dev(C) = slope d* + (g(d) - g(d*)) / 2            beyond it

and the bend is at 0 for slopes that would take more from the start, nowhere for those that never do.

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

from bayes_scaling.models.discrepancy import Population

type Array = np.ndarray[Any, Any]

_NODES = np.linspace(-2.4, 2.4, 13)
"""Scales of a study that are weighed, in standard deviations of their logarithm about its mean."""

KEPT = 0.5
"""Share of the law's gain from more compute that no slope takes away. Of 137 cuts of the six studies that
benchmarks/backtest.py reads none lost more than 0.44 of it in a decade, and 95 % less than 0.16."""

_ROUNDING = 1e-12
"""Share by which the compute of a run may exceed that of the largest, being the same but for rounding."""


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

    def draws(self, size: int, rng: np.random.Generator) -> Array:
        """Draw slopes, dims ("draw",)."""
        node = rng.choice(len(self.weight), size=size, p=self.weight)
        return self.mean[node] + self.sd[node] * rng.normal(size=size)

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
        Given `seen`, by the Normal densities of their slopes, whose errors are taken to be independent: those
        of cuts that share runs are not, so that many cuts count for a bit too much. The scale is weighed at
        13 nodes; else this is exact.
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
    ratio = np.asarray(compute, dtype=float) / largest
    return np.log10(np.where(ratio > 1 + _ROUNDING, ratio, 1.0))


def log_deviation(slope: Any, decades: Any, bend: Any, gain: Any, gain_at_bend: Any) -> Any:
    """By how much the log loss deviates, at some decades beyond the largest run: dev of the module's formula.

    Parameters
    ----------
    slope : array
        Per decade.
    decades : array
        Beyond the largest run, d.
    bend : array
        Decades d* up to which the slope holds, infinite if it always does.
    gain, gain_at_bend : array
        Fall of the law's least log loss from the largest run on, g(d) and g(d*); that one infinite where
        there is no bend.

    Returns
    -------
    array
    """
    return slope * np.minimum(decades, bend) + (1 - KEPT) * np.fmax(gain - gain_at_bend, 0.0)
