"""Draws from the posterior of a model, by nutpie or by PyMC's own NUTS."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.progress import working

if TYPE_CHECKING:
    import pymc as pm

    from bayes_scaling.sampling.compile import Compiled

SAMPLERS = ("nutpie", "pymc")


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes
    ----------
    draws, tune : int
        Draws kept and thrown away, per chain.
    chains : int
        Independent chains; 4 or more let R-hat see disagreement.
    seed : int
        The same seed gives the same draws, bit for bit, on any number of cores.
    sampler : str
        "nutpie" (low-rank mass matrix) or "pymc" (PyMC's own NUTS, diagonal).
    target_accept : float
        Acceptance rate that the step size is tuned to; nearer to 1 means smaller steps. The samplers' own
        default, 0.8, leaves a few divergences in weakly determined fits, 0.95 hardly any, for a third more
        time.
    cores : int
        Chains that run at the same time.
    """

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    seed: int = 0
    sampler: str = "nutpie"
    target_accept: float = 0.95
    cores: int = 2

    def __post_init__(self) -> None:
        """Refuse what no sampler can do."""
        for name, least in (("draws", 4), ("tune", 1), ("chains", 1), ("seed", 0), ("cores", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 < self.target_accept < 1:
            raise InputError(f"target_accept must lie between 0 and 1, not {self.target_accept:g}")
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler {self.sampler!r} is not one of {', '.join(SAMPLERS)}")


def draw_posterior(
    model: pm.Model, sampling: Sampling, *, progress: bool = False, compiled: Compiled | None = None
) -> tuple[xr.Dataset, xr.Dataset]:
    """Draw from the posterior of a model.

    Parameters
    ----------
    model : pymc.Model
        Any model with continuous free variables.
    sampling : Sampling
        How many draws, which seed, which sampler.
    progress : bool
        Show the sampler's progress bar.
    compiled : Compiled, optional
        From `compile_model`, or of another model of this form from `with_model_data`: saves the
        compilation in repeated fits. For the sampler "nutpie" only.

    Returns
    -------
    posterior : Dataset, dims chain, draw and the variables' own
        All free and deterministic variables.
    sample_stats : Dataset, dims chain, draw
        What the sampler tells of each draw, `diverging` and `energy` among it.

    Raises
    ------
    KeyboardInterrupt
        If the sampling was interrupted: draws are given all or not at all.
    """
    if sampling.sampler == "nutpie":
        posterior, sample_stats = _draw_with_nutpie(model, sampling, progress, compiled)
    else:
        posterior, sample_stats = _draw_with_pymc(model, sampling, progress)
    if (posterior.sizes["chain"], posterior.sizes["draw"]) != (sampling.chains, sampling.draws):
        # Both samplers keep an interruption to themselves and give the draws so far.
        raise KeyboardInterrupt
    return _plain(posterior), _plain(sample_stats)


def _draw_with_nutpie(
    model: pm.Model, sampling: Sampling, progress: bool, compiled: Compiled | None
) -> tuple[xr.Dataset, xr.Dataset]:
    with working("compiling the model", show=progress):
        import nutpie

        from bayes_scaling.sampling.compile import POINT, compile_model, constrain

        compiled = compiled or compile_model(model)
    trace = nutpie.sample(
        compiled.nutpie,
        draws=sampling.draws,
        tune=sampling.tune,
        chains=sampling.chains,
        cores=min(sampling.cores, sampling.chains),
        seed=sampling.seed,
        progress_bar=progress,
        adaptation="low_rank",
        target_accept=sampling.target_accept,
    )
    points = trace["posterior"][POINT].transpose("chain", "draw", ...).values
    if np.isnan(points).any():
        # Chains of which one was interrupted earlier are filled up to one length.
        raise KeyboardInterrupt
    return constrain(compiled, model, points), trace["sample_stats"].to_dataset()


def _draw_with_pymc(model: pm.Model, sampling: Sampling, progress: bool) -> tuple[xr.Dataset, xr.Dataset]:
    import pymc as pm

    with warnings.catch_warnings():
        # What PyMC warns of (divergences, R-hat) is what our own verdict says.
        warnings.simplefilter("ignore")
        trace = pm.sample(
            draws=sampling.draws,
            tune=sampling.tune,
            chains=sampling.chains,
            cores=sampling.cores,
            random_seed=sampling.seed,
            nuts_sampler="pymc",
            nuts={"target_accept": sampling.target_accept},
            compute_convergence_checks=False,
            progressbar=progress,
            quiet=not progress,
            model=model,
        )
    return trace["posterior"].to_dataset(), trace["sample_stats"].to_dataset()


def _plain(dataset: xr.Dataset) -> xr.Dataset:
    """Keep what netCDF can hold: numbers, without the sampler's own attributes."""
    numeric = [name for name, values in dataset.data_vars.items() if values.dtype.kind in "fiub"]
    return dataset[numeric].drop_attrs()
