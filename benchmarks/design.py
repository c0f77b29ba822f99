"""What proposed pilot runs are worth, against other ways to spend the same compute, by simulation.

    python benchmarks/design.py [--truths 60] [--results design.jsonl] [--json design.json]

Four small studies are simulated and fitted. Each posterior is taken at its word: truths are drawn from it,
with the scale and tails of their noise. For every truth each contender's pilot runs are trained, that is
their losses simulated, the fit is done again by NUTS with them, and the size of least expected regret at the
target is decided on anew.
Realised regret is what that decision wastes under the truth. All contenders spend the same compute on as many
runs, of sizes within the same factor of the best ones:

    proposed            bayes_scaling.design
    IsoFLOP             equal runs, sizes even in log N over all of that width
    D-optimal           the largest determinant of what is learned about the whole law, given the runs there
                        are; from the same candidates, by exchanges
    D-optimal, alone    the same by the pilot runs alone, at the median law (the textbook's)
    random              compute divided at random (Dirichlet), sizes log-uniform; others for each truth
    none                no pilot runs

The noise of simulated runs is of one relative size. The fits are of the default model, whose noise may grow
with the loss: of the largest pilot runs, whose losses are lower, it expects about a quarter less noise.

But for that, the expectation of the realised regret, given the data, is the expected regret of the posterior
that has seen them, and the mean of that over truths has the smaller error: it is the second column. With
--results, a run that was cut short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling import build_model, design, fit, load_spec, simulate_runs
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.choice import choose
from bayes_scaling.planning.constraints import ANY_SIZE
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.outcomes import outcomes
from bayes_scaling.planning.pilots import Pilots, bought, candidates, isoflop_grid, typical_size
from bayes_scaling.planning.price import Price
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.surface import surface_of
from bayes_scaling.progress import tracked
from bayes_scaling.runs.simulate import isoflop_design
from bayes_scaling.sampling.compile import compile_model, with_model_data
from bayes_scaling.sampling.convergence import judge
from bayes_scaling.sampling.nuts import Sampling, draw_posterior

TARGET, PILOT, RUNS, SPREAD = 5.76e23, 1e21, 8, 4.0
SIGMA = 0.005
SPEC = load_spec("parametric")
LAW = ("E", "A", "B", "alpha", "beta")
CONTENDERS = ("proposed", "IsoFLOP", "D-optimal", "D-optimal, alone", "random", "none")

BESIROGLU = {"E": 1.8169, "A": 482.0, "B": 2085.4, "alpha": 0.3478, "beta": 0.3659}
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
TILTED = {"E": 1.6, "A": 60.0, "B": 9000.0, "alpha": 0.24, "beta": 0.43}


def studies() -> dict[str, tuple[pd.DataFrame, dict[str, float]]]:
    """Runs that somebody might have when pilot runs are planned, and the law they come from."""
    rng = np.random.default_rng(5)
    compute = 10 ** rng.uniform(18, 19.8, 20)
    isoflop = isoflop_design(
        [1e18, 3e18, 1e19, 3e19],
        params_low=[2e7, 4e7, 7e7, 1.2e8],
        params_high=[3e8, 5e8, 9e8, 1.6e9],
        sizes=5,
    )
    return {
        "IsoFLOP, 20 runs": (isoflop, BESIROGLU),
        "scattered, 20 runs": (at_ratios(compute, 20 * np.exp(rng.uniform(-1.5, 1.5, 20))), HOFFMANN),
        "D/N 10 and 40, 16 runs": (
            at_ratios(np.repeat(np.geomspace(1e18, 6e19, 8), 2), np.tile([10, 40], 8)),
            TILTED,
        ),
        "D/N 20 alone, 12 runs": (at_ratios(np.geomspace(1e18, 6e19, 12), np.full(12, 20.0)), BESIROGLU),
    }


def at_ratios(compute: np.ndarray, tokens_per_param: np.ndarray) -> pd.DataFrame:
    params = np.round(np.sqrt(compute / (6 * tokens_per_param)))
    return pd.DataFrame({"params": params, "tokens": compute / (6 * params)})


def contenders(
    fitted: xr.DataTree,
) -> tuple[dict[str, Callable[[np.random.Generator], Pilots | None]], float]:
    """How each spends the compute, a batch for each truth; and the regret that `design` promises."""
    problem = Problem(surface_of(fitted).surface)
    proposed = design(fitted, TARGET, PILOT, RUNS, spread=SPREAD, allow_unconverged=True)
    batches = {
        "proposed": Pilots(*(proposed[name].to_numpy() for name in ("params", "tokens", "compute"))),
        "IsoFLOP": isoflop_grid(problem, PILOT, RUNS, SPREAD),
        "D-optimal": d_optimal(fitted, problem),
        "D-optimal, alone": d_optimal_alone(problem),
        "none": None,
    }

    def random(rng: np.random.Generator) -> Pilots:
        compute = rng.dirichlet(np.ones(RUNS)) * PILOT
        middle = np.array([typical_size(problem, each) for each in compute])
        return bought(problem, middle * SPREAD ** rng.uniform(-1, 1, RUNS), compute)

    fixed = {name: (lambda _, batch=batch: batch) for name, batch in batches.items()}
    return {**fixed, "random": random}, float(proposed["expected_regret"].sel(stage="after"))


def d_optimal(fitted: xr.DataTree, problem: Problem) -> Pilots:
    """Most is learned about the law where log det(1 + covariance / noise) of the losses is largest."""
    possible = candidates(problem, PILOT, RUNS, spread=SPREAD)
    expected = outcomes(fitted, problem.surface, possible)
    covariance = np.cov(expected.log_loss) / expected.variance.mean()

    def learned(batch: list[int]) -> float:
        return float(np.linalg.slogdet(covariance[np.ix_(batch, batch)] + np.eye(len(batch)))[1])

    return best_batch(problem, possible, learned)


def d_optimal_alone(problem: Problem) -> Pilots:
    """Determinant of the information on log(E, A, B, alpha, beta) at the medians of the draws."""
    possible = candidates(problem, PILOT, RUNS, spread=SPREAD)
    law = {name: float(np.median(problem.surface.law[name])) for name in LAW}

    def log_loss(changed: str, factor: float) -> np.ndarray:
        own = {**law, changed: law[changed] * factor}
        return np.log(chinchilla.loss(possible.params, possible.tokens, **own))

    step = 1e-4
    slopes = np.stack([(log_loss(name, 1 + step) - log_loss(name, 1 - step)) / (2 * step) for name in LAW])
    slopes = np.linalg.qr(slopes.T)[0]  # another basis of the same law: the best batch is the same

    def learned(batch: list[int]) -> float:
        # A trace of prior information, so that fewer than five runs have a determinant too.
        return float(np.linalg.slogdet(slopes[batch].T @ slopes[batch] + 1e-9 * np.eye(len(LAW)))[1])

    return best_batch(problem, possible, learned)


def best_batch(problem: Problem, possible: Pilots, learned: Callable[[list[int]], float]) -> Pilots:
    """Greedily, and then by exchanges of one run and of two, as long as they gain."""
    compute, every = possible.compute, range(len(possible.compute))
    chosen: list[int] = []
    for place in range(RUNS):
        left = PILOT - compute[chosen].sum() - (RUNS - place - 1) * compute.min()
        affordable = [run for run in every if run not in chosen and compute[run] <= left]
        chosen.append(max(affordable, key=lambda run: learned([*chosen, run])))
    best = learned(chosen)
    for _ in range(20):
        before = best
        for places in [*combinations(range(RUNS), 1), *combinations(range(RUNS), 2)]:
            rest = [run for place, run in enumerate(chosen) if place not in places]
            left = (PILOT - compute[rest].sum()) * (1 + 1e-9)
            free = [run for run in every if run not in rest]
            # Of two the first only among those near one of the two, or this would take minutes.
            if len(places) == 2:
                near = {
                    run
                    for out in (chosen[place] for place in places)
                    for run in free
                    if abs(np.log(compute[run] / compute[out])) < 0.8
                    and abs(np.log(possible.params[run] / possible.params[out])) < 1.0
                }
                options = [
                    pair
                    for pair in product(sorted(near), repeat=2)
                    if pair[0] < pair[1] and compute[list(pair)].sum() <= left
                ]
            else:
                options = [(run,) for run in free if compute[run] <= left]
            for option in options:
                if (value := learned([*rest, *option])) > best + 1e-9:
                    best, chosen = value, [*rest, *option]
        if best <= before:
            break
    batch = possible.some(chosen)
    return bought(problem, batch.params, batch.compute * PILOT / batch.compute.sum())


def simulate(batch: Pilots, truth: dict[str, float], seed: int) -> pd.DataFrame:
    table = pd.DataFrame({"params": np.round(batch.params), "tokens": batch.tokens})
    law = {name: truth[name] for name in LAW}
    return simulate_runs(table, law, sigma=truth["sigma"], nu=truth["nu"], seed=seed)


def refit(runs: pd.DataFrame, seed: int, compiled: list[Any]) -> tuple[dict[str, np.ndarray], bool]:
    """Draw the posterior with NUTS, by one compiled model throughout; and whether its chains agree."""
    model = build_model(runs, SPEC)
    compiled[:] = [with_model_data(compiled[0], model) if compiled else compile_model(model)]
    how = Sampling(draws=500, tune=500, chains=2, cores=1, seed=seed)
    posterior, stats = draw_posterior(model, how, compiled=compiled[0])
    return {name: posterior[name].to_numpy().ravel() for name in LAW}, judge(posterior, stats).rhat_max < 1.03


def decide(law: dict[str, np.ndarray]) -> tuple[float, float]:
    return choose(Problem(LawSurface(law, Price(6.0))), TARGET, ANY_SIZE)


def measure(count: int, results: Path | None, contenders_wanted: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    if results is not None and results.is_file():
        rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["truth"] < count]
    done = {(row["study"], row["truth"], row["contender"]) for row in rows}
    compiled: list[Any] = []
    for number, (study, (table, law)) in enumerate(studies().items()):
        runs = simulate_runs(table, law, sigma=SIGMA, seed=10 + number)
        fitted = fit(runs, SPEC, seed=number, draws=2000, tune=2000, cores=1, progress=False)
        draws = fitted["posterior"].dataset.stack(sample=("chain", "draw"))
        batches, promised = contenders(fitted)
        for name, batch in batches.items():
            if name not in ("random", "none"):
                print(f"{study}: {name}: {describe(batch(np.random.default_rng(0)))}", flush=True)
        truths = np.random.default_rng(number).permutation(draws.sizes["sample"])[:count]
        work = [(i, name) for i in range(count) for name in contenders_wanted if (study, i, name) not in done]
        for i, name in tracked(work, study, total=len(work), show=True):
            truth = {key: float(draws[key][truths[i]]) for key in (*LAW, "sigma", "nu")}
            batch = batches[name](np.random.default_rng([number, i]))
            if batch is None:
                own, agree = {key: draws[key].to_numpy() for key in LAW}, True
            else:
                # The same luck for all: the first run of each has the same noise, and so on.
                more = simulate(batch, truth, seed=1000 * number + i)
                columns = ["params", "tokens", "loss"]
                both = pd.concat([runs[columns], more[columns]], ignore_index=True)
                own, agree = refit(both, i, compiled)
            params, expected = decide(own)
            best = chinchilla.optimum(TARGET, **{key: truth[key] for key in LAW})[0]
            regret = chinchilla.regret(params / best, alpha=truth["alpha"], beta=truth["beta"])
            row = {
                "study": study, "truth": i, "contender": name, "regret": float(regret),
                "expected": expected, "agree": bool(agree), "promised": promised,
            }  # fmt: skip
            rows.append(row)
            if results is not None:
                with results.open("a", encoding="utf-8") as file:
                    print(json.dumps(row), file=file)
    return pd.DataFrame(rows)


def describe(batch: Pilots) -> str:
    order = np.argsort(-batch.compute)
    return ", ".join(
        f"{batch.params[i] / 1e9:.2g}B x {batch.tokens[i] / 1e9:.3g}B ({batch.compute[i] / PILOT:.0%})"
        for i in order
    )


def table(measured: pd.DataFrame) -> pd.DataFrame:
    """Means over truths in percent, with standard errors; differences are paired by truth."""
    found = []
    for study, own in [*measured.groupby("study", sort=False), ("all studies", measured)]:
        keys = ["study", "truth"]
        regret, expected = (
            own.pivot(index=keys, columns="contender", values=c) for c in ("regret", "expected")
        )
        for name in CONTENDERS:
            if name not in regret:
                continue
            row: dict[str, Any] = {"study": study, "contender": name, "truths": len(regret)}
            for column, values in (("realised", regret), ("expected", expected)):
                row[column] = with_error(values[name])
                if name != "proposed":
                    row[f"{column}, less the proposed's"] = with_error(values[name] - values["proposed"])
            found.append(row)
    return pd.DataFrame(found).fillna("").set_index(["study", "contender"])


def with_error(values: pd.Series) -> str:
    return f"{100 * values.mean():.2f} ± {100 * values.std() / np.sqrt(len(values)):.2f}"


def main() -> None:
    """Measure, and print the table in percent of the target's compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--truths", type=int, default=60, help="of each of the four studies")
    parser.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = perf_counter()
    measured = measure(options.truths, options.results, tuple(options.contenders))
    found = table(measured)
    print(
        f"regret at {TARGET:.3g} FLOP after pilot runs of {PILOT:.3g} FLOP, in percent, with standard errors"
    )
    print(found.to_string())
    own = measured[measured["contender"] == "proposed"]
    promised = own.groupby("study", sort=False)["promised"].first()
    print("promised by design:", ", ".join(f"{study}: {100 * x:.2f} %" for study, x in promised.items()))
    disagree = measured.groupby("contender")["agree"].apply(lambda agree: int((~agree).sum()))
    print("fits whose R-hat is above 1.03:", disagree.to_dict())
    print(f"{perf_counter() - started:.0f} s")
    if options.json:
        options.json.write_text(found.reset_index().to_json(orient="records", indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
