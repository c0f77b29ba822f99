"""Training curves: the loss of each run at several points of its training, for the envelope of approach 1."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.errors import InputError
from bayes_scaling.runs.cells import refuse, row_names, to_text
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.columns import match_columns
from bayes_scaling.runs.formats import read_table
from bayes_scaling.runs.simulate import Law, law_loss

COLUMNS = ("run_id", "params", "tokens", "flops", "loss")


def check_curves(curves: pd.DataFrame, *, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Check a table of training curves.

    Parameters
    ----------
    curves : DataFrame
        One row a point: run_id, params, tokens (seen so far), loss, and flops (spent so far), which are
        6 params tokens where not given.
    runs : DataFrame, optional
        A checked table of runs that the curves must belong to.

    Returns
    -------
    DataFrame
        A copy: run_id, params, tokens, flops, loss, then the other columns; points in the order given.

    Raises
    ------
    InputError
        If a point breaks a rule of run tables; a curve has fewer than two points, tokens that do not
        increase from row to row, or several sizes; or, with `runs`, a curve's run is not there or has
        another size.
    """
    place = str(curves.attrs.get("source", "curves"))
    if not curves.columns.is_unique:
        return check_runs(curves)  # which refuses it
    if "run_id" not in curves:
        raise InputError(f"{place}: there is no column run_id, which says whose point each row is")
    run_ids = [to_text(cell) for cell in curves["run_id"]]
    refuse(
        place,
        [
            f"{row}, column run_id: is blank; say whose point it is"
            for row, run_id in zip(row_names(curves), run_ids, strict=True)
            if not run_id
        ],
    )
    # A point obeys the rules of a run, but for the run id, which it shares with its whole curve.
    number = curves.groupby(run_ids).cumcount() + 1
    points = check_runs(
        curves.assign(run_id=[f"{run_id}, point {i}" for run_id, i in zip(run_ids, number, strict=True)])
    )
    points["run_id"] = run_ids
    sizes = None if runs is None else dict(zip(runs["run_id"], runs["params"], strict=True))
    refuse(
        place,
        [
            f"curve {run_id}: {problem}"
            for run_id, curve in points.groupby("run_id", sort=False)
            for problem in _curve_problems(str(run_id), curve, sizes)
        ],
    )
    return points


def read_curves(path: str | Path, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read and check a table of training curves.

    Parameters
    ----------
    path : str or Path
        A file of any kind that `read_runs` takes; one row a point.
    columns : mapping of str to str, optional
        Our name of a column to the file's, as for `read_runs`.

    Returns
    -------
    DataFrame
        As `check_curves` returns it; further columns of a CSV or TSV file are texts.

    Raises
    ------
    InputError
        If the file cannot be read or breaks a rule of `check_curves`; with the line of the file.
    """
    curves = read_table(path)
    labels: dict[str, Any] = {"source": str(path)}
    if curves.columns.is_unique:
        labels["columns"] = match_columns(list(curves.columns), columns, str(path))
        curves = curves.rename(columns={theirs: ours for ours, theirs in labels["columns"].items()})
    curves.attrs |= labels
    return check_curves(curves)


def simulate_curves(runs: pd.DataFrame, law: Law, *, points: int = 50, excess: float = 0.04) -> pd.DataFrame:
    """Make smooth training curves that end at the losses of finished runs.

    At a part t of its training a run has loss (1 + excess (1 + cos(pi t)) / 2) L(N, t D), times what
    separates its final loss from the law. The excess is proportional to the learning rate that a
    cosine schedule over the whole run has still to shed there: hence an unfinished run is worse than
    one that was planned to end at those tokens, and a finished one is on the law.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs; each gets a curve.
    law : mapping of str to float, or callable
        As for `simulate_runs`.
    points : int
        Points a curve, evenly spaced in tokens; the last is the finished run.
    excess : float
        Share of the loss by which a run at its peak learning rate is worse than an annealed one.

    Returns
    -------
    DataFrame
        A checked table of curves.

    Raises
    ------
    InputError
        If `points` is below 2, `excess` negative, or the law gives no positive number.
    """
    if points < 2 or not 0 <= excess < np.inf:
        raise InputError(f"points must be at least 2 and excess at least 0, not {points} and {excess:g}")
    part = np.tile(np.arange(1, points + 1) / points, len(runs))
    ends = runs.loc[runs.index.repeat(points), list(COLUMNS)].reset_index(drop=True)
    params, tokens = ends["params"].to_numpy(float), ends["tokens"].to_numpy(float)
    unfinished = 1 + excess * (1 + np.cos(np.pi * part)) / 2
    ratio = law_loss(law, params, part * tokens) / law_loss(law, params, tokens)
    curves = ends.assign(
        tokens=part * tokens,
        flops=part * ends["flops"],
        # The end is the run's own loss to the last digit.
        loss=np.where(part == 1, ends["loss"], ends["loss"] * unfinished * ratio),
    )
    curves.attrs = {"source": "simulated"}
    return check_curves(curves, runs=runs)


def _curve_problems(run_id: str, curve: pd.DataFrame, sizes: Mapping[str, float] | None) -> list[str]:
    problems = []
    params, tokens = curve["params"].to_numpy(), curve["tokens"].to_numpy()
    if len(curve) < 2:
        problems.append("has one point; a curve needs two or more")
    steps = np.flatnonzero(np.diff(tokens) <= 0)
    if steps.size:
        i = steps[0]
        problems.append(
            f"tokens do not grow from point {i + 1} ({tokens[i]:.10g}) to {i + 2} ({tokens[i + 1]:.10g}); "
            "sort each curve by tokens and give each restart its own run_id"
        )
    if (params != params[0]).any():
        problems.append(f"has several sizes ({params.min():.10g} to {params.max():.10g}); a run has one")
    if sizes is not None and run_id not in sizes:
        problems.append("there is no such run; leave the curve out or correct its run_id")
    elif sizes is not None and (params != sizes[run_id]).any():
        problems.append(f"params is {params[0]:.10g} here and {sizes[run_id]:.10g} in the table of runs")
    return problems
