"""Do the intervals hold what they promise? Many studies whose truth is known, each fitted once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bayes_scaling import build_model, simulate_runs
from bayes_scaling.intervals import interval
from bayes_scaling.laws import chinchilla
from bayes_scaling.sampling.compile import compile_model, with_model_data
from bayes_scaling.sampling.nuts import Sampling, draw_posterior

STUDIES = 100
LAW = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


@pytest.mark.slow
def test_nine_of_ten_intervals_cover_the_truth(simulated: pd.DataFrame):
    """The simplest prediction of a calibrated posterior, where the prior says little."""
    design = simulated[["params", "tokens"]].iloc[::2]
    truth = {**LAW, "a": 0.3658 / (0.3478 + 0.3658), "params_opt": chinchilla.optimum(1e23, **LAW)[0]}
    covered = dict.fromkeys(truth, 0)
    compiled = None
    for seed in range(STUDIES):
        model = build_model(simulate_runs(design, LAW, sigma=0.005, seed=1000 + seed))
        compiled = with_model_data(compiled, model) if compiled else compile_model(model)
        posterior, _ = draw_posterior(model, Sampling(draws=500, chains=2, seed=seed), compiled=compiled)
        law = {name: posterior[name] for name in LAW}
        a, _ = chinchilla.exponents(law["alpha"], law["beta"])
        answers = posterior[list(LAW)].assign(a=a, params_opt=chinchilla.optimum(1e23, **law)[0])
        summary = interval(answers, 0.9)
        for name, value in truth.items():
            low, high = (float(summary[name].sel(statistic=end)) for end in ("low", "high"))
            covered[name] += low < value < high
    least, most = binom.ppf([0.0005, 0.9995], STUDIES, 0.9)
    assert all(least <= count <= most for count in covered.values()), (covered, np.array([least, most]))
