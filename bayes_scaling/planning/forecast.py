"""Before any pilot run is trained: what its loss would tell of the best size at a target.

The draws of a fit are a sample of possible truths, each with its best size and with the losses that runs
would show. Over them the best size is regressed on the losses: what the regression leaves unknown is what one
would not know having trained the runs.

A batch is chosen by a straight line, in which information is a matter of covariances and runs are added and
removed in closed form (`Moments`). A draw counts in it by how steeply its regret rises, so that squares stand
for regret: a truth whose best size is absurdly far off wastes all of the compute, and no more. What the
chosen batch promises is worked out from the regret itself, by lines that differ from truth to truth
(`forecast`).

Sources: preposterior analysis, Raiffa and Schlaifer 1961, Applied Statistical Decision Theory; by regression
on simulated outcomes, Strong et al. 2015, Medical Decision Making 35, 570; by lines through the nearest of
them, Beaumont et al. 2002, Genetics 162, 2025.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.planning.choice import golden_section
from bayes_scaling.planning.outcomes import Outcomes
from bayes_scaling.planning.problem import Problem

type Array = np.ndarray[Any, Any]

_STEP = 0.05
"""In log N: nearer than this to the best size the slope of the regret has no digits."""

_LATER = 0.5
"""Errors after the pilot runs over those of today, for which squares should stand for regret."""

_FAR = 30.0
"""In log N: by a nearly flat law the best size may lie beyond a float; this far off wastes as much."""

_TRUTHS = 1000
"""So many of the draws are taken for the truth."""

_NEAR = 400
"""Draws through which a line is drawn, or half of them all."""

LEAST_DRAWS = 200
"""Fewer make no line."""

_FAINT, _DIRECTIONS = 0.01, 8
"""Variance over that of the noise, from which on a direction is looked at, and how many are."""

_RIDGE = 1e-9
"""Of what is added to the squares, so that runs whose losses say the same can be told apart."""

_SEED = 20_220_332
"""Of the noise of pilot runs: the same fit gives the same answer."""


@dataclass(frozen=True)
class Truths:
    """What each draw says of a target."""

    problem: Problem
    target: float
    """In FLOPs."""
    log_best: Array
    """Log of the best size there; dims ("draw",)."""
    weight: Array
    """How much a squared error in log N wastes by each draw, over the sum; dims ("draw",)."""

    def some(self, which: Array) -> Truths:
        """Take some of them, by their positions in rising order."""
        problem = replace(self.problem, surface=self.problem.surface.at_draws(which))
        return Truths(problem, self.target, self.log_best[which], self.weight[which])

    def regret(self, log_params: Array | float) -> Array:
        """Regret in each truth of deciding for a size there, dims ("draw",), or for one in all of them."""
        params = np.exp(log_params)
        return self.problem.regret(params, self.problem.tokens(params, self.target))


def truths(problem: Problem, target: float, decided: float) -> Truths:
    """Take the draws as possible truths at a target.

    Parameters
    ----------
    problem : Problem
        With the draws of a fit.
    target : float
        Budget of the run that the pilot runs prepare, in FLOPs.
    decided : float
        Size that one would train there now.

    Returns
    -------
    Truths
    """
    now = np.log(decided)
    with np.errstate(divide="ignore"):
        log_best = np.clip(np.log(problem.best(target)[0]), now - _FAR, now + _FAR)
    error = _LATER * (now - log_best)
    error = np.where(np.abs(error) < _STEP, np.where(error < 0, -_STEP, _STEP), error)
    params = np.exp(log_best + error)
    steepness = problem.regret(params, problem.tokens(params, target)) / error**2
    return Truths(problem, target, log_best, steepness / steepness.sum())


@dataclass(frozen=True)
class Moments:
    """How the log losses of runs vary over the truths, together and with the best size."""

    covariance: Array
    """Dims ("pilot", "pilot"); without the noise of the runs."""
    with_best: Array
    """Dims ("pilot",)."""
    noise: Array
    """Variance of each run's noise; dims ("pilot",)."""

    def given(self, seen: list[int]) -> Moments:
        """Return what remains to be learned when the losses of some runs are known."""
        if not seen:
            return self
        share = np.linalg.solve(self._observed(seen), self.covariance[seen])
        return Moments(
            self.covariance - self.covariance[:, seen] @ share,
            self.with_best - self.with_best[seen] @ share,
            self.noise,
        )

    def explained(self, seen: list[int]) -> float:
        """By how much the losses of some runs lower the variance of the best size."""
        with_best = self.with_best[seen]
        return float(with_best @ np.linalg.solve(self._observed(seen), with_best)) if seen else 0.0

    def _observed(self, seen: list[int]) -> Array:
        return self.covariance[np.ix_(seen, seen)] + np.diag(self.noise[seen])


