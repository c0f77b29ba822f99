"""What a page says of each fit, and of each recipe of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import xarray as xr

from bayes_scaling.planning.optimum import optimum
from bayes_scaling.planning.plan import plan
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.progress import tracked, working
from bayes_scaling.report.checklist import checklist, command, spec_text
from bayes_scaling.report.figures import ROOM, svg_of
from bayes_scaling.report.parts import Part
from bayes_scaling.report.plans import headline, optimum_rows, plan_rows, region_rows
from bayes_scaling.sampling.artefact import fit_facts


def part_section(part: Part, budget: float, prob: float) -> dict[str, Any]:
    """Plan for one fit or recipe.

    Parameters
    ----------
    part : Part
        Whose draws.
    budget : float
        In FLOPs.
    prob : float
        Probability inside the intervals.

    Returns
    -------
    dict
        key, fit (its number), label and recipe; headline, optimum, plan and region, as `report.plans` writes
        them; and figure, the regret of each size.
    """
    from bayes_scaling.plots.plan import plot_plan

    decision = plan(part.fit, budget, recipe=part.recipe, prob=prob, allow_unconverged=True)
    optima = optimum(law_of_fit(part.fit, part.recipe), budget, allow_unconverged=True).isel(compute=0)
    return {
        "key": part.key,
        "fit": part.number,
        "label": part.label,
        "headline": headline(decision, prob),
        "optimum": optimum_rows(optima, prob),
        "plan": plan_rows(decision, prob),
        "region": region_rows(decision),
        "figure": svg_of(plot_plan, decision, key=f"plan-{part.key}"),
    }


def fit_section(
    fit: xr.DataTree, number: int, model: str, budget: float, *, progress: bool
) -> dict[str, Any]:
    """Judge one fit, and tell how it was made.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, with all of its groups.
    number : int
        Which of the page's fits it is.
    model : str
        Its name in the page.
    budget : float
        In FLOPs, whose optimum is held against the prior.
    progress : bool
        Show on standard error what is being done.

    Returns
    -------
    dict
        number, model, converged, problems and diagnostics of the draws; checks, failed (their names) and
        remedies, from `check`; figure, of what `check` looks at; and checklist, command and spec.
    """
    from bayes_scaling.checks.check import check
    from bayes_scaling.plots.check import plot_check

    verdict = fit_facts(fit)["verdict"]
    table = check(fit, compute=budget, progress=progress)
    with working("drawing what was checked", show=progress):
        figure = svg_of(plot_check, fit, key=f"check-{number}", figsize=(13.0, 8.0))
    return {
        "number": number,
        "model": model,
        "converged": verdict["converged"],
        "problems": verdict["problems"],
        "runs": fit["observed_data"].sizes["run"],
        "checks": [
            {"check": str(name), "verdict": _verdict(row["passed"]), "text": row["text"]}
            for name, row in table.iterrows()
        ],
        "failed": [str(name) for name, row in table.iterrows() if row["passed"] is False],
        "remedies": _remedies(table),
        "figure": figure,
        "checklist": checklist(fit),
        "command": command(fit),
        "spec": spec_text(fit),
        "spec_name": f"{fit_facts(fit)['model']}.toml",
    }


def _verdict(passed: Any) -> str:
    return {True: "passed", False: "failed"}.get(passed, "unknown") if passed is not pd.NA else "unknown"


def _remedies(table: pd.DataFrame) -> list[dict[str, str]]:
    """Say each remedy once, with the checks that ask for it."""
    asked: dict[str, list[str]] = {}
    for name, row in table.iterrows():
        if row["remedy"]:
            asked.setdefault(row["remedy"], []).append(str(name))
    return [{"checks": ", ".join(names), "remedy": remedy} for remedy, names in asked.items()]


def figures_of(parts: Sequence[Part], budget: float, prob: float, *, progress: bool) -> dict[str, Any]:
    """Draw the optimum against compute and the IsoFLOP profiles of each part, while there is room.

    Parameters
    ----------
    parts : sequence of Part
        Of the page.
    budget : float
        In FLOPs: it is marked.
    prob : float
        Probability inside the bands.
    progress : bool
        Show on standard error how far it is.

    Returns
    -------
    dict
        drawn, a list of key (of the part), kind ("optimum" or "profiles") and svg; and left_out, the labels
        of the parts for whose figures a page has no room.
    """
    drawn: list[dict[str, str]] = []
    left_out: list[str] = []
    for part in tracked(parts, "drawing", total=len(parts), show=progress):
        own = [] if left_out else _figures_of(part, budget, prob)
        if own and sum(len(figure["svg"]) for figure in drawn + own) <= ROOM:
            drawn += own
        else:
            left_out.append(part.label)
    return {"drawn": drawn, "left_out": left_out}


def _figures_of(part: Part, budget: float, prob: float) -> list[dict[str, str]]:
    from bayes_scaling.plots.optimum import plot_optimum
    from bayes_scaling.plots.profiles import plot_profiles

    law = law_of_fit(part.fit, part.recipe)
    key = f"figure-{part.key}"
    svgs = [
        (
            "optimum",
            svg_of(
                plot_optimum,
                law,
                [budget],
                quantity=quantity,
                prob=prob,
                allow_unconverged=True,
                key=f"{key}-{quantity}",
            ),
        )
        for quantity in ("params_opt", "tokens_opt")
    ]
    if "log_params_min" in law["posterior"].dataset:
        svgs.append(("profiles", svg_of(plot_profiles, law, prob=prob, key=f"{key}-profiles")))
    return [{"key": part.key, "kind": kind, "svg": svg} for kind, svg in svgs]
