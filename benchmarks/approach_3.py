"""Approach 3 side by side with what a user would run instead: the objective reached, and the CPU time of it.

    python benchmarks/approach_3.py [RUNS] [--where "loss < 3.42"] [--starts 200] [--json x.json]

RUNS is a file, or a named set such as chinchilla, and unless given the embedded simulated runs. Everybody's
law is judged by one objective, the sum over the runs of Huber(1e-3) on the log loss. Every contender runs in
a fresh process. Its CPU time is user and system time, with that of its children: of the fit alone, and of the
whole process, imports included. The quick ones are medians of the repeats, the others, which take minutes,
are measured once. A package that is not installed is left out, and a line says so: none is a dependency of
this project.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

EMBEDDED = "chinchilla-simulated"
GOPHER = 5.76e23
"""The Chinchilla paper's budget, in FLOPs."""
DELTA = 1e-3
LAW = ("E", "A", "B", "alpha", "beta")
PUBLISHED_STARTS = 4500
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
}


def objective(law: dict[str, float], runs: pd.DataFrame) -> float:
    """Sum of Huber(1e-3) of the log loss, for everybody: written here, so that nobody judges itself."""
    expected = law["E"] + law["A"] / runs["params"] ** law["alpha"] + law["B"] / runs["tokens"] ** law["beta"]
    error = abs(np.log(expected) - np.log(runs["loss"]))
    return float(np.where(error < DELTA, error**2 / 2, DELTA * (error - DELTA / 2)).sum())


def tokens_per_param(law: dict[str, float]) -> float:
    """Tokens per parameter of the optimum at the Gopher budget."""
    from bayes_scaling.laws import chinchilla

    params_opt, tokens_opt, _ = chinchilla.optimum(GOPHER, **law)
    return float(tokens_opt / params_opt)


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# Each contender imports what it needs, prepares its input and returns the fit itself, which returns the law.


def ours(path: str, _: argparse.Namespace) -> Callable[[], dict[str, float]]:
    from bayes_scaling import read_runs
    from bayes_scaling.approaches.parametric import approach_3

    runs = read_runs(path)

    def fit() -> dict[str, float]:
        found = approach_3(runs)
        return {name: float(found[name].item()) for name in LAW}

    return fit


