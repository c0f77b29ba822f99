"""The loss of any run by every draw of a fit, and what follows from it: optimum, regret, least compute.

The one place that knows how a model's posterior becomes a surface of loss over size and tokens. Whatever
decides asks it, so that what changes the surface changes every decision. Draws are plain arrays with the
draw as their last axis, since a plan looks at hundreds of sizes by thousands of draws; sizes and tokens
broadcast against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.planning.deviations import deviations_of
from bayes_scaling.planning.discrepancy import decades_beyond
from bayes_scaling.planning.draws_surface import deviating, surface_of_draws
from bayes_scaling.planning.isoflop import one_more_budget
from bayes_scaling.planning.optimum import outside
from bayes_scaling.quantities import format_share
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.by_recipe import constant_of_recipe, draws_of_recipe

type Array = np.ndarray[Any, Any]


class Surface(Protocol):
    """What a decision asks of a model, for every draw; arrays broadcast against dims ("draw",)."""

    def optimum(self, compute: Any) -> tuple[Array, Array, Array]:
        """Best size, its tokens and its loss at a training compute in FLOPs."""
        ...

    def loss(self, params: Any, tokens: Any) -> Array:
        """Loss of any run, in the unit of the runs; without the noise of a run."""
        ...

    def compute(self, params: Any, tokens: Any) -> Any:
        """Training compute of a run in FLOPs: k N D, with the k of that size, as `planning.price` has it."""
        ...

    def params(self, tokens: Any, compute: Any) -> Any:
        """Size for which a compute buys that many tokens."""
        ...

    def regret(self, params: Any, tokens: Any) -> Array:
        """Share of a run's compute that the optimal run would have saved at equal loss."""
        ...

    def least_compute(self, loss: Any) -> Array:
        """Least training compute in FLOPs that reaches a loss; infinite where nothing does."""
        ...

    def least_lifetime_compute(self, loss: Any, served: float) -> Array:
        """Least compute of training and of serving that many tokens, with which a model reaches a loss."""
        ...

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """Tokens on which a model of a size reaches a loss; infinite where it never does."""
        ...

    def params_of_tokens(self, tokens: Any) -> Array:
        """Size for which that many tokens are the optimal number."""
        ...

    def at_draws(self, which: Array) -> Surface:
        """Return the surface of some of the draws, by their positions."""
        ...


@dataclass(frozen=True)
class Fitted:
    """The surface of a fit, and what an answer has to say beside it."""

    surface: Surface
    shape: tuple[int, int]
    """Chains, and draws of each."""
    coords: dict[str, Array]
    """Of the dims chain and draw."""
    runs: xr.Dataset
    """params, tokens and flops of the runs, dims run."""
    model: str
    converged: bool
    labels: dict[str, Any]
    """Of the runs, such as loss_unit and params_count."""
    recipe: str
    new_budget: bool = False
    """Whether the surface is that of one more budget, scattered about the line of an IsoFLOP model."""
    discrepancy: str = ""
    """By what the surface leaves the law beyond the runs, in words; "" if by nothing."""
    weights_by: str = ""
    """Of a mixture of fits: what their weights rest on, as `model_weights` has it."""
    weights_why: str = ""

    def draws(self, values: Array) -> xr.DataArray:
        """Label values with the draw as their last axis and nothing before it by chain and draw."""
        flat = np.broadcast_to(values, (self.shape[0] * self.shape[1],))
        return xr.DataArray(flat.reshape(self.shape), dims=("chain", "draw"), coords=self.coords)

    def beyond(self, compute: Any) -> str:
        """Say by what the surface leaves the law at some compute; "" within the runs, or if by nothing."""
        return self.discrepancy if decades_beyond(compute, float(self.runs["flops"].max())).any() else ""

    def extrapolation(self, params: Any, tokens: Any, compute: Any) -> dict[str, Array]:
        """By what factor plans lie outside the runs in compute, size and tokens, and which lie below."""
        found: dict[str, Array] = {}
        for of, column, values in (
            ("", "flops", compute),
            ("_params", "params", params),
            ("_tokens", "tokens", tokens),
        ):
            own = outside(xr.DataArray(values), self.runs[column])
            found |= {f"{name}{of}": known.to_numpy() for name, known in own.items()}
        return found


