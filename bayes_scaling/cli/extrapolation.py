"""How it is said that an answer lies outside the runs: how far, on which side, and when it is a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.quantities import format_factor

FAR = 1000.0
"""Factor of extrapolation beyond which an answer is called a guess."""

SIDES = {"compute": "", "size": "_params", "tokens": "_tokens"}
"""In what an answer may lie outside the runs, and how the keys of that end."""


def outside_of(answer: Any, prefix: str = "") -> dict[str, float | bool]:
    """Take from a Dataset what says how far outside the runs an answer lies, as far as it does.

    Parameters
    ----------
    answer : Dataset
        With scalars such as extrapolation_params and below_runs_params, after the prefix.
    prefix : str
        Of their names.

    Returns
    -------
    dict
        The factors, 1 inside, and whether below the runs, by name without the prefix.
    """
    found: dict[str, float | bool] = {}
    for of in SIDES.values():
        if f"{prefix}extrapolation{of}" in answer:
            found[f"extrapolation{of}"] = float(answer[f"{prefix}extrapolation{of}"])
            found[f"below_runs{of}"] = bool(answer[f"{prefix}below_runs{of}"])
    return found


def is_outside(extrapolation: float) -> bool:
    """Tell whether a factor of extrapolation is above one as it is written."""
    return format_factor(extrapolation) != "1"


def outside_the_runs(answer: Mapping[str, Any], of: str = "") -> str:
    """Say how far out an answer lies in compute, or in size or tokens; nothing of one within the runs."""
    factor = answer.get(f"extrapolation{of}", 1.0)
    side = "below" if answer.get(f"below_runs{of}") else "beyond"
    return f"{format_factor(factor)}x {side} the runs" if is_outside(factor) else ""


def outside_rows(plans: list[dict[str, Any]]) -> list[list[str]]:
    """Say by what factors plans lie outside the runs, a row for each quantity in which one does."""
    rows = []
    for words, of in SIDES.items():
        said = [outside_the_runs(plan, of).removesuffix(" the runs") for plan in plans]
        if any(said):
            rows.append([f"{words} against the runs", *(each or "within" for each in said)])
    return rows


def extrapolation_of(
    answers: list[dict[str, Any]], names: list[str] | None = None, *, carried: bool = False
) -> tuple[str, bool]:
    """Say by what factors answers lie outside the runs, in compute and, where known, in size and tokens.

    Parameters
    ----------
    answers : list of dict
        With the keys of `outside_of`.
    names : list of str, optional
        What the answers are called.
    carried : bool
        Whether their intervals allow for the law failing beyond the runs.

    Returns
    -------
    said : str
        Nothing where all of them are within the runs. Where one lies so far out that it is a guess, it is
        said in what, and of several named answers whose.
    guess : bool
        Whether one is.
    """
    parts = []
    for words, of in SIDES.items():
        furthest = max(answers, key=lambda answer: answer.get(f"extrapolation{of}", 1.0), default={})
        if is_outside(factor := furthest.get(f"extrapolation{of}", 1.0)):
            side = " (below the runs)" if furthest.get(f"below_runs{of}") else ""
            parts.append(f"{format_factor(factor)} in {words}{side}")
    if not parts:
        return "", False
    said = f"extrapolated by a factor of up to {', '.join(parts)}"
    far = {
        i: [words for words, of in SIDES.items() if answer.get(f"extrapolation{of}", 1.0) > FAR]
        for i, answer in enumerate(answers)
    }
    guesses = [i for i, words in far.items() if words]
    if not guesses:
        hold = "allow for the law failing out there" if carried else "hold if the law holds out there"
        return f"{said}: the intervals {hold}", False
    what = " and ".join(words for words in SIDES if any(words in far[i] for i in guesses))
    whose = f" ({' and '.join(names[i] for i in guesses)})" if names and len(guesses) < len(answers) else ""
    return (
        f"{said}: in {what} THIS IS A GUESS{whose}, for no law has been tested so far from its runs; the "
        f"intervals {'allow for what is known of how' if carried else 'do not cover that'} it may fail",
        True,
    )
