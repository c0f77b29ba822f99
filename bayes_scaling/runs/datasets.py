"""Named sets of runs: embedded ones, and published ones that are fetched on demand and checked."""

from __future__ import annotations

import copy
import hashlib
import os
import tomllib
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.resources import resource_folder

if TYPE_CHECKING:
    import pandas as pd

FOLDER_VARIABLE = "BAYES_SCALING_DATA"
"""Environment variable that names a folder in which the files of fetchable sets are looked for first."""

_BUDGET_TOLERANCE = 1e-3


def list_datasets() -> pd.DataFrame:
    """List the named sets of runs.

    Returns
    -------
    DataFrame
        One row a set: name, runs, kind ("embedded" or "fetchable"), cached (its file is on this machine),
        licence, source, description.
    """
    import pandas as pd

    columns = ["name", "runs", "kind", "cached", "licence", "source", "description"]
    return pd.DataFrame([describe_dataset(name) for name in _catalogue()])[columns]


def dataset_names() -> list[str]:
    """Names of the sets, at no cost: pandas is not imported."""
    return list(_catalogue())


def describe_dataset(name: str) -> dict[str, Any]:
    """Say everything that the catalogue knows of a set.

    Parameters
    ----------
    name : str
        Name of a set, as `list_datasets` gives it.

    Returns
    -------
    dict
        name, kind, cached, runs, description, file, licence, source, citation and read (how its columns are
        read); where they apply curves, address, sha256, budgets and card (the path of an embedded set's).

    Raises
    ------
    InputError
        If there is no such set.
    """
    entry = _entry(name)
    embedded = "address" not in entry
    description = {
        "name": name,
        "kind": "embedded" if embedded else "fetchable",
        "cached": embedded or _found(entry) is not None,
        **entry,
    }
    if embedded:
        description["card"] = str((resource_folder("data") / entry["file"]).with_name("card.md"))
    return description


def fetch_dataset(name: str) -> Path:
    """Make sure that a set's file is on this machine, as it was when it was listed.

    A fetchable set is looked for in the folder that the environment variable BAYES_SCALING_DATA names,
    then in the user's cache, and is downloaded into the cache last.

    Parameters
    ----------
    name : str
        Name of a set.

    Returns
    -------
    Path
        The file; its SHA-256 is the one of the catalogue.

    Raises
    ------
    InputError
        If there is no such set, or its file is not the one listed or cannot be downloaded.
    """
    entry = _entry(name)
    if "address" not in entry:
        return resource_folder("data") / entry["file"]
    folder = _user_folder()
    if folder is not None and (path := folder / entry["file"]).is_file():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != entry["sha256"]:
            raise InputError(
                f"{path}: is not the file that the set {name!r} lists: its SHA-256 is {found}, the set's "
                f"is {entry['sha256']}; replace it with {entry['address']} or take it out of the folder "
                f"that {FOLDER_VARIABLE} names"
            )
        return path
    return _download(name, entry)


def load_dataset(name: str, *, where: str | None = None) -> pd.DataFrame:
    """Read a named set of runs, fetching it first if need be.

    Parameters
    ----------
    name : str
        Name of a set, as `list_datasets` gives it.
    where : str, optional
        Select further among the set's runs, as for `read_runs` but by our names of the columns alone.

    Returns
    -------
    DataFrame
        A checked table of runs; `attrs["source"]` is the set's name.

    Raises
    ------
    InputError
        If there is no such set, its file cannot be had, or `where` is wrong or selects nothing.
    """
    from bayes_scaling.errors import RunsWarning
    from bayes_scaling.runs.read import read_runs

    entry = _entry(name)
    path = fetch_dataset(name)
    with warnings.catch_warnings():
        # What is doubtful about a listed set was looked at when it was listed; the labels still hold it.
        warnings.simplefilter("ignore", RunsWarning)
        runs = read_runs(path, **entry["read"])
        runs.attrs["source"] = name
        if "budgets" in entry:
            runs = _with_budgets(runs, entry["budgets"])
    return runs if where is None else _selected(runs, where)


def has_curves(source: str | Path) -> bool:
    """Tell whether a source of runs is a named set that has training curves."""
    return not Path(source).exists() and "curves" in _catalogue().get(str(source), {})


def load_curves(name: str) -> pd.DataFrame:
    """Read the training curves of a named set.

    Parameters
    ----------
    name : str
        Name of a set that has curves: "pocket" or "chinchilla-simulated".

    Returns
    -------
    DataFrame
        A checked table of curves, as from `read_curves`; its run ids are those of the set's runs.

    Raises
    ------
    InputError
        If there is no such set or it has no curves.
    """
    from bayes_scaling.runs.curves import check_curves, read_curves

    entry = _entry(name)
    if "curves" not in entry:
        having = sorted(other for other, its in _catalogue().items() if "curves" in its)
        raise InputError(f"the set {name!r} has no training curves; sets that have: {', '.join(having)}")
    curves = check_curves(read_curves(resource_folder("data") / entry["curves"]), runs=load_dataset(name))
    curves.attrs["source"] = name
    return curves


