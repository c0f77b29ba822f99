"""`bayes-scaling plan`: what to train at a budget or to a target, from a saved fit or several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_scaling.cli import options
from bayes_scaling.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

_BUDGET, _PLAN, _LIMITS, _TARGET = "Budget", "A plan of your own", "Limits", "Target"


def _text(help: str, panel: str) -> Any:  # noqa: A002
    return typer.Option(help=help, rich_help_panel=panel)


def plan(
    fits: Annotated[
        list[Path],
        typer.Argument(
            metavar="FIT",
            help="Fit that `bayes-scaling fit -o` wrote; of several the plan is from their mixture.",
        ),
    ],
    compute: Annotated[str | None, _text("The budget in FLOPs, as 5.76e23.", _BUDGET)] = None,
    gpus: Annotated[str | None, _text("The budget as accelerators, with --hours.", _BUDGET)] = None,
    hours: Annotated[
        str | None, _text("Hours of the accelerators: to train, and with --served-tokens to serve.", _BUDGET)
    ] = None,
    money: Annotated[str | None, _text("The budget as money, with --price.", _BUDGET)] = None,
    peak: Annotated[
        str | None, _text("FLOPs a second of an accelerator at best, as 989e12.", _BUDGET)
    ] = None,
    mfu: Annotated[
        str | None, _text("Share of the peak that training reaches, such as 0.4.", _BUDGET)
    ] = None,
    price: Annotated[str | None, _text("Money for an accelerator-hour.", _BUDGET)] = None,
    params: Annotated[str | None, _text("Size of a plan to be judged, as 70B.", _PLAN)] = None,
    tokens: Annotated[
        str | None,
        _text("Its tokens, as 1.4T; what the budget buys unless given. Both are a budget, too.", _PLAN),
    ] = None,
    below: Annotated[
        list[str] | None, _text("Sizes x whose P(N_opt < x) is asked, as 50B,70B.", _PLAN)
    ] = None,
    spent_params: Annotated[
        str | None, _text("Size of a run that is there already and may be continued.", _PLAN)
    ] = None,
    spent_tokens: Annotated[str | None, _text("Tokens that it has been trained on.", _PLAN)] = None,
    min_params: Annotated[str | None, _text("Smallest size allowed.", _LIMITS)] = None,
    max_params: Annotated[str | None, _text("Largest size allowed.", _LIMITS)] = None,
    max_tokens: Annotated[str | None, _text("Most training tokens allowed.", _LIMITS)] = None,
    sizes: Annotated[list[str] | None, _text("The sizes that can be built, as 7B,13B,70B.", _LIMITS)] = None,
    served_tokens: Annotated[
        str | None,
        _text(
            "Tokens of inference over the model's lifetime: the budget, however it is given, then pays for "
            "training and serving, and N_opt is the best size for both, below that of `optimum`.",
            _LIMITS,
        ),
    ] = None,
    unique_tokens: Annotated[
        str | None, _text("Unique training tokens; beyond them tokens are repeated, and worth less.", _LIMITS)
    ] = None,
    target: Annotated[
        str | None,
        _text(
            "A loss: how probably plans reach it, or, without a budget, the cheapest plan that does.", _TARGET
        ),
    ] = None,
    sure: Annotated[
        float | None, _text("Probability with which that plan reaches it; 0.8 unless given.", _TARGET)
    ] = None,
    improvement: Annotated[
        str | None, _text("A step in loss: what it is worth in compute at the budget.", _TARGET)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Of several fits, as 0.7,0.3; by stacking of leave-one-out densities unless given, or of "
            "--scores."
        ),
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            help="Of several fits, weigh them by how well they predicted larger runs: what "
            "`bayes-scaling backtest --json` printed, once for each fit, in their order."
        ),
    ] = None,
    recipe: options.Recipe = None,
    law_only: options.LawOnly = False,
    prob: options.Prob = options.DEFAULT_PROB,
    allow_unconverged: options.AllowUnconverged = False,
    figure: options.Figure = None,
    json: options.Json = False,
) -> None:
    """Say what to train: the size of least expected regret at a budget, or the cheapest plan to a target.

    The budget is given once: by --compute, by --gpus and --hours, or by --money; the latter need --peak and
    --mfu. A plan of --params and --tokens without a budget is judged at its own compute. Regret is the share
    of its compute that the optimal plan would have saved at equal loss.

    Several fits of the same runs are planned from together: their draws, each fit's by its weight, with the
    answer of each beside it.

    Exit code 3 says that the answer comes from a fit that does not pass the convergence rules.
    """
    from bayes_scaling.cli.output import NOT_CONVERGED, print_json
    from bayes_scaling.cli.plan_documents import plan_document, target_document
    from bayes_scaling.cli.plan_output import print_plan, print_target
    from bayes_scaling.intervals import check_prob
    from bayes_scaling.planning.accelerators import budget as flops_of
    from bayes_scaling.planning.accelerators import rate as rate_of
    from bayes_scaling.plots.axes import check_figure, save_figure
    from bayes_scaling.progress import working
    from bayes_scaling.sampling.artefact import PLANNED, open_fit

    read = options.quantity
    check_prob(prob)
    if figure is not None:
        check_figure(figure)
    rate = rate_of(peak=read(peak, "--peak"), mfu=read(mfu, "--mfu"), price=read(price, "--price"))
    budget = flops_of(
        rate,
        compute=read(compute, "--compute"),
        gpus=read(gpus, "--gpus"),
        hours=read(hours, "--hours"),
        money=read(money, "--money"),
    )
    shared: dict[str, Any] = {
        "target": read(target, "--target"),
        "min_params": read(min_params, "--min-params"),
        "max_params": read(max_params, "--max-params"),
        "max_tokens": read(max_tokens, "--max-tokens"),
        "sizes": options.quantities(sizes, "--sizes") or None,
        "served_tokens": read(served_tokens, "--served-tokens"),
        "unique_tokens": read(unique_tokens, "--unique-tokens"),
        "recipe": recipe,
        "discrepancy": not law_only,
        "allow_unconverged": allow_unconverged,
    }
    at_budget: dict[str, Any] = {
        "params": read(params, "--params"),
        "tokens": read(tokens, "--tokens"),
        "below": options.quantities(below, "--below") or None,
        "spent_params": read(spent_params, "--spent-params"),
        "spent_tokens": read(spent_tokens, "--spent-tokens"),
    }
    step = read(improvement, "--improvement")
    # A plan of one's own that is whole has a compute, which is the budget unless another is given.
    to_target = budget is None and (at_budget["params"] is None or at_budget["tokens"] is None)
    _check_way(to_target, {**at_budget, "improvement": step}, shared["target"], sure)
    # Of one fit its draws alone are read; to weigh several takes the densities of their runs.
    weighing = len(fits) > 1 and weights is None
    scored = ("log_likelihood", "observed_data") if weighing and not scores else ()
    if scores and not weighing:
        raise InputError(
            "--scores weigh several fits, by themselves; give two or more fits, and no --weights"
        )
    drawn = () if figure is None else ("observed_data",)
    groups = dict.fromkeys((*PLANNED, *scored, *drawn))
    fitted = [open_fit(path, groups=tuple(groups)) for path in fits]
    shared["weights"] = None if weights is None else options.numbers(weights, "--weights")
    if weighing:
        from bayes_scaling.planning.forward import forward_scores
        from bayes_scaling.planning.stacking import model_weights

        with working("weighing the fits", show=sys.stderr.isatty()):
            shared["weights"] = model_weights(
                fitted, scores=forward_scores(fitted, scores) if scores else None
            )
    if to_target:
        from bayes_scaling.planning.cheapest import SURE, plan_to_target

        with working("looking for the cheapest plan", show=sys.stderr.isatty()):
            cheapest = plan_to_target(fitted, sure=SURE if sure is None else sure, **shared)
        document = target_document(cheapest, rate, prob)
        if figure is not None:
            from bayes_scaling.plots.target import plot_target

            save_figure(plot_target(cheapest, prob=prob), figure)
        (print_json if json else print_target)(document)
    else:
        from bayes_scaling.planning.plan import plan as decide

        with working("weighing the sizes", show=sys.stderr.isatty()):
            decision = decide(fitted, budget, prob=prob, **at_budget, **shared)
        document = plan_document(decision, rate, prob)
        document["improvement"] = _improvement(fitted, shared, document["compute"], step, prob)
        if figure is not None:
            from bayes_scaling.plots.audit import plot_plans

            panels = plot_plans(
                fitted,
                decision,
                prob=prob,
                discrepancy=not law_only,
                allow_unconverged=allow_unconverged,
            )
            save_figure(panels[0], figure)
        (print_json if json else print_plan)(document)
    if not document["converged"]:
        raise typer.Exit(NOT_CONVERGED)


def _check_way(to_target: bool, at_budget: dict[str, Any], target: float | None, sure: float | None) -> None:
    """Refuse a request without budget and target, and options for which its kind has no use."""
    if to_target and target is None:
        raise InputError(
            "plan needs a budget (--compute, --gpus and --hours, or --money) or, without one, a --target or "
            "a plan of --params and --tokens"
        )
    given = [f"--{name.replace('_', '-')}" for name, value in at_budget.items() if value is not None]
    if to_target and given:
        raise InputError(f"{', '.join(given)} ask about a budget; give one, such as --compute 5.76e23")
    if not to_target and sure is not None:
        raise InputError(
            "--sure is for the cheapest plan to a target; leave out the budget, or leave out --sure"
        )


def _improvement(
    fits: list[xr.DataTree],
    shared: dict[str, Any],
    budget: float,
    step: float | None,
    prob: float,
) -> dict[str, Any] | None:
    if step is None:
        return None
    from bayes_scaling.cli.plan_documents import interval_of
    from bayes_scaling.planning.target import worth_of_improvement

    # Whether an unconverged fit may be used has been asked already.
    worth = worth_of_improvement(
        fits,
        budget,
        step,
        weights=shared["weights"],
        recipe=shared["recipe"],
        discrepancy=shared["discrepancy"],
        allow_unconverged=True,
    )
    return {
        "loss": step,
        "compute_factor": interval_of(worth, prob),
        "never": float((worth == float("inf")).mean()),
    }
