"""What a page is about, part by part: each fit, or each recipe of one that tells recipes apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from bayes_scaling.planning.recipes import distinct_names, recipes_of_runs
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.by_recipe import recipe_names


@dataclass(frozen=True)
class Part:
    """One fit, or one recipe of a fit: what a reader chooses among."""

    key: str
    """Tells it apart in the page."""
    fit: xr.DataTree
    number: int
    """Which of the page's fits it is of, from 0 up."""
    model: str
    """Name of the model; the second of a name is "parametric (2)"."""
    recipe: str | None

    @property
    def label(self) -> str:
        """How people tell it apart."""
        return f"{self.model}, {self.recipe}" if self.recipe else self.model


def parts_of(fits: Sequence[xr.DataTree]) -> list[Part]:
    """Take fits apart by recipe.

    Parameters
    ----------
    fits : sequence of DataTree
        From `fit` or `open_fit`.

    Returns
    -------
    list of Part
        In the order of the fits, and of the recipes of each.
    """
    names = distinct_names(
        [fit_facts(fit)["model"] for fit in fits], [set(recipes_of_runs(fit).tolist()) for fit in fits]
    )
    return [
        Part(f"{number}-{place}", fit, number, name, recipe)
        for number, (fit, name) in enumerate(zip(fits, names, strict=True))
        for place, recipe in enumerate(recipe_names(fit["posterior"].dataset) or [None])
    ]
