"""What the commands print: JSON, and tables for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from bayes_scaling.cli.extrapolation import extrapolation_of, outside_the_runs
from bayes_scaling.quantities import (
    format_flops,
    format_interval,
    format_plain,
    format_quantity,
    format_share,
)

if TYPE_CHECKING:
    from rich.console import Console

NOT_CONVERGED = 3
"""Exit code of a result that was given, and whose convergence verdict is bad."""


_WIDEST = 1000
"""Letters in a line of a table, more than any has."""


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
    gives_way: int | None = None,
    sections: Collection[int] = (),
) -> None:
    """Print a table: its first columns, `texts` of them, to the left, and numbers to the right.

    `gives_way` is the text column that may break its lines; unless given the last, where there are several.
    The rows numbered in `sections` each open a part of the table.
    """
    from rich.box import SIMPLE_HEAD
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    if gives_way is None and texts > 1:
        gives_way = texts - 1
    for i, column in enumerate(columns):
        # A name that is cut short names nothing: one text gives way, by breaking its lines.
        table.add_column(
            column,
            justify="left" if i < texts else "right",
            overflow="fold",
            no_wrap=i != gives_way,
        )
    for i, row in enumerate(rows):
        if i in sections:
            table.add_section()
        table.add_row(*row)
    out = console()
    # Not the table's own title, which would break at the table's width.
    out.print(title, style="bold")
    # A number that is cut short lies: where a terminal is too narrow, it breaks the lines itself.
    least = Measurement.get(out, out.options.update(width=_WIDEST), table).minimum
    out.width = max(out.width, least)
    out.print(table)
    out.print()


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
    title = f"{of_what}, {format_share(document['prob'])} equal-tailed intervals"
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
        named = ""
        if several and row["recipe"] != recipe:
            recipe = named = row["recipe"]
            starts.append(len(rows))
        # The budget, and below it how far out it lies, beside the four quantities.
        budget = [format_flops(row["compute"]), outside_the_runs(row), "", ""]
        for said, (name, (words, write)) in zip(budget, QUANTITIES.items(), strict=True):
            numbers = (_written(row[name][key], write) for key in ("estimate", "low", "high"))
            rows.append([*([named] if several else []), said, words, *numbers])
            named = ""
    whose = " of a recipe not seen yet" if document.get("new_recipe") else ""
    prob = format_share(document["prob"])
    title = f"{document['model']}: compute optimum{whose}, {prob} equal-tailed intervals"
    columns = ["compute (FLOP)", "quantity", "median", "low", "high"]
    if several:
        print_table(title, ["recipe", *columns], rows, texts=3, gives_way=0, sections=starts[1:])
    else:
        print_table(title, columns, rows, texts=2)
    # Beyond the runs every draw's exponent is off the law's by a slope of its own.
    where = " within the runs" if document["discrepancy"] else ""
    for of in document.get("recipes", [document]):
        for name, power in (("N_opt", "a"), ("D_opt", "b")):
            found = f"{of[power]['estimate']:.3f} ({format_interval(of[power], '{:.3f}'.format)})"
            of_recipe = f"{of['recipe']}: " if several else ""
            console().print(f"{of_recipe}{name} grows as C^{power}{where}: {power} = {found}")
    if document.get("loss_unknown"):
        names = ", ".join(document["loss_unknown"])
        console().print(
            f"the loss of a new recipe is not known: the model takes {names} of each recipe by itself"
        )
    warn_of_extrapolation(document["optima"], carried=document["discrepancy"])
    if not document["converged"]:
        console().print("from a fit that is NOT converged", style="bold red")


def _written(value: float, write: Callable[[float], str]) -> str:
    return write(value) if math.isfinite(value) else "-"


def say_of_budget(document: dict[str, Any]) -> None:
    """Say whether an answer is of the line of an IsoFLOP model or of one more budget, scattered about it."""
    if document["new_budget"]:
        console().print(
            "N_opt, loss and regret are of one more budget, scattered about the line as those of the runs "
            "are; `optimum` says where the line is"
        )


def warn_of_extrapolation(
    answers: list[dict[str, Any]], names: list[str] | None = None, carried: Sequence[str] = ()
) -> None:
    """Say how far outside the runs answers lie, which are guesses, and by what they leave the law there."""
    said, guess = extrapolation_of(answers, names, carried=bool(carried))
    if said:
        console().print(said, style="bold red" if guess else None)
    for line in carried:
        console().print(f"beyond the runs, {line}")


QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "params_opt": ("N_opt (parameters)", format_quantity),
    "tokens_opt": ("D_opt (tokens)", format_quantity),
    "tokens_per_param": ("tokens per parameter", format_quantity),
    "loss_opt": ("loss", format_plain),
}
"""How each quantity of an optimum is called and written."""
