"""A study whose law is known, and predictions of its larger runs by that law: backtests without a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayes_scaling.checks.folds import folds
from bayes_scaling.checks.minima import minima
from bayes_scaling.checks.predicted import Draws, Predicted
from bayes_scaling.laws import chinchilla
from bayes_scaling.runs.simulate import isoflop_design, simulate_runs

LAW = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
BUDGETS = [1e18, 3e18, 1e19, 3e19, 1e20, 3e20]
NOISE = 0.004


def runs_of(slope: float = 0.0) -> pd.DataFrame:
    """Runs of a known law, whose log loss leaves it by a slope a decade above 1e18."""
    middle = chinchilla.optimum(np.array(BUDGETS), **LAW)[0]
    design = isoflop_design(BUDGETS, params_low=middle / 5, params_high=5 * middle, sizes=9)
    runs = simulate_runs(design, LAW, sigma=NOISE, family="Normal", seed=0)
    return runs.assign(loss=runs["loss"] * (runs["flops"] / 1e18) ** (slope / np.log(10)))


def told_the_law(runs: pd.DataFrame, name: str = "known", *, count: int = 400) -> list[Predicted]:
    """Predictions of all folds by the law itself with its noise."""
    rng, study = np.random.default_rng(1), []
    least = minima(runs)
    for fold in folds(runs):
        beyond = [each for each in least if each.budget > fold.cut]
        predicted = Predicted(fold, beyond)
        law = np.log(chinchilla.loss(fold.predicted["params"], fold.predicted["tokens"], **LAW).to_numpy())
        # From the cut on the law is told anew, as a fit is.
        best = np.log([chinchilla.optimum(each.budget, **LAW)[0] for each in beyond])
        predicted.by_method[name] = Draws(
            law[:, None] + NOISE * rng.normal(size=(len(law), count)),
            np.repeat(best[:, None], count, axis=1),
            np.full(count, np.inf),
        )
        predicted.converged[name] = True
        study.append(predicted)
    return study
