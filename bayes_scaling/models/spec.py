"""A model as data: law, priors, noise, pooling and discrepancy, from a TOML file and checked."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.models.discrepancy import Discrepancy, discrepancy_from_dict
from bayes_scaling.models.keys import check_keys, check_table
from bayes_scaling.resources import resource_folder

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CHOICES = {
    "law": ("chinchilla", "isoflop-parabola", "isoflop-skewed"),
    "noise.family": ("StudentT", "Laplace", "Normal"),
    "noise.scale": ("log", "raw"),
    "noise.growth": ("constant", "compute", "loss"),
    "pooling": ("none", "partial", "full"),
}
"""The values that a spec may choose from, by the key's place in the file."""

_ISOFLOP_PRIORS = (
    "a", "params_ratio", "loss_ratio", "irreducible", "loss_slope", "kappa", "kappa_slope",
    "params_scatter", "loss_scatter", "kappa_scatter",
)  # fmt: skip

LAW_PRIORS = {
    "chinchilla": ("loss_ratio", "share", "alpha", "beta"),
    "isoflop-parabola": _ISOFLOP_PRIORS,
    "isoflop-skewed": (*_ISOFLOP_PRIORS, "alpha", "beta"),
}
"""The parameters of each law that need a prior."""

POOLED_LAW_PRIORS = {
    **LAW_PRIORS,
    "chinchilla": ("loss_ratio", "irreducible", "params_share", "alpha", "beta"),
}
"""The same of a spec that pools recipes, for which the three shares of a loss are written as two."""

BOUNDED = {
    "share": ("Dirichlet",),
    "irreducible": ("Beta", "Uniform"),
    "params_share": ("Beta", "Uniform"),
}
"""Parameters that are shares of a whole, and the distributions that make shares."""

LINKS = {
    "a": "identity",
    "kappa_slope": "identity",
    "sigma_growth": "identity",
    "irreducible": "logit",
    "params_share": "logit",
    "share": "none",
}
"""Scale on which recipes scatter about their population; the logarithm of those not named, all positive."""

SHIFTED = ("params_ratio", "loss_ratio", "irreducible", "loss_slope", "kappa", "params_share")
"""Parameters that depend on where they are read: the population's is carried to each recipe's centre."""


@dataclass(frozen=True)
class Noise:
    """How losses scatter about the law.

    Attributes
    ----------
    family : str
        "StudentT", "Laplace" or "Normal".
    scale : str
        "log": the log loss scatters, with standard scale sigma. "raw": the loss does, with
        sigma times the typical loss.
    growth : str
        "constant": one sigma. "compute": it grows towards small compute. "loss": it grows with the loss.
    """

    family: str = "StudentT"
    scale: str = "log"
    growth: str = "constant"

    @property
    def priors(self) -> tuple[str, ...]:
        """Names of the noise's own parameters, each of which needs a prior."""
        names = ["sigma"]
        if self.family == "StudentT":
            names.append("nu")
        if self.growth != "constant":
            names.append("sigma_growth")
        return tuple(names)


@dataclass(frozen=True)
class Prior:
    """A distribution as PyMC names it, and its parameters as PyMC names them."""

    dist: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Spec:
    """A model: which law, which noise, which priors, and how it takes runs of several recipes.

    Attributes
    ----------
    name : str
        What tables and files call the model.
    law : str
        "chinchilla", "isoflop-parabola" or "isoflop-skewed".
    noise : Noise
        How losses scatter about the law.
    priors : mapping of str to Prior
        One prior for each parameter of the law and of the noise, and for the spread over recipes of those
        that are partially pooled.
    description : str
        One line for people.
    pooling : mapping of str to str
        "none", "partial" or "full" for each parameter; empty if one law is fitted to whatever runs there are.
    discrepancy : Discrepancy, optional
        By what slopes losses leave the law beyond the runs; None: not at all.
    """

    name: str
    law: str
    noise: Noise
    priors: Mapping[str, Prior]
    description: str = ""
    pooling: Mapping[str, str] = field(default_factory=dict)
    discrepancy: Discrepancy | None = None

    @property
    def law_priors(self) -> tuple[str, ...]:
        """Names of the law's parameters, each of which has a prior."""
        return (POOLED_LAW_PRIORS if self.pooling else LAW_PRIORS)[self.law]


def list_specs() -> list[str]:
    """Names of the model specs that ship with the package."""
    return sorted(path.stem for path in resource_folder("models").glob("*.toml"))


