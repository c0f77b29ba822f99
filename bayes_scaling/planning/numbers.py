"""Numbers that a caller gives: one or a list, all of them positive."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.errors import InputError


def positive_numbers(name: str, values: Any, of: str = "") -> np.ndarray:
    """Make an array of what a caller gives, having refused what is no positive number.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    values : float or sequence of float
        The numbers.
    of : str
        Their unit in words, if a message should say it.

    Returns
    -------
    ndarray
        One-dimensional, not empty.

    Raises
    ------
    InputError
        If there is none, or one is not a positive, finite number.
    """
    what = f"a number of {of}" if of else "a number"
    try:
        numbers = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"{name} must be {what} or a list of them, not {values!r}") from None
    if numbers.ndim != 1 or numbers.size == 0:
        raise InputError(f"{name} must be {what} or a list of them, and not empty or nested")
    wrong = numbers[~(np.isfinite(numbers) & (numbers > 0))]
    if wrong.size:
        raise InputError(f"{name} must be positive and finite{f', in {of}' if of else ''}, not {wrong[0]:g}")
    return numbers