def load_runs(
    source: str | Path,
    *,
    where: str | None = None,
    columns: Mapping[str, str] | None = None,
    scale: Mapping[str, float] | None = None,
    params_count: str = "unstated",
    loss_unit: str = "nats/token",
) -> pd.DataFrame:
    """Read runs from a file or a named set: whatever a user may call RUNS.

    Parameters
    ----------
    source : str or Path
        A path; or the name of a set, unless there is such a path.
    where : str, optional
        As for `read_runs`; on a named set it selects further among the set's runs.
    columns, scale, params_count, loss_unit : optional
        As for `read_runs`; refused for a named set, whose catalogue entry says them.

    Returns
    -------
    DataFrame
        A checked table of runs.

    Raises
    ------
    InputError
        If there is neither such a file nor such a set, or the runs break a rule.
    """
    from bayes_scaling.runs.read import read_runs

    name = str(source)
    if isinstance(source, Path) or Path(name).parts[1:] or Path(name).suffix or Path(name).exists():
        return read_runs(
            source, columns=columns, where=where, scale=scale, params_count=params_count, loss_unit=loss_unit
        )
    if name not in _catalogue():
        raise InputError(f"no file and no named set is called {name!r}{did_you_mean(name, _catalogue())}")
    if columns or scale or params_count != "unstated" or loss_unit != "nats/token":
        raise InputError(
            f"the named set {name!r} says its own columns, scale, params_count and loss_unit; to read its "
            f"file in another way, give the path that `bayes-scaling data fetch {name}` prints"
        )
    return load_dataset(name, where=where)


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    return tomllib.loads((resource_folder("data") / "catalogue.toml").read_text(encoding="utf-8"))


def _entry(name: str) -> dict[str, Any]:
    if name not in _catalogue():
        raise InputError(f"no set of runs is called {name!r}{did_you_mean(name, _catalogue())}")
    return copy.deepcopy(_catalogue()[name])


def _user_folder() -> Path | None:
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise InputError(f"{FOLDER_VARIABLE}={named}: no such folder; correct the variable or unset it")
    return Path(named)


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("bayes-scaling"))


def _found(entry: Mapping[str, Any]) -> Path | None:
    folders = [folder for folder in (_user_folder(), _cache_folder()) if folder is not None]
    return next((path for folder in folders if (path := folder / entry["file"]).is_file()), None)


def _download(name: str, entry: Mapping[str, Any]) -> Path:
    import pooch

    try:  # pooch moves the file into place only once its hash is right
        path = pooch.retrieve(
            entry["address"],
            known_hash=f"sha256:{entry['sha256']}",
            fname=entry["file"],
            path=_cache_folder(),
        )
    except (OSError, ValueError) as error:
        # The network's own messages run to paragraphs; a ValueError is pooch's word for a wrong hash.
        reason = getattr(error, "strerror", None) or type(error).__name__
        if not isinstance(error, OSError):
            reason = "what came has another SHA-256 than the file listed"
        raise InputError(
            f"{name!r} could not be fetched from {entry['address']}: {reason}; when offline, place the "
            f"file as {entry['file']} in a folder and set {FOLDER_VARIABLE} to that folder"
        ) from None
    return Path(path)


def _selected(runs: pd.DataFrame, where: str) -> pd.DataFrame:
    from bayes_scaling.runs.check import check_runs
    from bayes_scaling.runs.where import select

    kept = select(runs, where)
    if not kept.any():
        raise InputError(
            f"{runs.attrs['source']}: none of the {len(runs)} runs is selected by where {where!r}"
        )
    selected, own = runs[kept], runs.attrs.get("where")
    selected.attrs["where"] = {
        "expression": f"({own['expression']}) and ({where})" if own else where,
        "kept": int(kept.sum()),
        "dropped": int((~kept).sum()) + (own["dropped"] if own else 0),
    }
    return check_runs(selected)


def _with_budgets(runs: pd.DataFrame, budgets: list[float]) -> pd.DataFrame:
    """Give each run within 0.1 % of a nominal budget that budget; the others belong to no IsoFLOP profile."""
    import numpy as np

    from bayes_scaling.runs.check import check_runs

    nominal = np.asarray(budgets)
    distance = abs(runs["flops"].to_numpy()[:, None] / nominal - 1)
    nearest = np.where(distance.min(1) <= _BUDGET_TOLERANCE, nominal[distance.argmin(1)], np.nan)
    return check_runs(runs.assign(budget=nearest))
