"""The estimators of a page side by side at its budget, and which model predicts losses best."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import RunsWarning
from bayes_scaling.planning.compare import compare
from bayes_scaling.planning.disagreements import disagreements
from bayes_scaling.planning.ranking import rank_models
from bayes_scaling.quantities import format_interval, format_plain, format_quantity, format_share
from bayes_scaling.sampling.observed import runs_of_fit

_COLUMNS = {
    "a": "{:.3f}".format,
    "params_opt": format_quantity,
    "tokens_opt": format_quantity,
    "tokens_per_param": format_quantity,
    "loss_opt": format_plain,
}


def compared(fits: Sequence[xr.DataTree], compute: float, *, prob: float, progress: bool) -> dict[str, Any]:
    """Set the three approaches, on the runs of the first fit, beside the posteriors.

    Parameters
    ----------
    fits : sequence of DataTree
        From `fit` or `open_fit`, with all of their groups; converged, or allowed not to be.
    compute : float
        Budget in FLOPs.
    prob : float
        Probability inside the intervals.
    progress : bool
        Show on standard error what is being done.

    Returns
    -------
    dict
        rows: method, recipe, cells (estimate and interval of a, N_opt, D_opt, D / N and loss) and runs; notes
        and disagreements, sentences; warnings about the runs; and ranking, of several models of the same
        losses.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RunsWarning)
        found = compare(
            runs_of_fit(fits[0]), compute, fits=fits, prob=prob, allow_unconverged=True, progress=progress
        ).isel(compute=0)
        ranking = rank_models(fits, allow_unconverged=True) if len(fits) > 1 else None
    rows = []
    for name in found["estimator"].values:
        one = found.sel(estimator=name)
        rows.append(
            {
                "method": str(one["method"].item()),
                "recipe": str(one["recipe"].item()),
                "cells": [_cell(one[column], write) for column, write in _COLUMNS.items()],
                "runs": int(one["runs"]) or "-",
                "notes": [
                    *([] if one["available"] else [f"not available: {one['reason'].item()}"]),
                    *str(one["notes"].item()).splitlines(),
                ],
            }
        )
    return {
        "rows": rows,
        "several": any(row["recipe"] for row in rows),
        "prob": format_share(prob),
        "notes": _notes(rows),
        "disagreements": disagreements(found.expand_dims("compute")),
        "warnings": list(
            dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, RunsWarning))
        ),
        "ranking": [] if ranking is None else _ranking(ranking),
    }


def _cell(summary: xr.DataArray, write: Any) -> dict[str, str]:
    value = {key: float(summary.sel(statistic=key)) for key in ("estimate", "low", "high")}
    if not np.isfinite(value["estimate"]):
        return {"estimate": "-", "interval": ""}
    within = format_interval(value, write) if np.isfinite(value["low"]) else ""
    return {"estimate": write(value["estimate"]), "interval": within}


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    """Say what to know of each method, once where that is the same for several recipes."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["notes"]:
            said.setdefault((row["method"], "; ".join(row["notes"])), []).append(row["recipe"])
    return [
        f"{method} [{', '.join(recipes)}]: {told}" if any(recipes) else f"{method}: {told}"
        for (method, told), recipes in said.items()
    ]


def _ranking(ranking: Any) -> list[dict[str, str]]:
    """Write the models of each group of the same losses, best first."""
    rows = []
    for row in ranking.reset_index().to_dict("records"):
        first = row["rank"] == 1
        rows.append(
            {
                "model": row["model"],
                "runs": row["runs"],
                "elpd": f"{row['elpd']:.1f} ± {row['se']:.1f}",
                "diff": "-" if first else f"{row['elpd_diff']:.1f} ± {row['dse']:.1f}",
                "weight": f"{row['weight']:.2f}",
                "high_k": row["high_k"],
                "notes": row["notes"].replace("\n", "; "),
            }
        )
    return rows
