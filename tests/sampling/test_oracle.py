"""NUTS against an exact posterior.

With Normal noise on the raw loss and flat priors on E, A', B' and sigma, these four integrate out in
closed form, and what is left is a density over (alpha, beta) that a fine grid integrates to many digits.
The model is the package's own, through a spec whose priors are flat: no code is written for the test.
"""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import t as student_t

from bayes_scaling import fit, simulate_runs
from bayes_scaling.models.spec import spec_from_dict

# The loss at the centre is r L0, its shares lie on a simplex: a density r^2 over r and a uniform one over
# the simplex make E, A' and B' independent and flat over everything above zero. The Gamma's rate bends that
# by exp(-0.1 r), where the posterior of r is about 0.001 wide: a shift of a ten-thousandth of its sd.
FLAT = spec_from_dict(
    {
        "name": "flat",
        "law": "chinchilla",
        "noise": {"family": "Normal", "scale": "raw"},
        "priors": {
            "loss_ratio": {"dist": "Gamma", "alpha": 3.0, "beta": 0.1},
            "share": {"dist": "Dirichlet", "a": [1.0, 1.0, 1.0]},
            "alpha": {"dist": "Uniform", "lower": 0.01, "upper": 1.5},
            "beta": {"dist": "Uniform", "lower": 0.01, "upper": 1.5},
            "sigma": {"dist": "Uniform", "lower": 0.0, "upper": 1.0},
        },
    }
)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
GRID = 301


def marginal(
    runs: pd.DataFrame, alpha: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log marginal density over a grid of alpha and beta, and mean and scale of E given each pair."""
    u, v = (
        np.log(runs[name] / np.exp(np.log(runs[name]).mean())).to_numpy() for name in ("params", "tokens")
    )
    x, z, y = np.exp(-np.outer(alpha, u)), np.exp(-np.outer(beta, v)), runs["loss"].to_numpy()
    shape, n = (len(alpha), len(beta)), len(runs)
    x1, z1 = (np.broadcast_to(sums, shape) for sums in (x.sum(1)[:, None], z.sum(1)))
    xx, zz = (np.broadcast_to(sums, shape) for sums in ((x**2).sum(1)[:, None], (z**2).sum(1)))
    xy, zy = (np.broadcast_to(sums, shape) for sums in ((x @ y)[:, None], z @ y))
    ones, y1 = np.full(shape, float(n)), np.full(shape, y.sum())
    normal = np.moveaxis(np.array([[ones, x1, z1], [x1, xx, x @ z.T], [z1, x @ z.T, zz]]), (0, 1), (2, 3))
    right = np.moveaxis(np.array([y1, xy, zy]), 0, 2)[..., None]
    solution = np.linalg.solve(normal, right)
    rss = y @ y - (solution * right).sum((2, 3))
    # Over E, A', B': |X'X|^-1/2 s^-(n-3) exp(-rss / 2s^2); over s with a flat prior: rss^-(n-4)/2.
    log_density = -0.5 * np.linalg.slogdet(normal)[1] - 0.5 * (n - 4) * np.log(rss)
    return log_density, solution[..., 0, 0], np.sqrt(rss / (n - 4) * np.linalg.inv(normal)[..., 0, 0])


def weighted_quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values, axis=None)
    below = np.cumsum(weights.ravel()[order])
    return np.interp(LEVELS, below - 0.5 * weights.ravel()[order], values.ravel()[order])


def exact(runs: pd.DataFrame) -> dict[str, dict[str, np.ndarray | float]]:
    """Mean, sd and quantiles of alpha, beta, a and E by quadrature."""
    # The coarse grid finds where the density lies; the next ones cover eight of its sds.
    low, high = np.full(2, 0.05), np.full(2, 1.5)
    for _ in range(4):
        axes = [np.linspace(low[i], high[i], GRID) for i in range(2)]
        log_density, centre, scale = marginal(runs, *axes)
        weights = np.exp(log_density - log_density.max())
        weights /= weights.sum()
        alpha, beta = np.meshgrid(*axes, indexing="ij")
        means = np.array([(weights * x).sum() for x in (alpha, beta)])
        sds = np.sqrt([(weights * (x - m) ** 2).sum() for x, m in zip((alpha, beta), means, strict=True)])
        sds = np.maximum(sds, (high - low) / GRID)
        low, high = means - 8 * sds, means + 8 * sds
    assert weights[[0, -1]].sum() + weights[:, [0, -1]].sum() < 1e-6, "the grid does not hold the density"

    answers = {
        name: {
            "mean": float((weights * x).sum()),
            "sd": float(np.sqrt((weights * x**2).sum() - (weights * x).sum() ** 2)),
            "quantiles": weighted_quantiles(x, weights),
        }
        for name, x in {"alpha": alpha, "beta": beta, "a": beta / (alpha + beta)}.items()
    }
    # E is a mixture of Student-t distributions over the grid; where the weight is nil it adds nothing.
    heavy = weights > weights.max() * 1e-9
    weight, centre, scale = weights[heavy], centre[heavy], scale[heavy]
    dof = len(runs) - 4
    mean = float((weight * centre).sum())
    variance = float((weight * (scale**2 * dof / (dof - 2) + centre**2)).sum()) - mean**2
    grid = np.linspace(mean - 8 * variance**0.5, mean + 8 * variance**0.5, 401)
    below = np.array([(weight * student_t.cdf((x - centre) / scale, dof)).sum() for x in grid])
    answers["E"] = {"mean": mean, "sd": variance**0.5, "quantiles": np.interp(LEVELS, below, grid)}
    return answers


@pytest.fixture(scope="module", params=["chinchilla", "simulated"])
def runs(request: pytest.FixtureRequest) -> pd.DataFrame:
    if request.param == "chinchilla":
        return request.getfixturevalue("chinchilla")
    design = request.getfixturevalue("simulated")[["params", "tokens"]]
    law = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
    return simulate_runs(design, law, sigma=0.004, family="Normal", scale="raw", seed=4)


def test_nuts_agrees_with_quadrature(runs: pd.DataFrame):
    sampled = fit(runs, FLAT, draws=2500, seed=11)
    posterior = sampled["posterior"].dataset
    posterior = posterior.assign(a=posterior["beta"] / (posterior["alpha"] + posterior["beta"]))
    for name, answer in exact(runs).items():
        draws = xr.Dataset({name: posterior[name]})

        def mcse(method: str, prob: float | None = None, name=name, draws=draws) -> float:
            return float(arviz_stats.mcse(draws, method=method, prob=prob)[name])

        # Four Monte Carlo standard errors: 28 comparisons of a right sampler exceed it once in 500 times.
        assert abs(float(draws[name].mean()) - answer["mean"]) < 4 * mcse("mean"), name
        assert abs(float(draws[name].std()) - answer["sd"]) < 4 * mcse("sd"), name
        for level, quantile in zip(LEVELS, answer["quantiles"], strict=True):
            assert abs(float(draws[name].quantile(level)) - quantile) < 4 * mcse("quantile", level), (
                name,
                level,
            )
