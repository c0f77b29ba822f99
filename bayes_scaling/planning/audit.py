"""Models that others trained, judged by a fit: what their plans wasted, and what it would have trained."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.surface import surface_of
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.resources import resource_folder
from bayes_scaling.runs.doubts import warn_of_units

COLUMNS = ("name", "params", "tokens")


def published_models() -> pd.DataFrame:
    """Read the models that the Chinchilla paper compares itself with.

    Returns
    -------
    DataFrame
        A row a model: name, params (total parameters), tokens (trained on) and source. The label loss_unit in
        `attrs` is that of losses a token, of which the models' tokens are.

    Raises
    ------
    BayesScalingError
        If the package's data folder is missing: the installation is broken.
    """
    path = resource_folder("data") / "published" / "models.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    table = pd.DataFrame(content["models"])
    table["source"] = content["source"]
    # Their tokens are those of common vocabularies, not bytes.
    table.attrs["loss_unit"] = "nats/token"
    return table


def read_models(path: str | Path) -> pd.DataFrame:
    """Read a table of models from a file.

    Parameters
    ----------
    path : str or Path
        .csv, .tsv, .jsonl, .ndjson or .parquet with the columns name, params and tokens; numbers may be
        written as 70B and 1.4T.

    Returns
    -------
    DataFrame
        Columns name, params and tokens.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a cell is no positive number; all of them at once.
    """
    from bayes_scaling.runs.formats import read_table

    return _checked(read_table(path), str(path))


def audit(
    fit: xr.DataTree,
    models: pd.DataFrame | None = None,
    *,
    recipe: str | None = None,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Judge a table of models, each at the compute of its own training.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, of any model.
    models : DataFrame, optional
        Columns name, params (in the count of the runs) and tokens; those of `published_models` unless given.
    recipe : str, optional
        Which recipe's law to judge by; needed where the fit tells recipes apart.
    discrepancy : bool
        Carry that beyond the largest run the law may not hold, by the same slopes as `optimum`; else say what
        the law alone says.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.

    Returns
    -------
    Dataset
        regret (the share of its compute that the optimal plan would have saved at equal loss), loss,
        params_opt and tokens_opt (at its own compute), dims chain, draw, plan; expected_regret, oversized
        (the probability that params_opt is smaller), params, tokens, compute in FLOPs, by what factor these
        three lie outside the runs (extrapolation_params, extrapolation_tokens and, of compute, extrapolation;
        1 inside) and which of them below (below_runs_params, …), dims plan, whose labels are the names.

    Raises
    ------
    InputError
        If the table lacks a column, is empty, names a model twice, or holds what is no positive number.
    NotConvergedError
        If the fit is not converged and its use was not allowed.

    Warns
    -----
    RunsWarning
        If the table is labelled with another unit of the loss (`attrs["loss_unit"]`) than the runs of the fit
        have.
    """
    require_usable(fit, allow_unconverged=allow_unconverged)
    models = published_models() if models is None else models
    table = _checked(models, "models")
    fitted = surface_of(fit, recipe, discrepancy=discrepancy)
    if (theirs := models.attrs.get("loss_unit")) and (unit := fitted.labels.get("loss_unit")):
        warn_of_units("these models", theirs, unit)
    problem = Problem(fitted.surface)
    params, tokens = (table[name].to_numpy(float)[:, None] for name in ("params", "tokens"))
    compute = np.asarray(problem.surface.compute(params, tokens))
    best = problem.surface.optimum(compute)
    draws = {
        "regret": problem.regret(params, tokens),
        "loss": problem.loss(params, tokens),
        "params_opt": best[0],
        "tokens_opt": best[1],
    }
    answer = xr.concat(
        [
            xr.Dataset({name: fitted.draws(values[i]) for name, values in draws.items()})
            for i in range(len(table))
        ],
        dim="plan",
    ).transpose("chain", "draw", "plan")
    answer["expected_regret"] = answer["regret"].mean(("chain", "draw"))
    answer["oversized"] = (answer["params_opt"] < xr.DataArray(params[:, 0], dims="plan")).mean(
        ("chain", "draw")
    )
    for name, values in (("params", params), ("tokens", tokens), ("compute", compute)):
        answer[name] = ("plan", values[:, 0])
    beyond = fitted.extrapolation(params[:, 0], tokens[:, 0], compute[:, 0])
    answer = answer.assign({name: ("plan", factors) for name, factors in beyond.items()})
    answer = answer.assign_coords(plan=table["name"].to_list())
    units = {"params": "parameters", "params_opt": "parameters", "tokens": "tokens", "tokens_opt": "tokens"}
    units |= {"compute": "FLOP", "loss": fitted.labels.get("loss_unit", "")}
    for variable in answer.data_vars:
        answer[variable].attrs["units"] = units.get(str(variable), "1")
    answer.attrs = {"model": fitted.model, "converged": int(fitted.converged), "recipe": fitted.recipe}
    answer.attrs |= {"new_budget": int(fitted.new_budget), "discrepancy": fitted.beyond(compute)}
    return answer


def _checked(table: pd.DataFrame, place: str) -> pd.DataFrame:
    """Refuse a table that is none of models, and read its numbers."""
    from bayes_scaling.runs.cells import refuse, to_number

    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(
            f"{place}: lacks {' and '.join(missing)}; a table of models has name, params and tokens"
        )
    if table.empty:
        raise InputError(f"{place}: holds no models; give at least one row")
    problems: list[str] = []
    values: dict[str, Any] = {"name": [str(name) for name in table["name"]]}
    values |= {column: [] for column in COLUMNS[1:]}
    for row, cells in zip(table.index, table[list(COLUMNS[1:])].to_numpy(object), strict=True):
        for column, cell in zip(COLUMNS[1:], cells, strict=True):
            try:
                number = to_number(cell)
            except InputError as error:
                problems.append(f"{row}, column {column}: {error}")
                continue
            values[column].append(number)
            if not number > 0:
                said = "is blank" if np.isnan(number) else f"is {number:g}"
                problems.append(f"{row}, column {column}: {said}; it must be a positive number")
    twice = sorted({name for name in values["name"] if values["name"].count(name) > 1})
    problems += [f"{name!r} names more than one model; give each its own name" for name in twice]
    refuse(place, problems)
    return pd.DataFrame(values)
