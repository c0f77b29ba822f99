"""Simulation-based calibration: whether draws are from the posterior of the model that was given.

Parameters are drawn from the prior, losses from the model at them, and the model is fitted to those losses.
Over many such replicates the rank of the true value among the draws is uniform, for every parameter
and for every function of parameters and losses, if the whole chain of computation is right.

Sources: Talts et al. 2018, arXiv 1804.06788; the log likelihood as one more quantity, which sees what ranks
of parameters cannot: Modrak et al. 2023, arXiv 2211.02383.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.checks.executor import run_tasks
from bayes_scaling.errors import InputError
from bayes_scaling.models.spec import Spec, load_spec, spec_from_dict, spec_to_dict
from bayes_scaling.progress import working
from bayes_scaling.runs.check import check_runs

if TYPE_CHECKING:
    import pymc as pm

LOG_LIKELIHOOD = "log_likelihood"
"""Name of the quantity that depends on the losses too."""

_RANKED = 100
"""Draws that a true value is ranked among: thinned, so that they are nearly independent."""
_RHAT_OF_SHORT_FITS = 1.05
"""Reported, and nothing is left out by it: a rank needs a hundred draws, an interval's end thousands."""
_REACH = np.log(1e6)
"""Losses farther than this from the typical one are no losses; a prior may predict them."""


