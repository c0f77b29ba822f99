"""Where the files that are data, not code, lie: inside an installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bayes_scaling.errors import BayesScalingError


def resource_folder(name: Literal["models", "data"]) -> Path:
    """Folder of the model specs or of the embedded run tables.

    Parameters
    ----------
    name : {"models", "data"}
        Which folder.

    Returns
    -------
    Path
        The package's own `share/<name>`, as a wheel installs it; else `<name>` at the root of the
        checkout that the package is imported from.

    Raises
    ------
    BayesScalingError
        If neither is there: the installation is broken.
    """
    package = Path(__file__).parent
    places = [package / "share" / name, package.parent / name]
    for place in places:
        if place.is_dir():
            return place
    raise BayesScalingError(
        f"the package's {name!r} folder is neither {places[0]} nor {places[1]}: "
        "the installation is incomplete; install bayes-scaling again"
    )
