"""What a person at a terminal sees while something takes long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def working(what: str, *, show: bool) -> Iterator[None]:
    """Show a moving sign on standard error while the block runs.

    Parameters
    ----------
    what : str
        What is being done.
    show : bool
        False shows nothing.
    """
    if not show:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
