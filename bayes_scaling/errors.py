"""What can go wrong: errors, which the command line turns into exit codes, and the warning about runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BayesScalingError(Exception):
    """Base of every error this package raises on purpose: its text is written for the user."""


class InputError(BayesScalingError, ValueError):
    """The request or the input was wrong: nothing was computed (exit code 2)."""


class NotConvergedError(BayesScalingError, RuntimeError):
    """The draws of a fit do not pass the convergence rules, and nobody allowed their use."""


class RunsWarning(UserWarning):
    """Something in a table of runs is allowed but doubtful, or was left out or filled in."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the known word nearest to an unknown one, or else all known ones; ends an error message."""
    known = sorted(known)
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(known)}"