def load_spec(source: str | Path | Spec) -> Spec:
    """Read a model spec.

    Parameters
    ----------
    source : str, Path or Spec
        The name of a spec that ships with the package ("parametric"), or the path of a TOML file.
        A Spec is returned as it is.

    Returns
    -------
    Spec

    Raises
    ------
    InputError
        If there is no such spec, it is not TOML, or any key or value in it is unknown, missing or
        of the wrong kind; an unknown key is answered with the nearest known one.
    """
    if isinstance(source, Spec):
        return source
    path = Path(source)
    if not path.suffix and not path.exists():
        path = resource_folder("models") / f"{source}.toml"
        if not path.is_file():
            raise InputError(
                f"no model spec is called {str(source)!r}{did_you_mean(str(source), list_specs())}"
            )
    if not path.exists():
        name = path.name.removesuffix(".toml")
        known = list_specs()
        meant = f"; did you mean the model {name}?" if name in known else did_you_mean(name, known)
        raise InputError(f"{path}: there is no such file{meant}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a model spec: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    return spec_from_dict(content, place=str(path))


def spec_from_dict(content: Mapping[str, Any], place: str = "spec") -> Spec:
    """Check a spec's content and make it a Spec; `place` opens every error message."""
    check_keys(content, {"name", "law", "noise", "priors"}, {"description", "pooling", "discrepancy"}, place)
    for key in ("name", "law", "description"):
        if not isinstance(content.get(key, ""), str):
            raise InputError(f"{place}: {key} must be a text, not {content[key]!r}")
    for key in ("noise", "priors", "pooling"):
        check_table(content.get(key, {}), f"{place}: {key}")
    law = content["law"]
    _check_choice("law", law, place)

    known_noise = {each.name for each in dataclasses.fields(Noise)}
    check_keys(content["noise"], set(), known_noise, f"{place}: [noise]")
    for key, value in content["noise"].items():
        _check_choice(f"noise.{key}", value, place)
    noise = Noise(**content["noise"])

    priors, pooling = content["priors"], content.get("pooling", {})
    parameters = {*(POOLED_LAW_PRIORS if "pooling" in content else LAW_PRIORS)[law], *noise.priors}
    if "pooling" in content:
        check_keys(pooling, parameters, set(), f"{place}: [pooling]")
    for key, value in pooling.items():
        if value not in CHOICES["pooling"]:
            raise InputError(
                f"{place}: [pooling]: {key} = {value!r} is not one of {', '.join(CHOICES['pooling'])}"
                f"{_nearest(value, CHOICES['pooling'])}"
            )
    spreads = {f"{name}_spread" for name, how in pooling.items() if how == "partial"}
    for name, how in pooling.items():
        if how != "partial" and f"{name}_spread" in priors:
            raise InputError(
                f"{place}: [priors]: {name}_spread is the spread of {name} over recipes, but its pooling is "
                f'{how!r}, which has none; remove it, or set {name} = "partial" in [pooling]'
            )
    check_keys(priors, parameters | spreads, set(), f"{place}: [priors]")
    for name, makers in BOUNDED.items():
        prior = priors.get(name)
        if isinstance(prior, Mapping) and prior.get("dist") not in makers:
            wanted = " or ".join(makers)
            raise InputError(f"{place}: prior of {name}: must be a {wanted}, not {prior.get('dist')!r}")
    return Spec(
        name=content["name"],
        law=law,
        noise=noise,
        priors={name: _prior(value, f"{place}: prior of {name}") for name, value in priors.items()},
        description=content.get("description", ""),
        pooling=dict(pooling),
        discrepancy=(
            discrepancy_from_dict(content["discrepancy"], place) if "discrepancy" in content else None
        ),
    )


def spec_to_dict(spec: Spec) -> dict[str, Any]:
    """Turn a spec into the content of its TOML file; `spec_from_dict` takes it back."""
    content = dataclasses.asdict(spec)
    content["priors"] = {
        name: {"dist": prior.dist, **prior.parameters} for name, prior in spec.priors.items()
    }
    for key in ("pooling", "discrepancy"):
        if not content[key]:
            del content[key]
    return content


def spec_to_json(spec: Spec) -> str:
    """Write a spec as one JSON text, the form in which a fit carries it."""
    return json.dumps(spec_to_dict(spec))


def recipes_told_apart(runs: pd.DataFrame, spec: Spec) -> np.ndarray | None:
    """Recipe of each run, if the model has parameters by recipe.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    spec : Spec
        The model.

    Returns
    -------
    ndarray of str, dims ("run",), or None
        None if the spec pools nothing or the runs are of one recipe.
    """
    if not spec.pooling or "recipe" not in runs or runs["recipe"].nunique() < 2:
        return None
    return runs["recipe"].to_numpy(str)


def _prior(value: Any, place: str) -> Prior:
    check_table(value, place)
    if not isinstance(value.get("dist"), str):
        raise InputError(f'{place}: needs dist = "…", the name of a PyMC distribution')
    parameters = {name: number for name, number in value.items() if name != "dist"}
    for name, number in parameters.items():
        numbers = number if isinstance(number, list) else [number]
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers):
            raise InputError(f"{place}: {name} must be a number or a list of numbers, not {number!r}")
    return Prior(dist=value["dist"], parameters=parameters)


def _nearest(word: Any, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def _check_choice(key: str, value: Any, place: str) -> None:
    if value not in CHOICES[key]:
        raise InputError(f"{place}: {key} = {value!r} is not one of {', '.join(CHOICES[key])}")
