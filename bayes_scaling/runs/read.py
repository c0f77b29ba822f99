"""Read a table of runs from a file, or from a table in memory, into the checked form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.quantities import shorten
from bayes_scaling.runs.cells import is_blank, show, to_number
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.columns import COLUMNS, NUMBERS, match_columns
from bayes_scaling.runs.formats import DELIMITERS, named_rows, read_table
from bayes_scaling.runs.where import select

# Not all that is a number to Python: ids such as 007 or 17 digits must stay texts.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")


def read_runs(
    source: str | Path | pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    scale: Mapping[str, float] | None = None,
    params_count: str = "unstated",
    loss_unit: str = "nats/token",
) -> pd.DataFrame:
    """Read and check a table of runs.

    Parameters
    ----------
    source : str, Path or DataFrame
        A file whose name ends in .csv, .tsv, .jsonl, .ndjson or .parquet, texts in UTF-8; or a table.
    columns : mapping of str to str, optional
        Our name of a column to the table's, such as {"params": "Model Size"}. Common names (N,
        training_tokens, FLOP, group and more) need no saying.
    where : str, optional
        Which rows to read, as `select` takes it, before any check of the cells. Columns go by our names,
        and those we renamed by the table's own name too, there with the cells before `scale`.
    scale : mapping of str to float, optional
        What to multiply a column by, such as {"flops": 1e9} where the table counts gigaflops.
    params_count : str
        What params counts: "total", "non_embedding" or "unstated".
    loss_unit : str
        Unit of the loss.

    Returns
    -------
    DataFrame
        As `check_runs` returns it. Further columns of a CSV or TSV file are numbers if all their filled
        cells are, else texts. Among the labels in `attrs`, where they apply: columns (our name to the
        table's, for those renamed), scale, and where (expression, kept, dropped).

    Raises
    ------
    InputError
        If the file cannot be read, a line is no row of the table, or an option or the table breaks a rule;
        with the line of the file, and all bad rows at once.
    """
    if isinstance(source, pd.DataFrame):
        table, labels = named_rows(source), {"source": "runs", **source.attrs}
    else:
        table, labels = read_table(source), {"source": str(source)}
    table.attrs = labels
    # What is not left to its default outranks the label that a table brings along.
    if params_count != "unstated":
        labels["params_count"] = params_count
    if loss_unit != "nats/token":
        labels["loss_unit"] = loss_unit
    if table.columns.nlevels > 1 or not table.columns.is_unique:
        return check_runs(table)  # which refuses it

    place = str(labels["source"])
    renamed = match_columns(list(table.columns), columns, place)
    originals = {theirs: table[theirs] for theirs in renamed.values()}
    table = table.rename(columns={theirs: ours for ours, theirs in renamed.items()})
    if renamed:
        labels["columns"] = renamed
    if scale:
        labels["scale"] = dict(scale)
        table = _scaled(table, scale, place)
    if where is not None:
        known = table.assign(**{str(name): cells for name, cells in originals.items() if name not in table})
        mask = select(known, where)
        if len(table) and not mask.any():
            raise InputError(
                f"{place}: none of the {len(table)} runs is selected by where {shorten(where, 80)}"
            )
        labels["where"] = {"expression": where, "kept": int(mask.sum()), "dropped": int((~mask).sum())}
        table = table[mask]
    if not isinstance(source, pd.DataFrame) and Path(source).suffix.lower() in DELIMITERS:
        table = table.assign(
            **{str(name): _plain_numbers(table[name]) for name in table if name not in COLUMNS}
        )
    table.attrs = labels
    return check_runs(table)


def _scaled(table: pd.DataFrame, scale: Mapping[str, float], place: str) -> pd.DataFrame:
    for name, factor in dict[str, Any](scale).items():
        if name not in NUMBERS:
            raise InputError(f"{place}: scale names {name!r}{did_you_mean(str(name), NUMBERS)}")
        if name not in table:
            raise InputError(f"{place}: scale names {name}, and there is no such column")
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise InputError(f"{place}: scale of {name} is {show(factor)}; it must be a number above zero")
        table = table.assign(**{name: [_multiplied(cell, float(factor)) for cell in table[name]]})
    return table


def _multiplied(cell: Any, factor: float) -> Any:
    """Multiply a cell that is a number; leave any other to be refused with its own text."""
    try:
        number = to_number(cell)
    except InputError:
        return cell
    return cell if math.isnan(number) else number * factor


def _plain_numbers(cells: pd.Series) -> pd.Series:
    filled = [cell for cell in cells if not is_blank(cell)]
    if not filled or not all(_PLAIN_NUMBER.fullmatch(cell) for cell in filled):
        return cells
    numbers = [math.nan if is_blank(cell) else float(cell) for cell in cells]
    return pd.Series(numbers, index=cells.index, dtype=float)
