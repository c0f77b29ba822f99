"""What `design` prints: its JSON document, and a table for people."""

from __future__ import annotations

import math
from typing import Any

import xarray as xr

from bayes_scaling.cli.extrapolation import (
    FAR,
    SIDES,
    is_outside,
    outside_of,
    outside_the_runs,
)
from bayes_scaling.cli.output import (
    console,
    format_interval,
    print_table,
    say_of_budget,
    warn_of_extrapolation,
)
from bayes_scaling.planning.design import SEEN
from bayes_scaling.quantities import format_factor, format_flops, format_quantity, format_share


def design_document(proposed: xr.Dataset) -> dict[str, Any]:
    """Describe proposed pilot runs, as `design` returns them."""
    runs = [
        {
            **{key: float(run[key]) for key in ("params", "tokens", "compute")},
            **outside_of(run, "run_"),
            **{key: float(run[key]) for key in ("regret_after", "regret_after_error")},
            "lowered_by": {"estimate": float(run["lowered_by"]), "error": float(run["lowered_by_error"])},
        }
        for run in (proposed.sel(pilot_run=number) for number in proposed["pilot_run"].values)
    ]
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
        "runs": runs,
        **stages,
        "isoflop": {
            "expected_regret": float(proposed["isoflop_regret"]),
            "error": float(proposed["isoflop_regret_error"]),
            "excess": {
                "estimate": float(proposed["isoflop_excess"]),
                "error": float(proposed["isoflop_excess_error"]),
            },
        },
        "runs_worth": int(proposed["runs_worth"]),
        "worth": float(proposed["worth"]),
        **outside_of(proposed),
    }


def print_design(document: dict[str, Any]) -> None:
    """Print proposed pilot runs, from their JSON document."""
    runs, target = document["runs"], format_flops(document["target"])
    spent = sum(run["compute"] for run in runs)
    rows = [
        [
            _with_side(format_quantity(run["params"]), run, "_params"),
            _with_side(format_quantity(run["tokens"]), run, "_tokens"),
            format_quantity(run["tokens"] / run["params"]),
            _with_side(format_flops(run["compute"]), run, ""),
            _share(run["regret_after"], run["regret_after_error"]),
            _share(**run["lowered_by"]) if _seen(run["lowered_by"]) else "not seen",
        ]
        for run in runs
    ]
    of_recipe = f" [{document['recipe']}]" if document["recipe"] else ""
    what = f"{len(rows)} pilot runs of {format_flops(spent)} FLOP in all"
    title = f"{document['model']}{of_recipe}: {what}, for a run of {target} FLOP"
    columns = ["size", "tokens", "D / N", "compute", "regret once trained", "lowered by"]
    print_table(title, columns, rows, texts=0)
    prob = format_share(document["prob"])
    stages = [
        [
            words,
            _share(document[stage]["expected_regret"], error),
            format_interval(document[stage]["params_opt"], format_quantity),
        ]
        for words, stage, error in (
            ("now", "before", None),
            ("after the pilot runs", "after", runs[-1]["regret_after_error"]),
        )
    ]
    columns = ["", "regret, expected", f"N_opt, {prob} interval"]
    print_table(f"at {target} FLOP, by the law alone", columns, stages)
    say = console().print
    say(
        "\N{PLUS-MINUS SIGN} is the standard error of the simulation; what is below twice that of a "
        "difference is not seen"
    )
    isoflop = document["isoflop"]
    excess = (
        f"{_share(**isoflop['excess'])} more than these"
        if _seen(isoflop["excess"])
        else "no difference from these that the simulation sees"
    )
    say(
        "as many equal runs, an IsoFLOP profile, would leave an expected regret of "
        f"{_share(isoflop['expected_regret'], isoflop['error'])}: {excess}"
    )
    _say_of_worth(document, spent)
    say("the interval after is of typical width, about the median of today: where it will lie is not known")
    say_of_budget(document)
    _say_of_runs_outside(runs)
    say(
        "all of this is by the law alone, without the discrepancy that `optimum` and `plan` carry beyond the "
        "runs"
    )
    warn_of_extrapolation([document])
    if not document["converged"]:
        say("from a fit that is NOT converged", style="bold red")


def _say_of_worth(document: dict[str, Any], spent: float) -> None:
    """Say what the pilot runs save for what they cost, and how many of them are worth it."""
    say, runs, worth = console().print, document["runs"], document["runs_worth"]
    if document["worth"] < 1:
        say("the pilot runs cost more than they are expected to save at this target", style="bold")
    saved = format_factor(document["worth"])
    say(f"a FLOP of these pilot runs saves {saved} of those that the large run is expected to waste")
    if not worth:
        say("none of them is seen to save what it costs: ask for fewer, or for less --pilot", style="bold")
    elif worth < len(runs):
        first = sum(run["compute"] for run in runs[:worth])
        what = f"the first {worth} of them are" if worth > 1 else "the first of them is"
        say(
            f"{what} worth training ({format_flops(first)} of {format_flops(spent)} FLOP); the others are "
            "not seen to save what they cost"
        )


def _say_of_runs_outside(runs: list[dict[str, Any]]) -> None:
    """Say in what pilot runs lie outside the runs there are: the law tells of them what nobody has tested."""
    out = [
        (words, max(run[f"extrapolation{of}"] for run in runs), count)
        for words, of in SIDES.items()
        if (count := sum(is_outside(run[f"extrapolation{of}"]) for run in runs))
    ]
    if not out:
        return
    said = ", ".join(f"{count} of {len(runs)} in {words}" for words, _, count in out)
    far = any(factor > FAR for _, factor, _ in out)
    console().print(
        f"pilot runs outside the runs there are: {said}; what they would tell is worth so much only if the "
        "law holds there: see whether you would train them, or give --sizes, a smaller --spread or a larger "
        "--pilot",
        style="bold red" if far else None,
    )


def _with_side(said: str, run: dict[str, Any], of: str) -> str:
    """Write a number with how far outside the runs it lies below it."""
    side = outside_the_runs(run, of).removesuffix(" the runs")
    return f"{said}\n{side}" if side else said


def _share(estimate: float, error: float | None) -> str:
    """Write a share with its error to the digit that the error has, as 1.32 and 0.04 per cent."""
    if error is None or not error:
        return format_share(estimate)
    digits = max(0, 1 - math.floor(math.log10(100 * error)))
    return f"{100 * estimate:.{digits}f} \N{PLUS-MINUS SIGN} {100 * error:.{digits}f} %"


def _seen(difference: dict[str, float]) -> bool:
    return abs(difference["estimate"]) > SEEN * difference["error"]
