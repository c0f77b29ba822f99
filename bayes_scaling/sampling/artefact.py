"""The one artefact: a fit is a DataTree, and this is how it is labelled, saved and opened.

Needs neither PyMC nor ArviZ, so that a saved fit answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.files import replaced

FORMAT = 1
"""Version of the attributes and groups of a fit; a newer file is refused."""

_FORMAT_KEY = "bayes_scaling_format"
BACKTEST = "backtest"
"""Group of what the runs' own cuts have shown, where `learn_discrepancy` has asked them."""

PLANNED = ("posterior", "constant_data", BACKTEST)
"""Groups that a plan reads."""

_GROUPS = ("posterior", "sample_stats", "observed_data", "constant_data")


def label_fit(groups: Mapping[str, xr.Dataset], facts: Mapping[str, Any]) -> xr.DataTree:
    """Put the groups of a fit into one tree, with its facts as attributes.

    Parameters
    ----------
    groups : mapping of str to Dataset
        posterior, sample_stats, log_likelihood, posterior_predictive, observed_data, constant_data.
    facts : mapping
        Plain values: model, law, spec, labels, verdict, sampling, versions, data_hash, warnings.

    Returns
    -------
    DataTree
        In ArviZ's schema. netCDF attributes hold no nesting, so each fact is a JSON text.
    """
    tree = xr.DataTree.from_dict(dict(groups))
    tree.attrs = {_FORMAT_KEY: FORMAT, **{key: json.dumps(value) for key, value in facts.items()}}
    return tree


def fit_facts(fit: xr.DataTree) -> dict[str, Any]:
    """Read the facts of a fit: model, spec, labels, verdict, sampling, versions, data_hash, warnings.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.

    Returns
    -------
    dict
        Plain values.

    Raises
    ------
    InputError
        If the tree is not a fit of this package, or is of a newer format.
    """
    _check_format(fit.attrs, "the tree")
    return {str(key): json.loads(value) for key, value in fit.attrs.items() if key != _FORMAT_KEY}


def require_converged(fit: xr.DataTree, *, allow_unconverged: bool = False) -> None:
    """Refuse a fit whose draws break the convergence rules, unless its use is allowed.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    allow_unconverged : bool
        Let it pass.

    Raises
    ------
    NotConvergedError
        With every broken rule.
    """
    verdict = fit_facts(fit)["verdict"]
    if not verdict["converged"] and not allow_unconverged:
        raise NotConvergedError(
            "the fit is not converged, so its intervals mean nothing yet: "
            + "; ".join(verdict["problems"])
            + ". To use it all the same: --allow-unconverged (allow_unconverged=True)"
        )


def save_fit(fit: xr.DataTree, path: str | Path) -> None:
    """Write a fit to a netCDF file, whole or not at all.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    path : str or Path
        File to write; an existing one is replaced only when the new one is complete.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    fit_facts(fit)
    with replaced(path) as temporary:
        fit.to_netcdf(str(temporary), engine="h5netcdf")


def open_fit(path: str | Path, *, groups: Collection[str] | None = None) -> xr.DataTree:
    """Open a saved fit.

    Parameters
    ----------
    path : str or Path
        File that `save_fit` or `bayes-scaling fit` wrote.
    groups : collection of str, optional
        Read only these groups, for speed: draws of every run's loss are nearly the whole file.

    Returns
    -------
    DataTree
        In memory; the file is closed.

    Raises
    ------
    InputError
        If there is no such file, it is not a fit of this package, is cut short, or was written by a
        newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; a fit is written by `bayes-scaling fit RUNS -o {path.name}`")
    import h5netcdf

    try:
        with h5netcdf.File(path) as file:
            attributes, there = dict(file.attrs), list(file.groups)
        _check_format(attributes, str(path))
        missing = [group for group in _GROUPS if group not in there]
        # One by one: opening them all as a tree costs three times what a plan needs.
        wanted = {name: _read_group(path, name) for name in there if groups is None or name in groups}
    except InputError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        from bayes_scaling.runs.formats import SUFFIXES

        if path.suffix.lower() in SUFFIXES:
            raise InputError(
                f"{path}: is no fit but a table; if it is of runs, fit them first: `bayes-scaling fit {path} "
                "-o fit.nc`"
            ) from None
        raise InputError(
            f"{path}: not a complete fit file (netCDF): it may be of another kind or cut short; "
            f"fit again to replace it ({type(error).__name__})"
        ) from None
    if missing:
        raise InputError(f"{path}: not a complete fit: it lacks the groups {', '.join(missing)}; fit again")
    fit = xr.DataTree.from_dict(wanted)
    fit.attrs = attributes
    return fit


def _read_group(path: Path, name: str) -> xr.Dataset:
    with xr.open_dataset(path, group=name, engine="h5netcdf") as group:
        return group.load()


def _check_format(attributes: Mapping[Any, Any], place: str) -> None:
    found = attributes.get(_FORMAT_KEY)
    if found is None:
        raise InputError(f"{place}: is no fit of bayes-scaling (its attribute {_FORMAT_KEY} is missing)")
    if found > FORMAT:
        raise InputError(
            f"{place}: was written by a newer bayes-scaling (format {found}, this one reads up to {FORMAT}); "
            "upgrade the package"
        )
