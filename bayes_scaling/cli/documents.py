"""The JSON documents that `--json` prints: plain dicts whose keys are the field's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_scaling.cli.extrapolation import outside_of
from bayes_scaling.intervals import interval, interval_dict
from bayes_scaling.planning.parameters import parameters
from bayes_scaling.sampling.artefact import fit_facts

if TYPE_CHECKING:
    import pandas as pd

PER_BUDGET = ("params_opt", "tokens_opt", "tokens_per_param", "loss_opt")


def fit_document(fit: xr.DataTree, prob: float) -> dict[str, Any]:
    """Describe a fit: its parameters with intervals, and its convergence verdict."""
    facts = fit_facts(fit)
    verdict = facts["verdict"]
    return {
        "prob": prob,
        "model": facts["model"],
        "converged": verdict["converged"],
        "diagnostics": {
            "rhat_max": verdict["rhat_max"],
            "ess_min": min(verdict["ess_bulk_min"], verdict["ess_tail_min"]),
            "divergences": verdict["divergences"],
            "ebfmi_min": verdict["ebfmi_min"],
        },
        "problems": verdict["problems"],
        **_parameters(fit, prob),
        "runs": fit["observed_data"].sizes["run"],
        "seconds": facts["seconds"],
        "warnings": facts["warnings"],
    }


def compare_document(comparison: xr.Dataset, ranking: pd.DataFrame | None = None) -> dict[str, Any]:
    """Describe a comparison, as `compare` returns it: one entry a method and recipe; and a ranking."""
    # Not above: `optimum` has documents too, and need not wait for the approaches to be imported.
    from bayes_scaling.planning.disagreements import disagreements, overlaps_known

    recipes = comparison["recipe"].values
    methods = []
    for name, recipe in zip(comparison["estimator"].values, recipes, strict=True):
        one = comparison.sel(estimator=name)
        available = bool(one["available"])
        # Of one recipe, so that the bare names are judges enough.
        judges = comparison["estimator"].values[recipes == recipe]
        methods.append(
            {
                "method": str(one["method"].item()),
                "recipe": str(recipe) or None,
                "available": available,
                "converged": bool(one["converged"]),
                "prob": float(one["prob"]),
                "reason": str(one["reason"].item()),
                "notes": str(one["notes"].item()).splitlines(),
                "discrepancy": str(one["discrepancy"].item()).splitlines(),
                **{count: int(one[count]) for count in ("runs", "resamples", "failed")},
                **{power: interval_dict(one[power]) if available else None for power in ("a", "b")},
                "optima": [
                    {
                        "compute": float(at["compute"]),
                        **{each: interval_dict(at[each]) for each in PER_BUDGET},
                        **outside_of(at),
                        "misspent": {
                            str(comparison["method"].sel(estimator=judge).item()): float(
                                at["misspent"].sel(judge=judge)
                            )
                            for judge in judges
                        },
                    }
                    for i in range(comparison.sizes["compute"])
                    if available
                    for at in [one.isel(compute=i)]
                ],
            }
        )
    return {
        "prob": comparison.attrs["prob"],
        "compute": comparison["compute"].values.tolist(),
        "methods": methods,
        "comparable": overlaps_known(comparison),
        "disagreements": disagreements(comparison),
        "ranking": [
            {**row, "notes": row["notes"].splitlines()}
            for row in ([] if ranking is None else ranking.reset_index().to_dict("records"))
        ],
    }


def _parameters(fit: xr.DataTree, prob: float) -> dict[str, Any]:
    """List the parameters: those of all runs together, and a row for each recipe that is told apart."""
    summary = parameters(fit, prob=prob)
    shared = {name: values for name, values in summary.data_vars.items() if "recipe" not in values.dims}
    found: dict[str, Any] = {
        "parameters": {str(name): interval_dict(values) for name, values in shared.items()}
    }
    if "recipe" in summary.dims:
        own = summary.drop_vars(list(shared))
        found["recipes"] = [
            {
                "recipe": str(recipe),
                "parameters": {
                    str(name): interval_dict(values) for name, values in own.sel(recipe=recipe).items()
                },
            }
            for recipe in summary["recipe"].values
        ]
    return found


def optimum_document(optima: xr.Dataset, prob: float) -> dict[str, Any]:
    """Describe optima, as `optimum` returns them: one entry a budget, or a recipe and budget."""
    document: dict[str, Any] = {
        "prob": prob,
        "model": optima.attrs["model"],
        "converged": bool(optima.attrs["converged"]),
        "discrepancy": optima.attrs["discrepancy"].splitlines(),
    }
    if optima.attrs.get("new_recipe"):
        unknown = [name for name in optima.attrs["loss_unknown"].split(", ") if name]
        document |= {"new_recipe": True, "loss_unknown": unknown}
    if "recipe" not in optima.dims:
        return document | _of_one_recipe(optima, prob)
    rows: list[dict[str, Any]] = []
    optimal: list[dict[str, Any]] = []
    for name in map(str, optima["recipe"].values):
        own = _of_one_recipe(optima.sel(recipe=name), prob)
        optimal += [{"recipe": name, **row} for row in own.pop("optima")]
        rows.append({"recipe": name, **own})
    return document | {"recipes": rows, "optima": optimal}


def _of_one_recipe(optima: xr.Dataset, prob: float) -> dict[str, Any]:
    summary = interval(optima[["a", "b", *PER_BUDGET]], prob)
    return {
        "a": interval_dict(summary["a"]),
        "b": interval_dict(summary["b"]),
        "flops_per_param_token": float(optima["flops_per_param_token"]),
        "optima": [
            {
                "compute": float(compute),
                **{name: interval_dict(summary[name].isel(compute=i)) for name in PER_BUDGET},
                **outside_of(optima.isel(compute=i)),
            }
            for i, compute in enumerate(optima["compute"].values)
        ],
    }
