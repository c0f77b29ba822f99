"""What `compare` prints for people."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bayes_scaling.cli.extrapolation import extrapolation_of, outside_the_runs
from bayes_scaling.cli.output import (
    QUANTITIES,
    console,
    format_interval,
    print_table,
)
from bayes_scaling.quantities import format_flops, format_share


def print_compare(document: dict[str, Any]) -> None:
    """Print the estimators side by side: exponents, then a table a budget, from their JSON document."""
    methods, prob = document["methods"], document["prob"]
    several = any(method["recipe"] for method in methods)
    # One law for all recipes is of all of them; what rests on none of the runs is of none.
    recipes = [method["recipe"] or ("all of them" if method["runs"] else "other runs") for method in methods]

    def print_part(title: str, columns: list[str], cells: list[list[str]], outside: list[str]) -> None:
        rows: list[list[str]] = []
        starts: list[int] = []
        # How far out a budget lies is said once: of all rows, of a recipe's, or beside each with an answer.
        sides: dict[str, set[str]] = {}
        for method, name, side in zip(methods, recipes, outside, strict=True):
            if method["available"]:
                sides.setdefault(name, set()).add(side)
        every = set().union(*sides.values())
        of_all = every.pop() if len(every) == 1 else ""
        for i, (method, own) in enumerate(zip(methods, cells, strict=True)):
            of_recipe = sides.get(recipes[i], set()) if several else set()
            if len(of_recipe) > 1:
                of_recipe = set()
            if several and (i == 0 or recipes[i] != recipes[i - 1]):
                # Above its methods, not beside them, where there is no room.
                starts.append(len(rows))
                said = "" if of_all else "".join(of_recipe)
                rows.append([f"{recipes[i]}:\n{said}".rstrip(), *[""] * len(columns)])
            own_side = outside[i] if method["available"] and not (of_all or of_recipe) else ""
            rows.append([f"{method['method']}\n{own_side}".rstrip(), *own])
        print_table(
            f"{title}, {of_all}" if of_all else title, ["method", *columns], rows, sections=starts[1:]
        )

    exponents = [
        [
            *(_with_interval(method[power], "{:.3f}".format, method["prob"], prob) for power in ("a", "b")),
            str(method["runs"] or "-"),
        ]
        for method in methods
    ]
    title = f"exponents of N_opt ~ C^a and D_opt ~ C^b, with {format_share(prob)} intervals"
    print_part(title, ["a", "b", "runs"], exponents, [""] * len(methods))
    for i, compute in enumerate(document["compute"]):
        optima = [method["optima"][i] if method["available"] else {} for method in methods]
        cells = [
            [
                _with_interval(at.get(name), write, method["prob"], prob)
                for name, (_, write) in QUANTITIES.items()
            ]
            for method, at in zip(methods, optima, strict=True)
        ]
        outside = [outside_the_runs(at) for at in optima]
        print_part(
            f"optimum at {format_flops(compute)} FLOP", ["N_opt", "D_opt", "D / N", "loss"], cells, outside
        )
    say = console().print
    for line in _notes(methods):
        say(line)
    agreed = ["all intervals of N_opt and of the loss overlap"] if document["comparable"] else []
    if several and agreed:
        agreed = [f"within each recipe {agreed[0]}"]
    for sentence in _gravest(document) or agreed:
        say(sentence, style="bold")
    carried = any(method["discrepancy"] for method in methods)
    said, guess = extrapolation_of([at for method in methods for at in method["optima"]], carried=carried)
    if said:
        say(said, style="bold red" if guess else None)
    if carried:
        say(
            "only those of posteriors do: the intervals of the approaches and of what is published hold if "
            "the law holds out there"
        )
    for method in methods:
        if not method["converged"]:
            say(f"{_whose(method)} is from a fit that is NOT converged", style="bold red")
    _print_ranking(document["ranking"])


MOST_DISAGREEMENTS = 10
"""Sentences about disagreements beyond which those of smaller budgets are left out."""


def _whose(method: dict[str, Any]) -> str:
    return f"{method['method']} [{method['recipe']}]" if method["recipe"] else str(method["method"])


def _notes(methods: list[dict[str, Any]]) -> list[str]:
    """Say what to know of each method, in a line, and of several recipes what differs in lines of its own."""
    recipes: dict[str, list[str]] = {}
    said: dict[str, dict[str, list[str]]] = {}
    for method in methods:
        name, recipe = method["method"], method["recipe"] or ""
        recipes.setdefault(name, []).append(recipe)
        told = [] if method["available"] else [f"not available: {method['reason']}"]
        if method["resamples"]:
            failed = f", {method['failed']} of which gave no estimate" if method["failed"] else ""
            told.append(f"{method['resamples']} resamples{failed}")
        carried = [f"beyond the runs, {words}" for words in method["discrepancy"]]
        for each in [*told, *method["notes"], *carried]:
            said.setdefault(name, {}).setdefault(each, []).append(recipe)
    lines = []
    for name, notes in said.items():
        shared = [told for told, of in notes.items() if of == recipes[name]]
        if shared:
            lines.append(f"{name}: {'; '.join(shared)}")
        by_recipes: dict[str, list[str]] = {}
        for note, of in notes.items():
            if note not in shared:
                by_recipes.setdefault(", ".join(map(repr, of)), []).append(note)
        lines += [f"{name}, {whose}: {'; '.join(own)}" for whose, own in by_recipes.items()]
    return lines


def _gravest(document: dict[str, Any]) -> list[str]:
    """Say where estimators disagree; where that fills a page, at the largest budget alone."""
    every = document["disagreements"]
    if len(every) <= MOST_DISAGREEMENTS:
        return list(every)
    largest = f"at {format_flops(max(document['compute']))} FLOP "
    kept = [sentence for sentence in every if largest in sentence]
    more = len(every) - len(kept)
    return [*kept, f"and so {more} times at smaller budgets: --json lists all"] if more else kept


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
