"""The draws that the page's planner works with: columns of float64, as base64 in JSON."""

from __future__ import annotations

import base64
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.planning.deviating_surface import DeviatingSurface
from bayes_scaling.planning.frontier_surface import FrontierSurface
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.surface import Surface, surface_of

type Array = np.ndarray[Any, Any]

MOST_DRAWS = 4000
"""Of a recipe: as many as are sampled unless asked otherwise, so that answers agree to the digit."""

ROOM = 2_500_000
"""Bytes of a page for the draws of all recipes of all its fits."""

_BYTES_A_DRAW = 18 * 8 * 4 / 3
"""At most, as base64: no model has more columns."""

_DECADES = 4
"""How far beyond the largest run the planner's slider goes."""


def draws_for(recipes: int) -> int:
    """How many draws of each recipe a page of so many has room for, at most."""
    return min(MOST_DRAWS, int(ROOM / _BYTES_A_DRAW / max(recipes, 1)))


def embedded_draws(fit: xr.DataTree, recipe: str | None, most: int) -> dict[str, Any]:
    """Put the surface of a fit into plain values for the page's planner.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    recipe : str, optional
        Which recipe, of a fit that tells them apart.
    most : int
        Draws to keep at most; of more, as many evenly spaced ones.

    Returns
    -------
    dict
        law ("chinchilla" or "frontier"); draws and of, how many are kept, of how many; columns, by name the
        base64 text of little-endian float64 by draw, among them slope, params_slope and bend of draws that
        leave their law beyond the runs; scattered, the columns that differ in one more budget of
        an IsoFLOP model, which is what a plan is about; price, as `Price` has it; typical_compute of an
        IsoFLOP model; runs, the smallest and largest flops, params and tokens; and compute, the ends of the
        slider.
    """
    line = surface_of(fit, recipe, new_budget=False)
    of = line.shape[0] * line.shape[1]
    kept = np.unique(np.linspace(0, of - 1, min(of, most)).round().astype(int))
    surface = line.surface.at_draws(kept)
    columns = _columns(surface)
    scattered = _columns(surface_of(fit, recipe).surface.at_draws(kept))
    changed = {name: values for name, values in scattered.items() if (values != columns[name]).any()}
    runs = {
        name: [float(line.runs[name].min()), float(line.runs[name].max())]
        for name in ("flops", "params", "tokens")
    }
    law = surface.law if isinstance(surface, DeviatingSurface) else surface
    assert isinstance(law, LawSurface | FrontierSurface)
    return {
        "law": "chinchilla" if isinstance(law, LawSurface) else "frontier",
        "draws": len(kept),
        "of": of,
        "columns": {name: _base64(values) for name, values in columns.items()},
        "scattered": {name: _base64(values) for name, values in changed.items()},
        "price": asdict(law.price),
        "typical_compute": getattr(law, "typical_compute", None),
        "runs": runs,
        "compute": [runs["flops"][0], runs["flops"][1] * 10.0**_DECADES],
    }


def _columns(surface: Surface) -> dict[str, Array]:
    if isinstance(surface, DeviatingSurface):
        slopes = {name: getattr(surface, name) for name in ("slope", "params_slope", "bend")}
        return _columns(surface.law) | slopes
    if isinstance(surface, LawSurface):
        return dict(surface.law)
    assert isinstance(surface, FrontierSurface)
    by_draw = {field.name: getattr(surface, field.name) for field in fields(surface)}
    return {name: value for name, value in by_draw.items() if isinstance(value, np.ndarray)} | surface.skew


def _base64(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")
