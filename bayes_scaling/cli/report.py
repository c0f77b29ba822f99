"""`bayes-scaling report`: a page about fits to hand around."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayes_scaling.cli import options


def report(
    fits: Annotated[
        list[Path],
        typer.Argument(
            metavar="FIT", help="Fit that `bayes-scaling fit -o` wrote; or several, of the same runs."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the page here (HTML).")],
    compute: Annotated[
        str | None,
        typer.Option(help="The budget in FLOPs, as 5.76e23; ten times the largest run's unless given."),
    ] = None,
    prob: options.Prob = options.DEFAULT_PROB,
    allow_unconverged: options.AllowUnconverged = False,
    json: options.Json = False,
) -> None:
    """Write one HTML page: verdict, plan, planner, figures, comparison, checks, and how to make it again.

    Nothing in it is fetched: it can be mailed, and opened without a network.

    Exit code 3 says that it is about a fit that does not pass the convergence rules.
    """
    from bayes_scaling.cli.output import NOT_CONVERGED, note, print_json
    from bayes_scaling.files import check_writable
    from bayes_scaling.report.write import write_report
    from bayes_scaling.sampling.artefact import fit_facts, open_fit

    budget = options.quantity(compute, "--compute")
    check_writable(output)
    opened = [open_fit(path) for path in fits]
    write_report(opened, output, compute=budget, prob=prob, allow_unconverged=allow_unconverged)
    converged = all(fit_facts(fit)["verdict"]["converged"] for fit in opened)
    size = output.stat().st_size
    if json:
        print_json({"page": str(output), "bytes": size, "converged": converged})
    else:
        note(f"wrote {output} ({size / 1e6:.1f} MB)")
    if not converged:
        raise typer.Exit(NOT_CONVERGED)
