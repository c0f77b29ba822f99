"""Where IsoFLOP models put the optimum of known laws: the bias of a parabola, and what is left of it.

    python benchmarks/isoflop_bias.py

On three laws, IsoFLOP grids of five budgets from 1e17 to 1e21 FLOPs with 15 sizes each, of four widths, are
given 0.1 % of noise, and D_opt is read off at 1e24. The grids are those of Czech et al. 2026 (arXiv
2603.22339): centred at the optimum; centred where a model sees three times its optimal tokens; and drifting
from the one to the other. For each model the table gives, over the replicates, the mean error of the
posterior mean and of its median, with the standard error, and the share of 90 % intervals that hold the
truth.

The minima of these laws lie on their frontier exactly, which real ones do not. The models as they ship
allow for scatter, which five budgets cannot rule out: their intervals are wider than these truths need.
"exact minima" is the skewed model told that there is none.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling import Spec, build_model, load_spec, simulate_runs
from bayes_scaling.errors import RunsWarning
from bayes_scaling.executor import run_tasks
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.spec import Prior
from bayes_scaling.planning.isoflop import frontier_optimum
from bayes_scaling.runs.simulate import isoflop_design

LAWS = {
    "symmetric": {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.31, "beta": 0.31},
    "chinchilla": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    "asymmetric": {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.465, "beta": 0.155},
}
WIDTHS = (2, 4, 8, 16)
PLACES = ("centred", "three times the tokens", "drifting")
EXACT = "exact minima"
MODELS = ("isoflop-parabola", "isoflop-skewed", EXACT)
BUDGETS = np.geomspace(1e17, 1e21, 5)
TARGET, NOISE = 1e24, 0.001


def grid(law: Mapping[str, float], width: float, place: str) -> pd.DataFrame:
    """Sizes of each budget, evenly spaced in log, by a factor of `width` to both sides of their middle."""
    surplus = {
        "centred": np.ones(5),
        "three times the tokens": np.full(5, 3.0),
        "drifting": np.geomspace(1, 3, 5),
    }
    middle = chinchilla.optimum(BUDGETS, **law)[0] / surplus[place]
    return isoflop_design(BUDGETS, params_low=middle / width, params_high=middle * width, sizes=15)


def spec_of(model: str) -> Spec:
    if model != EXACT:
        return load_spec(model)
    spec = load_spec("isoflop-skewed")
    # Curvatures keep their scatter: (L - E) / L, to which they are proportional, is no power of compute.
    none = dict.fromkeys(("params_scatter", "loss_scatter"), Prior("HalfNormal", {"sigma": 1e-4}))
    return replace(spec, priors={**spec.priors, **none})


@lru_cache(maxsize=len(MODELS))
def compiled(model: str) -> Any:
    from bayes_scaling.sampling.compile import compile_model

    law = LAWS["symmetric"]
    runs = simulate_runs(grid(law, 4, "centred"), law, sigma=NOISE, seed=0)
    return compile_model(build_model(runs, spec_of(model)))


def one_fit(task: Mapping[str, Any]) -> dict[str, Any]:
    """Fit one simulated study; error of log D_opt at the target, and the ends of its interval."""
    from bayes_scaling.sampling.compile import with_model_data
    from bayes_scaling.sampling.convergence import judge
    from bayes_scaling.sampling.nuts import Sampling, draw_posterior
    from bayes_scaling.sampling.observed import constant_data

    # The widest of these grids reach beyond what real runs can be.
    warnings.simplefilter("ignore", RunsWarning)
    started, law = perf_counter(), LAWS[task["law"]]
    design = grid(law, task["width"], task["place"])
    runs = simulate_runs(design, law, sigma=NOISE, family="Normal", seed=task["replicate"])
    spec = spec_of(task["model"])
    code, model = compiled(task["model"]), build_model(runs, spec)
    sampling = Sampling(draws=task["draws"], tune=task["draws"], chains=2, seed=task["replicate"], cores=1)
    posterior, stats = draw_posterior(model, sampling, compiled=with_model_data(code, model))
    budgets = np.array([TARGET])
    constant = constant_data(runs, spec)
    at = xr.DataArray(budgets, dims="compute", coords={"compute": budgets})
    tokens = frontier_optimum(posterior, constant, at, new_budget=False)["tokens_opt"].values.ravel()
    ratio = tokens / chinchilla.optimum(TARGET, **law)[1]
    verdict = judge(posterior, stats)
    return {
        "error": float(ratio.mean() - 1),
        "median": float(np.median(ratio) - 1),
        "low": float(np.quantile(ratio, 0.05) - 1),
        "high": float(np.quantile(ratio, 0.95) - 1),
        "rhat": verdict.rhat_max,
        "divergences": verdict.divergences,
        "seconds": round(perf_counter() - started, 3),
    }


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Over the replicates of each grid: bias, its error, and coverage."""
    found = found.assign(inside=(found["low"] <= 0) & (found["high"] >= 0))
    by = found.groupby(["model", "place", "law", "width"], sort=False)
    return pd.DataFrame(
        {
            "replicates": by.size(),
            "bias %": 100 * by["error"].mean(),
            "of the median %": 100 * by["median"].mean(),
            "its error %": 100 * by["error"].std() / np.sqrt(by.size()),
            "interval %": 100 * (by["high"].mean() - by["low"].mean()),
            "coverage": by["inside"].mean(),
            "R-hat above 1.05": by["rhat"].apply(lambda rhat: (rhat > 1.05).mean()),
            "seconds": by["seconds"].median(),
        }
    ).round(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--draws", type=int, default=400, help="a chain, after as many to tune; two chains")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--places", nargs="+", choices=PLACES, default=PLACES)
    parser.add_argument("--results", type=Path, help="file in which finished fits are kept: go on from there")
    args = parser.parse_args()
    tasks = [
        {"model": model, "place": place, "law": law, "width": width, "replicate": i, "draws": args.draws}
        for i in range(args.replicates)
        for model in args.models
        for place in args.places
        for law in LAWS
        for width in WIDTHS
    ]
    for task in tasks:
        task["key"] = " ".join(map(str, task.values()))
    found = run_tasks(
        one_fit,
        tasks,
        workers=args.workers,
        results=args.results,
        what="fits of simulated grids",
        progress=True,
    )
    rows = pd.DataFrame([{**task, **result} for task, result in zip(tasks, found, strict=True)])
    print(table(rows).to_string())


if __name__ == "__main__":
    main()
