"""Whether what a caller gives is a fit, and one whose use is allowed: asked before anything is answered."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.quantities import shorten
from bayes_scaling.sampling.artefact import require_converged


def check_fit(fit: object) -> None:
    """Refuse what is no fit at all, such as the path of one.

    Parameters
    ----------
    fit : object
        What a caller gives as a fit.

    Raises
    ------
    InputError
        If it is no DataTree; `fit_facts` tells whether a tree is a fit.
    """
    if isinstance(fit, xr.DataTree):
        return
    if isinstance(fit, str | Path):
        raise InputError(f"fit is {shorten(str(fit))}, a path; open it first: open_fit({str(fit)!r})")
    raise InputError(f"fit must be a DataTree, as from fit or open_fit, not {type(fit).__name__}")


def require_usable(fit: xr.DataTree, *, allow_unconverged: bool = False) -> None:
    """Refuse what is no fit, and a fit whose draws break the convergence rules unless its use is allowed.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    allow_unconverged : bool
        Let one pass that is not converged.

    Raises
    ------
    InputError
        If it is no fit.
    NotConvergedError
        With every broken rule.
    """
    check_fit(fit)
    require_converged(fit, allow_unconverged=allow_unconverged)
