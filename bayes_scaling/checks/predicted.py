"""What each method predicted of a fold, and the same with the deviations that were to be expected by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayes_scaling.checks.folds import Fold
from bayes_scaling.checks.minima import Minimum
from bayes_scaling.checks.slopes import seen_slope
from bayes_scaling.planning.discrepancy import KEPT, Seen, Slope, decades_beyond, log_deviation

type Array = np.ndarray[Any, Any]

_SLOPES_A_DRAW = 10
_SEED = 20_220_334
"""Of the draws of slopes: the same fits give the same scores."""


@dataclass(frozen=True)
class Draws:
    """Draws of what a method predicts beyond a cut."""

    log_loss: Array
    """Dims ("run", "draw")."""
    log_params: Array
    """Of N_opt; dims ("minimum", "draw")."""
    fall: Array
    """Of the least log loss in the decade beyond the cut; dims ("draw",). Infinite where it is not told."""


@dataclass
class Predicted:
    """A fold, the minima of IsoFLOP profiles beyond its cut, and what was predicted of them."""

    fold: Fold
    minima: Sequence[Minimum]
    by_method: dict[str, Draws] = field(default_factory=dict)
    converged: dict[str, bool] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a method predicts nothing."""

    def take(self, method: str, result: Mapping[str, Any]) -> None:
        """Take in what `predict_fold` found; `method` is named where nothing is predicted."""
        for name, found in result["predictions"].items():
            log_loss = np.array(found["log_loss"])
            # Of no minimum nothing is predicted, by as many draws.
            log_params = np.array(found["log_params"]).reshape(len(self.minima), log_loss.shape[1])
            fall = np.full(log_loss.shape[1], np.inf) if found["fall"] is None else np.array(found["fall"])
            self.by_method[name] = Draws(log_loss, log_params, fall)
            self.converged[name] = bool(result["converged"])
        if result["reason"]:
            self.reasons[method] = result["reason"]

    @property
    def log_loss(self) -> Array:
        """What came; dims ("run",)."""
        return np.log(self.fold.predicted["loss"].to_numpy(float))

    @property
    def decades(self) -> Array:
        """From the cut to the compute of each run; dims ("run",)."""
        return decades_beyond(self.fold.predicted["flops"].to_numpy(float), self.fold.cut)

    @property
    def decades_of_minima(self) -> Array:
        """The same of each minimum; dims ("minimum",)."""
        return decades_beyond(np.array([each.budget for each in self.minima]), self.fold.cut)

    def seen(self, method: str, up_to: float) -> Seen | None:
        """Measure the slope of the log loss that the runs beyond the cut, up to a compute, show."""
        if method not in self.by_method:
            return None
        known = self.fold.predicted["flops"].to_numpy(float) <= up_to
        draws = self.by_method[method].log_loss[known]
        return seen_slope(self.fold.cut, draws, self.log_loss[known], self.decades[known])

    def seen_in_minima(self, method: str, up_to: float) -> Seen | None:
        """Measure the slope of log N_opt that the minima beyond the cut, up to a compute, show."""
        known = [i for i, each in enumerate(self.minima) if each.budget <= up_to]
        if method not in self.by_method or not known:
            return None
        found = np.array([self.minima[i].log_params for i in known])
        draws = self.with_error(self.by_method[method].log_params)[known]
        return seen_slope(self.fold.cut, draws, found, self.decades_of_minima[known], least=1)

    def with_error(self, log_params: Array) -> Array:
        """Draw where a profile of runs would show minima that lie at these, dims ("minimum", "draw")."""
        rng = np.random.default_rng(_SEED)
        errors = [rng.choice(each.error, size=log_params.shape[1]) for each in self.minima]
        return log_params + np.array(errors).reshape(log_params.shape)

    def deviate(self, method: str, name: str, loss: Slope, params: Slope) -> None:
        """Add a method that predicts as another does, and deviates beyond the cut by slopes as expected.

        As planning deviates, but for two things that the kept draws do not tell: the frontier is taken to
        gain in each decade what it gains in the first, and no run's loss moves with N_opt.
        """
        if method not in self.by_method:
            return
        rng = np.random.default_rng(_SEED)
        draws = self.by_method[method]
        log_loss, log_params, fall = (
            np.repeat(values, _SLOPES_A_DRAW, axis=-1)
            for values in (draws.log_loss, draws.log_params, draws.fall)
        )
        of_loss, of_params = loss.draws(len(fall), rng), params.draws(len(fall), rng)
        bends = of_loss > (1 - KEPT) * fall
        bend, gain_at_bend = (np.where(bends, 0.0, np.inf) for _ in range(2))

        def away(decades: Array) -> Array:
            # Where no fall is told there is no bend, and nothing is asked of it.
            gain = decades * np.where(bends, fall, 0.0)
            return np.asarray(log_deviation(of_loss, decades, bend, gain, gain_at_bend))

        self.by_method[name] = Draws(
            log_loss + away(self.decades[:, None]),
            log_params + self.decades_of_minima[:, None] * of_params,
            fall - away(np.array(1.0)),
        )
        self.converged[name] = self.converged[method]


def shown_slopes(study: Sequence[Predicted], method: str, largest: float) -> tuple[list[Seen], list[Seen]]:
    """Collect the slopes that runs up to a compute have shown beyond lower cuts.

    Parameters
    ----------
    study : sequence of Predicted
        Of one recipe.
    method : str
        Whose predictions the slopes are of.
    largest : float
        In FLOPs.

    Returns
    -------
    of_loss, of_params : list of Seen
        Of the log loss, and of log N_opt.
    """
    earlier = [each for each in study if each.fold.cut < largest]
    return (
        [seen for each in earlier if (seen := each.seen(method, largest))],
        [seen for each in earlier if (seen := each.seen_in_minima(method, largest))],
    )
