"""The JSON documents of `plan` and `audit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.cli.extrapolation import outside_of
from bayes_scaling.intervals import interval, interval_dict
from bayes_scaling.planning.accelerators import Rate


def interval_of(draws: xr.DataArray, prob: float) -> dict[str, float]:
    """Summarise draws of one quantity; of those that may be infinite by ranks alone, without mean and sd."""
    if bool(np.isfinite(draws).all()):
        return interval_dict(interval(draws, prob))
    tail = (1 - prob) / 2
    ranks = np.quantile(draws, [0.5, tail, 1 - tail], method="inverted_cdf")
    return {
        **dict(zip(("estimate", "low", "high"), ranks.tolist(), strict=True)),
        "mean": np.inf,
        "sd": np.nan,
    }


def plan_document(decision: xr.Dataset, rate: Rate, prob: float) -> dict[str, Any]:
    """Describe a decision, as `plan` returns it."""
    cost = float(decision["compute"])
    document: dict[str, Any] = {
        "prob": prob,
        "model": decision.attrs["model"],
        "recipe": decision.attrs["recipe"] or None,
        "converged": bool(decision.attrs["converged"]),
        "new_budget": bool(decision.attrs["new_budget"]),
        "discrepancy": decision.attrs["discrepancy"].splitlines(),
        "compute": cost,
        **_person(rate, cost),
        **outside_of(decision),
        "recommended": {
            **_judged(decision, "recommended", rate, prob),
            "continues": bool(decision["recommended_continues"]),
            "binding": [name for name in decision.attrs["binding"].split(", ") if name],
        },
        "unconstrained": {
            key: float(decision[f"unconstrained_{key}"]) for key in ("params", "expected_regret")
        },
        "limits_price": interval_of(decision["limits_price"], prob) if "limits_price" in decision else None,
        "optimum": {
            name: interval_of(decision[name], prob) for name in ("params_opt", "tokens_opt", "loss_opt")
        },
        "region": [
            {
                "regret": float(bound),
                "probability": float(probability),
                **{
                    str(side): float(
                        decision["region"].sel(regret_bound=bound, probability=probability, side=side)
                    )
                    for side in decision["side"].values
                },
            }
            for bound in decision["regret_bound"].values
            for probability in decision["probability"].values
        ],
        "below": [
            {"params": float(size), "probability": float(share)}
            for size, share in (
                zip(decision["below"].values, decision["params_opt_below"].values, strict=True)
                if "below" in decision.coords
                else ()
            )
        ],
        "target": float(decision["target"]) if "target" in decision else None,
        **_given(decision),
        **_mixture(decision),
    }
    for name in ("proposed", "continued"):
        there = f"{name}_params" in decision
        document[name] = _judged(decision, name, rate, prob) if there else None
    return document


def target_document(cheapest: xr.Dataset, rate: Rate, prob: float) -> dict[str, Any]:
    """Describe the cheapest plan to a target, as `plan_to_target` returns it."""
    return {
        "prob": prob,
        "model": cheapest.attrs["model"],
        "recipe": cheapest.attrs["recipe"] or None,
        "converged": bool(cheapest.attrs["converged"]),
        "new_budget": bool(cheapest.attrs["new_budget"]),
        "discrepancy": cheapest.attrs["discrepancy"].splitlines(),
        "target": float(cheapest["target"]),
        **_given(cheapest),
        **_mixture(cheapest),
        "never": float(cheapest["never"]),
        "compute": interval_of(cheapest["compute"], prob),
        "lifetime": interval_of(cheapest["lifetime"], prob),
        **outside_of(cheapest),
        "sure": float(cheapest["sure"]),
        "recommended": {
            **{
                key: float(cheapest[f"recommended_{key}"])
                for key in ("params", "tokens", "compute", "cost", "reaches")
            },
            **outside_of(cheapest, "recommended_"),
            **_person(rate, float(cheapest["recommended_cost"])),
            **_if_there(cheapest, "recommended", ("epochs", "serving_share")),
            "loss": interval_of(cheapest["recommended_loss"], prob),
            "binding": [name for name in cheapest.attrs["binding"].split(", ") if name],
        },
    }


def audit_document(audited: xr.Dataset, prob: float) -> dict[str, Any]:
    """Describe judged models, as `audit` returns them: one entry a model."""
    return {
        "prob": prob,
        "model": audited.attrs["model"],
        "recipe": audited.attrs["recipe"] or None,
        "converged": bool(audited.attrs["converged"]),
        "new_budget": bool(audited.attrs["new_budget"]),
        "discrepancy": audited.attrs["discrepancy"].splitlines(),
        "plans": [
            {
                "name": str(name),
                **{key: float(one[key]) for key in ("params", "tokens", "compute")},
                **outside_of(one),
                "expected_regret": float(one["expected_regret"]),
                "regret": interval_of(one["regret"], prob),
                "oversized": float(one["oversized"]),
                "params_opt": interval_of(one["params_opt"], prob),
                "tokens_opt": interval_of(one["tokens_opt"], prob),
                "loss": interval_of(one["loss"], prob),
            }
            for name in audited["plan"].values
            for one in [audited.sel(plan=name)]
        ],
    }


def _mixture(answer: xr.Dataset) -> dict[str, Any]:
    """Describe the fits that an answer is mixed from; of one fit there is nothing to say."""
    if "weight" not in answer:
        return {"weights_by": None, "models": []}
    models = []
    for name in answer["fit"].values:
        one = answer.sel(fit=name)
        model: dict[str, Any] = {"model": str(name), "weight": float(one["weight"])}
        if "own_params" in one:
            keys = ("params", "tokens", "expected_regret", "regret_by_mixture", "regret_of_recommended")
            model |= {key: float(one[f"own_{key}"]) for key in keys}
            for key in ("params_opt", "loss"):
                own = one[f"own_{key}"]
                model[key] = {side: float(own.sel(statistic=side)) for side in ("estimate", "low", "high")}
        models.append(model)
    return {
        "weights_by": answer.attrs["weights_by"],
        "weights_why": answer.attrs["weights_why"],
        "models": models,
    }


def _judged(decision: xr.Dataset, name: str, rate: Rate, prob: float) -> dict[str, Any]:
    keys = ("params", "tokens", "compute", "cost", "expected_regret", "oversized")
    found = {key: float(decision[f"{name}_{key}"]) for key in keys}
    return {
        **found,
        **outside_of(decision, f"{name}_"),
        **_person(rate, found["cost"]),
        "regret": interval_of(decision[f"{name}_regret"], prob),
        "loss": interval_of(decision[f"{name}_loss"], prob),
        **(
            {"from_scratch": interval_of(decision[f"{name}_from_scratch"], prob)}
            if f"{name}_from_scratch" in decision
            else {}
        ),
        **_if_there(decision, name, ("reaches", "epochs", "serving_share")),
    }


def _if_there(answer: xr.Dataset, name: str, keys: tuple[str, ...]) -> dict[str, float]:
    return {key: float(answer[f"{name}_{key}"]) for key in keys if f"{name}_{key}" in answer}


def _given(answer: xr.Dataset) -> dict[str, float | None]:
    """Repeat what was asked to be served, and what unique tokens there are."""
    return {
        name: float(answer[name]) if name in answer else None for name in ("served_tokens", "unique_tokens")
    }


def _person(rate: Rate, cost: float) -> dict[str, float | None]:
    """Say a cost in FLOPs in accelerator-hours and money, where what they are is known."""
    return {"accelerator_hours": rate.hours(cost), "money": rate.money(cost)}
