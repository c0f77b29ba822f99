"""The rules for a table of runs: what is refused, what is warned about, what is filled in and recorded."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.errors import InputError, RunsWarning, did_you_mean
from bayes_scaling.runs.cells import PLACE, refuse, row_names, show, to_numbers, to_text
from bayes_scaling.runs.columns import COLUMNS, NUMBERS
from bayes_scaling.runs.doubts import some_runs, warn_of_doubts, warn_of_runs

__all__ = ["RunsWarning", "check_runs", "data_hash", "flops_per_param_token"]

PARAMS_COUNTS = ("total", "non_embedding", "unstated")
"""What the column params may count."""

FINISHED = ("", "completed", "complete", "finished", "done", "ok", "success", "succeeded")
UNFINISHED = ("failed", "diverged", "running", "crashed", "killed", "preempted", "cancelled", "timeout")
"""The values of a column `status`, in any case: whose runs stay, and whose are left out by name."""

NAME_IT = "if it has another name, say so: columns={'params': 'Model Size'} (--columns 'params=Model Size')"
"""Remedy for a column that is missing."""

_DERIVED = {"params": "flops / ({k} tokens)", "tokens": "flops / ({k} params)", "flops": "{k} params tokens"}
"""How each follows from the other two, with k as the table's complete rows have it, or else 6."""

_ALL_OR_NONE = "give it for every run or for none"

type Problems = list[tuple[int, str]]
"""What is wrong with which row, by its position."""


def check_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Check a table of runs and bring it into its one form.

    Checking twice changes nothing, and the table given is never changed.

    Parameters
    ----------
    runs : DataFrame, one row a run
        `loss` and at least two of `params`, `tokens` and `flops`; optional `run_id`, `budget`, `recipe`,
        `loss_se`, `status` and any further columns. Cells may be numbers or texts such as 70B. A cell is
        blank if it is an empty text, None or NaN; a blank one of params, tokens and flops follows from
        the other two by flops = k params tokens, with the k of the table's complete rows, or else 6.
        Labels in `attrs`, where given, are kept.

    Returns
    -------
    DataFrame
        Columns run_id (text; "run-1" and so on where there are none), params, tokens, flops, loss
        (float64), then budget (float64, NaN where blank), recipe (text) and loss_se (float64), each only
        if some cell of it is filled, then all further columns as they were. Run ids and recipes lose
        surrounding blanks. Labels in `attrs`: source, params_count, loss_unit, flops_source ("given",
        or "6ND" if flops was derived throughout), derived (column to the ids of the single runs whose
        cell was derived) and left_out (status to the ids of the runs left out).

    Raises
    ------
    InputError
        If columns are missing or repeated, a cell is not a finite positive number, a blank cell does not
        follow from others, a run id is repeated, a status is unknown or no run is left; all bad rows at
        once.

    Warns
    -----
    RunsWarning
        Once for each rule about doubtful values, for runs left out and for single cells derived.
    """
    if not isinstance(runs, pd.DataFrame):
        raise InputError(f"runs must be a pandas DataFrame, not {type(runs).__name__}; read_runs makes one")
    labels = _labels(runs)
    place = labels["source"]
    _check_columns(runs, place)
    table = _leave_out(_with_run_ids(runs), labels)

    problems: Problems = []
    numbers = _numbers(table, labels, problems)
    texts = _texts(table, problems)
    names = list(table.index)
    refuse(place, (f"{names[row]}, {text}" for row, text in sorted(problems, key=lambda problem: problem[0])))

    filled = {name: column for name, column in (numbers | texts).items() if _any_filled(column)}
    checked = pd.DataFrame({name: filled[name] for name in COLUMNS if name in filled})
    extra = table.drop(columns=[name for name in COLUMNS if name in table]).reset_index(drop=True)
    checked = pd.concat([checked, extra], axis=1)
    checked.attrs.update(labels)
    warn_of_doubts(checked)
    return checked


def flops_per_param_token(runs: pd.DataFrame) -> float:
    """Estimate k in C = k N D from a checked table of runs.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.

    Returns
    -------
    float
        Geometric mean of flops / (params tokens) over the runs that carry all three; 6 if there are none.
    """
    derived = {run for runs_of_column in runs.attrs.get("derived", {}).values() for run in runs_of_column}
    own = runs[~runs["run_id"].isin(derived)]
    if runs.attrs.get("flops_source") == "6ND" or own.empty:
        return 6.0
    logs = np.log(own[["flops", "params", "tokens"]].to_numpy(float))
    return float(np.exp(np.mean(logs[:, 0] - logs[:, 1] - logs[:, 2])))


def data_hash(runs: pd.DataFrame) -> str:
    """Fingerprint the runs that a fit is of.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.

    Returns
    -------
    str
        SHA-256, in hexadecimal, of the columns that have a meaning and their order of rows, which decides
        the draws; further columns and labels do not enter.
    """
    digest = hashlib.sha256()
    for name in COLUMNS:
        if name in runs:
            # Lengths go before texts: the runs "ab", "c" are not the runs "a", "bc".
            cells = [name, *runs[name]] if name not in NUMBERS else [name]
            for text in (str(cell).encode() for cell in cells):
                digest.update(len(text).to_bytes(8, "little") + text)
            if name in NUMBERS:
                digest.update(runs[name].to_numpy("<f8").tobytes())
    return digest.hexdigest()


def _labels(runs: pd.DataFrame) -> dict[str, Any]:
    labels: dict[str, Any] = {"source": "runs", "params_count": "unstated", "loss_unit": "nats/token"}
    labels |= {"derived": {}, "left_out": {}}
    labels |= {str(name): copy.deepcopy(label) for name, label in runs.attrs.items()}
    place = labels["source"] = str(labels["source"])
    count, unit = labels["params_count"], labels["loss_unit"]
    if count not in PARAMS_COUNTS:
        raise InputError(f"{place}: params_count is {count!r}; it must be one of {', '.join(PARAMS_COUNTS)}")
    if not isinstance(unit, str) or not unit:
        raise InputError(f"{place}: loss_unit is {unit!r}; it must be a text such as nats/token")
    return labels


def _check_columns(runs: pd.DataFrame, place: str) -> None:
    if runs.columns.nlevels > 1:
        raise InputError(f"{place}: columns have {runs.columns.nlevels} levels of names; give each one name")
    names = [str(name) for name in runs.columns]
    repeated = dict.fromkeys(name for name in names if names.count(name) > 1)
    problems = [f"there are several columns {name!r}; rename all but one" for name in repeated]
    if "loss" not in names:
        problems.append(f"there is no column loss{did_you_mean('loss', names)}; {NAME_IT}")
    absent = [name for name in _DERIVED if name not in names]
    if len(absent) > 1:
        problems.append(
            f"there is no column {' nor '.join(absent)}; two of params, tokens and flops are needed"
            f"{did_you_mean(absent[0], names)}; {NAME_IT}"
        )
    refuse(place, problems)
    if runs.empty:
        raise InputError(f"{place}: there are no runs in it, only the names of the columns")


def _with_run_ids(runs: pd.DataFrame) -> pd.DataFrame:
    """Copy the runs; the copy's index names each row as a refusal does."""
    if "run_id" in runs:
        run_ids = [to_text(cell) for cell in runs["run_id"]]
    else:
        run_ids = [to_text(cell) for cell in runs.index] if runs.index.name == "run_id" else []
    if not any(run_ids):
        run_ids = [f"run-{row}" for row in range(1, len(runs) + 1)]
    table = runs.assign(run_id=pd.Series(run_ids, index=runs.index, dtype=object))
    table.index = pd.Index(row_names(runs), name=PLACE)
    return table


