"""What many tests share: the real runs beside the checkout, and fits that are sampled once."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import fit, read_runs, simulate_runs
from bayes_scaling.runs.simulate import isoflop_design

os.environ["MPLBACKEND"] = "Agg"

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Copies of published runs, which the checkout may not contain."""

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
"""Besiroglu et al. 2024, arXiv 2404.10102."""


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the published runs are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def chinchilla(shared: Path) -> pd.DataFrame:
    """The 240 Chinchilla runs that Besiroglu et al. fit."""
    return read_runs(
        shared / "chinchilla_epoch" / "runs.csv", where="source_excluded == 0", params_count="total"
    )


@pytest.fixture(scope="session")
def chinchilla_fit(chinchilla: pd.DataFrame) -> xr.DataTree:
    return fit(chinchilla)


@pytest.fixture(scope="session")
def simulated() -> pd.DataFrame:
    """Sixty runs of a known law, with Student-t noise on the log loss."""
    design = isoflop_design([1e19, 3e19, 1e20, 3e20, 1e21], params_low=1e8, params_high=8e9, sizes=12)
    return simulate_runs(design, TRUTH, sigma=0.005, seed=1)


@pytest.fixture(scope="session")
def simulated_fit(simulated: pd.DataFrame) -> xr.DataTree:
    return fit(simulated, seed=1)


@pytest.fixture(scope="session")
def unconverged_fit(simulated: pd.DataFrame) -> xr.DataTree:
    """A fit of so few draws that no rule on effective sample size can hold."""
    return fit(simulated, draws=20, tune=300, chains=2)