def surface_of(
    fit: xr.DataTree, recipe: str | None = None, *, new_budget: bool = True, discrepancy: bool = True
) -> Fitted:
    """Turn a fit of any model into its surface of loss over size and tokens.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, of any model.
    recipe : str, optional
        Which recipe to plan for; needed where the fit tells recipes apart.
    new_budget : bool
        Of an IsoFLOP model: take one more budget, by each draw scattered about the line as those of the runs
        are, by the same luck as that of `optimum`; else the line itself. A run that is planned has a budget.
    discrepancy : bool
        Let it deviate from the law beyond the runs, as the spec of the fit has it and by the same slopes as
        in `optimum`; else the law alone.

    Returns
    -------
    Fitted

    Raises
    ------
    InputError
        If the fit tells recipes apart and none, or an unknown one, is named; one is named and it does not; or
        some draws are no law: numbers that are not finite, or not positive where they must be.
    """
    facts = fit_facts(fit)
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset
    posterior, constant = _of_recipe(posterior, constant, recipe)
    _check_draws(posterior, facts["law"])
    deviations = deviations_of(fit, constant) if discrepancy else None
    scattered = False
    if facts["law"] != "chinchilla" and new_budget:
        scattered = bool((one_more_budget(posterior, constant).to_array() != 0).any())
    return Fitted(
        surface=deviating(surface_of_draws(posterior, constant, new_budget=new_budget), deviations),
        shape=(posterior.sizes["chain"], posterior.sizes["draw"]),
        coords={name: posterior[name].to_numpy() for name in ("chain", "draw")},
        runs=constant[["params", "tokens", "flops"]],
        model=facts["model"],
        converged=bool(facts["verdict"]["converged"]),
        labels=facts["labels"],
        recipe=recipe or "",
        new_budget=scattered,
        discrepancy="" if deviations is None else deviations.words,
    )


def _check_draws(posterior: xr.Dataset, law: str) -> None:
    """Refuse draws that are no law: by them no plan is better than another."""
    if law == "chinchilla":
        names, positive = ["E"], ["A", "B", "alpha", "beta"]
    else:
        names = ["a", "E", "kappa_slope", "params_scatter", "loss_scatter", "kappa_scatter"]
        positive = ["params_coefficient", "loss_coefficient", "gamma", "kappa", "alpha", "beta"]
    draws = {name: posterior[name].to_numpy() for name in (*names, *positive) if name in posterior}
    wrong = {
        name: ~np.isfinite(values) | ((values <= 0) if name in positive else False)
        for name, values in draws.items()
    }
    none = np.any(list(wrong.values()), axis=0)
    if none.any():
        said = ", ".join(name for name, of_draws in wrong.items() if of_draws.any())
        above = ", ".join(name for name in positive if name in draws)
        raise InputError(
            f"the fit: {format_share(none.mean())} of its draws are no law, for {said} must be finite, and "
            f"{above} above 0; fit again with priors that keep them so"
        )


def _of_recipe(
    posterior: xr.Dataset, constant: xr.Dataset, recipe: str | None
) -> tuple[xr.Dataset, xr.Dataset]:
    """Keep of a fit what belongs to one recipe."""
    if "recipe" not in posterior.dims:
        if recipe is not None:
            raise InputError(f"recipe {recipe!r}: this fit does not tell recipes apart; leave recipe out")
        return posterior, constant
    names = posterior["recipe"].to_numpy().astype(str).tolist()
    if recipe is None:
        raise InputError(
            f"the fit is of {len(names)} recipes, and a plan is for one: name it (recipe, --recipe); "
            f"they are {', '.join(map(repr, names))}"
        )
    if recipe not in names:
        raise InputError(f"the fit has no recipe {recipe!r}{did_you_mean(recipe, names)}")
    return draws_of_recipe(posterior, constant, recipe), constant_of_recipe(constant, recipe)
