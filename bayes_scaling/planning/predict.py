"""The loss of runs not yet trained, for every draw of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.laws import chinchilla, frontier
from bayes_scaling.models.noise import draw_losses, noise_scale
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.deviating_surface import DeviatingSurface
from bayes_scaling.planning.deviations import Deviations, deviations_of
from bayes_scaling.planning.discrepancy import decades_beyond
from bayes_scaling.planning.draws_surface import deviating, surface_of_draws
from bayes_scaling.planning.isoflop import one_more_budget
from bayes_scaling.planning.numbers import positive_numbers
from bayes_scaling.planning.optimum import extrapolation, optimum
from bayes_scaling.planning.price import price_of
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.sampling.artefact import fit_facts

_SEED = 20_220_330
"""Of the noise: the same fit gives the same answer."""


def predict(
    fit: xr.DataTree,
    params: float | list[float] | np.ndarray,
    tokens: float | list[float] | np.ndarray,
    *,
    flops: float | list[float] | np.ndarray | None = None,
    recipe: str | None = None,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Posterior predictive loss of planned runs.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    params, tokens : float or list of float
        Size (in the count of the runs) and tokens of each plan; as many of the one as of the other.
    flops : float or list of float, optional
        Compute of each plan in FLOPs; k N D unless given, with the k of that size (see `planning.price`).
    recipe : str, optional
        Of which recipe the plans are; needed where the fit tells recipes apart.
    discrepancy : bool
        Carry that beyond the largest run the law may not hold, by the same slopes as `optimum`; else say what
        the law alone says.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.

    Returns
    -------
    Dataset
        law (what the plan reaches by the model's law, and its discrepancy) and loss (what one run of it would
        show: with the scatter of one more budget, if the model has budgets, and with the noise of a run),
        dims chain, draw, plan, in the loss's unit; params, tokens, flops and extrapolation (by what factor
        the compute lies outside that of the runs), dims plan. The attribute discrepancy says by what the
        plans beyond the runs leave the law; "" if they do not, or none lies beyond.

    Raises
    ------
    InputError
        If a size, a number of tokens or of FLOPs is not positive and finite, or they differ in number; or the
        fit tells recipes apart and none is named.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    require_usable(fit, allow_unconverged=allow_unconverged)
    fit = law_of_fit(fit, recipe)
    facts, constant = fit_facts(fit), fit["constant_data"].dataset
    posterior, spec = fit["posterior"].dataset, spec_from_dict(fit_facts(fit)["spec"])
    plan = _plans(params=params, tokens=tokens, flops=flops)
    if flops is None:
        plan["flops"] = price_of(constant).compute(plan["params"], plan["tokens"])

    by = deviations_of(fit, constant) if discrepancy else None
    beyond = by is not None and decades_beyond(plan["flops"], by.largest).any()
    compute_ratio = plan["flops"] / np.exp(np.log(constant["flops"]).mean())
    if spec.law == "chinchilla":
        law = _law_loss(posterior, constant, plan, by)
        mu = law
    else:
        law, mu = (
            _profile_loss(
                fit,
                plan,
                compute_ratio,
                new_budget=new,
                discrepancy=discrepancy,
                allow_unconverged=allow_unconverged,
            )
            for new in (False, True)
        )
    typical_loss = np.exp(np.log(fit["observed_data"]["loss"]).mean())
    scale = noise_scale(
        spec.noise,
        sigma=posterior["sigma"],
        sigma_growth=posterior.get("sigma_growth"),
        compute_ratio=compute_ratio,
        loss_ratio=mu / typical_loss,
    )
    if spec.noise.scale == "raw":
        scale = scale * typical_loss
    mu = mu.transpose("chain", "draw", "plan")
    loss = draw_losses(spec.noise, mu, scale, posterior.get("nu"), rng=np.random.default_rng(_SEED))
    answer = xr.Dataset({"law": law.transpose("chain", "draw", "plan"), "loss": loss, **plan})
    answer["extrapolation"] = extrapolation(plan["flops"], constant["flops"])
    for name in ("law", "loss"):
        answer[name].attrs["units"] = facts["labels"].get("loss_unit", "")
    answer.attrs = {"model": facts["model"], "converged": int(facts["verdict"]["converged"])}
    answer.attrs["discrepancy"] = by.words if by is not None and beyond else ""
    return answer


def _law_loss(
    posterior: xr.Dataset, constant: xr.Dataset, plan: dict[str, xr.DataArray], by: Deviations | None
) -> xr.DataArray:
    """Loss of each plan by the Chinchilla law, and beyond the runs by what the draws make of it."""
    names = ("E", "A", "B", "alpha", "beta")
    law = chinchilla.loss(plan["params"], plan["tokens"], **{name: posterior[name] for name in names})
    surface = deviating(surface_of_draws(posterior, constant, new_budget=False), by)
    if not isinstance(surface, DeviatingSurface):
        return law
    law = law.transpose("plan", "chain", "draw")
    moved = law.to_numpy().copy()
    columns = (plan[name].to_numpy() for name in ("params", "tokens", "flops"))
    for i, (params, tokens, flops) in enumerate(zip(*columns, strict=True)):
        if decades_beyond(flops, surface.largest):
            moved[i] = surface.loss_of_runs(params, tokens, flops).reshape(moved.shape[1:])
    return law.copy(data=moved)


def _plans(**given: Any) -> dict[str, xr.DataArray]:
    """Label the numbers of the plans, as many of each kind."""
    plan = {
        name: xr.DataArray(positive_numbers(name, values), dims="plan")
        for name, values in given.items()
        if values is not None
    }
    if len({values.size for values in plan.values()}) > 1:
        counts = ", ".join(f"{values.size} {name}" for name, values in plan.items())
        raise InputError(f"each plan needs its own {' and '.join(plan)}, but there are {counts}")
    return plan


def _profile_loss(
    fit: xr.DataTree,
    plan: dict[str, xr.DataArray],
    compute_ratio: xr.DataArray,
    *,
    new_budget: bool,
    discrepancy: bool,
    allow_unconverged: bool,
) -> xr.DataArray:
    """Loss on the profile of each plan's own compute, whose minimum and curvature the frontier gives."""
    posterior = fit["posterior"].dataset
    at = optimum(
        fit,
        plan["flops"].values,
        new_budget=new_budget,
        discrepancy=discrepancy,
        allow_unconverged=allow_unconverged,
    )
    least = at[["params_opt", "loss_opt"]].rename(compute="plan").drop_vars("plan")
    log_kappa = np.log(posterior["kappa"])
    if new_budget:
        log_kappa = log_kappa + one_more_budget(posterior, fit["constant_data"].dataset)["kappa"]
    skew: dict[str, Any] = {name: posterior[name] for name in ("alpha", "beta") if name in posterior}
    return frontier.profile_loss(
        np.log(plan["params"] / least["params_opt"]),
        np.log(compute_ratio),
        loss_opt=least["loss_opt"],
        log_kappa=log_kappa,
        kappa_slope=posterior["kappa_slope"],
        **skew,
    )