def _leave_out(table: pd.DataFrame, labels: dict[str, Any]) -> pd.DataFrame:
    if "status" not in table:
        return table
    statuses = np.array([to_text(cell).lower() for cell in table["status"]])
    unfinished = np.isin(statuses, UNFINISHED)
    if not unfinished.any():
        return table
    for status in dict.fromkeys(statuses[unfinished]):
        left_out = table["run_id"][statuses == status].tolist()
        labels["left_out"][str(status)] = [*labels["left_out"].get(str(status), []), *left_out]
        warn_of_runs(f"{labels['source']}: left out as {status}: {some_runs(left_out, len(table))}")
    if unfinished.all():
        raise InputError(f"{labels['source']}: by their status, none of the {len(table)} runs is finished")
    return table[~unfinished]


def _numbers(table: pd.DataFrame, labels: dict[str, Any], problems: Problems) -> dict[str, np.ndarray]:
    """Read all columns of positive numbers and derive the third of params, tokens and flops."""
    numbers: dict[str, np.ndarray] = {}
    unreadable = np.zeros(len(table), dtype=bool)
    for name in NUMBERS:
        if name not in table:
            continue
        wrong: Problems = []
        values = numbers[name] = to_numbers(table[name], wrong)
        cells = table[name].tolist()
        wrong += [
            (row, f"{show(cells[row])} is not above zero; correct the row or leave it out (where)")
            for row in np.flatnonzero(values <= 0).tolist()
        ]
        blank = np.isnan(values)
        blank[[row for row, _ in wrong]] = False
        if name == "loss" or (name == "loss_se" and not blank.all()):
            remedy = "every run needs its loss" if name == "loss" else _ALL_OR_NONE
            wrong += [(row, f"is blank; {remedy}") for row in np.flatnonzero(blank).tolist()]
        theirs = labels.get("columns", {}).get(name)
        column = f"column {name} ({theirs!r} in the file)" if theirs else f"column {name}"
        problems += [(row, f"{column}: {text}") for row, text in wrong]
        if name in _DERIVED:
            unreadable[[row for row, _ in wrong]] = True
    derived, k = _derive(numbers, unreadable, problems)
    absent = [name for name in _DERIVED if name not in table]
    _record_derived(derived, k, numbers, table["run_id"], labels, absent)
    return numbers


