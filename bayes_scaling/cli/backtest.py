"""`bayes-scaling backtest`: what a model would have said of runs that are there, had they not been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_scaling.cli import options

if TYPE_CHECKING:
    import xarray as xr


def backtest(
    runs: options.Runs,
    model: Annotated[
        str,
        typer.Option(help="Model spec: a name or a TOML file.", autocompletion=options.complete_model),
    ] = "parametric",
    cuts: Annotated[
        list[str] | None,
        typer.Option(help="Where to cut, in FLOPs, as 3e19,1e20; chosen by the runs unless given."),
    ] = None,
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
    """Fit runs up to a compute, predict those beyond, at several cuts of each recipe, and score it.

    Exit code 3 says that the chains of a scored fold do not agree.
    """
    from bayes_scaling.checks.backtest import backtest as run
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.plots.axes import check_figure, save_figure

    if figure is not None:
        check_figure(figure)
    spec = options.model_spec(model)
    table = options.load_table(runs, columns, where, scale, params_count, loss_unit)
    found = run(
        table,
        spec,
        cuts=options.quantities(cuts, "--cuts") if cuts else None,
        seed=seed,
        workers=workers,
        scheduler=scheduler,
        results=results,
    )
    document = describe(found)
    if figure is not None:
        from bayes_scaling.plots.backtest import plot_backtest

        save_figure(plot_backtest(found)[0], figure)
    (print_json if json else _print)(document)
    if not bool(found["converged"].sel(estimator=found.attrs["model"]).all()):
        raise typer.Exit(NOT_CONVERGED)


def describe(found: xr.Dataset) -> dict[str, Any]:
    """Describe a backtest by plain values: rows by fold, decisions, slopes, and what is pooled."""
    rows, pooled, decisions = [], [], []
    for name in found["estimator"].values.tolist():
        one = found.sel(estimator=name)
        for j in range(found.sizes["fold"]):
            fold = one.isel(fold=j)
            rows.append(
                {
                    "method": name,
                    **_place(fold),
                    "runs_fitted": int(fold["runs_fitted"]),
                    "runs_predicted": int(fold["runs_predicted"]),
                    "decades": float(fold["decades"]),
                    "coverage": _by_prob(fold["coverage"]),
                    **{key: float(fold[key]) for key in ("interval_score", "log_score", "bias")},
                    "converged": bool(fold["converged"]),
                    "reason": str(fold["reason"].values) or None,
                }
            )
        pooled.append(
            {
                "method": name,
                "coverage": _by_prob(one["pooled_coverage"]),
                **{key: float(one[f"pooled_{key}"]) for key in ("interval_score", "log_score", "bias")},
                "folds": int(one["pooled_folds"]),
            }
        )
        for i in range(found.sizes["decision"]):
            at = one.isel(decision=i)
            decisions.append(
                {
                    "method": name,
                    **_place(one.isel(fold=int(at["decision_fold"]))),
                    "compute": float(at["budget"]),
                    "params_min": float(at["params_min"]),
                    "params_opt": {
                        "estimate": float(at["params_opt"]),
                        "low": float(at["params_low"]),
                        "high": float(at["params_high"]),
                    },
                    "inside": bool(at["params_inside"] == 1),
                    "regret": float(at["regret"]),
                }
            )
    predictions = [
        {
            "method": name,
            **_place(found.isel(fold=int(at["prediction_fold"]))),
            "run": str(at["run"].values),
            "log_score": float(at["prediction_log_score"].sel(estimator=name)),
        }
        for i in range(found.sizes["prediction"])
        for at in [found[["prediction_fold", "run", "prediction_log_score"]].isel(prediction=i)]
        for name in found["estimator"].values.tolist()
    ]
    slopes = [
        {
            "recipe": str(name),
            "loss": {"mean": float(one["slope"]), "sd": float(one["slope_sd"])},
            "params": {"mean": float(one["params_slope"]), "sd": float(one["params_slope_sd"])},
        }
        for name, one in ((name, found.sel(recipe=name)) for name in found["recipe"].values.tolist())
    ]
    return {
        "prob": float(found.attrs["scored_prob"]),
        "model": found.attrs["model"],
        "rows": rows,
        "pooled": pooled,
        "decisions": decisions,
        "predictions": predictions,
        "slopes": slopes,
    }


def _place(fold: xr.Dataset) -> dict[str, Any]:
    return {"recipe": str(fold["fold_recipe"].values), "cut": float(fold["cut"])}


def _by_prob(coverage: xr.DataArray) -> dict[str, float]:
    return {f"{prob:g}": float(coverage.sel(prob=prob)) for prob in coverage["prob"].values.tolist()}


def _print(document: dict[str, Any]) -> None:
    from bayes_scaling.cli.output import console, format_plain, note, print_table
    from bayes_scaling.planning.deviations import slopes_in_words
    from bayes_scaling.quantities import format_flops

    def score(each: dict[str, Any]) -> list[str]:
        cover = [_percent(share) for share in each["coverage"].values()]
        return [*cover, format_plain(each["interval_score"]), f"{100 * each['bias']:+.1f} %"]

    scored = ["covers 50 %", "80 %", "90 %", "interval score", "bias"]
    several = len({row["recipe"] for row in document["rows"]}) > 1
    rows = [
        [
            *([row["recipe"]] if several else []),
            format_flops(row["cut"]),
            row["method"],
            f"{row['runs_fitted']}\N{RIGHTWARDS ARROW}{row['runs_predicted']}",
            f"{row['decades']:.1f}",
            *(score(row) if row["reason"] is None else ["-"] * 5),
        ]
        for row in sorted(document["rows"], key=lambda row: (row["recipe"], row["cut"]))
    ]
    columns = [*(["recipe"] if several else []), "cut (FLOP)", "method", "runs", "decades", *scored]
    print_table("runs beyond each cut", columns, rows, texts=3 if several else 2)
    print_table(
        "pooled over folds",
        ["method", "folds", *scored],
        [[each["method"], str(each["folds"]), *score(each)] for each in document["pooled"]],
    )
    _print_decisions(document)
    say = console().print
    for each in document["slopes"]:
        of = f"{each['recipe']}: " if several else ""
        moments = [(each[kind]["mean"], each[kind]["sd"]) for kind in ("loss", "params")]
        say(f"{of}beyond all the runs, {slopes_in_words(*moments)}")
    for row in document["rows"]:
        where = f"{row['recipe'] + ', ' if several else ''}cut at {format_flops(row['cut'])}: {row['method']}"
        if row["reason"]:
            note(f"{where} predicts nothing: {row['reason']}")
        elif not row["converged"]:
            note(f"{where}: its chains do not agree")


def _print_decisions(document: dict[str, Any]) -> None:
    """Print how predicted optima compare with the minima of held-out IsoFLOP profiles."""
    from statistics import mean, median

    from bayes_scaling.cli.output import print_table

    rows = []
    for name in dict.fromkeys(each["method"] for each in document["decisions"]):
        own = [each for each in document["decisions"] if each["method"] == name]
        own = [each for each in own if each["regret"] == each["regret"]]
        if own:
            regrets = [each["regret"] for each in own]
            inside = _percent(mean(each["inside"] for each in own))
            shares = [f"{100 * part:.2g} %" for part in (median(regrets), mean(regrets), max(regrets))]
            rows.append([name, str(len(own)), inside, *shares])
    if rows:
        title = "predicted N_opt against the minima of IsoFLOP profiles beyond each cut"
        columns = ["method", "minima", "in the 90 % interval", "regret: median", "mean", "largest"]
        print_table(title, columns, rows)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
