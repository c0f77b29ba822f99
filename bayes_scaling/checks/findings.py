"""What one check found: a verdict, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

LEVEL = 0.01
"""Probability with which each check that can fail by chance does so, although the model is right."""

COLUMNS = ("passed", "p_value", "text", "remedy")


class Finding(NamedTuple):
    """One line of a report."""

    check: str
    passed: bool | None
    """None: could not be told, and the text says why."""
    text: str
    remedy: str = ""
    """What to do about it; empty where there is nothing to do."""
    p_value: float = np.nan
    """Of what was seen, or anything more surprising, if the model is right; NaN where there is no test."""


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Put findings into a table, a row each.

    Parameters
    ----------
    findings : iterable of Finding
        In the order in which they are to be read.

    Returns
    -------
    DataFrame
        The index is the check's name; columns as in `COLUMNS`, of which passed is True, False or missing.
    """
    table = pd.DataFrame(list(findings), columns=list(Finding._fields)).set_index("check")
    return table.astype({"passed": "boolean", "p_value": float})[list(COLUMNS)]