def _derive(
    numbers: dict[str, np.ndarray], unreadable: np.ndarray, problems: Problems
) -> tuple[dict[str, np.ndarray], float]:
    """Fill the blank third of params, tokens and flops in place; tell in which rows it was which, and k."""
    blank = {
        name: np.isnan(numbers.setdefault(name, np.full(len(unreadable), np.nan))) & ~unreadable
        for name in _DERIVED
    }
    too_few = np.sum(list(blank.values()), axis=0) > 1
    for row in np.flatnonzero(too_few).tolist():
        absent = ", ".join(name for name in _DERIVED if blank[name][row])
        problems.append((row, f"columns {absent}: are blank; two of params, tokens and flops are needed"))
    derived = {name: blank[name] & ~too_few for name in _DERIVED}
    params, tokens, flops = (numbers[name] for name in _DERIVED)
    with np.errstate(all="ignore"):
        complete = np.log(flops / params / tokens)
        complete = complete[np.isfinite(complete) & ~unreadable]
        k = float(np.exp(complete.mean())) if len(complete) else 6.0
        answers = {"params": flops / tokens / k, "tokens": flops / params / k, "flops": k * params * tokens}
    for name, rows in derived.items():
        numbers[name][rows] = answers[name][rows]
        absurd = rows & ~((numbers[name] > 0) & np.isfinite(numbers[name]))
        for row in np.flatnonzero(absurd).tolist():
            problems.append(
                (row, f"column {name}: is blank, and {_rule(name, k)} is beyond what a float can hold")
            )
    return derived, k


def _rule(name: str, k: float) -> str:
    return _DERIVED[name].format(k=f"{k:.4g}")


def _record_derived(
    derived: dict[str, np.ndarray],
    k: float,
    numbers: dict[str, np.ndarray],
    run_ids: pd.Series,
    labels: dict[str, Any],
    absent: list[str],
) -> None:
    throughout = bool(derived["flops"].all())
    for name, rows in derived.items():
        if rows.any() and not (name == "flops" and throughout):
            runs = run_ids[rows].tolist()
            labels["derived"][name] = [*labels["derived"].get(name, []), *runs]
            if name in absent:
                warn_of_runs(
                    f"{labels['source']}: there is no column {name}: derived as {_rule(name, k)} for all runs"
                )
            else:
                rule = f"{name} is blank and derived as {_rule(name, k)}"
                warn_of_runs(f"{labels['source']}: {rule}: {some_runs(runs, len(rows))}")
    if labels.get("flops_source") == "6ND":
        # A table checked before carries its derived flops: they stay derived unless somebody changed them.
        six = numbers["flops"] / numbers["params"] / numbers["tokens"]
        throughout = throughout or np.allclose(six, 6, rtol=1e-12, atol=0)
    labels["flops_source"] = "6ND" if throughout else "given"


def _texts(table: pd.DataFrame, problems: Problems) -> dict[str, list[str]]:
    """Read the columns of text, and check the statuses, which stay as they are."""
    texts = {name: [to_text(cell) for cell in table[name]] for name in ("run_id", "recipe") if name in table}
    for name, column in texts.items():
        for row, text in enumerate(column):
            # Where no run had an id, each has a made-up one by now: a blank one lies among ids.
            if not text and (name == "run_id" or any(column)):
                problems.append((row, f"column {name}: is blank; {_ALL_OR_NONE}"))
            if any("\ud800" <= character <= "\udfff" for character in text):
                problems.append((row, f"column {name}: {show(text)} is not Unicode text"))
    first: dict[str, str] = {}
    for row, (run_id, place) in enumerate(zip(texts["run_id"], table.index, strict=True)):
        if first.setdefault(run_id, place) != place and run_id:
            problem = f"column run_id: {show(run_id)} is also that of {first[run_id]}; give each run its own"
            problems.append((row, problem))
    known = ", ".join((*FINISHED[1:], *UNFINISHED))
    for row, cell in enumerate(table["status"].tolist() if "status" in table else []):
        if to_text(cell).lower() not in FINISHED:
            remedy = f"known: {known}, or blank; leave other rows out by where"
            problems.append((row, f"column status: {show(cell)} is no known status; {remedy}"))
    return texts


def _any_filled(column: np.ndarray | list[str]) -> bool:
    return any(column) if isinstance(column, list) else not np.isnan(column).all()
