"""Measure the package side by side with what a user would run instead, in one go; prints a table.

    python benchmarks/run.py [RUNS] [--where "loss < 3.42"] [--repeat 5] [--json results.json]

RUNS is a file, or a named set such as chinchilla, and unless given the embedded simulated runs. Every figure
comes from fresh processes, which all read the same CSV file: our own wall times are medians of the repeats,
while the rates and the naive baselines, which take minutes, are measured once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "bayes_scaling"]
EMBEDDED = "chinchilla-simulated"
GOPHER = "5.76e23"
# One thread for each chain, not one for each chain and core.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def timed(command: list[str]) -> tuple[float, str]:
    """Wall time in seconds of a whole process, and what it printed."""
    started = perf_counter()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    seconds = perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return seconds, done.stdout


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", default=EMBEDDED, help="a file, or the name of a set")
    parser.add_argument("--where", default=None)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()

    from bayes_scaling.runs.datasets import load_runs

    runs = load_runs(options.runs, where=options.where)
    print(f"{len(runs)} runs of {options.runs}")
    with tempfile.TemporaryDirectory() as folder:
        source, saved = (str(Path(folder) / name) for name in ("runs.csv", "fit.nc"))
        runs.to_csv(source, index=False)
        whole = [*COMMAND, "fit", source, "--compute", GOPHER]
        timed([*whole, "-o", saved])  # fills the cache of compiled code: the first run on a machine is longer
        samples: dict[str, list[float]] = {"whole": [], "optimum": [], "help": []}
        for _ in range(options.repeat):
            samples["whole"].append(timed(whole)[0])
            samples["optimum"].append(timed([*COMMAND, "optimum", saved, "--compute", GOPHER])[0])
            samples["help"].append(timed([*COMMAND, "--help"])[0])
        ours = json.loads(timed([sys.executable, str(HERE / "ours.py"), source])[1])
        naive = {}
        for sampler in ("default", "pymc"):
            seconds, printed = timed([sys.executable, str(HERE / "naive.py"), source, "--sampler", sampler])
            naive[sampler] = {**json.loads(printed), "whole_seconds": seconds}

    rate = {name: x["ess_min"] / x["sampling_seconds"] for name, x in {**naive, "ours": ours}.items()}
    median = {name: statistics.median(values) for name, values in samples.items()}
    results = {
        "effective draws a second, ours": rate["ours"],
        "effective draws a second, PyMC's NUTS": rate["pymc"],
        "effective draws a second, pm.sample() by itself": rate["default"],
        "ratio to PyMC's NUTS (aim: 300)": rate["ours"] / rate["pymc"],
        "ratio to pm.sample() by itself (aim: 100)": rate["ours"] / rate["default"],
        "seconds from CSV to optimum, ours": median["whole"],
        "seconds from CSV to optimum, PyMC's NUTS": naive["pymc"]["whole_seconds"],
        "ratio (aim: 15)": naive["pymc"]["whole_seconds"] / median["whole"],
        "seconds of `optimum` on a saved fit (aim: under 1)": median["optimum"],
        "seconds of `--help` (aim: under 0.3)": median["help"],
        "N_opt, ours": ours["params_opt"],
        "N_opt, PyMC's NUTS": naive["pymc"]["params_opt"],
        "N_opt, pm.sample() by itself": naive["default"]["params_opt"],
    }
    for what, value in results.items():
        print(f"{what:<52} {value:>12.4g}")
    for name, x in {**naive, "ours": ours}.items():
        print(f"{name:<10} R-hat {x['rhat_max']:.3f}, divergences {x['divergences']}, ESS {x['ess_min']:.0f}")
    if options.json:
        options.json.write_text(
            json.dumps({"results": results, "samples": samples}, indent=2), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