def calibrate(
    runs: pd.DataFrame,
    spec: str | Path | Spec = "parametric",
    *,
    replicates: int = 500,
    seed: int = 0,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    workers: int | None = None,
    scheduler: str | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Rank true values among posterior draws, over many data sets drawn from the model itself.

    Parameters
    ----------
    runs : DataFrame
        Table of runs: the design. Of its losses only the typical one, and of IsoFLOP profiles the sizes with
        the least, enter: priors are centred there.
    spec : str, Path or Spec
        Name of a model spec, path of a TOML file, or a Spec.
    replicates : int
        Data sets.
    seed : int
        The same seed gives the same data sets.
    draws, tune, chains : int
        Of each fit.
    workers, scheduler, results : optional
        As for `run_tasks`: processes here, or a cluster; and a file in which finished replicates are kept.
    progress : bool, optional
        Show progress on standard error; by default if that is a terminal.

    Returns
    -------
    Dataset
        rank (dims replicate, quantity; from 0 to 1, uniform if right), converged (dims replicate: R-hat at
        most 1.05, as these fits are short, and no divergence), seconds (dims replicate). Attributes: model,
        seed, ranked (draws that each value is ranked among) and drawn_again (data sets that the prior
        predicted and that were no losses).

    Raises
    ------
    InputError
        If the runs, the spec or an option are not fit for use.
    """
    from bayes_scaling.models.build import runs_of_model

    if replicates < 1:
        raise InputError(f"replicates must be at least 1, not {replicates}")
    if draws * chains < _RANKED:
        raise InputError(f"draws and chains must give {_RANKED} draws to rank among, not {draws * chains}")
    spec = load_spec(spec)
    runs = runs_of_model(check_runs(runs), spec)
    show = sys.stderr.isatty() if progress is None else progress
    with working("drawing data sets from the prior", show=show):
        tasks, drawn_again = _simulate(runs, spec, replicates, seed)
    common = {
        "spec": spec_to_dict(spec),
        "design": _design(runs),
        "sampling": {"draws": draws, "tune": tune, "chains": chains},
    }
    whole = [{**common, **task} for task in tasks]
    # What a replicate is made of is its name: a file of results never answers for another one.
    names = [hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest() for task in whole]
    found = run_tasks(
        calibrate_one,
        [{"key": f"calibrate {name}", **task} for name, task in zip(names, whole, strict=True)],
        workers=workers,
        scheduler=scheduler,
        results=results,
        what="calibration",
        progress=show,
    )
    quantities = list(found[0]["ranks"])
    ranks = [[each["ranks"][quantity] for quantity in quantities] for each in found]
    return xr.Dataset(
        {
            "rank": (("replicate", "quantity"), ranks),
            "converged": ("replicate", [each["converged"] for each in found]),
            "seconds": ("replicate", [each["seconds"] for each in found]),
        },
        coords={"quantity": quantities, "replicate": np.arange(replicates)},
        attrs={"model": spec.name, "seed": seed, "ranked": _RANKED, "drawn_again": drawn_again},
    )


def calibrate_one(task: Mapping[str, Any]) -> dict[str, Any]:
    """Fit one simulated data set, and rank its true values.

    Parameters
    ----------
    task : mapping
        design, spec, sampling, losses (by run), truth (by variable) and seed.

    Returns
    -------
    dict
        ranks, converged, seconds.
    """
    from time import perf_counter

    import arviz_stats

    from bayes_scaling.models.build import build_model
    from bayes_scaling.sampling.compile import with_model_data
    from bayes_scaling.sampling.nuts import Sampling, draw_posterior
    from bayes_scaling.sampling.observed import constant_data
    from bayes_scaling.sampling.pointwise import log_likelihood

    started = perf_counter()
    spec, design = spec_from_dict(task["spec"]), check_runs(pd.DataFrame(task["design"]))
    runs, centre = design.assign(loss=task["losses"]), design["loss"].to_numpy(float)
    compiled = _compiled(json.dumps(task["spec"]), json.dumps(task["design"]))
    model = build_model(runs, spec, centre_loss=centre)
    sampling = Sampling(**task["sampling"], seed=task["seed"], cores=1)
    posterior, stats = draw_posterior(model, sampling, compiled=with_model_data(compiled, model))
    rhat = arviz_stats.rhat(posterior)
    worst = max(float(rhat[name].max()) for name in rhat.data_vars)
    truth = _as_draws(task["truth"], posterior)
    constant = constant_data(runs, spec).assign(centre_loss=("run", centre))
    for draws in (posterior, truth):
        draws[LOG_LIKELIHOOD] = log_likelihood(draws, constant, spec)["loss"].sum("run")
    return {
        "ranks": _ranks(posterior, truth, np.random.default_rng(task["seed"])),
        "converged": worst <= _RHAT_OF_SHORT_FITS and not bool(stats["diverging"].any()),
        "seconds": round(perf_counter() - started, 3),
    }


@lru_cache(maxsize=1)
def _compiled(spec: str, design: str) -> Any:
    """Compile a model once in each worker."""
    from bayes_scaling.models.build import build_model
    from bayes_scaling.sampling.compile import compile_model

    runs = check_runs(pd.DataFrame(json.loads(design)))
    return compile_model(build_model(runs, spec_from_dict(json.loads(spec))))


def _simulate(runs: pd.DataFrame, spec: Spec, replicates: int, seed: int) -> tuple[list[dict[str, Any]], int]:
    """Draw parameters from the prior and losses at them; those that are no losses are drawn again."""
    from bayes_scaling.models.build import build_model

    model = build_model(runs, spec)
    kept: list[dict[str, Any]] = []
    drawn, size = 0, replicates
    while len(kept) < replicates:
        batch = _prior(model, size, np.random.SeedSequence([seed, drawn]).generate_state(1)[0])
        drawn += size
        kept += [each for each in batch if each is not None]
        if drawn > 20 * replicates + 100:
            raise InputError(
                f"{spec.name}: of {drawn} data sets that the prior predicts, {len(kept)} are losses within a "
                "factor of a million of the typical one: give tighter priors"
            )
        size = replicates - len(kept)
    for i, each in enumerate(kept):
        each["seed"] = int(np.random.SeedSequence([seed, 1, i]).generate_state(1)[0] % 2**31)
    return kept, drawn - replicates


def _prior(model: pm.Model, draws: int, seed: int) -> list[dict[str, Any] | None]:
    import pymc as pm

    from bayes_scaling.models.plain import PLAIN

    observed = model.observed_RVs[0]
    variables = [*model.free_RVs, *model.deterministics]
    drawn = pm.draw([observed, *variables], draws=draws, random_seed=int(seed), mode=PLAIN)
    # Of one draw PyMC leaves the dimension out.
    losses, *values = (np.asarray(each)[None] if draws == 1 else np.asarray(each) for each in drawn)
    log_losses = losses if observed.name == "log_loss" else np.log(np.maximum(losses, 1e-300))
    middle = np.log(np.mean(model["typical_loss"].get_value()))
    usable = (np.abs(log_losses - middle) < _REACH).all(axis=1)
    return [
        {
            "losses": np.exp(log_losses[i]).tolist(),
            "truth": {v.name: each[i].tolist() for v, each in zip(variables, values, strict=True)},
        }
        if usable[i]
        else None
        for i in range(draws)
    ]


def _as_draws(truth: Mapping[str, Any], posterior: xr.Dataset) -> xr.Dataset:
    """Label true values as one draw of a posterior."""
    variables = {
        name: (posterior[name].dims, np.asarray(truth[str(name)])[None, None]) for name in posterior.data_vars
    }
    coords = {name: values for name, values in posterior.coords.items() if name not in ("chain", "draw")}
    return xr.Dataset(variables, coords=coords)


def _ranks(posterior: xr.Dataset, truth: xr.Dataset, rng: np.random.Generator) -> dict[str, float]:
    """Share of the thinned draws below each true value, moved off its steps at random: uniform if right."""
    ranks: dict[str, float] = {}
    for name in posterior.data_vars:
        values = posterior[name].stack(sample=("chain", "draw")).transpose("sample", ...)
        thinned = values.values.reshape(values.shape[0], -1)
        thinned = thinned[np.linspace(0, len(thinned) - 1, _RANKED).round().astype(int)]
        true = truth[name].values.reshape(-1)
        below = (thinned < true).sum(axis=0) + rng.uniform(size=true.size)
        labels = [str(name)] if true.size == 1 else [f"{name}[{i}]" for i in range(true.size)]
        ranks |= dict(zip(labels, (below / (_RANKED + 1)).tolist(), strict=True))
    return ranks


def _design(runs: pd.DataFrame) -> dict[str, list[Any]]:
    """Give the table as plain values."""
    columns = ("run_id", "params", "tokens", "flops", "loss", "budget", "recipe", "loss_se")
    return {name: runs[name].tolist() for name in columns if name in runs}
