"""What backtests say of models by runs that they had not seen: the scores that a mixture is weighed by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.planning.usable import check_fit
from bayes_scaling.sampling.artefact import fit_facts

_PLACE = ["recipe", "cut", "run"]
"""What tells a prediction from the others of a model."""


def forward_scores(fits: Sequence[xr.DataTree], backtests: Sequence[xr.Dataset | str | Path]) -> xr.DataArray:
    """Take from backtests how probable each model made the losses of runs beyond its cuts.

    Parameters
    ----------
    fits : sequence of DataTree
        To be weighed, from `fit` or `open_fit`.
    backtests : sequence of Dataset, str or Path
        One of each fit's model, in their order: from `backtest`, or the file of what
        `bayes-scaling backtest --json` prints. They have to be of the same runs.

    Returns
    -------
    DataArray, dims fit and prediction
        Log density of the log loss, in nats, of every run beyond a cut that all of the models predict; for
        `model_weights`. It is that of the model with its discrepancy: without it a model that is sure and
        wrong gives what came a density of nothing, and the least sure of them would have all the weight. The
        attribute `of` says how many runs and cuts they are.

    Raises
    ------
    InputError
        If there is not one backtest a fit, one is none, is of another model or of other runs than its fit, or
        the backtests have no prediction in common.
    """
    if len(backtests) != len(fits):
        raise InputError(f"scores: there are {len(fits)} fits and {len(backtests)} backtests; give one a fit")
    tables = []
    for number, (fit, source) in enumerate(zip(fits, backtests, strict=True), start=1):
        check_fit(fit)
        place = str(source) if isinstance(source, str | Path) else f"backtest {number}"
        model, table = _of_file(source) if isinstance(source, str | Path) else _of_dataset(source, place)
        if model != (own := fit_facts(fit)["model"]):
            raise InputError(f"{place}: is a backtest of {model}, and fit {number} is of {own}; give its own")
        constant = fit["constant_data"].dataset
        if "run" in constant.coords and not set(table["run"]) & set(constant["run"].values.astype(str)):
            raise InputError(
                f"{place}: none of its runs is one of the fit's; give the backtest of those runs"
            )
        tables.append(table.set_index(_PLACE)["log_score"])
    joined = pd.concat(tables, axis=1, join="inner").dropna()
    if joined.empty:
        raise InputError(
            "scores: the backtests predict no run beyond the same cut; do them on the same runs, with the "
            "same --cuts"
        )
    cuts = len({place[:2] for place in joined.index.to_list()})
    return xr.DataArray(
        joined.to_numpy().T,
        dims=("fit", "prediction"),
        attrs={"of": f"of {len(joined)} losses beyond {cuts} cut{'s' if cuts > 1 else ''}"},
    )


def _of_dataset(found: xr.Dataset, place: str) -> tuple[str, pd.DataFrame]:
    if "prediction_log_score" not in found:
        raise InputError(f"{place}: is not what backtest returns")
    model = str(found.attrs["model"])
    fold = found["prediction_fold"].to_numpy()
    own = found.sel(estimator=_with_discrepancy(model, found["estimator"].values.tolist()))
    return model, pd.DataFrame(
        {
            "recipe": found["fold_recipe"].to_numpy()[fold].astype(str),
            "cut": found["cut"].to_numpy()[fold],
            "run": found["run"].to_numpy().astype(str),
            "log_score": own["prediction_log_score"].to_numpy(),
        }
    )


def _of_file(path: str | Path) -> tuple[str, pd.DataFrame]:
    try:
        document: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise InputError(
            f"{path}: cannot be read: {why}; write it by bayes-scaling backtest --json > {path}"
        ) from None
    try:
        model, rows = str(document["model"]), pd.DataFrame(document["predictions"])
        wanted = _with_discrepancy(model, rows["method"].unique().tolist())
        own = rows.loc[rows["method"] == wanted, [*_PLACE, "log_score"]]
        scores = own["log_score"].astype(float)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: is not what bayes-scaling backtest --json prints; do the backtest again"
        ) from None
    return model, own.assign(log_score=scores.replace([np.inf, -np.inf], np.nan), run=own["run"].astype(str))


def _with_discrepancy(model: str, methods: list[str]) -> str:
    """Name the method that is the model with its discrepancy."""
    name = next((name for name in methods if name.startswith(f"{model} + ")), None)
    if name is None:
        raise InputError(f"the backtest of {model} has no predictions with a discrepancy; do it again")
    return name