def moments(known: Truths, expected: Outcomes) -> Moments:
    """Work out the moments of runs over the truths, a draw counting by its weight."""
    loss, best = expected.log_loss, known.log_best
    loss = loss - (loss @ known.weight)[:, None]
    weighted = loss * known.weight
    return Moments(
        weighted @ loss.T, weighted @ (best - best @ known.weight), expected.variance @ known.weight
    )


@dataclass(frozen=True)
class Forecast:
    """What is expected once pilot runs are trained."""

    regret: Array
    """Of deciding by their losses, in each truth; dims ("truth",)."""
    error: Array
    """Log of the best size less the guess of it; dims ("truth",)."""

    @property
    def expected_regret(self) -> float:
        """Mean over the truths."""
        return float(self.regret.mean())

    @property
    def simulation_error(self) -> float:
        """Standard error of that mean, for the truths are a sample."""
        return _standard_error(self.regret)

    def lowers(self, other: Forecast) -> tuple[float, float]:
        """By how much the expected regret is below another's, and the standard error: of the same truths."""
        saved = other.regret - self.regret
        return float(saved.mean()), _standard_error(saved)


def forecast_without(known: Truths, decided: float) -> Forecast:
    """Say what is expected without pilot runs, of the same truths as `forecast` has.

    Parameters
    ----------
    known : Truths
        The draws.
    decided : float
        Size that one would train at the target now.

    Returns
    -------
    Forecast
    """
    judged = known.some(_sample(len(known.log_best)))
    return Forecast(judged.regret(np.log(decided)), judged.log_best - np.log(decided))


def forecast(known: Truths, expected: Outcomes) -> Forecast:
    """Say what trained pilot runs promise, by the regret itself.

    Losses are simulated by every draw. Each of many truths is then taken out, its best size guessed by a line
    through the draws whose losses are nearest to its own, and the regret of that decision worked out. Near
    every truth the line is another, so that the rule bends as the posterior does.

    Parameters
    ----------
    known : Truths
        The draws, `LEAST_DRAWS` or more.
    expected : Outcomes
        Of the pilot runs.

    Returns
    -------
    Forecast
        Somewhat pessimistic, if at all: a posterior that has seen the losses decides no worse on average.
    """
    from scipy.spatial import cKDTree

    seen = _seen(known, expected)
    draws, directions = seen.shape
    out = _sample(draws)
    distance, near = cKDTree(seen).query(seen[out], k=min(_NEAR, draws // 2) + 1)
    # The nearest of all is the truth itself, which may not help to guess its own best size.
    distance, near = distance[:, 1:], near[:, 1:]
    reach = distance[:, -1:]
    kernel = known.weight[near] * (1 - (distance / reach) ** 2)
    steps = (seen[near] - seen[out][:, None]) / reach[..., None]
    lines = np.concatenate([np.ones((*near.shape, 1)), steps], axis=2)
    weighted = (lines * kernel[..., None]).transpose(0, 2, 1)
    square = weighted @ lines
    square += _RIDGE * np.trace(square, axis1=1, axis2=2)[:, None, None] * np.eye(directions + 1)
    level = known.log_best @ known.weight
    guess = level + np.linalg.solve(square, weighted @ (known.log_best[near] - level)[..., None])[:, 0, 0]

    judged = known.some(out)
    error = judged.log_best - guess
    # Too large a model and one too small do not waste the same: decisions lean to the cheaper side.
    most = 2 * float(np.quantile(np.abs(error), 0.9))
    lean, _ = golden_section(lambda lean: float(judged.regret(guess + lean).mean()), -most, most, width=1e-4)
    return Forecast(judged.regret(guess + lean), error)


def _sample(draws: int) -> Array:
    """Which draws are taken for the truth, by their positions: evenly spaced."""
    return np.unique(np.linspace(0, draws - 1, _TRUTHS).astype(int))


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _seen(known: Truths, expected: Outcomes) -> Array:
    """Simulate what runs show, with noise, in the few directions in which it is not noise alone.

    Returns
    -------
    ndarray, dims ("draw", "direction")
        In units of the noise. However many the runs, a law has five parameters.
    """
    noise = np.random.default_rng(_SEED).normal(size=expected.log_loss.shape)
    shown = expected.log_loss + np.sqrt(expected.variance) * noise
    vary = moments(known, expected)
    unit = np.sqrt(vary.noise)
    signal, direction = np.linalg.eigh(vary.covariance / np.outer(unit, unit))
    clear = [i for i in range(len(signal)) if signal[i] > _FAINT][-_DIRECTIONS:] or [-1]
    return (shown / unit[:, None]).T @ direction[:, clear]
