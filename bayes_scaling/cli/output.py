"""What the commands print: JSON, and tables for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from bayes_scaling.quantities import format_quantity

if TYPE_CHECKING:
    from rich.console import Console

NOT_CONVERGED = 3
"""Exit code of a result that was given, and whose convergence verdict is bad."""


def print_json(document: object) -> None:
    """Print one JSON document on standard output; what is not a finite number is null."""
    print(json.dumps(_finite(document), indent=2, allow_nan=False))


def note(text: str) -> None:
    """Say something beside the result, on standard error."""
    print(f"note: {text}", file=sys.stderr)


def console() -> Console:
    """Return standard output as rich writes it: in colour at a terminal, and with long lines in a pipe."""
    from rich.console import Console

    # Names of recipes and runs may hold brackets and colons, which are no markup.
    width = None if sys.stdout.isatty() else 200
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_table(
    title: str,
    columns: list[str],
    rows: list[list[str]],
    *,
    texts: int = 1,
    wrap: bool = False,
    gives_way: int | None = None,
    sections: Collection[int] = (),
) -> None:
    """Print a table: its first columns, `texts` of them, to the left, and numbers to the right.

    With `wrap` numbers too may break at a blank: the cells of a wide table hold intervals. `gives_way` is the
    text column that may break its lines; unless given the last, where there are several. The rows numbered in
    `sections` each open a part of the table.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    if gives_way is None and texts > 1:
        gives_way = texts - 1
    for i, column in enumerate(columns):
        # A name that is cut short names nothing: one text gives way, by breaking its lines.
        table.add_column(
            column,
            justify="left" if i < texts else "right",
            overflow="fold",
            no_wrap=not (wrap and i >= texts) and i != gives_way,
        )
    for i, row in enumerate(rows):
        if i in sections:
            table.add_section()
        table.add_row(*row)
    console().print(table)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_fit(document: dict[str, Any]) -> None:
    """Print the parameter table and the verdict of a fit, from its JSON document."""

    def cells(parameters: dict[str, Any]) -> list[list[str]]:
        return [
            [name, *(format_plain(value[key]) for key in ("estimate", "low", "high", "mean", "sd"))]
            for name, value in parameters.items()
        ]

    of_what = f"{document['model']}: posterior of {document['runs']} runs"
    title = f"{of_what}, {document['prob']:.0%} equal-tailed intervals"
    columns = ["parameter", "median", "low", "high", "mean", "sd"]
    if recipes := document.get("recipes"):
        own: list[list[str]] = []
        starts = []
        for recipe in recipes:
            starts.append(len(own))
            named = [recipe["recipe"], *[""] * (len(recipe["parameters"]) - 1)]
            own += [[name, *row] for name, row in zip(named, cells(recipe["parameters"]), strict=True)]
        print_table(title, ["recipe", *columns], own, texts=2, gives_way=0, sections=starts[1:])
        title = "of all recipes together"
    print_table(title, columns, cells(document["parameters"]))
    found = document["diagnostics"]
    numbers = (
        f"R-hat {found['rhat_max']:.3f}, effective draws {found['ess_min']:.0f}, "
        f"divergences {found['divergences']}, E-BFMI {found['ebfmi_min']:.2f}"
    )
    say = console().print
    if document["converged"]:
        say(f"converged: {numbers}", style="green")
    else:
        say(f"NOT converged: {numbers}", style="bold red")
        for problem in document["problems"]:
            say(f"  {problem}")


