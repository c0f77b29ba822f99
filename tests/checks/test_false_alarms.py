"""How often checks fail though the model is right: many sound studies, each sampled and checked."""

from __future__ import annotations

import pytest
from flawed_studies import of_one_ratio, sound
from handmade_fits import fit_of_draws
from scipy.stats import binom

from bayes_scaling import build_model, check, fit
from bayes_scaling.checks.findings import LEVEL
from bayes_scaling.sampling.compile import compile_model, with_model_data
from bayes_scaling.sampling.nuts import Sampling, draw_posterior

STUDIES = 50


@pytest.mark.slow
def test_few_checks_fail_where_the_model_is_right():
    compiled, failures = None, {}
    for seed in range(STUDIES):
        runs = sound(100 + seed)
        model = build_model(runs, "parametric-normal")
        compiled = with_model_data(compiled, model) if compiled else compile_model(model)
        sampling = Sampling(draws=500, tune=500, chains=4, seed=seed)
        posterior, _ = draw_posterior(model, sampling, compiled=compiled)
        table = check(fit_of_draws(runs, "parametric-normal", posterior))
        for name, passed in table["passed"].items():
            failures[name] = failures.get(name, 0) + (passed is not None and passed == False)  # noqa: E712
    tested = table.index[table["p_value"].notna()]
    assert len(tested) == 9
    most = binom.ppf(0.9995, STUDIES, LEVEL)
    assert all(failures[name] <= most for name in tested), failures
    # What no test is behind says nothing of a sound study either.
    assert all(failures[name] == 0 for name in failures if name.startswith(("design", "prior"))), failures


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_scaling.errors.RunsWarning")
def test_one_ratio_leaves_the_law_to_the_prior():
    table = check(fit(of_one_ratio(), "parametric-normal", target_accept=0.99))
    assert not table.loc["prior: law", "passed"]
    assert "E by" in table.loc["prior: law", "text"]
    assert not table.loc["design: ratios", "passed"]
