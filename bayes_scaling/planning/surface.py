"""The loss of any run by every draw of a fit, and what follows from it: optimum, regret, least compute.

The one place that knows how a model's posterior becomes a surface of loss over size and tokens. Whatever
decides asks it, so that what changes the surface changes every decision. Draws are plain arrays with the
draw as their last axis, since a plan looks at hundreds of sizes by thousands of draws; sizes and tokens
broadcast against them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.laws import chinchilla, inverse, lifetime
from bayes_scaling.planning.frontier_surface import FrontierSurface
from bayes_scaling.planning.isoflop import flops_rule
from bayes_scaling.planning.optimum import extrapolation
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
        """Training compute of a run in FLOPs: k N D, with the k of the runs at that size."""
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

    def lifetime_curve(self, cost: float, served: float, best: Array) -> Callable[[Array], Array]:
        """Give the same as a function of the loss, ready to be asked of many losses.

        They are those of plans at one lifetime cost in FLOPs, whose least loss is `best`, dims ("draw",).
        """
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
class LawSurface:
    """The surface of the Chinchilla law, in closed form."""

    law: dict[str, Array]
    """E, A, B, alpha and beta; dims ("draw",)."""
    k: float
    """Training FLOPs per parameter and token."""

    def optimum(self, compute: Any) -> tuple[Array, Array, Array]:
        """As `Surface.optimum`."""
        return chinchilla.optimum(compute, **self.law, flops_per_param_token=self.k)

    def loss(self, params: Any, tokens: Any) -> Array:
        """As `Surface.loss`."""
        return chinchilla.loss(params, tokens, **self.law)

    def compute(self, params: Any, tokens: Any) -> Any:
        """As `Surface.compute`."""
        return self.k * params * tokens

    def params(self, tokens: Any, compute: Any) -> Any:
        """As `Surface.params`."""
        return compute / (self.k * tokens)

    def regret(self, params: Any, tokens: Any) -> Array:
        """As `Surface.regret`."""
        # In logarithms, and by the best size alone: a plan asks this of millions of sizes and draws.
        A, B, alpha, beta = (self.law[name] for name in ("A", "B", "alpha", "beta"))
        a, _ = chinchilla.exponents(alpha, beta)
        log_product = np.log(np.multiply(params, tokens))
        log_ratio = np.log(params) - inverse.log_balance(A, B, alpha, beta) - a * log_product
        return chinchilla.regret_at_log(log_ratio, alpha=alpha, beta=beta)

    def least_compute(self, loss: Any) -> Array:
        """As `Surface.least_compute`."""
        return inverse.least_compute(loss, **self.law, flops_per_param_token=self.k)

    def least_lifetime_compute(self, loss: Any, served: float) -> Array:
        """As `Surface.least_lifetime_compute`."""
        return lifetime.least_lifetime_compute(loss, served, **self.law, flops_per_param_token=self.k)

    def lifetime_curve(self, cost: float, served: float, best: Array) -> Callable[[Array], Array]:
        """As `Surface.lifetime_curve`."""
        # In closed form nothing need be prepared.
        del cost, best
        return lambda loss: self.least_lifetime_compute(loss, served)

    def tokens_to_reach(self, params: Any, loss: Any) -> Array:
        """As `Surface.tokens_to_reach`."""
        return inverse.tokens_to_reach(loss, params, **self.law)

    def params_of_tokens(self, tokens: Any) -> Array:
        """As `Surface.params_of_tokens`."""
        return inverse.params_of_tokens(tokens, **{n: v for n, v in self.law.items() if n != "E"})

    def at_draws(self, which: Array) -> LawSurface:
        """As `Surface.at_draws`."""
        return replace(self, law={name: values[which] for name, values in self.law.items()})


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
    weights_by: str = ""
    """Of a mixture of fits: what their weights rest on, as `model_weights` has it."""
    weights_why: str = ""

    def draws(self, values: Array) -> xr.DataArray:
        """Label values with the draw as their last axis and nothing before it by chain and draw."""
        flat = np.broadcast_to(values, (self.shape[0] * self.shape[1],))
        return xr.DataArray(flat.reshape(self.shape), dims=("chain", "draw"), coords=self.coords)

    def extrapolation(self, params: Any, tokens: Any, compute: Any) -> dict[str, Array]:
        """By what factor plans lie outside the runs in compute, size and tokens, 1 inside, by variable."""
        return {
            name: extrapolation(xr.DataArray(values), self.runs[column]).to_numpy()
            for name, column, values in (
                ("extrapolation", "flops", compute),
                ("extrapolation_params", "params", params),
                ("extrapolation_tokens", "tokens", tokens),
            )
        }


def surface_of(fit: xr.DataTree, recipe: str | None = None) -> Fitted:
    """Turn a fit of any model into its surface of loss over size and tokens.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, of any model.
    recipe : str, optional
        Which recipe to plan for; needed where the fit tells recipes apart.

    Returns
    -------
    Fitted

    Raises
    ------
    InputError
        If the fit tells recipes apart and none, or an unknown one, is named; or one is named and it does not.
    """
    facts = fit_facts(fit)
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset
    posterior, constant = _of_recipe(posterior, constant, recipe)

    def flat(name: str) -> Array:
        return np.ascontiguousarray(posterior[name].transpose("chain", "draw").to_numpy()).ravel()

    surface: Surface
    if facts["law"] == "chinchilla":
        law = {name: flat(name) for name in ("E", "A", "B", "alpha", "beta")}
        surface = LawSurface(law, float(constant["flops_per_param_token"]))
    else:
        skew = {name: flat(name) for name in ("alpha", "beta") if name in posterior}
        line = ("params_coefficient", "a", "E", "loss_coefficient", "gamma", "kappa_slope")
        surface = FrontierSurface(
            **{name: flat(name) for name in line},
            log_kappa=np.log(flat("kappa")),
            skew=skew,
            flops_rule=flops_rule(constant),
            # Each recipe's profiles are centred at the typical compute of its own runs.
            typical_compute=float(np.exp(np.log(constant["flops"]).mean())),
        )
    return Fitted(
        surface=surface,
        shape=(posterior.sizes["chain"], posterior.sizes["draw"]),
        coords={name: posterior[name].to_numpy() for name in ("chain", "draw")},
        runs=constant[["params", "tokens", "flops"]],
        model=facts["model"],
        converged=bool(facts["verdict"]["converged"]),
        labels=facts["labels"],
        recipe=recipe or "",
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
            f"they are {', '.join(names)}"
        )
    if recipe not in names:
        raise InputError(f"the fit has no recipe {recipe!r}{did_you_mean(recipe, names)}")
    return draws_of_recipe(posterior, constant, recipe), constant_of_recipe(constant, recipe)
