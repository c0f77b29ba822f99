"""The cells of a table of runs: what they may hold, how they are read, how they are named in a refusal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.errors import InputError
from bayes_scaling.quantities import parse_quantity, shorten

PLACE = "place in the file"
"""Name of an index that holds what a file calls its rows, such as "line 7"."""

PROBLEMS_SHOWN = 20


def to_number(cell: Any) -> float:
    """Read a cell as a number.

    Parameters
    ----------
    cell : object
        A number, or a text as `parse_quantity` takes it.

    Returns
    -------
    float
        Finite; NaN where the cell is blank (an empty text, None, NaN).

    Raises
    ------
    InputError
        If the cell holds anything else, booleans and infinities among it.
    """
    if is_blank(cell):
        return math.nan
    if isinstance(cell, str):
        return parse_quantity(cell)
    # Python counts True as a number, and a truth value in a column of numbers is a slip.
    if isinstance(cell, (bool, np.bool_)) or not isinstance(cell, (Real, Decimal)):
        raise InputError(f"{show(cell)} is not a number")
    try:
        value = float(cell)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(f"{show(cell)} is not a finite number; correct it or leave the run out")
    return value


def to_numbers(cells: pd.Series, problems: list[tuple[int, str]]) -> np.ndarray:
    """Read a column's cells as numbers.

    Parameters
    ----------
    cells : Series
        One column of a table.
    problems : list of (int, str)
        Each cell that is no number is added: its position in the column, and what is wrong with it.

    Returns
    -------
    array of float, shape of `cells`
        NaN where a cell is blank or no number.
    """
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iuf":
        values = cells.to_numpy(float, copy=True)
        if not np.isinf(values).any():
            return values
    values = np.full(len(cells), math.nan)
    for row, cell in enumerate(cells):
        try:
            values[row] = to_number(cell)
        except InputError as error:
            problems.append((row, str(error)))
    return values


def to_text(cell: Any) -> str:
    """Read a cell as text without surrounding blanks; a blank cell is the empty text."""
    return "" if is_blank(cell) else str(cell).strip()


def is_blank(cell: Any) -> bool:
    """Whether a cell is empty: a text of nothing but blanks, None, NaN or pandas' NA."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, Real) and cell != cell)


def show(cell: Any) -> str:
    """Show a cell as an error message quotes it."""
    return shorten(cell.item() if isinstance(cell, np.generic) else cell)


def row_names(table: pd.DataFrame) -> list[str]:
    """Name a table's rows as a refusal does: as its file does, or else "row 1" for the first."""
    if table.index.name == PLACE:
        return [str(name) for name in table.index]
    return [f"row {row}" for row in range(1, len(table) + 1)]


def refuse(place: str, problems: Iterable[str]) -> None:
    """Raise one InputError that lists all problems, if there is any.

    Parameters
    ----------
    place : str
        The file or table they are in.
    problems : iterable of str
        One line each.

    Raises
    ------
    InputError
        With the place, the number of problems and the first twenty of them.
    """
    problems = list(problems)
    if not problems:
        return
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    lines = [f"{place}: {count}", *problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"and {len(problems) - PROBLEMS_SHOWN} more")
    raise InputError("\n  ".join(lines))