def ours_bootstrap(path: str, options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    from functools import partial

    from bayes_scaling import read_runs
    from bayes_scaling.approaches.bootstrap import bootstrap
    from bayes_scaling.approaches.parametric import approach_3

    runs = read_runs(path)

    def fit() -> dict[str, float]:
        point = approach_3(runs)
        found = bootstrap(
            partial(approach_3, runs, near=point),
            np.arange(len(runs)),
            resamples=options.resamples,
            workers=options.workers,
        )
        low, high = found["a"].quantile([0.1, 0.9]).values
        point_law = {name: float(point[name].item()) for name in LAW}
        return {**point_law, "a_low": float(low), "a_high": float(high)}

    return fit


def chinchilla_package(path: str, options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Fit with the package's own BFGS from the grid of its README, 5 starts a parameter."""
    # It hands its workers a local function, which only a forked process can know.
    multiprocessing.set_start_method("fork")
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    def summed(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        # The package takes the mean, whose gradient is below BFGS's tolerance long before the minimum.
        return len(y_true) * log_huber(y_true, y_pred, DELTA)

    a_parameter = max(1, min(5, int(options.starts ** (1 / 5) + 1e-9)))
    coefficients, exponents = np.linspace(1, 10, a_parameter), np.linspace(0.1, 0.7, a_parameter)
    grid = {
        "E": np.linspace(1, 2, a_parameter),
        "a": coefficients,
        "b": coefficients,
        "alpha": exponents,
        "beta": exponents,
    }
    runs = pd.read_csv(path)
    folder = tempfile.mkdtemp()  # it keeps its runs, and a figure of each fit, in files
    table = pd.DataFrame({"N": runs["params"], "D": runs["tokens"], "loss": runs["loss"]})
    table.assign(C=6 * table["N"] * table["D"]).to_csv(Path(folder) / "df.csv", index=False)
    package = Chinchilla(folder, param_grid=grid, loss_fn=summed, log_level=50)

    def fit() -> dict[str, float]:
        package.fit()
        return package.params

    return fit


def simple_scaling_laws(path: str, _: argparse.Namespace, draws: int = 1) -> Callable[[], dict[str, float]]:
    """Fit with the package's only objective, the squared error of the loss."""
    import simple_scaling_laws

    runs = pd.read_csv(path)
    table = pd.DataFrame(
        {
            "training_run_id": [f"run-{i}" for i in range(len(runs))],
            "model_size__params": runs["params"],
            "dataset_size__tokens": runs["tokens"],
            "test_loss__loss": runs["loss"],
        }
    )
    source = str(Path(tempfile.mkdtemp()) / "runs.csv")
    table.to_csv(source, index=False)

    def fit() -> dict[str, float]:
        model = simple_scaling_laws.fit(source, law="separable-power", n_draws=draws, seed=0)
        law = model.params("test_loss__loss")
        # Its coefficients belong to sizes and tokens over a reference of its own.
        for coefficient, exponent, column in (
            ("A", "alpha", "model_size__params"),
            ("B", "beta", "dataset_size__tokens"),
        ):
            law[coefficient] *= model.observed_domain[column]["reference"] ** law[exponent]
        return {name: float(law[name]) for name in LAW}

    return fit


def simple_scaling_laws_bootstrap(path: str, options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    return simple_scaling_laws(path, options, draws=options.resamples)


def published_grid(path: str, options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Minimise from the 4,500 starts of arXiv 2203.15556, appendix D, with L-BFGS and the exact gradient."""
    minimise = _lbfgs(path)
    exponents, coefficients = np.arange(0, 2.1, 0.5), np.arange(0, 25.1, 5)
    grid = np.array(list(product(np.arange(-1, 1.1, 0.5), coefficients, coefficients, exponents, exponents)))
    if options.starts < len(grid):
        grid = grid[np.random.default_rng(0).permutation(len(grid))[: options.starts]]

    def fit() -> dict[str, float]:
        found = [minimise(start) for start in grid]
        return _law(min(found, key=lambda one: one[1])[0])

    return fit


def published_bootstrap(path: str, options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Resample as arXiv 2404.10102 does, each from one start, the estimate on all the runs."""
    minimise = _lbfgs(path)
    start = np.array([0.5267228, 6.0073404, 6.0179186, 0.33917084, 0.2849083])  # arXiv 2203.15556
    rows = len(pd.read_csv(path))
    rng = np.random.default_rng(0)

    def fit() -> dict[str, float]:
        point = minimise(start)[0]
        a = []
        for _ in range(options.resamples):
            alpha, beta = minimise(point, rng.multinomial(rows, np.full(rows, 1 / rows)))[0][3:]
            a.append(beta / (alpha + beta))
        low, high = np.quantile(a, [0.1, 0.9])
        return {**_law(point), "a_low": float(low), "a_high": float(high)}

    return fit


def _lbfgs(path: str) -> Callable[..., tuple[np.ndarray, float]]:
    """Minimise from a start, with a weight for each run: parameters (log E, log A, log B, alpha, beta)."""
    from scipy.optimize import minimize

    runs = pd.read_csv(path)
    log_params, log_tokens, log_loss = (
        np.log(runs[name].to_numpy()) for name in ("params", "tokens", "loss")
    )
    one = np.ones(len(runs))

    def value_and_gradient(theta: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        terms = np.stack([theta[0] * one, theta[1] - theta[3] * log_params, theta[2] - theta[4] * log_tokens])
        highest = terms.max(0)
        shares = np.exp(terms - highest)
        total = shares.sum(0)
        shares /= total
        error = highest + np.log(total) - log_loss
        size = np.abs(error)
        value = weights @ np.where(size < DELTA, error**2 / 2, DELTA * (size - DELTA / 2))
        E, A, B = shares * (weights * np.clip(error, -DELTA, DELTA))
        gradient = np.array([E.sum(), A.sum(), B.sum(), -(A @ log_params), -(B @ log_tokens)])
        # In units of delta: the optimiser's tolerances are absolute, and would stop a sum of 1e-3 early.
        return float(value) / DELTA, gradient / DELTA

    def minimise(start: np.ndarray, weights: np.ndarray = one) -> tuple[np.ndarray, float]:
        found = minimize(value_and_gradient, start, args=(weights,), jac=True, method="L-BFGS-B")
        return found.x, float(found.fun)

    return minimise


def _law(theta: np.ndarray) -> dict[str, float]:
    return dict(zip(LAW, [*np.exp(theta[:3]), *theta[3:]], strict=True))


CONTENDERS: dict[str, tuple[Callable[..., Any], str | None, bool, str]] = {
    # name: the contender, the package it needs, whether it is quick, what it minimises
    "ours": (ours, None, True, "the objective itself"),
    "chinchilla": (
        chinchilla_package,
        "chinchilla",
        False,
        "the objective itself, given to it as its loss_fn times the number of runs, since it takes the mean; "
        "BFGS with numerical gradients from its README's grid; its fit also draws a figure",
    ),
    "simple-scaling-laws": (
        simple_scaling_laws,
        "simple-scaling-laws",
        True,
        "squared error of the loss, not of its logarithm: it has no Huber loss, and no option for one; "
        "with one bootstrap draw, its least",
    ),
    "published grid": (
        published_grid,
        None,
        False,
        "the objective itself, by L-BFGS with exact gradients from the paper's starts, or --starts of them",
    ),
    "ours, bootstrap": (
        ours_bootstrap,
        None,
        True,
        "--resamples resamples of the runs on --workers workers, after the point estimate",
    ),
    "simple-scaling-laws, bootstrap": (
        simple_scaling_laws_bootstrap,
        "simple-scaling-laws",
        False,
        "--resamples draws of its own wild bootstrap, of the squared error",
    ),
    "published bootstrap": (
        published_bootstrap,
        None,
        False,
        "--resamples resamples, each by L-BFGS from the estimate on all the runs alone",
    ),
}


def run_one(name: str, options: argparse.Namespace) -> None:
    """Be the fresh process: fit and print a line of JSON."""
    fit = CONTENDERS[name][0](options.runs, options)
    started, used = perf_counter(), cpu_seconds()
    law = fit()
    found = {"law": law, "fit_cpu": cpu_seconds() - used, "fit_wall": perf_counter() - started}
    print(json.dumps(found))


def measure(name: str, path: str, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Run a contender in a fresh process: its law, and seconds of CPU and wall of fit and process."""
    command = [sys.executable, __file__, path, "--only", name]
    for option in ("starts", "resamples", "workers"):
        command += [f"--{option}", str(getattr(options, option))]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    # What a contender writes lies in our own folder, and goes with it.
    environment = {**ENVIRONMENT, "TMPDIR": folder}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(done.stdout.splitlines()[-1]), "process_cpu": cpu, "process_wall": wall}


def installed(package: str | None) -> str | None:
    """Version of a package, "" for none that is needed, None if it is missing."""
    try:
        return version(package) if package else ""
    except PackageNotFoundError:
        return None


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="?", default=EMBEDDED, help="a file, or the name of a set")
    parser.add_argument("--where", default=None)
    parser.add_argument(
        "--starts", type=int, default=PUBLISHED_STARTS, help="at most, of either grid of starts"
    )
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument(
        "--only", choices=CONTENDERS, default=None, help="be one contender and print its JSON"
    )
    options = parser.parse_args()
    for name in ("starts", "resamples", "workers", "repeat"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(options, name)}")
    if options.only:
        run_one(options.only, options)
        return

    from bayes_scaling.runs.datasets import load_runs

    runs = load_runs(options.runs, where=options.where)
    print(f"{len(runs)} runs of {options.runs}; Huber delta {DELTA:g}; at most {options.starts:,} starts")
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "runs.csv")
        runs[["params", "tokens", "loss"]].to_csv(path, index=False)
        for name, (_, package, quick, minimises) in CONTENDERS.items():
            if (found := installed(package)) is None:
                print(f"{name}: left out, for the package {package} is not installed")
                continue
            samples = [measure(name, path, options, folder) for _ in range(options.repeat if quick else 1)]
            medians = {
                what: statistics.median(sample[what] for sample in samples)
                for what in samples[0]
                if what != "law"
            }
            law = {parameter: samples[0]["law"].pop(parameter) for parameter in LAW}
            results[name] = {
                "version": found,
                "minimises": minimises,
                "law": law,
                **samples[0]["law"],
                "objective": objective(law, runs),
                "tokens_per_param": tokens_per_param(law),
                **medians,
                "samples": samples,
            }
            print(f"{f'{name} {found}'.strip()}: {minimises}", flush=True)
    report(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


def report(results: dict[str, dict[str, Any]]) -> None:
    """Print the table: seconds are of CPU unless they say wall."""
    least = min(one["objective"] for one in results.values())
    columns = ("objective", "above least", "fit s", "process s", "fit wall s", "D/N at 5.76e23", "a, 80 %")
    print(f"\n{'':<31}" + "".join(f"{column:>16}" for column in columns))
    for name, one in results.items():
        interval = f"{one['a_low']:.4f} {one['a_high']:.4f}" if "a_low" in one else ""
        cells = (
            f"{one['objective']:.10f}",
            f"{one['objective'] / least - 1:.1e}",
            *(f"{one[what]:.4g}" for what in ("fit_cpu", "process_cpu", "fit_wall", "tokens_per_param")),
            interval,
        )
        print(f"{name:<31}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
