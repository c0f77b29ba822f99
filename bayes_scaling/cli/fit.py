"""`bayes-scaling fit`: sample the posterior of a scaling law and save it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayes_scaling.cli import options


def fit(
    runs: options.Runs,
    model: Annotated[
        str,
        typer.Option(
            help="Name of a model spec, or the path of a TOML file.", autocompletion=options.complete_model
        ),
    ] = "parametric",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the fit here (netCDF).")
    ] = None,
    columns: options.Columns = None,
    where: options.Where = None,
    scale: options.Scale = None,
    params_count: options.ParamsCount = options.DEFAULT_COUNT,
    loss_unit: options.LossUnit = options.DEFAULT_UNIT,
    compute: Annotated[
        list[str] | None, typer.Option(help="Also give the optimum at these budgets in FLOPs: 5.76e23,1e24.")
    ] = None,
    backtest: Annotated[
        bool,
        typer.Option(
            "--backtest",
            help="Also fit the runs up to several cuts, and keep how those beyond left the law.",
        ),
    ] = False,
    draws: options.Draws = 1000,
    tune: options.Tune = 1000,
    chains: options.Chains = 4,
    seed: options.Seed = 0,
    sampler: Annotated[str, typer.Option(help="nutpie, or pymc for PyMC's own NUTS.")] = "nutpie",
    target_accept: Annotated[
        float, typer.Option(help="Acceptance rate to tune for; raise it if there are divergences.")
    ] = 0.95,
    cores: Annotated[int, typer.Option(help="Chains sampled at the same time.")] = 2,
    prob: options.Prob = options.DEFAULT_PROB,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Sample the posterior of a scaling law from a table of runs.

    Exit code 3 says that the fit was made, and does not pass the convergence rules.
    """
    from bayes_scaling.cli.documents import fit_document, optimum_document
    from bayes_scaling.cli.output import NOT_CONVERGED, note, print_fit, print_json, print_optimum
    from bayes_scaling.files import check_writable
    from bayes_scaling.intervals import check_prob
    from bayes_scaling.planning.optimum import check_budgets
    from bayes_scaling.planning.optimum import optimum as optima_of
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.sampling.artefact import save_fit
    from bayes_scaling.sampling.fit import fit as sample

    # Whatever can be refused is refused before the sampling, not after it.
    check_prob(prob)
    budgets = options.budgets(compute)
    if budgets:
        check_budgets(budgets)
    if output is not None:
        check_writable(output)
    if figure is not None:
        check_figure(figure)
    spec = options.model_spec(model)
    table = options.load_table(runs, columns, where, scale, params_count, loss_unit)
    fitted = sample(
        table,
        spec,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        sampler=sampler,
        target_accept=target_accept,
        cores=cores,
    )
    if backtest:
        from bayes_scaling.checks.learned import learn_discrepancy

        fitted = learn_discrepancy(fitted, seed=seed, workers=cores)
    if output is not None:
        save_fit(fitted, output)
    if figure is not None:
        from bayes_scaling.plots.law import plot_law
        from bayes_scaling.plots.panels import panels_by_recipe
        from bayes_scaling.plots.profiles import plot_profiles

        draw = plot_law if "A" in fitted["posterior"] else plot_profiles
        save_figure(panels_by_recipe(draw, fitted, prob=prob), figure)
    document = fit_document(fitted, prob)
    if budgets:
        document["optimum"] = optimum_document(optima_of(fitted, budgets, allow_unconverged=True), prob)
    if backtest:
        beyond = 10 * float(fitted["constant_data"]["flops"].max())
        learned = optima_of(fitted, beyond, allow_unconverged=True).attrs["discrepancy"]
        document["discrepancy"] = learned.splitlines()
    if json:
        print_json(document)
    else:
        print_fit(document)
        for words in document.get("discrepancy", []):
            note(f"beyond the runs, {words}")
        if budgets:
            print_optimum(document["optimum"])
    if output is None and not json:
        note("the fit is not kept: -o fit.nc writes it")
    if not document["converged"]:
        raise typer.Exit(NOT_CONVERGED)
