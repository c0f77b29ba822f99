"""Which runs and which training curves belong to which recipe: each has its own law, so its own estimates."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.errors import RunsWarning
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.doubts import some_runs, warn_of_runs

SAME_END = 0.03
"""How far the end of a curve may lie from its run, in the logarithms: points are binned, losses smoothed."""


@dataclass(frozen=True)
class RecipeRuns:
    """The runs of one recipe, or of a table that is taken as one."""

    recipe: str
    """Its name; "" of a table taken as one."""
    runs: pd.DataFrame
    """Checked; the source in its labels names the recipe."""
    curves: xr.Dataset | None
    """Training curves of these runs, as from `reduce_curves`; None if none were given at all."""


def by_recipe(
    runs: pd.DataFrame, curves: xr.Dataset | None = None, *, always: bool = False
) -> list[RecipeRuns]:
    """Part a table of runs, and training curves, by recipe.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    curves : Dataset, optional
        From `reduce_curves`. Of several recipes, a curve is of that of the run whose run_id it has.
    always : bool
        Name the recipe where there is but one, too.

    Returns
    -------
    list of RecipeRuns
        In the order in which the recipes appear.

    Warns
    -----
    RunsWarning
        If curves are left out, because no run of several recipes has their run_id; or all of them are kept,
        and none ends in one of the runs.
    """
    names = list(dict.fromkeys(runs["recipe"])) if "recipe" in runs else []
    if len(names) < 2:
        if curves is not None and curves.sizes["curve"]:
            _warn_of_other_runs(curves, runs)
        return [RecipeRuns(names[0] if always and names else "", runs, curves)]
    if curves is not None:
        strangers = curves["run_id"].to_numpy()[~_are_of(curves, runs)].tolist()
        if strangers:
            warn_of_runs(
                f"{curves.attrs.get('source', 'curves')}: of no recipe, and left out: the curves of "
                f"{some_runs(strangers, curves.sizes['curve'])}, which have the run_id of none in the table"
            )
    return [_part(name, runs, curves) for name in names]


def _warn_of_other_runs(curves: xr.Dataset, runs: pd.DataFrame) -> None:
    """Warn of curves that share with the runs neither a run_id nor a final point."""
    if _are_of(curves, runs).any():
        return
    last = curves["compute"].where(curves["loss"].notnull()).argmax("compute")
    ends = {
        "params": curves["params"].to_numpy(),
        "flops": curves["most_flops"].to_numpy(),
        "loss": curves["loss"].isel(compute=last).to_numpy(),
    }
    apart = [np.abs(np.log(values[:, None] / runs[name].to_numpy())) for name, values in ends.items()]
    if not (np.max(apart, axis=0) < SAME_END).any():
        warn_of_runs(
            f"{curves.attrs.get('source', 'curves')}: seem to be curves of other runs than those of "
            f"{runs.attrs.get('source', 'runs')}: they share no run_id, and none ends at the size, compute "
            "and loss of a run; approach 1 is of the curves, everything else of the runs"
        )


def _part(name: str, runs: pd.DataFrame, curves: xr.Dataset | None) -> RecipeRuns:
    own = runs[runs["recipe"] == name].reset_index(drop=True)
    own.attrs["source"] = f"{runs.attrs['source']}, recipe {name!r}"
    with warnings.catch_warnings():
        # What is doubtful about the runs was said of the whole table; a column may be blank in this part.
        warnings.simplefilter("ignore", RunsWarning)
        own = check_runs(own)
    return RecipeRuns(name, own, None if curves is None else select_curves(curves, _are_of(curves, own)))


def _are_of(curves: xr.Dataset, runs: pd.DataFrame) -> np.ndarray:
    """Whether each curve is of one of the runs."""
    return np.isin(curves["run_id"].to_numpy().astype(str), runs["run_id"].to_numpy(str))


def select_curves(curves: xr.Dataset, kept: np.ndarray) -> xr.Dataset:
    """Keep some of the reduced training curves.

    Parameters
    ----------
    curves : Dataset
        From `reduce_curves`.
    kept : ndarray of bool, dims ("curve",)
        Which to keep.

    Returns
    -------
    Dataset
        As from `reduce_curves`, on the same values of compute.
    """
    # The vertices point at their curves by position, and the positions move.
    position = np.cumsum(kept) - 1
    vertex_curve = curves["vertex_curve"].to_numpy()
    own = curves.isel(curve=np.flatnonzero(kept), vertex=np.flatnonzero(kept[vertex_curve]))
    return own.assign(vertex_curve=own["vertex_curve"].copy(data=position[own["vertex_curve"].to_numpy()]))
