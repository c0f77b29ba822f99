"""`check`: may this fit be believed, a verdict a line."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.checks.findings import Finding, findings_table
from bayes_scaling.errors import InputError
from bayes_scaling.progress import working
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.by_recipe import recipe_names


def check(
    fit: xr.DataTree | pd.DataFrame,
    *,
    compute: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Judge whether a fit may be believed; or, before fitting, whether runs can tell what a law asks of them.

    Parameters
    ----------
    fit : DataTree or DataFrame
        From `fit` or `open_fit`, with all of its groups; or a table of runs, whose design alone is judged.
    compute : float, optional
        Budget in FLOPs whose optimum is held against the prior; ten times the largest run's unless given.
    seed : int
        Of the prior predictive losses.
    progress : bool, optional
        Show on standard error what is being done; by default if that is a terminal.

    Returns
    -------
    DataFrame
        A row a check; the index is its name. passed: True, False, or missing where it could not be told.
        p_value: where a test is behind it, the probability of what was seen or something more surprising if
        the model is right; such a check fails by chance in about one of a hundred right models. text: what
        was found; remedy: what to do about it. The attributes are model and converged, the latter 1 or 0.

        Convergence first; then what the runs can tell apart (design); what the prior expects, and how far
        answers are its word (prior); what the law misses along compute, size, tokens and their ratio, and
        between recipes if it is one law for several (trend); whether the noise is the same everywhere
        (noise); and each run against what the model predicts for it from the others (largest residuals,
        tails, LOO-PIT, Pareto k). A check that fails is something found, not an error.

    Raises
    ------
    InputError
        If the fit lacks a group that this rests on, the runs are not fit for use, or the budget is not
        positive.
    """
    show = sys.stderr.isatty() if progress is None else progress
    if isinstance(fit, pd.DataFrame):
        from bayes_scaling.checks.design import design_findings
        from bayes_scaling.runs.check import check_runs

        return findings_table(design_findings(check_runs(fit), apart=True))
    if not isinstance(fit, xr.DataTree):
        raise InputError(f"check takes a fit or a table of runs, not {type(fit).__name__}")
    facts = fit_facts(fit)
    with working("leaving out each run in turn", show=show):
        from bayes_scaling.checks.design import design_findings
        from bayes_scaling.checks.predictive import leave_one_out_findings, prior_finding
        from bayes_scaling.checks.residuals import predicted_runs, require_groups
        from bayes_scaling.checks.sensitivity import sensitivity_findings
        from bayes_scaling.checks.trends import noise_finding, trend_findings
        from bayes_scaling.planning.optimum import check_budgets
        from bayes_scaling.sampling.observed import runs_of_fit

        require_groups(fit)
        compute = 10 * float(fit["constant_data"]["flops"].max()) if compute is None else compute
        check_budgets(compute)
        recipes = recipe_names(fit["posterior"].dataset)
        findings = [
            _convergence(facts["verdict"]),
            *design_findings(runs_of_fit(fit), apart=bool(recipes)),
        ]
        usable = bool(np.isfinite(fit["log_likelihood"]["loss"]).all())
        about_runs = [_NOTHING_TO_CHECK]
        if usable:
            predicted = predicted_runs(fit)
            about_runs = [
                *trend_findings(predicted, recipes),
                noise_finding(predicted, recipes),
                *leave_one_out_findings(predicted),
            ]
    with working("drawing losses from the prior", show=show):
        findings.append(prior_finding(fit, seed=seed))
    if usable:
        with working("scaling the prior", show=show):
            findings += sensitivity_findings(fit, compute)
    table = findings_table([*findings, *about_runs])
    table.attrs = {"model": facts["model"], "converged": int(facts["verdict"]["converged"])}
    return table


_NOTHING_TO_CHECK = Finding(
    "draws",
    None,
    "some draws give a run no finite density, so that nothing else can be told of them",
    "sample again, with tighter priors",
)


def _convergence(verdict: dict[str, Any]) -> Finding:
    if verdict["converged"]:
        effective = min(verdict["ess_bulk_min"], verdict["ess_tail_min"])
        return Finding(
            "convergence",
            True,
            f"the draws keep every rule: R-hat {verdict['rhat_max']:.3f}, effective draws {effective:.0f}, "
            "no divergence",
        )
    return Finding(
        "convergence",
        False,
        "; ".join(verdict["problems"]),
        "sample again as said; until then nothing below means much",
    )
