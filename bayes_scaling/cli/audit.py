"""`bayes-scaling audit`: what other models' plans wasted, by a saved fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bayes_scaling.cli import options


def audit(
    fit: options.Fit,
    table: Annotated[
        Path | None,
        typer.Argument(
            help="Table of models with name, params and tokens (.csv, .tsv, .parquet, .jsonl); unless given, "
            "those that the Chinchilla paper compares itself with."
        ),
    ] = None,
    recipe: options.Recipe = None,
    law_only: options.LawOnly = False,
    prob: options.Prob = options.DEFAULT_PROB,
    allow_unconverged: options.AllowUnconverged = False,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Regret of models that others trained, and what their compute would have been best spent on.

    Exit code 3 says that the answer comes from a fit that does not pass the convergence rules.
    """
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.cli.plan_documents import audit_document
    from bayes_scaling.cli.plan_output import print_audit
    from bayes_scaling.intervals import check_prob
    from bayes_scaling.planning.audit import audit as judge
    from bayes_scaling.planning.audit import published_models, read_models
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.sampling.artefact import PLANNED, open_fit

    check_prob(prob)
    if figure is not None:
        check_figure(figure)
    drawn = () if figure is None else ("observed_data",)
    fitted = open_fit(fit, groups=(*PLANNED, *drawn))
    carried: dict[str, Any] = {"discrepancy": not law_only, "allow_unconverged": allow_unconverged}
    models = published_models() if table is None else read_models(table)
    audited = judge(fitted, models, recipe=recipe, **carried)
    document = audit_document(audited, prob)
    if figure is not None:
        from bayes_scaling.plots.audit import plot_plans

        drawn_axes = plot_plans(fitted, audited, prob=prob, **carried)
        save_figure(drawn_axes[0], figure)
    (print_json if json else print_audit)(document)
    if not document["converged"]:
        raise typer.Exit(NOT_CONVERGED)
