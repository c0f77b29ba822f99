"""Findings on the losses that a model predicts: for each run from the others, and before any loss is seen."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from scipy import stats

from bayes_scaling.checks.findings import LEVEL, Finding
from bayes_scaling.checks.residuals import Predicted
from bayes_scaling.checks.uniformity import uniformity_p_value
from bayes_scaling.errors import RunsWarning
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.runs.doubts import RUNS_SHOWN, some_runs
from bayes_scaling.sampling.artefact import fit_facts

HOPELESS = 1.0
"""Pareto k from which on importance weights have no mean (Vehtari et al. 2024)."""

FAR = 0.01
"""A run whose loss has a smaller predictive probability than this lies far out."""


def leave_one_out_findings(predicted: Predicted) -> list[Finding]:
    """Judge each run by what the model predicts for it from the others.

    Parameters
    ----------
    predicted : Predicted
        The runs of a fit.

    Returns
    -------
    list of Finding
    """
    return [
        _largest(predicted.residuals),
        _tails(predicted.residuals),
        _calibration(predicted.residuals),
        _influence(predicted),
    ]


def _largest(residuals: xr.Dataset) -> Finding:
    runs = residuals.sizes["run"]
    p_values = np.minimum(residuals["p_value"].to_numpy() * runs, 1.0)
    order = np.argsort(p_values, kind="stable")
    least = float(p_values[order[0]])
    low = p_values < LEVEL
    shown = [i for i in order[:RUNS_SHOWN] if low[i]] or order[:1]
    named = ", ".join(
        f"{residuals['run'].values[i]} ({100 * np.expm1(float(residuals['residual'][i])):+.2g} %, "
        f"p = {p_values[i]:.1g})"
        for i in shown
    )
    if least >= LEVEL:
        text = f"none of {runs} runs is beyond chance; the farthest is {named}"
        return Finding("largest residuals", True, text, "", least)
    more = ", …" if low.sum() > len(shown) else ""
    return Finding(
        "largest residuals",
        False,
        f"{low.sum()} of {runs} runs {'lies' if low.sum() == 1 else 'lie'} farther from the law than the "
        f"model's noise reaches (p allows for all {runs}): {named}{more}",
        "look whether these runs are sound (diverged, stopped early, another recipe) and leave them out by "
        "name if not; if they are, let outliers be outliers: noise family StudentT",
        least,
    )


def _tails(residuals: xr.Dataset) -> Finding:
    runs, out = residuals.sizes["run"], int((residuals["p_value"] < FAR).sum())
    p_value = float(stats.binom.sf(out - 1, runs, FAR))
    said = (
        f"outside of their {1 - FAR:.0%} predictive intervals: {out} of {runs} runs, where {runs * FAR:.2g} "
        f"would be expected (p = {p_value:.2g})"
    )
    if p_value >= LEVEL:
        return Finding("tails", True, said, "", p_value)
    remedy = (
        "give the noise heavier tails (family StudentT, a prior of nu that reaches lower), or see to the runs"
    )
    return Finding("tails", False, said, f"{remedy} named under largest residuals", p_value)


def _calibration(residuals: xr.Dataset) -> Finding:
    """Is the predictive probability below each loss uniform: whether it leaves the band of plot_loo_pit."""
    pit = residuals["pit"].to_numpy()
    p_value = uniformity_p_value(pit)
    inside = {prob: float((np.abs(pit - 0.5) <= prob / 2).mean()) for prob in (0.5, 0.9)}
    covered = " and ".join(f"{share:.0%} in {prob:.0%} intervals" for prob, share in inside.items())
    said = f"of the losses, {covered}, and {np.mean(pit < 0.5):.0%} below the predictive median"
    if p_value >= LEVEL:
        return Finding("LOO-PIT", True, f"uniform within chance (p = {p_value:.2g}): {said}", "", p_value)
    if abs(np.mean(pit) - 0.5) > 3 * stats.uniform.std() / np.sqrt(len(pit)):
        remedy = "the losses are skewed about the law: see the trends, and which runs lie high or low"
    elif inside[0.5] > 0.5:
        remedy = (
            "intervals are too wide for most runs, as where a few outliers set the noise: family StudentT"
        )
    else:
        remedy = "intervals are too narrow for most runs: see the trends and the noise"
    return Finding("LOO-PIT", False, f"not uniform (p = {p_value:.1g}): {said}", remedy, p_value)


def _influence(predicted: Predicted) -> Finding:
    # Where weights are no numbers at all, nothing is known.
    k = np.nan_to_num(predicted.residuals["pareto_k"].to_numpy(), nan=np.inf)
    good = predicted.residuals.attrs["good_k"]
    runs = predicted.residuals["run"].to_numpy()
    elpd = predicted.elpd
    said = f"leave-one-out density {elpd.elpd:.1f} ± {elpd.se:.1f}, {elpd.p:.1f} effective parameters"
    said = "; ".join([said, *predicted.notes])
    high = k > good
    if not high.any():
        return Finding("Pareto k", True, f"no run decides the fit (Pareto k at most {k.max():.2f}); {said}")
    order = np.flatnonzero(high)[np.argsort(-k[high], kind="stable")]
    named = some_runs([str(run) for run in runs[order]], len(runs))
    if k.max() <= HOPELESS:
        return Finding(
            "Pareto k",
            None,
            f"{named} with Pareto k above {good:.2f}, at most {k.max():.2f}: what the model would predict "
            f"there without such a run is known only roughly; {said}",
            "should one of them look out of line, fit without it (where) to be sure",
        )
    return Finding(
        "Pareto k",
        False,
        f"{named} with Pareto k above {good:.2f}, at most {k.max():.2f}: the fit leans on such a run so much "
        f"that what it would be without it is not known, and the run lies farther out than its residual "
        f"says; {said}",
        "fit without the run (where) and see whether the answer moves",
    )


def prior_finding(fit: xr.DataTree, *, draws: int = 500, seed: int = 0) -> Finding:
    """Compare the spread of the losses with what the prior expects of these runs.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    draws, seed : int
        Of the prior predictive distribution.

    Returns
    -------
    Finding
        p_value is the prior predictive probability of losses that differ as little, or as much, twice the
        smaller. Where recipes are told apart, the spread is that within them.
    """
    from bayes_scaling.sampling.observed import runs_of_fit
    from bayes_scaling.sampling.prior import sample_prior

    facts = fit_facts(fit)
    runs = runs_of_fit(fit)
    with warnings.catch_warnings():
        # What is doubtful about the runs was said when they were fitted.
        warnings.simplefilter("ignore", RunsWarning)
        prior = sample_prior(runs, spec_from_dict(facts["spec"]), draws=draws, seed=seed)
    drawn = prior["prior_predictive"].dataset["loss"].isel(chain=0)
    observed = prior["observed_data"].dataset["loss"]
    recipe = runs["recipe"].to_numpy(str) if "recipe" in prior["prior"].dims else np.full(len(runs), "")
    here, there = _spread(observed.to_numpy()[None], recipe)[0], _spread(drawn.to_numpy(), recipe)
    below, above = (there <= here).mean(), (there >= here).mean()
    p_value = float(min(2 * min(below, above), 1.0))
    low, high = np.quantile(there, [0.05, 0.95], method="nearest")
    said = (
        f"losses differ over the runs by {100 * here:.3g} % (sd of their log); the prior expects "
        f"{100 * low:.3g} to {100 * high:.3g} % (90 % interval, p = {p_value:.2g})"
    )
    if p_value >= LEVEL:
        return Finding("prior predictive", True, said, "", p_value)
    return Finding(
        "prior predictive",
        False,
        said,
        "the priors do not expect losses like these: look for a wrong unit or column (perplexity, params in "
        "billions), or widen the priors of the exponents and shares",
        p_value,
    )


def _spread(losses: np.ndarray, recipe: np.ndarray) -> np.ndarray:
    """Find by how much the log losses of each row differ about their recipe's mean: standard deviation."""
    # Raw noise may give what has no logarithm, and heavy tails what no float holds: as far out as can be.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        logs = np.log(losses)
        about = [
            logs[:, recipe == name] - logs[:, recipe == name].mean(1, keepdims=True) for name in set(recipe)
        ]
        spread = np.sqrt((np.concatenate(about, axis=1) ** 2).mean(axis=1))
    return np.nan_to_num(spread, nan=np.inf)
