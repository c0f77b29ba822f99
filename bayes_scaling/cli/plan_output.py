"""What `plan` and `audit` print for people."""

from __future__ import annotations

import math
from typing import Any

from bayes_scaling.cli.output import console, format_plain, print_table, warn_of_extrapolation
from bayes_scaling.quantities import format_quantity


def print_plan(document: dict[str, Any]) -> None:
    """Print the decision at a budget, from its JSON document."""
    prob = f"{document['prob']:.0%}"
    names = [name for name in ("recommended", "continued", "proposed") if document[name]]
    if document["recommended"]["continues"]:
        names.remove("continued")
    plans = [document[name] for name in names]
    rows = [
        ["size (parameters)", *(format_quantity(each["params"]) for each in plans)],
        ["tokens", *(format_quantity(each["tokens"]) for each in plans)],
        ["training compute (FLOP)", *(format_quantity(each["compute"]) for each in plans)],
        ["regret, expected", *(_percent(each["expected_regret"]) for each in plans)],
        [f"regret, {prob} interval", *(_interval(each["regret"], _percent) for each in plans)],
        ["loss, median", *(format_plain(each["loss"]["estimate"]) for each in plans)],
        [f"loss, {prob} interval", *(_interval(each["loss"], format_plain) for each in plans)],
        ["too large with probability", *(_percent(each["oversized"]) for each in plans)],
    ]
    if any(each["cost"] != each["compute"] for each in plans):
        rows.insert(3, ["cost to be paid (FLOP)", *(format_quantity(each["cost"]) for each in plans)])
    if document["unique_tokens"] is not None:
        rows.insert(2, ["epochs of the unique tokens", *(format_plain(each["epochs"]) for each in plans)])
    if document["target"] is not None:
        reached = [_percent(each["reaches"]) if "reaches" in each else "-" for each in plans]
        rows.append([f"loss at most {document['target']:g} with probability", *reached])
    for key, words in _PERSON.items():
        if plans[0][key] is not None:
            rows.append([words, *(format_quantity(each[key]) for each in plans)])
    of_recipe = f" [{document['recipe']}]" if document["recipe"] else ""
    title = f"{document['model']}{of_recipe}: what to train for {_budget(document)}"
    print_table(title, ["", *names], rows)
    _say_of_choice(document)
    _print_models(document)
    _print_regions(document)
    say = console().print
    for entry in document["below"]:
        say(f"N_opt is below {format_quantity(entry['params'])} with probability {entry['probability']:.3g}")
    if document["improvement"]:
        factor = document["improvement"]["compute_factor"]
        say(
            f"a loss lower by {document['improvement']['loss']:g} is worth "
            f"{format_plain(factor['estimate'])} times this compute ({_interval(factor, format_plain)})"
        )
    say("loss is the law's, without the noise of a run; regret is against the optimum without limits")
    _say_of_assumptions(document)
    warn_of_extrapolation([each["extrapolation"] for each in plans])
    _warn_of_convergence(document)


def print_target(document: dict[str, Any]) -> None:
    """Print the cheapest plan to a target, from its JSON document."""
    best, prob = document["recommended"], f"{document['prob']:.0%}"
    rows = [
        ["size (parameters)", format_quantity(best["params"])],
        ["tokens", format_quantity(best["tokens"])],
        *([["epochs of the unique tokens", format_plain(best["epochs"])]] if "epochs" in best else []),
        ["training compute (FLOP)", format_quantity(best["compute"])],
        *(
            [["lifetime cost (FLOP)", format_quantity(best["cost"])]]
            if best["cost"] != best["compute"]
            else []
        ),
        ["reaches it with probability", _percent(best["reaches"])],
        [f"loss, {prob} interval", _interval(best["loss"], format_plain)],
        *([words, format_quantity(best[key])] for key, words in _PERSON.items() if best[key] is not None),
    ]
    title = f"{document['model']}: the cheapest plan to a loss of {document['target']:g}"
    print_table(f"{title}, with probability {document['sure']:g}", ["", "plan"], rows)
    say = console().print
    least = document["compute"]
    say(
        f"least training compute to it, had one known the law: {_compute(least['estimate'])} "
        f"({_compute(least['low'])} to {_compute(least['high'])})"
    )
    if document["never"] > 0:
        say(f"no compute reaches it with probability {document['never']:.3g}", style="bold")
    if best["binding"]:
        say(f"held by {', '.join(best['binding'])}")
    _say_of_assumptions(document)
    _say_of_weights(document)
    warn_of_extrapolation([document["extrapolation"], best["extrapolation"]])
    _warn_of_convergence(document)


