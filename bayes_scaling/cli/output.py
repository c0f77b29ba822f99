"""What the commands print: JSON, and tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bayes_scaling.quantities import format_quantity

if TYPE_CHECKING:
    from rich.console import Console

NOT_CONVERGED = 3
"""Exit code of a result that was given, and whose convergence verdict is bad."""


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(document, indent=2, allow_nan=False))


def console() -> Console:
    """Return standard output as rich writes it: in colour at a terminal, never cut short in a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table, its first column to the left and the numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_fit(document: dict[str, Any]) -> None:
    """Print the parameter table and the verdict of a fit, from its JSON document."""
    rows = [
        [name, *(format_plain(value[key]) for key in ("estimate", "low", "high", "mean", "sd"))]
        for name, value in document["parameters"].items()
    ]
    of_what = f"{document['model']}: posterior of {document['runs']} runs"
    title = f"{of_what}, {document['prob']:.0%} equal-tailed intervals"
    print_table(title, ["parameter", "median", "low", "high", "mean", "sd"], rows)
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
    """Print the optima at each budget, from their JSON document."""
    rows = [
        [
            format_quantity(row["compute"]),
            _with_interval(row["params_opt"], format_quantity),
            _with_interval(row["tokens_opt"], format_quantity),
            _with_interval(row["tokens_per_param"], format_quantity),
            _with_interval(row["loss_opt"], format_plain),
            f"{row['extrapolation']:.3g}x" if row["extrapolation"] > 1 else "none",
        ]
        for row in document["optima"]
    ]
    columns = ["compute", "N_opt", "D_opt", "tokens per parameter", "loss", "extrapolation"]
    title = f"{document['model']}: compute optimum, median and {document['prob']:.0%} interval"
    print_table(title, columns, rows)
    a, b = (_with_interval(document[name], lambda x: f"{x:.3f}") for name in ("a", "b"))
    console().print(f"N_opt ~ C^a, a = {a};  D_opt ~ C^b, b = {b}")
    if not document["converged"]:
        console().print("from a fit that is NOT converged", style="bold red")


def format_plain(value: float) -> str:
    """Write a number with four significant digits."""
    return f"{value:.4g}"


def _with_interval(value: dict[str, float], write: Callable[[float], str]) -> str:
    estimate, low, high = (write(value[key]) for key in ("estimate", "low", "high"))
    return f"{estimate} ({low} to {high})"
