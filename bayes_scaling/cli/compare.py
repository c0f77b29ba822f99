"""`bayes-scaling compare`: the three approaches, posteriors and published estimates in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayes_scaling.cli import options

if TYPE_CHECKING:
    import xarray as xr


def compare(
    runs: options.Runs,
    compute: options.Compute = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="Training curves for approach 1, all of the file: run_id, params, tokens, loss."),
    ] = None,
    curves_columns: Annotated[
        list[str] | None, typer.Option(help="Columns of the curves by other names: params=N,tokens=seen.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Also sample this model; again for more. Unless given: parametric, or of several recipes "
            "parametric-recipes.",
            autocompletion=options.complete_model,
        ),
    ] = None,
    fit: Annotated[
        list[Path] | None, typer.Option(help="Take a posterior from this saved fit instead; again for more.")
    ] = None,
    posterior: Annotated[
        bool,
        typer.Option("--posterior/--no-posterior", help="Whether to add posteriors to the table."),
    ] = True,
    published: Annotated[
        bool, typer.Option("--published", help="Add the estimates that others published.")
    ] = False,
    columns: options.Columns = None,
    where: options.Where = None,
    scale: options.Scale = None,
    params_count: options.ParamsCount = options.DEFAULT_COUNT,
    loss_unit: options.LossUnit = options.DEFAULT_UNIT,
    resamples: Annotated[int, typer.Option(help="Resamples of each approach's bootstrap.")] = 1000,
    scheme: Annotated[
        str,
        typer.Option(help="bootstrap, with replacement, or subsample: 80 % of the runs, as published."),
    ] = "bootstrap",
    cluster: Annotated[
        str | None,
        typer.Option(help="Column that says of which training run a row is; ladder_run by default."),
    ] = None,
    hull: Annotated[
        bool, typer.Option("--hull", help="Approach 1 by the lower convex hull of the curves.")
    ] = False,
    keep_unbracketed: Annotated[
        bool,
        typer.Option(
            "--keep-unbracketed",
            help="Approach 1 as published: keep points of the smallest or largest size there.",
        ),
    ] = False,
    degree: Annotated[int, typer.Option(help="Degree of approach 2's polynomials: 2 or 3.")] = 2,
    within: Annotated[
        float | None, typer.Option(help="Approach 2: only sizes within this factor of a profile's best.")
    ] = None,
    draws: options.Draws = 1000,
    tune: options.Tune = 1000,
    chains: options.Chains = 4,
    seed: options.Seed = 0,
    workers: Annotated[int, typer.Option(help="Threads for bootstraps, and chains at the same time.")] = 2,
    prob: options.Prob = options.DEFAULT_PROB,
    law_only: options.LawOnly = False,
    allow_unconverged: options.AllowUnconverged = False,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Compare the Chinchilla paper's three approaches, with bootstrap intervals, with posteriors.

    Of several recipes each is compared by itself. Posteriors of the same runs are also ranked, by how well
    they predict each run's loss from the others.

    Exit code 3 says that a posterior does not pass the convergence rules, 1 that nothing has an answer.
    """
    from bayes_scaling.approaches.bootstrap import check_resampling
    from bayes_scaling.cli.compare_output import print_compare
    from bayes_scaling.cli.documents import compare_document
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.errors import BayesScalingError, InputError
    from bayes_scaling.intervals import check_prob
    from bayes_scaling.planning.compare import compare as compare_all
    from bayes_scaling.planning.optimum import check_budgets, default_budgets
    from bayes_scaling.planning.ranking import rank_models
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.sampling.artefact import PLANNED, fit_facts, open_fit, require_converged

    # Whatever can be refused is refused before the sampling, not after it.
    check_prob(prob)
    check_resampling(resamples=resamples, scheme=scheme, seed=seed, workers=workers)
    budgets = options.budgets(compute)
    if budgets:
        check_budgets(budgets)
    if figure is not None:
        check_figure(figure)
    if (model or fit) and not posterior:
        raise InputError("--no-posterior leaves out what --model and --fit ask for; give one or the other")
    # Models that describe the same runs are ranked, by every draw's density of every loss: most of a file.
    ranked = ("observed_data", "log_likelihood") if len(fit or []) + len(model or []) > 1 else ()
    fits = [open_fit(path, groups=(*PLANNED, *ranked)) for path in fit or []]
    for saved in fits:
        require_converged(saved, allow_unconverged=allow_unconverged)
    table = options.load_table(runs, columns, where, scale, params_count, loss_unit)
    reduced = _curves_of(runs, curves, curves_columns, set(table["run_id"]))
    if reduced is None and (hull or keep_unbracketed or curves_columns):
        raise InputError(
            "--hull, --keep-unbracketed and --curves-columns are about training curves; give them by --curves"
        )
    unavailable: dict[str, str] = {}
    if posterior:
        from bayes_scaling.sampling.fit import fit as sample

        several = "recipe" in table and table["recipe"].nunique() > 1
        default = "parametric-recipes" if several else "parametric"
        specs = [options.model_spec(name) for name in ([] if fit and not model else model or [default])]
        for spec in specs:
            try:
                fits.append(
                    sample(table, spec, draws=draws, tune=tune, chains=chains, seed=seed, cores=workers)
                )
            except InputError as error:
                # What one model cannot bear, another or an approach may.
                unavailable[spec.name] = str(error)
    comparison = compare_all(
        table,
        budgets or default_budgets(table["flops"]),
        curves=reduced,
        fits=fits,
        unavailable=unavailable,
        published=published,
        prob=prob,
        resamples=resamples,
        scheme=scheme,
        cluster=cluster,
        hull=hull,
        keep_unbracketed=keep_unbracketed,
        degree=degree,
        within=within,
        seed=seed,
        workers=workers,
        discrepancy=not law_only,
        allow_unconverged=True,
    )
    if not comparison["available"].any():
        reasons = zip(comparison["estimator"].values, comparison["reason"].values, strict=True)
        raise BayesScalingError(
            "\n  ".join(["there is no answer to compare:", *(f"{name}: {why}" for name, why in reasons)])
        )
    if figure is not None:
        from bayes_scaling.plots.compare import plot_compare

        save_figure(plot_compare(comparison), figure)
    ranking = rank_models(fits, allow_unconverged=True) if len(fits) > 1 else None
    (print_json if json else print_compare)(compare_document(comparison, ranking))
    if not all(fit_facts(each)["verdict"]["converged"] for each in fits):
        raise typer.Exit(NOT_CONVERGED)


def _curves_of(
    runs: str, curves: Path | None, columns: list[str] | None, kept: set[str]
) -> xr.Dataset | None:
    """Reduce the curves of a file, or those of a named set that belong to the runs kept of it, if any."""
    from bayes_scaling.runs.datasets import has_curves, load_curves

    if curves is None and not has_curves(runs):
        return None
    from bayes_scaling.approaches.envelope import reduce_curves

    if curves is not None:
        return reduce_curves(curves, columns=options.assignments(columns, "--curves-columns"))
    table = load_curves(runs)
    own = table[table["run_id"].isin(kept)]
    return None if own.empty else reduce_curves(own)
