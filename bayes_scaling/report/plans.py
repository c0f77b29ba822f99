"""What a page says of the decision: the plan in words and numbers, and sizes that keep the regret small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.intervals import interval, interval_dict
from bayes_scaling.quantities import (
    format_factor,
    format_flops,
    format_interval,
    format_plain,
    format_quantity,
    format_share,
)

OPTIMUM: dict[str, tuple[str, Callable[[float], str]]] = {
    "params_opt": ("N_opt (parameters)", format_quantity),
    "tokens_opt": ("D_opt (tokens)", format_quantity),
    "tokens_per_param": ("tokens per parameter", format_quantity),
    "loss_opt": ("loss", format_plain),
}
"""How each quantity of an optimum is called and written."""

_SIDES = {
    "extrapolation": "compute",
    "extrapolation_params": "size",
    "extrapolation_tokens": "tokens",
}


def optimum_rows(optima: xr.Dataset, prob: float) -> list[dict[str, str]]:
    """Write the optimum at one budget.

    Parameters
    ----------
    optima : Dataset, dims chain, draw
        From `optimum`, of one budget and one recipe.
    prob : float
        Probability inside the intervals.

    Returns
    -------
    list of dict
        name (of the variable), words, estimate, low and high.
    """
    rows = []
    for name, (words, write) in OPTIMUM.items():
        found = interval_dict(interval(optima[name], prob))
        numbers = {key: write(found[key]) for key in ("estimate", "low", "high")}
        rows.append({"name": name, "words": words, **numbers})
    return rows


def plan_rows(decision: xr.Dataset, prob: float) -> list[dict[str, str]]:
    """Write the recommended plan, as the planner of the page does too.

    Parameters
    ----------
    decision : Dataset
        From `plan`, of one fit.
    prob : float
        Probability inside the intervals.

    Returns
    -------
    list of dict
        name, words and value.
    """
    number = {
        key: float(decision[f"recommended_{key}"])
        for key in ("params", "tokens", "compute", "expected_regret", "oversized", *_SIDES)
    }
    regret, loss, best = (
        interval_dict(interval(decision[name], prob))
        for name in ("recommended_regret", "recommended_loss", "params_opt")
    )
    written = format_share(prob)
    rows = {
        "params": ("size (parameters)", format_quantity(number["params"])),
        "tokens": ("tokens", format_quantity(number["tokens"])),
        "compute": ("training compute (FLOP)", format_flops(number["compute"])),
        "expected_regret": ("regret, expected", format_share(number["expected_regret"])),
        "regret": (f"regret, {written} interval", percents(regret)),
        "loss": ("loss, median", format_plain(loss["estimate"])),
        "loss_interval": (f"loss, {written} interval", format_interval(loss, format_plain)),
        "oversized": ("too large with probability", format_share(number["oversized"])),
        "params_opt": (f"N_opt, {written} interval", format_interval(best, format_quantity)),
        "beyond": ("outside the runs", beyond({key: number[key] for key in _SIDES})),
    }
    return [{"name": name, "words": words, "value": value} for name, (words, value) in rows.items()]


def beyond(factors: dict[str, float]) -> str:
    """Say by what factors a plan lies outside the runs, in compute, size and tokens."""
    out = [
        f"{format_factor(factors[key])}x in {words}"
        for key, words in _SIDES.items()
        if format_factor(factors[key]) != "1"
    ]
    return ", ".join(out) or "no"


def percents(value: dict[str, float]) -> str:
    """Write an interval of shares with one sign of per cent."""
    return format_interval(value, lambda share: format_share(share).removesuffix(" %")) + " %"


def region_rows(decision: xr.Dataset) -> dict[str, Any]:
    """Write the sizes whose regret stays within bounds: a row a bound, a column a probability."""
    found = decision["region"]
    rows = []
    for bound in found["regret_bound"].values:
        ends = [
            dict(zip(("low", "high"), found.sel(regret_bound=bound, probability=p).values, strict=True))
            for p in found["probability"].values
        ]
        cells = [
            format_interval(each, format_quantity) if np.isfinite(each["low"]) else "none" for each in ends
        ]
        rows.append({"bound": format_share(float(bound)), "cells": cells})
    return {"probabilities": [format_share(float(p)) for p in found["probability"].values], "rows": rows}


def headline(decision: xr.Dataset, prob: float) -> dict[str, str]:
    """Say the plan in words: what to train, what that is expected to waste, and how far out it lies."""
    rows = {row["name"]: row["value"] for row in plan_rows(decision, prob)}
    return {
        **rows,
        "budget": format_flops(float(decision["compute"])),
        "prob": format_share(prob),
        "discrepancy": decision.attrs["discrepancy"],
        "scattered": "of one more budget, scattered about the line" if decision.attrs["new_budget"] else "",
    }
