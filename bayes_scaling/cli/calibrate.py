"""`bayes-scaling calibrate`: whether draws are from the posterior, on data sets whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_scaling.cli import options

if TYPE_CHECKING:
    import xarray as xr

COVERED = (0.5, 0.9)
"""Probabilities of the intervals whose coverage is told."""

_SHOWN = 5
"""Replicates that are named in words; the JSON document has all."""


def calibrate(
    runs: options.Runs,
    model: Annotated[str, typer.Option(help="Model spec: a name or a TOML file.")] = "parametric",
    replicates: Annotated[int, typer.Option(help="Data sets to draw and to fit.")] = 500,
    columns: options.Columns = None,
    where: options.Where = None,
    scale: options.Scale = None,
    params_count: options.ParamsCount = options.DEFAULT_COUNT,
    loss_unit: options.LossUnit = options.DEFAULT_UNIT,
    seed: options.Seed = 0,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    results: options.Results = None,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Draw losses of these runs from the model itself, fit them, and rank the true values among the draws.

    If all is right every rank is uniform. Exit code 3 says that those of a quantity are not.
    """
    from bayes_scaling.checks.calibrate import calibrate as run
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.plots.axes import check_figure, save_figure

    if figure is not None:
        check_figure(figure)
    spec = options.model_spec(model)
    table = options.load_table(runs, columns, where, scale, params_count, loss_unit)
    found = run(
        table,
        spec,
        replicates=replicates,
        seed=seed,
        workers=workers,
        scheduler=scheduler,
        results=results,
    )
    document = describe(found)
    if figure is not None:
        from bayes_scaling.plots.calibrate import plot_calibrate

        save_figure(plot_calibrate(found), figure)
    (print_json if json else _print)(document)
    if not document["uniform"]:
        raise typer.Exit(NOT_CONVERGED)


def describe(found: xr.Dataset) -> dict[str, Any]:
    """Describe a calibration by plain values: a row a quantity, and the fits that are in doubt."""
    quantities = []
    for name in found["quantity"].values.tolist():
        one = found.sel(quantity=name)
        ranks = one["rank"].dropna("replicate")
        quantities.append(
            {
                "quantity": name,
                "mean_rank": float(ranks.mean()),
                "coverage": {f"{prob:g}": float((abs(ranks - 0.5) < prob / 2).mean()) for prob in COVERED},
                "p_value": float(one["p_value"]),
                "uniform": bool(one["uniform"]),
            }
        )
    doubtful = found.isel(replicate=~found["converged"].to_numpy())
    return {
        "prob": found.attrs["prob"],
        "model": found.attrs["model"],
        "replicates": found.sizes["replicate"],
        "drawn_again": found.attrs["drawn_again"],
        "uniform": bool(found["uniform"].all()),
        "quantities": quantities,
        "not_converged": [
            {
                "replicate": int(one["replicate"]),
                "rhat": float(one["rhat"]),
                "divergences": int(one["divergences"]),
                "reason": str(one["reason"].values) or None,
            }
            for one in (doubtful.isel(replicate=i) for i in range(doubtful.sizes["replicate"]))
        ],
        "seconds": float(found["seconds"].sum()),
    }


def _print(document: dict[str, Any]) -> None:
    from bayes_scaling.cli.output import console, format_plain, note, print_table
    from bayes_scaling.quantities import format_share

    rows = [
        [
            each["quantity"],
            f"{each['mean_rank']:.3f}",
            *(f"{100 * share:.1f} %" for share in each["coverage"].values()),
            f"{each['p_value']:.2g}",
            "uniform" if each["uniform"] else "NOT uniform",
        ]
        for each in document["quantities"]
    ]
    count = document["replicates"]
    title = f"{document['model']}: ranks of the true values among the draws, {count} data sets"
    covered = [f"{format_share(prob)} interval holds" for prob in COVERED]
    print_table(title, ["quantity", "mean rank", *covered, "p", "ranks"], rows)
    least = min(document["quantities"], key=lambda each: each["p_value"])
    told = f"least p of {len(rows)} quantities: {least['p_value']:.2g}, of {least['quantity']}"
    say = console().print
    if document["uniform"]:
        say(f"the ranks are uniform within chance ({told})", style="green")
    else:
        named = ", ".join(each["quantity"] for each in document["quantities"] if not each["uniform"])
        say(
            f"NOT calibrated: the ranks of {named} are not uniform ({told}): the draws are not from the "
            "posterior of this model, or too many fits below did not converge",
            style="bold",
        )
    doubtful = document["not_converged"]
    say(
        f"{count - len(doubtful)} of {count} fits converged, in {format_plain(document['seconds'])} s of "
        f"fitting; {document['drawn_again']} data sets that the prior predicted were no losses, and were "
        "drawn again"
    )
    for each in doubtful[:_SHOWN]:
        found = f"R-hat {each['rhat']:.3f}, {each['divergences']} divergences"
        note(f"replicate {each['replicate']} did not converge: {each['reason'] or found}")
    if len(doubtful) > _SHOWN:
        note(f"{len(doubtful) - _SHOWN} more did not; --json names them all")
