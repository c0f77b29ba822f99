"""Findings on deviations: does the law miss a trend, and does the noise keep one size."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_scaling.checks.deviations import (
    DEGREE,
    Deviation,
    Evidence,
    deviation_test,
    evidence,
    smooth_basis,
)
from bayes_scaling.checks.findings import LEVEL, Finding
from bayes_scaling.checks.residuals import Predicted
from bayes_scaling.quantities import format_flops, format_quantity

MOST = 10.0
"""Factor between noise here and there beyond which the estimate of it says no more than that it is large."""

PROPERTIES = {
    "compute": ("flops", "compute", "FLOP"),
    "params": ("params", "size", "parameters"),
    "tokens": ("tokens", "tokens", "tokens"),
    "tokens_per_param": ("tokens_per_param", "tokens per parameter", "tokens per parameter"),
}
"""What losses may deviate along: the variable, and in words what it and its unit are called."""


def runs_along(residuals: xr.Dataset, name: str) -> np.ndarray:
    """Read one property of the runs.

    Parameters
    ----------
    residuals : Dataset, dims run
        From `residuals`.
    name : str
        One of `PROPERTIES`.

    Returns
    -------
    ndarray, dims ("run",)
    """
    if name == "tokens_per_param":
        return (residuals["tokens"] / residuals["params"]).to_numpy()
    return residuals[PROPERTIES[name][0]].to_numpy()


def trend_findings(predicted: Predicted, recipes: list[str]) -> list[Finding]:
    """Test for what the law misses along compute, size, tokens and their ratio.

    Parameters
    ----------
    predicted : Predicted
        The runs of a fit.
    recipes : list of str
        Those that the model tells apart; each may then deviate in its own way.

    Returns
    -------
    list of Finding
        One a property; and one of the recipes, if the runs are of several that one law is fitted to.
    """
    found = evidence(predicted.scores.location)
    findings = [_trend(found, predicted.residuals, name, recipes) for name in PROPERTIES]
    of_run = predicted.residuals["recipe"].to_numpy()
    if not recipes and len(set(of_run)) > 1:
        findings.append(_one_law(found, of_run))
    return findings


def _one_law(found: Evidence, of_run: np.ndarray) -> Finding:
    """Test whether runs of several recipes, to which one law is fitted, lie at the same losses."""
    check, names = "trend: recipe", sorted(set(of_run.tolist()))
    test = deviation_test(found, (of_run[:, None] == names).astype(float))
    if np.isnan(test.p_value):
        return Finding(check, None, f"these runs do not tell the losses of {len(names)} recipes apart")
    if test.p_value >= LEVEL:
        text = f"the losses of {len(names)} recipes lie about one law (p = {test.p_value:.2g})"
        return Finding(check, True, text, "", test.p_value)
    high, low = (str(of_run[int(end(test.size))]) for end in (np.argmax, np.argmin))
    return Finding(
        check,
        False,
        f"one law is fitted to {len(names)} recipes whose losses differ (p = {test.p_value:.1g}): those of "
        f"{high!r} lie {100 * np.ptp(test.size):.2g} % above those of {low!r}",
        f"fit each recipe by itself (--where 'recipe == \"{names[0]}\"'), or all by a model that tells them "
        "apart (--model parametric-recipes)",
        test.p_value,
    )


def _trend(found: Evidence, residuals: xr.Dataset, name: str, recipes: list[str]) -> Finding:
    check, (_, words, unit) = f"trend: {name}", PROPERTIES[name]
    values = runs_along(residuals, name)
    worst, recipe, p_value = _worst(found, residuals, values, DEGREE, recipes)
    if np.isnan(p_value):
        return Finding(
            check,
            None,
            f"no trend along {words} is left that these runs could show and the model could not fit",
        )
    whose = f" of recipe {recipe!r}" if recipe else ""
    tested = f"{worst.directions} direction{'' if worst.directions == 1 else 's'} of a smooth trend"
    if p_value >= LEVEL:
        return Finding(
            check, True, f"no trend along {words} beyond chance (p = {p_value:.2g}, {tested})", "", p_value
        )
    at = int(np.abs(worst.size).argmax())
    return Finding(
        check,
        False,
        f"the losses{whose} bend away from the law along {words} (p = {p_value:.1g}, {tested}): by "
        f"{100 * worst.size[at]:+.2g} % at {_written(values[at], unit)}",
        "the law is not quite of this form, or some runs differ in more than size and tokens: look at the "
        "residuals (check --figure, or plot_residuals); leave out early or under-tuned runs, or fit another "
        "model; do not trust what is extrapolated",
        p_value,
    )


def noise_finding(predicted: Predicted, recipes: list[str]) -> Finding:
    """Test whether the noise is larger at one end of the runs than the model has it.

    Parameters
    ----------
    predicted, recipes
        As for `trend_findings`.

    Returns
    -------
    Finding
        Of the property along which the noise changes most surprisingly.
    """
    check, found, tested = "noise: even", evidence(predicted.scores.scale), {}
    for name in PROPERTIES:
        values = runs_along(predicted.residuals, name)
        worst, recipe, p_value = _worst(found, predicted.residuals, values, 1, recipes)
        if not np.isnan(p_value):
            tested[name] = (values, worst, recipe, p_value)
    if not tested:
        return Finding(check, None, "these runs do not tell whether the noise changes along them")
    name = min(tested, key=lambda name: tested[name][3])
    values, worst, recipe, least = tested[name]
    p_value = min(least * len(tested), 1.0)
    if p_value >= LEVEL:
        text = f"the noise changes along no property of the runs beyond chance (p = {p_value:.2g})"
        return Finding(check, True, text, "", p_value)
    # To first order only, and so no measure of what is very large.
    factor = float(np.exp(min(np.ptp(worst.size), np.log(MOST))))
    unit = PROPERTIES[name][2]
    at, there = (_written(values[int(end(worst.size))], unit) for end in (np.argmax, np.argmin))
    whose = f" of recipe {recipe!r}" if recipe else ""
    return Finding(
        check,
        False,
        f"the noise{whose} is not what the model says along {PROPERTIES[name][1]} (p = {p_value:.1g}): some "
        f"{factor:.2g} times larger{' or more' if factor >= MOST else ''} at {at} "
        f"than at {there}, so that intervals are too narrow at the one and too wide at the other",
        'let the noise change with compute: growth = "compute" under [noise] in the spec'
        if name == "compute"
        else "find what the runs that scatter most share (check --figure, or plot_residuals); leave out "
        "unsound ones",
        p_value,
    )


def _worst(
    found: Evidence, residuals: xr.Dataset, values: np.ndarray, degree: int, recipes: list[str]
) -> tuple[Deviation, str, float]:
    """Find whose deviation surprises most, all runs' or one recipe's; p allows for having looked at each."""
    of_run = residuals["recipe"].to_numpy()
    groups = {"": np.ones(len(values), dtype=bool)}
    if len(recipes) > 1:
        groups |= {name: of_run == name for name in recipes}
    tests = {name: deviation_test(found, smooth_basis(values, degree, rows)) for name, rows in groups.items()}
    known = {name: test for name, test in tests.items() if not np.isnan(test.p_value)}
    if not known:
        return next(iter(tests.values())), "", np.nan
    name = min(known, key=lambda name: known[name].p_value)
    return known[name], name, min(known[name].p_value * len(known), 1.0)


def _written(value: float, unit: str) -> str:
    return f"{(format_flops if unit == 'FLOP' else format_quantity)(value)} {unit}"
