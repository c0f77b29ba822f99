"""What `plan` and `audit` print for people."""

from __future__ import annotations

import math
from typing import Any

from bayes_scaling.cli.extrapolation import outside_rows
from bayes_scaling.cli.output import (
    console,
    format_interval,
    format_plain,
    print_table,
    say_of_budget,
    warn_of_extrapolation,
)
from bayes_scaling.quantities import format_factor, format_flops, format_quantity, format_share


def print_plan(document: dict[str, Any]) -> None:
    """Print the decision at a budget, from its JSON document."""
    prob = f"{format_share(document['prob'])}"
    names = [name for name in ("recommended", "continued", "proposed") if document[name]]
    if document["recommended"]["continues"]:
        names.remove("continued")
    plans = [document[name] for name in names]
    rows = [
        ["size (parameters)", *(format_quantity(each["params"]) for each in plans)],
        ["tokens", *(format_quantity(each["tokens"]) for each in plans)],
        ["training compute (FLOP)", *(format_flops(each["compute"]) for each in plans)],
        ["regret, expected", *(format_share(each["expected_regret"]) for each in plans)],
        [f"regret, {prob} interval", *(_percents(each["regret"]) for each in plans)],
        ["loss, median", *(format_plain(each["loss"]["estimate"]) for each in plans)],
        [f"loss, {prob} interval", *(format_interval(each["loss"], format_plain) for each in plans)],
        ["too large with probability", *(_chance(each["oversized"]) for each in plans)],
    ]
    if any("from_scratch" in each for each in plans):
        rows.append(["from scratch its loss costs", *(_from_scratch(each) for each in plans)])
    rows += outside_rows(plans)
    if any(each["cost"] != each["compute"] for each in plans):
        rows.insert(3, ["cost to be paid (FLOP)", *(format_flops(each["cost"]) for each in plans)])
    if document["unique_tokens"] is not None:
        rows.insert(2, ["epochs of the unique tokens", *(format_plain(each["epochs"]) for each in plans)])
    if document["target"] is not None:
        reached = [format_share(each["reaches"]) if "reaches" in each else "-" for each in plans]
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
        chance = format_share(entry["probability"])
        say(f"{_optimum(document)} is below {format_quantity(entry['params'])} with probability {chance}")
    if document["improvement"]:
        _say_of_improvement(document["improvement"])
    against = "the best plan within the same limits" if document["limits_price"] else "the optimum"
    if document["continued"]:
        against = f"{against}, or training on the run that is there where that is better"
    whose = "that of the law and its discrepancy" if document["discrepancy"] else "the law's"
    say(f"loss is {whose}, without the noise of a run; regret is against {against}")
    say_of_budget(document)
    _say_of_assumptions(document)
    _warn_of_serving(plans)
    warn_of_extrapolation(plans, names, document["discrepancy"])
    _warn_of_convergence(document)


