"""`fit`: runs and a model spec in, the posterior as a labelled DataTree out."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_scaling.errors import RunsWarning
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.spec import Spec, load_spec, spec_to_dict
from bayes_scaling.progress import working
from bayes_scaling.runs.check import check_runs, data_hash
from bayes_scaling.sampling.artefact import label_fit
from bayes_scaling.sampling.convergence import judge
from bayes_scaling.sampling.nuts import Sampling, draw_posterior
from bayes_scaling.sampling.observed import constant_data
from bayes_scaling.sampling.pointwise import log_likelihood, predictive

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("bayes-scaling", "pymc", "pytensor", "nutpie", "numba", "arviz-stats", "xarray", "numpy")
"""What decides the draws and their diagnostics: their versions travel with the fit."""


def fit(
    runs: pd.DataFrame,
    spec: str | Path | Spec = "parametric",
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int = 0,
    sampler: str = "nutpie",
    target_accept: float = 0.95,
    cores: int = 2,
    progress: bool | None = None,
) -> xr.DataTree:
    """Sample the posterior of a scaling law given runs.

    Parameters
    ----------
    runs : DataFrame
        Table of runs, as `read_runs` returns it; checked again here.
    spec : str, Path or Spec
        Name of a model spec ("parametric"), path of a TOML file, or a Spec.
    draws, tune : int
        Draws kept and thrown away, per chain.
    chains : int
        Independent chains.
    seed : int
        The same seed gives the same fit, bit for bit.
    sampler : str
        "nutpie" (default) or "pymc".
    target_accept : float
        Acceptance rate that the step size is tuned to; raise it if there are divergences.
    cores : int
        Chains that run at the same time.
    progress : bool, optional
        Show progress on standard error; by default if that is a terminal.

    Returns
    -------
    DataTree
        In ArviZ's schema: posterior, sample_stats, log_likelihood, posterior_predictive (dims chain,
        draw and run), observed_data, constant_data. `fit_facts` reads its spec, labels, versions and
        convergence verdict; `save_fit` writes it.

    Raises
    ------
    InputError
        If the runs or the spec are not fit for use.
    """
    started = perf_counter()
    spec = load_spec(spec)
    sampling = Sampling(
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        sampler=sampler,
        target_accept=target_accept,
        cores=cores,
    )
    show = sys.stderr.isatty() if progress is None else progress
    with warnings.catch_warnings(record=True) as caught, working("building the model", show=show):
        warnings.simplefilter("always", RunsWarning)
        from bayes_scaling.models.build import build_model, runs_of_model

        given = check_runs(runs)
        runs = runs_of_model(given, spec)
        model = build_model(runs, spec)
    # Checking twice warns twice.
    about_runs = {str(w.message): w for w in caught if issubclass(w.category, RunsWarning)}
    for warning in about_runs.values():
        warnings.warn(warning.message, stacklevel=2)

    posterior, sample_stats = draw_posterior(model, sampling, progress=show)
    constant = constant_data(runs, spec)
    is_law = spec.law == "chinchilla"
    a = chinchilla.exponents(posterior["alpha"], posterior["beta"])[0] if is_law else posterior["a"]
    facts: dict[str, Any] = {
        "model": spec.name,
        "law": spec.law,
        "spec": spec_to_dict(spec),
        "labels": dict(runs.attrs),
        # The exponent of N_opt is the answer, and must have converged like what it is made of.
        "verdict": judge(posterior.assign(a=a), sample_stats).to_dict(),
        "sampling": vars(sampling),
        "versions": {name: version(name) for name in PACKAGES},
        "data_hash": data_hash(given),
        "warnings": list(about_runs),
        "seconds": round(perf_counter() - started, 3),
    }
    return label_fit(
        {
            "posterior": posterior,
            "sample_stats": sample_stats,
            "log_likelihood": log_likelihood(posterior, constant, spec),
            "posterior_predictive": predictive(posterior, constant, spec, seed=seed),
            "observed_data": constant[["loss"]],
            "constant_data": constant.drop_vars("loss"),
        },
        facts,
    )
