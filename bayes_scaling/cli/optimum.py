"""`bayes-scaling optimum`: the posterior of the compute-optimal run, from a saved fit."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bayes_scaling.cli import options


def optimum(
    fit: options.Fit,
    compute: options.Compute = None,
    new_budget: Annotated[
        bool,
        typer.Option(
            "--new-budget", help="Of an IsoFLOP model: one more budget's minimum, with its scatter."
        ),
    ] = False,
    new_recipe: Annotated[
        bool,
        typer.Option(
            "--new-recipe",
            help="Of a model that pools recipes: one more recipe's optimum, with their spread.",
        ),
    ] = False,
    law_only: options.LawOnly = False,
    prob: options.Prob = options.DEFAULT_PROB,
    allow_unconverged: options.AllowUnconverged = False,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Posterior of N_opt, D_opt and the loss there, at any compute budget.

    Exit code 3 says that the answer comes from a fit that does not pass the convergence rules.
    """
    from bayes_scaling.cli.documents import optimum_document
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json, print_optimum
    from bayes_scaling.planning.optimum import default_budgets
    from bayes_scaling.planning.optimum import optimum as optima_of
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.sampling.artefact import PLANNED, open_fit
    from bayes_scaling.sampling.by_recipe import recipe_names

    budgets = options.budgets(compute)
    if figure is not None:
        check_figure(figure)
    fitted = open_fit(fit, groups=(*PLANNED, "observed_data"))
    budgets = budgets or default_budgets(fitted["constant_data"].dataset["flops"])
    carried: dict[str, Any] = {"discrepancy": not law_only, "allow_unconverged": allow_unconverged}
    optima = optima_of(fitted, budgets, new_budget=new_budget, new_recipe=new_recipe, **carried)
    document = optimum_document(optima, prob)
    if figure is not None:
        from bayes_scaling.plots.frontier import plot_frontier
        from bayes_scaling.plots.optimum import plot_optimum

        asked: dict[str, Any] = {"new_budget": new_budget, "prob": prob, **carried}
        if recipe_names(fitted["posterior"].dataset):
            drawn = plot_frontier(fitted, budgets, new_recipe=new_recipe, **asked)
        else:
            drawn = plot_optimum(fitted, budgets, **asked)
        save_figure(drawn, figure)
    (print_json if json else print_optimum)(document)
    if not document["converged"]:
        raise typer.Exit(NOT_CONVERGED)
