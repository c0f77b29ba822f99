"""The columns of a table of runs, and the names under which other people's tables hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bayes_scaling.errors import InputError, did_you_mean

NUMBERS = ("params", "tokens", "flops", "loss", "budget", "loss_se")
"""Columns of positive numbers."""

COLUMNS = ("run_id", "params", "tokens", "flops", "loss", "budget", "recipe", "loss_se")
"""All columns that have a meaning, in the order of the checked table; the last three are optional."""

ALIASES = {
    "run_id": ("id", "run", "run_name"),
    "params": (
        "n", "n_params", "num_params", "nparams", "parameters", "n_parameters", "num_parameters",
        "parameter_count", "param_count", "params_count", "model_size", "model_params", "total_params",
    ),
    "tokens": (
        "d", "n_tokens", "num_tokens", "total_tokens", "token_count", "training_tokens", "train_tokens",
        "tokens_seen",
    ),
    "flops": (
        "c", "flop", "compute", "training_flop", "training_flops", "train_flops", "total_flops",
        "training_compute", "total_compute",
    ),
    "loss": (
        "l", "final_loss", "val_loss", "validation_loss", "eval_loss", "test_loss", "train_loss",
        "training_loss", "final_val_loss", "final_train_loss",
    ),
    "budget": ("flops_budget", "flop_budget", "compute_budget", "isoflop_budget", "nominal_flops"),
    "recipe": ("group", "family", "dataset"),
    "loss_se": ("loss_stderr", "loss_std_err", "loss_standard_error"),
    "status": ("run_status",),
}  # fmt: skip
"""Other names of each column; case, spaces, `_`, `-` and `/` do not matter."""


def match_columns(
    names: Sequence[str], columns: Mapping[str, str] | None = None, place: str = "runs"
) -> dict[str, str]:
    """Find which column of a table is which of ours.

    Parameters
    ----------
    names : sequence of str
        The table's own column names, each once.
    columns : mapping of str to str, optional
        Our name to the table's, where the user says; wins over everything else.
    place : str
        Opens every error message.

    Returns
    -------
    dict of str to str
        Our name to the table's, for every column of ours that the table holds under another name.
        A column that thereby loses its own name to another is listed as `NAME_in_file`.

    Raises
    ------
    InputError
        If `columns` names an unknown column, or two columns match one name and nothing says which.
    """
    given = _check_given(names, columns or {}, place)
    found: dict[str, str] = {}
    for ours, aliases in ALIASES.items():
        if ours in given:
            found[ours] = given[ours]
            continue
        free = [name for name in names if name not in given.values()]
        if ours in free:
            continue
        keys = {_key(alias) for alias in (ours, *aliases)}
        matches = [name for name in free if _key(name) in keys]
        if len(matches) > 1:
            candidates = ", ".join(map(repr, matches))
            choice = f'columns={{"{ours}": "{matches[0]}"}}'
            raise InputError(
                f"{place}: columns {candidates} could each be {ours}; say which, such as {choice}"
            )
        if matches:
            found[ours] = matches[0]
    displaced = [ours for ours in found if ours in names and ours not in found.values()]
    renamed = {ours: theirs for ours, theirs in found.items() if ours != theirs}
    return renamed | {f"{ours}_in_file": ours for ours in displaced}


def _check_given(names: Sequence[str], columns: Mapping[str, str], place: str) -> dict[str, str]:
    for ours, theirs in columns.items():
        if ours not in ALIASES:
            raise InputError(f"{place}: columns names {ours!r}{did_you_mean(str(ours), ALIASES)}")
        if theirs not in names:
            keys = {_key(alias) for alias in (ours, *ALIASES[ours])}
            there = [name for name in names if name == ours or _key(name) in keys]
            meant = did_you_mean(str(theirs), names)
            if there:
                meant = f"; {there[0]!r} is there already, and is read as {ours}: name no other"
            raise InputError(f"{place}: there is no column {theirs!r}, given as {ours}{meant}")
    twice = sorted({theirs for theirs in columns.values() if list(columns.values()).count(theirs) > 1})
    if twice:
        raise InputError(f"{place}: columns gives {twice[0]!r} two names; give each column one")
    return dict(columns)


def _key(name: str) -> str:
    return re.sub(r"[\s_/-]", "", name).lower()
