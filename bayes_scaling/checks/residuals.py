"""Each run against what the model predicts for it without having seen it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from bayes_scaling.arviz_calls import leave_one_out
from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, check_prob
from bayes_scaling.models.noise_scores import Scores, scores, tail_probabilities
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.recipes import recipes_of_runs
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.pointwise import likelihood_parameters

MAX_VALUES = 8_000_000
"""Largest draws times runs (64 MB an array): beyond it, evenly spaced draws are used."""

NEEDED = ("posterior", "log_likelihood", "posterior_predictive", "observed_data", "constant_data")
"""Groups of a fit that its residuals rest on."""


class Predicted(NamedTuple):
    """The runs of a fit, and what the checks ask of each under every draw."""

    residuals: xr.Dataset
    """As from `residuals`."""
    scores: Scores
    """Dims chain, draw, run."""
    elpd: Any
    """ArviZ's leave-one-out densities."""
    notes: list[str]
    """What ArviZ warns of."""


def residuals(fit: xr.DataTree, *, prob: float = PROB) -> xr.Dataset:
    """Compare each observed loss with what the model predicts for that run from all the others.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, with all of its groups; converged or not.
    prob : float
        Probability inside the predictive intervals.

    Returns
    -------
    Dataset, dims run
        params, tokens, flops and loss of each run, and recipe ("" where it has none). predicted: the loss of
        the law (posterior median), in the loss's unit. residual: log of the loss over it; low and high: ends
        of the equal-tailed predictive interval of the residual, noise included. pit: probability that the
        predictive distribution gives to a loss below the observed one. score: the standard normal
        number that has that probability below it. p_value: twice the smaller tail, the probability of a loss
        that lies as far out. pareto_k: how well importance sampling leaves the run out; good below the
        attribute good_k. All but params to recipe are without the run itself, by importance sampling.

    Raises
    ------
    InputError
        If the fit lacks a group that this rests on, or `prob` is not between 0 and 1.

    Notes
    -----
    LOO-PIT (Gelfand et al. 1992) with Pareto-smoothed importance weights (Vehtari et al. 2024,
    arXiv 1507.02646). The probability under each draw comes from the noise's distribution function, not from
    counting drawn losses, so that far tails are told apart too.
    """
    return predicted_runs(fit, prob=prob).residuals


def predicted_runs(fit: xr.DataTree, *, prob: float = PROB) -> Predicted:
    """Leave out each run in turn, and differentiate its density: what the checks share.

    Parameters
    ----------
    fit, prob
        As for `residuals`.

    Returns
    -------
    Predicted

    Raises
    ------
    InputError
        As for `residuals`.
    """
    check_prob(prob)
    require_groups(fit)
    facts = fit_facts(fit)
    spec = spec_from_dict(facts["spec"])
    density, replicated = (fit[group].dataset["loss"] for group in ("log_likelihood", "posterior_predictive"))
    values = density.size
    step = {"draw": slice(None, None, -(-values // MAX_VALUES))}
    density, replicated = (
        each.isel(step).transpose("chain", "draw", "run") for each in (density, replicated)
    )
    constant = fit["constant_data"].dataset.assign(loss=fit["observed_data"].dataset["loss"])
    # The draws of which the fit carries densities, which may be fewer than all.
    draws = fit["posterior"].dataset.sel(draw=density["draw"])
    mu, scale, nu = likelihood_parameters(draws, constant, spec)

    elpd, notes = leave_one_out(density)
    weights = np.exp(elpd.log_weights).transpose("chain", "draw", "run").to_numpy()
    weights = weights.reshape(-1, weights.shape[2])
    weights /= weights.sum(axis=0)

    def left_out(values: xr.DataArray) -> np.ndarray:
        """Mean over the draws as they would be without each run."""
        return (weights * _flat(values)).sum(axis=0)

    below, above = (
        left_out(tail) for tail in tail_probabilities(spec.noise, constant["loss"], mu, scale, nu)
    )
    log_law = _weighted_quantiles(np.log(_flat(mu)), weights, [0.5])[0]
    tail = (1 - prob) / 2
    # Raw noise may give what has no logarithm; it lies below everything.
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.nan_to_num(np.log(_flat(replicated)), nan=-np.inf)
    low, high = _weighted_quantiles(drawn, weights, [tail, 1 - tail])
    log_loss = np.log(constant["loss"].to_numpy())
    by_run = {
        **{name: constant[name].to_numpy() for name in ("params", "tokens", "flops", "loss")},
        "recipe": recipes_of_runs(fit),
        "predicted": np.exp(log_law),
        "residual": log_loss - log_law,
        "low": low - log_law,
        "high": high - log_law,
        "pit": np.clip(below, 0.0, 1.0),
        "score": np.where(below < above, special.ndtri(below), -special.ndtri(above)),
        "p_value": np.minimum(2 * np.minimum(below, above), 1.0),
        "pareto_k": elpd.pareto_k.to_numpy(),
    }
    found = xr.Dataset(
        {name: ("run", values) for name, values in by_run.items()},
        {"run": constant["run"].to_numpy()},
        {
            "model": facts["model"],
            "converged": int(facts["verdict"]["converged"]),
            "prob": prob,
            "good_k": float(elpd.good_k),
            "loss_unit": facts["labels"].get("loss_unit", ""),
        },
    )
    return Predicted(found, scores(spec.noise, constant["loss"], mu, scale, nu), elpd, notes)


def require_groups(fit: xr.DataTree) -> None:
    """Refuse a fit of which only a part was opened.

    Raises
    ------
    InputError
        If the fit lacks a group that its residuals rest on.
    """
    if missing := [group for group in NEEDED if group not in fit.children]:
        raise InputError(
            f"the fit of {fit_facts(fit)['model']} lacks {' and '.join(missing)}, which its checks rest on: "
            "open it whole, by open_fit(path) without groups"
        )


def _flat(values: xr.DataArray) -> np.ndarray:
    """Chains one after the other; dims ("draw", "run")."""
    array = values.transpose("chain", "draw", "run").to_numpy()
    return array.reshape(-1, array.shape[2])


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, probs: list[float]) -> np.ndarray:
    """Quantiles of each column of weighted values; dims ("prob", "run")."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    cumulative = np.take_along_axis(weights, order, axis=0).cumsum(axis=0)
    rows = [np.minimum((cumulative < prob).sum(axis=0), len(values) - 1) for prob in probs]
    return np.stack([np.take_along_axis(ordered, row[None], axis=0)[0] for row in rows])
