"""Several fits as one: the mixture of their posteriors, draw by draw, each counting by its weight.

Never averaged are parameters: of laws that differ the mean is a law that no model believes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.planning.deviating_surface import DeviatingSurface
from bayes_scaling.planning.frontier_surface import FrontierSurface
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.stacking import Weights, checked_weights
from bayes_scaling.planning.surface import Fitted, Surface, surface_of
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.sampling.by_recipe import recipe_names

type Array = np.ndarray[Any, Any]
type Fits = xr.DataTree | Sequence[xr.DataTree]

_DRAWS = 4000
"""Of a mixture, or as many as the largest of its fits has, if those are more."""


@dataclass(frozen=True)
class Member:
    """One fit of a mixture."""

    name: str
    weight: float
    fitted: Fitted


@dataclass(frozen=True)
class MixtureSurface:
    """Surfaces side by side: the draws of the one, then those of the next."""

    parts: tuple[Surface, ...]
    counts: tuple[int, ...]
    """Draws of each."""

    def optimum(self, compute: Any) -> tuple[Array, Array, Array]:
        """As `Surface.optimum`."""
        found = [self._joined(lambda part, own, i=i: part.optimum(own(compute))[i]) for i in range(3)]
        return found[0], found[1], found[2]

    def loss(self, params: Any, tokens: Any) -> Array:
        """As `Surface.loss`."""
        return self._joined(lambda part, own: part.loss(own(params), own(tokens)))

    def compute(self, params: Any, tokens: Any) -> Any:
        """As `Surface.compute`."""
        return self.parts[0].compute(params, tokens)

    def params(self, tokens: Any, compute: Any) -> Any:
        """As `Surface.params`."""
        return self.parts[0].params(tokens, compute)

    def regret(self, params: Any, tokens: Any) -> Array:
        """As `Surface.regret`."""
        return self._joined(lambda part, own: part.regret(own(params), own(tokens)))

    def least_compute(self, loss: Any) -> Array:
        """As `Surface.least_compute`."""
        return self._joined(lambda part, own: part.least_compute(own(loss)))

    def least_lifetime_compute(self, loss: Any, served: float) -> Array:
        """As `Surface.least_lifetime_compute`."""
        return self._joined(lambda part, own: part.least_lifetime_compute(own(loss), served))

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """As `Surface.tokens_to_reach`."""
        return self._joined(lambda part, own: part.tokens_to_reach(own(params), own(loss)))

    def params_of_tokens(self, tokens: Any) -> Array:
        """As `Surface.params_of_tokens`."""
        return self._joined(lambda part, own: part.params_of_tokens(own(tokens)))

    def at_draws(self, which: Array) -> Surface:
        """As `Surface.at_draws`, for draws in rising order."""
        cuts = self._cuts()
        inside = [which[(which >= cut.start) & (which < cut.stop)] - cut.start for cut in cuts]
        kept = [
            (part.at_draws(own), len(own)) for part, own in zip(self.parts, inside, strict=True) if len(own)
        ]
        return MixtureSurface(tuple(part for part, _ in kept), tuple(count for _, count in kept))

    def _cuts(self) -> list[slice]:
        ends = np.cumsum(self.counts).tolist()
        return [slice(end - count, end) for end, count in zip(ends, self.counts, strict=True)]

    def _joined(self, ask: Callable[..., Array]) -> Array:
        """Ask each part, of arguments that differ by draw with its own draws' alone."""
        total, answers = sum(self.counts), []
        for part, cut in zip(self.parts, self._cuts(), strict=True):

            def own(value: Any, cut: slice = cut) -> Any:
                by_draw = np.ndim(value) > 0 and np.shape(value)[-1] == total
                return np.asarray(value)[..., cut] if by_draw else value

            answers.append(ask(part, own))
        return np.concatenate(answers, axis=-1)


