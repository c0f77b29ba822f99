"""Simulated studies of which it is known what is wrong with them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from bayes_scaling import simulate_runs
from bayes_scaling.errors import RunsWarning
from bayes_scaling.runs.simulate import isoflop_design

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
DESIGN = isoflop_design([1e19, 3e19, 1e20, 3e20, 1e21], params_low=1e8, params_high=8e9, sizes=12)


def sound(seed: int = 4, family: str = "Normal") -> pd.DataFrame:
    """Runs of the law, with noise of this family."""
    return simulate_runs(DESIGN, TRUTH, sigma=0.005, seed=seed, family=family)


def with_outliers() -> pd.DataFrame:
    """Three of sixty runs have gone wrong."""
    runs = sound(2)
    runs.loc[[7, 31, 50], "loss"] *= [1.06, 1.05, 1.08]
    return runs


def with_noise_at_small_compute() -> pd.DataFrame:
    """Noise that is ten times larger at the smallest budget than at the largest."""
    runs = simulate_runs(DESIGN, TRUTH, sigma=0.0, seed=3)
    ratio = runs["flops"] / np.exp(np.log(runs["flops"]).mean())
    return runs.assign(
        loss=runs["loss"] * np.exp(0.004 * ratio**-0.5 * np.random.default_rng(3).normal(size=len(runs)))
    )


def of_another_law() -> pd.DataFrame:
    """What few and what many tokens a parameter cost is in no Chinchilla law."""

    def law(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return 1.8 + 482 / params**0.35 + 2085 / tokens**0.366 + 0.005 * np.log(tokens / params / 20) ** 2

    return simulate_runs(DESIGN, law, sigma=0.003, seed=4, family="Normal")


def of_one_ratio() -> pd.DataFrame:
    """Every run has twenty tokens a parameter."""
    params = np.geomspace(1e8, 1e10, 30)
    design = pd.DataFrame({"params": params, "tokens": 20 * params})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        return simulate_runs(design, TRUTH, sigma=0.004, seed=5, family="Normal")
