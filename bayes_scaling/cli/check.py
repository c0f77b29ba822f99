"""`bayes-scaling check`: may a fit be believed, or a study's runs be fitted, a verdict a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_scaling.cli import options

if TYPE_CHECKING:
    import pandas as pd

FIT_SUFFIX = ".nc"


def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FIT_OR_RUNS",
            help="Fit that `bayes-scaling fit -o` wrote (.nc); or, before fitting, a table of runs (.csv, "
            ".tsv, .parquet, .jsonl) or the name of a set, of which the design alone is judged.",
        ),
    ],
    compute: Annotated[
        str | None,
        typer.Option(
            help="Budget in FLOPs whose optimum is held against the prior; ten times the largest run's "
            "unless given."
        ),
    ] = None,
    columns: options.Columns = None,
    where: options.Where = None,
    scale: options.Scale = None,
    params_count: options.ParamsCount = options.DEFAULT_COUNT,
    loss_unit: options.LossUnit = options.DEFAULT_UNIT,
    seed: options.Seed = 0,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Convergence, design, priors, trends, noise, outliers and calibration: what was found, and what to do.

    A check that fails is a finding. Exit code 3 says that the fit does not pass the convergence rules.
    """
    from bayes_scaling.checks.check import check as judge
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.errors import InputError

    of_runs = {"--columns": columns, "--where": where, "--scale": scale}
    budget = options.quantity(compute, "--compute")
    if not source.lower().endswith(FIT_SUFFIX):
        if figure is not None or compute is not None:
            option = "--compute" if figure is None else "--figure"
            raise InputError(
                f"{option} is for a fit, and {source} is a table of runs: fit it first (-o fit.nc)"
            )
        table = options.load_table(source, columns, where, scale, params_count, loss_unit)
        document = _document(judge(table))
        (print_json if json else _print)(document)
        return
    if given := [option for option, value in of_runs.items() if value]:
        raise InputError(f"{', '.join(given)}: a fit has its runs already; give these options to `fit`")
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.sampling.artefact import open_fit

    if figure is not None:
        check_figure(figure)
    fitted = open_fit(Path(source))
    document = _document(judge(fitted, compute=budget, seed=seed))
    if figure is not None:
        from bayes_scaling.plots.check import plot_check

        save_figure(plot_check(fitted)[0], figure)
    (print_json if json else _print)(document)
    if not document["converged"]:
        raise typer.Exit(NOT_CONVERGED)


def _document(table: pd.DataFrame) -> dict[str, Any]:
    """Describe what was found: one entry a check."""
    facts = (
        {"model": table.attrs["model"], "converged": bool(table.attrs["converged"])} if table.attrs else {}
    )
    return {
        **facts,
        "checks": [
            {
                "check": str(name),
                "passed": None if row["passed"] is not True and row["passed"] is not False else row["passed"],
                "p_value": row["p_value"],
                "text": row["text"],
                "remedy": row["remedy"] or None,
            }
            for name, row in zip(
                table.index, table.astype({"passed": object}).to_dict("records"), strict=True
            )
        ],
    }


def _print(document: dict[str, Any]) -> None:
    """Print a line for each check, and below what to do about those that did not pass."""
    from bayes_scaling.cli.output import console, print_table

    words = {True: "passed", False: "FAILED", None: "unknown"}
    rows = [[words[each["passed"]], each["check"], each["text"]] for each in document["checks"]]
    title = f"{document['model']}: may it be believed" if "model" in document else "what these runs can tell"
    print_table(title, ["verdict", "check", "found"], rows, texts=3)
    say = console().print
    remedies: dict[str, list[str]] = {}
    for each in document["checks"]:
        if each["remedy"]:
            remedies.setdefault(each["remedy"], []).append(each["check"])
    for remedy, checks in remedies.items():
        say(f"{', '.join(checks)}: {remedy}")
    failed = sum(each["passed"] is False for each in document["checks"])
    say(f"{failed} of {len(rows)} checks failed", style="bold" if failed else "green")