def print_optimum(document: dict[str, Any]) -> None:
    """Print the optima at each budget, and of each recipe, from their JSON document."""
    rows: list[list[str]] = []
    starts, several = [], "recipes" in document
    recipe = None
    for row in document["optima"]:
        budget, named = _budget(row["compute"], row["extrapolation"]), ""
        if several and row["recipe"] != recipe:
            recipe = named = row["recipe"]
            starts.append(len(rows))
        for name, (words, write) in _QUANTITIES.items():
            numbers = (_written(row[name][key], write) for key in ("estimate", "low", "high"))
            rows.append([*([named] if several else []), budget, words, *numbers])
            budget = named = ""
    whose = " of a recipe not seen yet" if document.get("new_recipe") else ""
    title = f"{document['model']}: compute optimum{whose}, {document['prob']:.0%} equal-tailed intervals"
    columns = ["compute (FLOP)", "quantity", "median", "low", "high"]
    if several:
        print_table(title, ["recipe", *columns], rows, texts=3, gives_way=0, sections=starts[1:])
    else:
        print_table(title, columns, rows, texts=2)
    for of in document.get("recipes", [document]):
        for name, power in (("N_opt", "a"), ("D_opt", "b")):
            estimate, low, high = (f"{of[power][key]:.3f}" for key in ("estimate", "low", "high"))
            of_recipe = f"{of['recipe']}: " if several else ""
            console().print(f"{of_recipe}{name} grows as C^{power}: {power} = {estimate} ({low} to {high})")
    if document.get("loss_unknown"):
        names = ", ".join(document["loss_unknown"])
        console().print(
            f"the loss of a new recipe is not known: the model takes {names} of each recipe by itself"
        )
    warn_of_extrapolation([row["extrapolation"] for row in document["optima"]])
    if not document["converged"]:
        console().print("from a fit that is NOT converged", style="bold red")


def _written(value: float, write: Callable[[float], str]) -> str:
    return write(value) if math.isfinite(value) else "-"


def _budget(compute: float, extrapolation: float) -> str:
    beyond = f", {extrapolation:.3g}x beyond the runs" if extrapolation > 1 else ""
    return f"{format_quantity(compute)}{beyond}"


def warn_of_extrapolation(factors: list[float]) -> None:
    """Say by what factor answers lie outside the compute of the runs, if any does."""
    if max(factors) > 1:
        console().print(
            f"extrapolated by a factor of up to {max(factors):.3g} in compute: "
            "the intervals hold if the law holds out there"
        )


def print_compare(document: dict[str, Any]) -> None:
    """Print the estimators side by side, one table a budget, from their JSON document."""
    methods = document["methods"]
    several = any(method["recipe"] for method in methods)
    columns = [
        *(["recipe"] if several else []),
        "method",
        "a",
        "b",
        "N_opt",
        "D_opt",
        "D / N",
        "loss",
        "runs",
    ]
    # One law for all recipes is of all of them; what rests on none of the runs is of none.
    recipes = [method["recipe"] or ("(all of them)" if method["runs"] else "-") for method in methods]
    starts = [i for i in range(1, len(methods)) if recipes[i] != recipes[i - 1]]
    for i, compute in enumerate(document["compute"]):
        rows = []
        for number, method in enumerate(methods):
            at = method["optima"][i] if method["available"] else {}
            opens = number == 0 or number in starts
            cells = [recipes[number] if opens else ""] if several else []
            cells += [method["method"]]
            cells += [_with_interval(method[power], "{:.3f}".format) for power in ("a", "b")]
            cells += [_with_interval(at.get(name), write) for name, (_, write) in _QUANTITIES.items()]
            rows.append([*cells, str(method["runs"] or "-")])
        title = (
            f"compute optimum at {_budget(compute, _furthest(document, i))}; {document['prob']:.0%} intervals"
        )
        if several:
            print_table(title, columns, rows, texts=2, wrap=True, gives_way=0, sections=starts)
        else:
            print_table(title, columns, rows, wrap=True)
    say = console().print
    for line in _notes(methods):
        say(line)
    agreed = ["all intervals of N_opt and of the loss overlap"] if document["comparable"] else []
    if several and agreed:
        agreed = [f"within each recipe {agreed[0]}"]
    for sentence in document["disagreements"] or agreed:
        say(sentence, style="bold")
    warn_of_extrapolation([_furthest(document, i) for i in range(len(document["compute"]))])
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


def _with_interval(value: dict[str, float] | None, write: Callable[[float], str]) -> str:
    if value is None or not math.isfinite(value["estimate"]):
        return "-"
    if not math.isfinite(value["low"]):
        return write(value["estimate"])
    return f"{write(value['estimate'])}\n{write(value['low'])} to {write(value['high'])}"


def format_plain(value: float) -> str:
    """Write a number with four significant digits."""
    return f"{value:.4g}"


_QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "params_opt": ("N_opt (parameters)", format_quantity),
    "tokens_opt": ("D_opt (tokens)", format_quantity),
    "tokens_per_param": ("tokens per parameter", format_quantity),
    "loss_opt": ("loss", format_plain),
}
"""How each quantity of an optimum is called and written."""
