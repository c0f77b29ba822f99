"""What `compare` prints for people."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bayes_scaling.cli.output import (
    QUANTITIES,
    beyond_the_runs,
    console,
    format_interval,
    print_table,
    warn_of_extrapolation,
)
from bayes_scaling.quantities import format_flops, format_share


def print_compare(document: dict[str, Any]) -> None:
    """Print the estimators side by side: exponents, then a table a budget, from their JSON document."""
    methods, prob = document["methods"], document["prob"]
    several = any(method["recipe"] for method in methods)
    # One law for all recipes is of all of them; what rests on none of the runs is of none.
    recipes = [method["recipe"] or ("all of them" if method["runs"] else "other runs") for method in methods]

    def print_part(title: str, columns: list[str], cells: list[list[str]]) -> None:
        rows: list[list[str]] = []
        starts: list[int] = []
        for i, (method, own) in enumerate(zip(methods, cells, strict=True)):
            if several and (i == 0 or recipes[i] != recipes[i - 1]):
                # Above its methods, not beside them, where there is no room.
                starts.append(len(rows))
                rows.append([f"{recipes[i]}:", *[""] * len(columns)])
            rows.append([method["method"], *own])
        print_table(title, ["method", *columns], rows, sections=starts[1:])

    exponents = [
        [
            *(_with_interval(method[power], "{:.3f}".format, method["prob"], prob) for power in ("a", "b")),
            str(method["runs"] or "-"),
        ]
        for method in methods
    ]
    title = f"exponents of N_opt ~ C^a and D_opt ~ C^b, with {format_share(prob)} intervals"
    print_part(title, ["a", "b", "runs"], exponents)
    for i, compute in enumerate(document["compute"]):
        optima = [method["optima"][i] if method["available"] else {} for method in methods]
        cells = [
            [
                _with_interval(at.get(name), write, method["prob"], prob)
                for name, (_, write) in QUANTITIES.items()
            ]
            for method, at in zip(methods, optima, strict=True)
        ]
        beyond = beyond_the_runs(_furthest(document, i))
        title = f"optimum at {format_flops(compute)} FLOP{f', {beyond}' if beyond else ''}"
        print_part(title, ["N_opt", "D_opt", "D / N", "loss"], cells)
    say = console().print
    for line in _notes(methods):
        say(line)
    agreed = ["all intervals of N_opt and of the loss overlap"] if document["comparable"] else []
    if several and agreed:
        agreed = [f"within each recipe {agreed[0]}"]
    for sentence in document["disagreements"] or agreed:
        say(sentence, style="bold")
    warn_of_extrapolation(
        [{"extrapolation": _furthest(document, i)} for i in range(len(document["compute"]))]
    )
    for method in methods:
        if not method["converged"]:
            say(f"{_whose(method)} is from a fit that is NOT converged", style="bold red")
    _print_ranking(document["ranking"])


def _furthest(document: dict[str, Any], budget: int) -> float:
    """By what factor a budget lies outside the compute of the runs, the most of all recipes."""
    answered = [method for method in document["methods"] if method["available"]]
    return max((method["optima"][budget]["extrapolation"] for method in answered), default=1.0)


def _whose(method: dict[str, Any]) -> str:
    return f"{method['method']} [{method['recipe']}]" if method["recipe"] else str(method["method"])


def _notes(methods: list[dict[str, Any]]) -> list[str]:
    """Say what to know of each method, once where that is the same for several recipes."""
    said: dict[tuple[str, str], list[str]] = {}
    for method in methods:
        told = [] if method["available"] else [f"not available: {method['reason']}"]
        if method["resamples"]:
            failed = f", {method['failed']} of which gave no estimate" if method["failed"] else ""
            told.append(f"{method['resamples']} resamples{failed}")
        if told := [*told, *method["notes"]]:
            said.setdefault((method["method"], "; ".join(told)), []).append(method["recipe"] or "")
    return [
        f"{name} [{', '.join(recipes)}]: {told}" if any(recipes) else f"{name}: {told}"
        for (name, told), recipes in said.items()
    ]


def _print_ranking(ranking: list[dict[str, Any]]) -> None:
    """Print each group of models that describe the same losses, best first, and what to know of each."""
    say = console().print
    for group in dict.fromkeys(row["group"] for row in ranking):
        members = [row for row in ranking if row["group"] == group]
        if len(members) > 1:
            title = (
                f"models by leave-one-out predictive density (ELPD) of the same {members[0]['runs']} losses"
            )
            rows = [
                [
                    row["model"],
                    f"{row['elpd']:.1f} ± {row['se']:.1f}",
                    f"{row['elpd_diff']:.1f} ± {row['dse']:.1f}" if row["rank"] > 1 else "-",
                    f"{row['weight']:.2f}",
                    f"{row['p']:.1f}",
                    str(row["high_k"]),
                ]
                for row in members
            ]
            print_table(title, ["model", "ELPD", "less the best's", "weight", "p", "high Pareto k"], rows)
        for row in members:
            # Whether it converged was said of the comparison.
            if told := [line for line in row["notes"] if not line.startswith("NOT converged")]:
                say(f"{row['model']}: {'; '.join(told)}")


def _with_interval(
    value: dict[str, float] | None, write: Callable[[float], str], own_prob: float, prob: float
) -> str:
    """Write an estimate with its interval below, and that one's probability where it is not the table's."""
    if value is None or not math.isfinite(value["estimate"]):
        return "-"
    if not math.isfinite(value["low"]):
        return write(value["estimate"])
    other = "" if own_prob == prob else f" ({format_share(own_prob)})"
    return f"{write(value['estimate'])}\n{format_interval(value, write)}{other}"