def fitted_of(
    fit: Fits,
    *,
    recipe: str | None,
    weights: Weights | None,
    allow_unconverged: bool,
    discrepancy: bool = True,
) -> tuple[Fitted, list[Member]]:
    """Turn one fit into its surface, or several into that of their mixture.

    Parameters
    ----------
    fit : DataTree or sequence of DataTree
        From `fit` or `open_fit`, of any model.
    recipe : str, optional
        Which recipe to plan for; needed where a fit tells recipes apart.
    weights : sequence of float or DataArray, optional
        Of several fits, one each; `model_weights` of them unless given.
    allow_unconverged : bool
        Let fits pass that break a convergence rule.
    discrepancy : bool
        Let each leave its law beyond its runs, as its spec has it.

    Returns
    -------
    fitted : Fitted
        Of a mixture with one chain.
    members : list of Member
        The fits of a mixture; empty if there is but one fit.

    Raises
    ------
    InputError
        If there is no fit, or what is given is none; weights are given for one alone or are wrong; recipes
        are not named rightly; or the fits count parameters, or losses, differently.
    NotConvergedError
        If a fit is not converged and its use was not allowed.
    """
    # A path is a sequence too, of letters.
    several = isinstance(fit, Sequence) and not isinstance(fit, str)
    fits: list[Any] = list(fit) if several else [fit]
    if not fits:
        raise InputError("a plan needs a fit, or a list of fits, as from fit or open_fit, not an empty list")
    for each in fits:
        require_usable(each, allow_unconverged=allow_unconverged)
    if len(fits) == 1:
        if weights is not None:
            raise InputError("weights tell several fits apart, and there is one; leave weights out")
        return surface_of(fits[0], recipe, discrepancy=discrepancy), []
    apart = [bool(recipe_names(each["posterior"].dataset)) for each in fits]
    # A fit of one recipe alone may be mixed with one that tells recipes apart.
    fitted = [
        surface_of(each, recipe if tells or not any(apart) else None, discrepancy=discrepancy)
        for each, tells in zip(fits, apart, strict=True)
    ]
    _check_labels(fitted)
    known = checked_weights(fits, weights)
    members = [
        Member(str(name), float(weight), one)
        for name, weight, one in zip(known["fit"].values, known.values, fitted, strict=True)
    ]
    return _mixed(members, recipe, by=known.attrs["by"], why=known.attrs["why"]), members


def _check_labels(fitted: list[Fitted]) -> None:
    """Refuse fits whose sizes or losses are not the same quantities; where it is not known, they may be."""
    for label, of in (("params_count", "parameters"), ("loss_unit", "losses")):
        known = {str(each.labels.get(label, "unstated")) for each in fitted} - {"unstated", ""}
        if len(known) > 1:
            raise InputError(
                f"the fits count {of} differently: {label} is {', '.join(sorted(known))}, and no plan is of "
                "both; fit the models to runs of one kind, or plan by each alone"
            )


def _mixed(members: list[Member], recipe: str | None, *, by: str, why: str) -> Fitted:
    """Resample each fit's draws by its weight, evenly spaced, and price all plans alike."""
    sizes = [int(np.prod(member.fitted.shape)) for member in members]
    total = max(_DRAWS, *sizes)
    counts = _shares(np.array([member.weight for member in members]), total)
    kept = [i for i in range(len(members)) if counts[i]]
    # The heaviest first: it says what a run costs.
    kept.sort(key=lambda i: -members[i].weight)
    surfaces = [
        members[i].fitted.surface.at_draws(np.arange(counts[i]) * sizes[i] // counts[i]) for i in kept
    ]
    heaviest = members[kept[0]].fitted
    return replace(
        heaviest,
        surface=MixtureSurface(tuple(_at_one_price(surfaces)), tuple(int(counts[i]) for i in kept)),
        shape=(1, total),
        coords={"chain": np.array([0]), "draw": np.arange(total)},
        runs=xr.concat([member.fitted.runs.drop_vars("run", errors="ignore") for member in members], "run"),
        model=f"mixture of {len(members)} fits",
        converged=all(member.fitted.converged for member in members),
        new_budget=any(member.fitted.new_budget for member in members),
        recipe=recipe or "",
        discrepancy="\n".join(
            f"{each.name}: {each.fitted.discrepancy}" for each in members if each.fitted.discrepancy
        ),
        weights_by=by,
        weights_why=why,
    )


def _shares(weights: Array, total: int) -> Array:
    """Whole numbers in proportion to weights, of that sum: by largest remainders."""
    exact = weights * total
    counts = np.floor(exact).astype(int)
    short = total - counts.sum()
    counts[np.argsort(-(exact - counts), kind="stable")[:short]] += 1
    return counts


def _at_one_price(surfaces: list[Surface]) -> list[Surface]:
    """Let all surfaces count FLOPs alike, so that a plan costs the same whichever of them is true.

    As the first of them does.
    """
    laws = [surface.law if isinstance(surface, DeviatingSurface) else surface for surface in surfaces]
    priced = [law for law in laws if isinstance(law, LawSurface | FrontierSurface)]
    alike = [replace(law, price=priced[0].price) for law in priced]
    return [
        replace(surface, law=law) if isinstance(surface, DeviatingSurface) else law
        for surface, law in zip(surfaces, alike, strict=True)
    ]
