"""What `design` prints: its JSON document, and a table for people."""

from __future__ import annotations

from typing import Any

import xarray as xr

from bayes_scaling.cli.output import (
    console,
    format_interval,
    print_table,
    say_of_budget,
    warn_of_extrapolation,
)
from bayes_scaling.quantities import format_flops, format_quantity, format_share


def design_document(proposed: xr.Dataset) -> dict[str, Any]:
    """Describe proposed pilot runs, as `design` returns them."""
    keys = ("params", "tokens", "compute", "regret_after")
    stages = {}
    for stage in ("before", "after"):
        at = proposed.sel(stage=stage)
        interval = {side: float(at["params_opt"].sel(statistic=side)) for side in ("estimate", "low", "high")}
        stages[stage] = {"expected_regret": float(at["expected_regret"]), "params_opt": interval}
    return {
        "prob": float(proposed.attrs["prob"]),
        "model": proposed.attrs["model"],
        "recipe": proposed.attrs["recipe"] or None,
        "converged": bool(proposed.attrs["converged"]),
        "new_budget": bool(proposed.attrs["new_budget"]),
        "target": float(proposed["target"]),
        "pilot": float(proposed["pilot"]),
        "spread": float(proposed.attrs["spread"]),
        "runs": [
            {key: float(proposed[key].sel(pilot_run=number)) for key in keys}
            for number in proposed["pilot_run"].values
        ],
        **stages,
        "isoflop": {"expected_regret": float(proposed["isoflop_regret"])},
        "worth": float(proposed["worth"]),
        "extrapolation": float(proposed["extrapolation"]),
    }


def print_design(document: dict[str, Any]) -> None:
    """Print proposed pilot runs, from their JSON document."""
    spent = sum(run["compute"] for run in document["runs"])
    rows = [
        [
            format_quantity(run["params"]),
            format_quantity(run["tokens"]),
            format_quantity(run["tokens"] / run["params"]),
            format_flops(run["compute"]),
            format_share(run["regret_after"]),
        ]
        for run in document["runs"]
    ]
    of_recipe = f" [{document['recipe']}]" if document["recipe"] else ""
    what = f"{len(rows)} pilot runs of {format_flops(spent)} FLOP in all"
    title = f"{document['model']}{of_recipe}: {what}, for a run of {format_flops(document['target'])} FLOP"
    columns = ["size (parameters)", "tokens", "D / N", "compute (FLOP)", "regret once trained"]
    print_table(title, columns, rows, texts=0)
    prob = format_share(document["prob"])
    stages = [
        [
            words,
            format_share(document[stage]["expected_regret"]),
            format_interval(document[stage]["params_opt"], format_quantity),
        ]
        for words, stage in (("now", "before"), ("after the pilot runs", "after"))
    ]
    columns = ["", "regret, expected", f"N_opt, {prob} interval"]
    print_table(f"at {format_flops(document['target'])} FLOP", columns, stages)
    say = console().print
    say(
        "as many equal runs, an IsoFLOP profile, would leave an expected regret of "
        f"{format_share(document['isoflop']['expected_regret'])}"
    )
    if document["worth"] < 1:
        say("they cost more than they are expected to save at this target", style="bold")
    say(
        f"a FLOP of these pilot runs saves {document['worth']:.3g} of those that the large run is expected "
        "to waste"
    )
    say("the interval after is of typical width, about the median of today: where it will lie is not known")
    say_of_budget(document)
    warn_of_extrapolation([document])
    if not document["converged"]:
        say("from a fit that is NOT converged", style="bold red")
