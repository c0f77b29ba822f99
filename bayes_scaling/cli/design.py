"""`bayes-scaling design`: which pilot runs to train next, from a saved fit."""

from __future__ import annotations

from typing import Annotated

import typer

from bayes_scaling.cli import options


def design(
    fit: options.Fit,
    target: Annotated[str, typer.Option(help="Budget of the run to be prepared, in FLOPs, as 5.76e23.")],
    pilot: Annotated[str, typer.Option(help="Compute of all pilot runs together, in FLOPs, as 1e21.")],
    runs: Annotated[int, typer.Option(help="How many pilot runs.")] = 8,
    sizes: Annotated[
        list[str] | None, typer.Option(help="The sizes that can be built, as 100M,300M,1B; any unless given.")
    ] = None,
    max_run: Annotated[str | None, typer.Option(help="Most compute of one pilot run, in FLOPs.")] = None,
    spread: Annotated[
        float, typer.Option(help="By what factor sizes may lie from the best ones at their computes.")
    ] = 4.0,
    recipe: options.Recipe = None,
    prob: options.Prob = options.DEFAULT_PROB,
    allow_unconverged: options.AllowUnconverged = False,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Propose the pilot runs that lower the expected regret of a large run the most.

    What they would tell is worked out from the draws of the fit, before anything is trained. Regret is the
    share of its compute that the optimal run would have saved at equal loss.

    Exit code 3 says that the answer comes from a fit that does not pass the convergence rules.
    """
    from bayes_scaling.cli.design_output import design_document, print_design
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.planning.design import design as propose
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.sampling.artefact import open_fit

    if figure is not None:
        check_figure(figure)
    asked = {
        "target": options.quantity(target, "--target"),
        "pilot": options.quantity(pilot, "--pilot"),
        "max_run": options.quantity(max_run, "--max-run"),
        "sizes": options.quantities(sizes, "--sizes") or None,
    }
    fitted = open_fit(fit, groups=("posterior", "constant_data", "observed_data"))
    proposed = propose(
        fitted,
        runs=runs,
        spread=spread,
        recipe=recipe,
        prob=prob,
        allow_unconverged=allow_unconverged,
        **asked,  # type: ignore[arg-type]
    )
    if figure is not None:
        from bayes_scaling.plots.design import plot_design

        save_figure(plot_design(fitted, proposed), figure)
    (print_json if json else print_design)(design_document(proposed))
    if not proposed.attrs["converged"]:
        raise typer.Exit(NOT_CONVERGED)
