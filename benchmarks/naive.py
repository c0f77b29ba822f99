"""What a user would write without this package: E, A, B, alpha, beta with vague priors in a plain model.

    python benchmarks/naive.py RUNS.csv --sampler pymc       PyMC's own NUTS
    python benchmarks/naive.py RUNS.csv --sampler default    what pm.sample() picks by itself

From CSV to the optimum, like the package's own side; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json

import arviz_stats
import numpy as np
import pandas as pd
import pymc as pm

GOPHER = 5.76e23
"""The Chinchilla paper's budget, in FLOPs."""


def naive_model(runs: pd.DataFrame) -> pm.Model:
    """The law as the paper prints it, with a heavy-tailed likelihood of the log loss."""
    params, tokens = runs["params"].to_numpy(float), runs["tokens"].to_numpy(float)
    with pm.Model() as model:
        E = pm.HalfNormal("E", 5.0)
        A = pm.HalfNormal("A", 10_000.0)
        B = pm.HalfNormal("B", 10_000.0)
        alpha = pm.HalfNormal("alpha", 1.0)
        beta = pm.HalfNormal("beta", 1.0)
        sigma = pm.HalfNormal("sigma", 1.0)
        mu = E + A / params**alpha + B / tokens**beta
        pm.StudentT("log_loss", nu=4, mu=pm.math.log(mu), sigma=sigma, observed=np.log(runs["loss"]))
    return model


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs")
    parser.add_argument("--where", default=None)
    parser.add_argument("--sampler", choices=("pymc", "default"), required=True)
    options = parser.parse_args()

    runs = pd.read_csv(options.runs)
    if options.where:
        runs = runs.query(options.where)
    with naive_model(runs):
        trace = pm.sample(
            draws=1000,
            tune=1000,
            chains=4,
            cores=2,
            random_seed=0,
            nuts_sampler="pymc" if options.sampler == "pymc" else None,
            compute_convergence_checks=False,
            progressbar=False,
            quiet=True,
        )
    posterior = trace["posterior"].to_dataset()
    alpha, beta = posterior["alpha"], posterior["beta"]
    balance = (alpha * posterior["A"] / (beta * posterior["B"])) ** (1 / (alpha + beta))
    params_opt = balance * (GOPHER / 6) ** (beta / (alpha + beta))
    ess = arviz_stats.ess(posterior)
    rhat = arviz_stats.rhat(posterior)
    print(
        json.dumps(
            {
                "params_opt": float(params_opt.median()),
                "ess_min": float(min(ess[name] for name in ess.data_vars)),
                "rhat_max": float(max(rhat[name] for name in rhat.data_vars)),
                "divergences": int(trace["sample_stats"]["diverging"].sum()),
                "sampling_seconds": float(trace["posterior"].attrs["sampling_time"]),
            }
        )
    )


if __name__ == "__main__":
    main()
