"""The package's side of the comparison with naive.py: the same runs, draws and output.

python benchmarks/ours.py RUNS.csv [--where EXPRESSION]
"""

from __future__ import annotations

import argparse
import json
from time import perf_counter

import arviz_stats

from bayes_scaling import build_model, read_runs
from bayes_scaling.laws import chinchilla
from bayes_scaling.sampling.compile import compile_model
from bayes_scaling.sampling.nuts import Sampling, draw_posterior

GOPHER = 5.76e23
"""The Chinchilla paper's budget, in FLOPs."""


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs")
    parser.add_argument("--where", default=None)
    options = parser.parse_args()

    model = build_model(read_runs(options.runs, where=options.where))
    compiled = compile_model(model)
    started = perf_counter()
    posterior, sample_stats = draw_posterior(model, Sampling(), compiled=compiled)
    seconds = perf_counter() - started

    # Of the same five parameters, as everybody knows them.
    law = posterior[["E", "A", "B", "alpha", "beta"]]
    ess, rhat = arviz_stats.ess(law), arviz_stats.rhat(law)
    params_opt = chinchilla.optimum(GOPHER, **{str(name): law[name] for name in law.data_vars})[0]
    print(
        json.dumps(
            {
                "params_opt": float(params_opt.median()),
                "ess_min": float(min(ess[name] for name in ess.data_vars)),
                "rhat_max": float(max(rhat[name] for name in rhat.data_vars)),
                "divergences": int(sample_stats["diverging"].sum()),
                "sampling_seconds": seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
