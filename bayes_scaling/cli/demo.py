"""`bayes-scaling demo`: the whole way on embedded runs, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayes_scaling.cli import options

DATASET = "pocket"

RESAMPLES = 300
"""Enough to see how wide the approaches' intervals are, in two or three seconds."""


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the fit and the figures.")
    ] = Path("demo-output"),
    draws: options.Draws = 1000,
    tune: options.Tune = 1000,
    chains: options.Chains = 4,
    seed: options.Seed = 0,
    prob: options.Prob = options.DEFAULT_PROB,
    json: options.Json = False,
) -> None:
    """From embedded runs to the posterior of the compute-optimal run, beside the three approaches.

    Exit code 3 says that the fit does not pass the convergence rules.
    """
    from bayes_scaling.approaches.envelope import reduce_curves
    from bayes_scaling.cli.compare_output import print_compare
    from bayes_scaling.cli.documents import compare_document, fit_document, optimum_document
    from bayes_scaling.cli.output import (
        NOT_CONVERGED,
        console,
        print_fit,
        print_json,
        print_optimum,
    )
    from bayes_scaling.files import check_writable, make_folder
    from bayes_scaling.intervals import check_prob
    from bayes_scaling.planning.compare import compare
    from bayes_scaling.planning.optimum import default_budgets, optimum
    from bayes_scaling.plots.axes import save_figure
    from bayes_scaling.plots.compare import plot_compare
    from bayes_scaling.plots.law import plot_law
    from bayes_scaling.plots.optimum import plot_optimum
    from bayes_scaling.runs.datasets import load_curves, load_dataset
    from bayes_scaling.sampling.artefact import save_fit
    from bayes_scaling.sampling.fit import fit

    check_prob(prob)
    make_folder(output)
    written = {"fit": output / "fit.nc"}
    written |= {name: output / f"{name}.png" for name in ("law", "optimum", "compare")}
    for path in written.values():
        check_writable(path)
    runs = load_dataset(DATASET)
    fitted = fit(runs, draws=draws, tune=tune, chains=chains, seed=seed)
    budgets = default_budgets(fitted["constant_data"].dataset["flops"])
    fitted_document = fit_document(fitted, prob)
    optima = optimum_document(optimum(fitted, budgets, allow_unconverged=True), prob)

    comparison = compare(
        runs,
        budgets[1],
        curves=reduce_curves(load_curves(DATASET)),
        fits=[fitted],
        prob=prob,
        resamples=RESAMPLES,
        seed=seed,
        allow_unconverged=True,
    )
    compared = compare_document(comparison)

    save_fit(fitted, written["fit"])
    save_figure(plot_law(fitted, prob=prob), written["law"])
    save_figure(plot_optimum(fitted, budgets, prob=prob, allow_unconverged=True), written["optimum"])
    save_figure(plot_compare(comparison), written["compare"])

    if json:
        files = {name: str(path) for name, path in written.items()}
        document = {"dataset": DATASET, "fit": fitted_document, "optimum": optima, "compare": compared}
        print_json({**document, "files": files})
    else:
        print_fit(fitted_document)
        print_optimum(optima)
        print_compare(compared)
        console().print(f"runs: {DATASET} (`bayes-scaling data show {DATASET}` tells what they are)")
        console().print("written: " + ", ".join(str(path) for path in written.values()))
        console().print(f"next: `bayes-scaling check {written['fit']}` says what speaks against this fit")
    if not fitted_document["converged"]:
        raise typer.Exit(NOT_CONVERGED)