def print_audit(document: dict[str, Any]) -> None:
    """Print judged models, a row each, from their JSON document."""
    rows = [
        [
            plan["name"],
            format_quantity(plan["params"]),
            format_quantity(plan["tokens"]),
            format_quantity(plan["compute"]),
            _percent(plan["regret"]["estimate"]),
            _interval(plan["regret"], _percent),
            _percent(plan["oversized"]),
            format_quantity(plan["params_opt"]["estimate"]),
            _interval(plan["params_opt"], format_quantity),
        ]
        for plan in document["plans"]
    ]
    columns = ["model", "N", "D", "C (FLOP)", "regret", "interval", "too large", "N_opt", "interval"]
    title = f"{document['model']}: each model at its own compute, {document['prob']:.0%} intervals"
    print_table(title, columns, rows)
    warn_of_extrapolation([plan["extrapolation"] for plan in document["plans"]])
    _warn_of_convergence(document)


def _budget(document: dict[str, Any]) -> str:
    known = [
        f"{format_quantity(document[key])} {words}"
        for key, words in _PERSON.items()
        if document[key] is not None
    ]
    return f"{format_quantity(document['compute'])} FLOP{f' ({", ".join(known)})' if known else ''}"


def _say_of_choice(document: dict[str, Any]) -> None:
    say = console().print
    best, free = document["recommended"], document["unconstrained"]
    if best["continues"]:
        say("the run that is there, trained on, is the better plan: what it has cost so far is not counted")
    if best["binding"]:
        say(
            f"held by {', '.join(best['binding'])}: without limits {format_quantity(free['params'])} "
            f"parameters, expected regret {_percent(free['expected_regret'])}"
        )
    optimum = document["optimum"]["params_opt"]
    say(f"N_opt: {format_quantity(optimum['estimate'])} ({_interval(optimum, format_quantity)})")


def _say_of_assumptions(document: dict[str, Any]) -> None:
    say = console().print
    if document["served_tokens"] is not None:
        say("a token served is counted as a third of one trained on: 2 N where training costs 6 N")
    if document["unique_tokens"] is not None:
        say(
            "repeated tokens are worth what Muennighoff et al. 2023 found; their constants are taken as "
            "exact, since no uncertainty of them is published"
        )


def _print_regions(document: dict[str, Any]) -> None:
    """Print the sizes whose regret stays small, a row a bound and a column a probability."""
    probabilities = list(dict.fromkeys(each["probability"] for each in document["region"]))
    cells = {
        (each["regret"], each["probability"]): (
            _interval(each, format_quantity) if math.isfinite(each["low"]) else "none"
        )
        for each in document["region"]
    }
    bounds = list(dict.fromkeys(each["regret"] for each in document["region"]))
    rows = [[f"at most {_percent(bound)}", *(cells[bound, p] for p in probabilities)] for bound in bounds]
    columns = ["regret", *(f"with probability {p:.0%}" for p in probabilities)]
    print_table("sizes that keep the regret small", columns, rows)
    if "none" in (row[-1] for row in rows):
        console().print("none: no size within the limits is that sure of so small a regret")


def _print_models(document: dict[str, Any]) -> None:
    """Print what each fit of a mixture would plan by itself, a row each."""
    if not document["models"]:
        return
    rows = [
        [
            model["model"],
            f"{model['weight']:.2f}",
            format_quantity(model["params"]),
            format_quantity(model["tokens"]),
            _percent(model["expected_regret"]),
            _percent(model["regret_by_mixture"]),
            _percent(model["regret_of_recommended"]),
            _interval(model["params_opt"], format_quantity),
        ]
        for model in document["models"]
    ]
    columns = ["model", "weight", "N", "D", "regret", "by the mixture", "of the mixture's plan", "N_opt"]
    print_table("what each model would train, and the expected regret", columns, rows)
    _say_of_weights(document)


def _say_of_weights(document: dict[str, Any]) -> None:
    if not document["models"]:
        return
    named = ", ".join(f"{model['model']} {model['weight']:.2f}" for model in document["models"])
    why = f" ({document['weights_why']})" if document["weights_why"] else ""
    console().print(f"weights, {_WEIGHTS[document['weights_by']]}{why}: {named}")


def _interval(value: dict[str, float], write: Any) -> str:
    return f"{write(value['low'])} to {write(value['high'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _compute(flops: float) -> str:
    return format_quantity(flops) if math.isfinite(flops) else "never"


def _warn_of_convergence(document: dict[str, Any]) -> None:
    if not document["converged"]:
        console().print("from a fit that is NOT converged", style="bold red")


_WEIGHTS = {
    "forward": "by stacking of forward predictions",
    "loo": "by stacking of leave-one-out densities",
    "equal": "equal",
    "given": "as given",
}
"""How it is said what weights rest on."""

_PERSON = {"accelerator_hours": "accelerator-hours", "money": "money"}
