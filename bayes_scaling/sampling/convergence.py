"""The convergence verdict: whether draws may be used, and if not, why not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

RHAT_MAX = 1.01
ESS_MIN = 400
EBFMI_MIN = 0.3


@dataclass(frozen=True)
class Verdict:
    """Diagnostics of a fit, the worst over its variables.

    Attributes
    ----------
    rhat_max : float
        Largest rank-normalised split R-hat; at most 1.01.
    ess_bulk_min, ess_tail_min : float
        Smallest effective sample sizes in bulk and tails; at least 400.
    divergences : int
        Divergent transitions; none.
    ebfmi_min : float
        Smallest energy Bayesian fraction of missing information over chains; at least 0.3.
    nonfinite : int
        Draws and energies that are infinite or no number; none.
    """

    rhat_max: float
    ess_bulk_min: float
    ess_tail_min: float
    divergences: int
    ebfmi_min: float
    nonfinite: int

    @property
    def problems(self) -> list[str]:
        """One line for each rule that is broken, with what to do about it; empty is good."""
        rules = [
            (
                self.rhat_max <= RHAT_MAX,
                f"R-hat {self.rhat_max:.4f} is above {RHAT_MAX}: the chains disagree; "
                "raise --tune and --draws",
            ),
            (
                self.ess_bulk_min >= ESS_MIN,
                f"bulk effective sample size {self.ess_bulk_min:.0f} is below {ESS_MIN}: raise --draws",
            ),
            (
                self.ess_tail_min >= ESS_MIN,
                f"tail effective sample size {self.ess_tail_min:.0f} is below {ESS_MIN}: "
                "interval ends are uncertain; raise --draws",
            ),
            (
                self.divergences == 0,
                f"{self.divergences} divergent transitions: part of the posterior was not reached; "
                "raise --target-accept, or give tighter priors",
            ),
            (
                self.ebfmi_min >= EBFMI_MIN,
                f"E-BFMI {self.ebfmi_min:.2f} is below {EBFMI_MIN}: tails are explored slowly; "
                "raise --tune, or give tighter priors",
            ),
        ]
        if self.nonfinite:
            return [f"{self.nonfinite} draws are infinite or no number: give tighter priors"]
        if not np.isfinite([self.rhat_max, self.ess_bulk_min, self.ess_tail_min, self.ebfmi_min]).all():
            return ["these draws are too few to be judged: raise --draws, and sample 2 chains or more"]
        return [line for passed, line in rules if not passed]

    @property
    def converged(self) -> bool:
        """Whether every rule is kept."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers and the conclusion as plain values."""
        return {**asdict(self), "converged": self.converged, "problems": self.problems}


def judge(posterior: xr.Dataset, sample_stats: xr.Dataset) -> Verdict:
    """Judge draws by R-hat, effective sample size, divergences and E-BFMI.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw and the variables' own
        Draws of every variable that will be used.
    sample_stats : Dataset, dims chain, draw
        With `diverging` and `energy`.

    Returns
    -------
    Verdict

    Notes
    -----
    Rank-normalised split R-hat and bulk and tail effective sample size: Vehtari et al. 2021,
    arXiv 1903.08008. E-BFMI: Betancourt 2016, arXiv 1604.00695.
    """
    import arviz_stats

    def worst(values: xr.Dataset, pick: Any) -> float:
        return float(pick([pick(values[name].values) for name in values.data_vars]))

    energy = sample_stats["energy"]
    return Verdict(
        rhat_max=worst(arviz_stats.rhat(posterior), np.max),
        ess_bulk_min=worst(arviz_stats.ess(posterior, method="bulk"), np.min),
        ess_tail_min=worst(arviz_stats.ess(posterior, method="tail"), np.min),
        divergences=int(sample_stats["diverging"].sum()),
        ebfmi_min=float(np.min(_ebfmi(energy))),
        nonfinite=sum(int((~np.isfinite(x)).sum()) for x in (*posterior.data_vars.values(), energy)),
    )


def _ebfmi(energy: xr.DataArray) -> np.ndarray:
    """E-BFMI of each chain: mean squared change of the energy over its variance."""
    with np.errstate(invalid="ignore"):
        return ((energy.diff("draw") ** 2).mean("draw") / energy.var("draw")).values
