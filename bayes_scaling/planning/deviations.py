"""By what slopes each draw of a fit leaves its law beyond the runs: as its own backtest, or studies, tell."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.discrepancy import Seen, expected_slope
from bayes_scaling.sampling.artefact import BACKTEST, fit_facts

type Array = np.ndarray[Any, Any]

_SEED = 20_220_335
"""Of the slopes: the same runs give the same slopes in every answer, and for every model of them."""

LOSS, PARAMS = "loss", "params"
"""What a slope that a backtest has shown is of: the log loss, or log N_opt."""


@dataclass(frozen=True)
class Deviations:
    """The slopes of every draw, and where they come from."""

    largest: float
    """Compute of the largest run of the recipe, in FLOPs."""
    slope: Array
    """Of the log loss, per decade of compute; dims ("draw",)."""
    params_slope: Array
    """Of log N_opt, likewise."""
    words: str
    """What is expected, and as told by what."""


def deviations_of(fit: xr.DataTree, constant: xr.Dataset, *, unseen: bool = False) -> Deviations | None:
    """Draw by what slopes the draws of a fit leave its law, one of each kind a draw.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`; what `learn_discrepancy` added to it is heeded.
    constant : Dataset, dims run
        As from `constant_data` of the runs of one law.
    unseen : bool
        Of a recipe without runs: nothing is known of it but what studies are like.

    Returns
    -------
    Deviations or None
        None if the spec of the fit has no discrepancy. Those of two recipes have nothing to do with each
        other, and one recipe taken out of a fit of several keeps its own.
    """
    content = fit_facts(fit).get("spec") or {}
    if "discrepancy" not in content:
        return None
    populations = spec_from_dict(content).discrepancy
    assert populations is not None
    recipes = set(constant["recipe"].to_numpy().astype(str).tolist()) if "recipe" in constant else set()
    recipe = recipes.pop() if len(recipes) == 1 else ""
    shown: dict[str, list[Seen]] = {LOSS: [], PARAMS: []}
    if BACKTEST in fit.children and not unseen:
        shown = _shown(fit[BACKTEST].dataset, recipe)
    largest = float(constant["flops"].max())
    loss = expected_slope(populations.loss, largest, shown[LOSS])
    params = expected_slope(populations.params, largest, shown[PARAMS])
    posterior = fit["posterior"].dataset
    count = posterior.sizes["chain"] * posterior.sizes["draw"]
    # Other runs, other slopes: two studies do not stray together.
    of_runs = zlib.crc32(np.asarray(constant["flops"], dtype=float).tobytes())
    rng = np.random.default_rng([_SEED, zlib.crc32(recipe.encode()), of_runs])
    asked = BACKTEST in fit.children
    sources = (_source(shown[LOSS], asked), _source(shown[PARAMS], asked))
    words = slopes_in_words(loss.moments(), params.moments(), sources)
    return Deviations(largest, loss.draws(count, rng), params.draws(count, rng), words)


def slopes_in_words(
    loss: tuple[float, float], params: tuple[float, float], sources: tuple[str, str] = ("", "")
) -> str:
    """Say what slopes are expected, and as told by what.

    Parameters
    ----------
    loss, params : (float, float)
        Mean and standard deviation of the slopes of log loss and of log N_opt.
    sources : (str, str)
        What tells each of the two; "" if it is not to be said.

    Returns
    -------
    str
    """
    (level, spread), (shift, width) = loss, params
    # Runs without IsoFLOP profiles show nothing of N_opt: what is said of it must not look as if they had.
    of_loss, of_both = (f", {source}" if source else "" for source in sources)
    moved = f"{percent:+d}" if (percent := round(100 * shift)) else "0"
    return (
        f"expect losses to leave the law by {100 * level:+.1f} \N{PLUS-MINUS SIGN} {100 * spread:.1f} % "
        f"(mean and sd) a decade of compute{of_loss if of_loss != of_both else ''}, and N_opt by {moved} "
        f"\N{PLUS-MINUS SIGN} {100 * width:.0f} %{of_both}"
    )


def _source(shown: list[Seen], asked: bool) -> str:
    """Say what tells a slope: cuts of the runs; published studies, where none was asked or shows any."""
    cuts = len({each.cut for each in shown})
    if not cuts:
        return "as in published studies" + ("" if asked else " (`fit --backtest` learns it from these runs)")
    return f"as {cuts} cuts of these runs have shown" if cuts > 1 else "as one cut of these runs has shown"


def _shown(backtest: xr.Dataset, recipe: str) -> dict[str, list[Seen]]:
    """Read of one recipe what its cuts have shown."""
    found: dict[str, list[Seen]] = {LOSS: [], PARAMS: []}
    columns = (backtest[name].to_numpy() for name in ("shown_recipe", "shown_of", "cut", "slope", "error"))
    for whose, of, cut, slope, error in zip(*columns, strict=True):
        if str(whose) == recipe:
            found[str(of)].append(Seen(float(cut), float(slope), float(error)))
    return found