def print_target(document: dict[str, Any]) -> None:
    """Print the cheapest plan to a target, from its JSON document."""
    best, prob = document["recommended"], f"{format_share(document['prob'])}"
    rows = [
        ["size (parameters)", format_quantity(best["params"])],
        ["tokens", format_quantity(best["tokens"])],
        *([["epochs of the unique tokens", format_plain(best["epochs"])]] if "epochs" in best else []),
        ["training compute (FLOP)", format_flops(best["compute"])],
        *([["lifetime cost (FLOP)", format_flops(best["cost"])]] if best["cost"] != best["compute"] else []),
        ["reaches it with probability", format_share(best["reaches"])],
        [f"loss, {prob} interval", format_interval(best["loss"], format_plain)],
        *outside_rows([best]),
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
        say(f"with probability {format_share(document['never'])} no compute reaches it", style="bold")
    if best["binding"]:
        say(f"held by {', '.join(best['binding'])}")
    say_of_budget(document)
    _say_of_assumptions(document)
    _say_of_weights(document)
    _warn_of_serving([best])
    warn_of_extrapolation([document, best], carried=document["discrepancy"])
    _warn_of_convergence(document)


def print_audit(document: dict[str, Any]) -> None:
    """Print judged models, a row each, from their JSON document."""
    rows = [
        [
            plan["name"],
            format_quantity(plan["params"]),
            format_quantity(plan["tokens"]),
            format_flops(plan["compute"]),
            f"{format_share(plan['expected_regret'])}\n{_percents(plan['regret'])}",
            format_share(plan["oversized"]),
            f"{format_quantity(plan['params_opt']['estimate'])}\n"
            f"{format_interval(plan['params_opt'], format_quantity)}",
        ]
        for plan in document["plans"]
    ]
    columns = ["model", "N", "D", "C (FLOP)", "regret", "too large", "N_opt"]
    title = (
        f"{document['model']}: each model at its own compute, expected regret and median N_opt, "
        f"{format_share(document['prob'])} intervals"
    )
    print_table(title, columns, rows)
    say_of_budget(document)
    warn_of_extrapolation(
        document["plans"], [plan["name"] for plan in document["plans"]], document["discrepancy"]
    )
    _warn_of_convergence(document)


def _budget(document: dict[str, Any]) -> str:
    known = [
        f"{format_quantity(document[key])} {words}"
        for key, words in _PERSON.items()
        if document[key] is not None
    ]
    return f"{format_flops(document['compute'])} FLOP{f' ({", ".join(known)})' if known else ''}"


def _say_of_choice(document: dict[str, Any]) -> None:
    say = console().print
    best, free = document["recommended"], document["unconstrained"]
    if best["continues"]:
        say("to train on the run that is there is the better plan: what it has cost is spent either way")
    if best["binding"]:
        say(
            f"held by {', '.join(best['binding'])}: without limits on size and tokens "
            f"{format_quantity(free['params'])} parameters"
        )
    if price := document["limits_price"]:
        unlimited = "with fresh tokens" if document["unique_tokens"] is not None else "without them"
        say(
            f"the limits cost {format_share(price['mean'])} of the compute ({_percents(price)}): so much "
            f"would be saved {unlimited}, at the loss of the best plan within them"
        )
    optimum = document["optimum"]["params_opt"]
    found = f"{format_quantity(optimum['estimate'])} ({format_interval(optimum, format_quantity)})"
    say(f"{_optimum(document)}: {found}")


def _optimum(document: dict[str, Any]) -> str:
    """Name the optimum that a plan is judged by: not that of `optimum` where more than training counts."""
    counted = [
        words
        for key, words in (("served_tokens", "serving paid"), ("unique_tokens", "repetition counted"))
        if document[key] is not None
    ]
    return ", ".join(["N_opt of a run from scratch" if document["continued"] else "N_opt", *counted])


def _warn_of_serving(plans: list[dict[str, Any]]) -> None:
    share = max(plan.get("serving_share", 0.0) for plan in plans)
    if share > MOST_SERVED:
        console().print(
            f"serving takes {100 * share:.4g} % of the cost, and training has what is left: the tokens to be "
            "served decide the plan, not the law; see whether so many are meant",
            style="bold red",
        )


def _say_of_improvement(improvement: dict[str, Any]) -> None:
    """Say what a step in loss is worth in compute, and whether compute buys it at all."""
    factor, never = improvement["compute_factor"], improvement["never"]
    step = f"a loss lower by {improvement['loss']:g}"
    say = console().print
    if math.isfinite(factor["estimate"]):
        ends = format_interval(factor, lambda value: format_plain(value) if math.isfinite(value) else "never")
        say(f"{step} is worth {format_plain(factor['estimate'])} times this compute ({ends})")
    if never:
        say(
            f"{step} is beyond any compute with probability {format_share(never)}: it would lie below all "
            "that the law, and what leaves it beyond the runs, come to"
        )


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
        (each["regret"], each["probability"]): (_sizes(each) if math.isfinite(each["low"]) else "none")
        for each in document["region"]
    }
    bounds = list(dict.fromkeys(each["regret"] for each in document["region"]))
    rows = [[f"at most {format_share(bound)}", *(cells[bound, p] for p in probabilities)] for bound in bounds]
    columns = ["regret", *(f"probability {format_share(p)}" for p in probabilities)]
    whose = "sizes of a run from scratch" if document["continued"] else "sizes"
    print_table(f"{whose} that keep the regret small, with a probability", columns, rows)
    if "none" in (row[-1] for row in rows):
        within = " within the limits" if document["limits_price"] else ""
        console().print(f"none: no size{within} is that sure of so small a regret")


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
            format_share(model["expected_regret"]),
            format_share(model["regret_by_mixture"]),
            format_share(model["regret_of_recommended"]),
            format_interval(model["params_opt"], format_quantity),
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


def _sizes(ends: dict[str, float]) -> str:
    """Write the smallest and the largest of some sizes; where these are one, that."""
    said = format_interval(ends, format_quantity)
    low, high = said.split("\N{EN DASH}")
    return low if low == high else said


def _chance(share: float) -> str:
    return "-" if math.isnan(share) else format_share(share)


def _from_scratch(plan: dict[str, Any]) -> str:
    """Say by what factor of its cost a run from scratch would have to be dearer to reach a plan's loss."""
    return f"{format_interval(plan['from_scratch'], format_factor)}x" if "from_scratch" in plan else "-"


def _percents(value: dict[str, float]) -> str:
    """Write an interval of shares with one sign of per cent."""
    return format_interval(value, lambda share: format_share(share).removesuffix(" %")) + " %"


def _compute(flops: float) -> str:
    return format_flops(flops) if math.isfinite(flops) else "never"


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
MOST_SERVED = 0.9
"""Share of a budget spent on serving beyond which there is a warning."""

_PERSON = {"accelerator_hours": "accelerator-hours", "money": "in the currency of --price"}
"""What is said of a cost in a person's units."""
