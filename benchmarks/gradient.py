"""Time and memory of the log density's gradient, from 100 to 1,000,000 runs, each in a fresh process.

    python benchmarks/gradient.py

Both should grow in proportion to the runs: the columns a run level off.
"""

from __future__ import annotations

import ctypes
import json
import resource
import subprocess
import sys
import warnings
from time import perf_counter

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)


def measure(size: int) -> dict[str, float]:
    """Seconds of one gradient over `size` runs, and the process's largest memory in bytes."""
    import numpy as np
    import pandas as pd

    from bayes_scaling import build_model
    from bayes_scaling.sampling.compile import compile_model

    rng = np.random.default_rng(0)
    # Runs spread over three decades of size and of tokens.
    params, tokens = 10 ** rng.uniform(7, 10, size), 10 ** rng.uniform(9, 12, size)
    loss = (1.8 + 480 / params**0.35 + 2000 / tokens**0.37) * np.exp(0.01 * rng.normal(size=size))
    runs = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    compiled = compile_model(build_model(runs)).nutpie

    point = 0.1 * rng.normal(size=compiled.n_dim)
    gradient, value = np.empty_like(point), np.empty(())
    pointers = [x.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for x in (point, gradient, value)]
    arguments = (compiled.n_dim, *pointers, compiled.user_data.ctypes.data)
    call = compiled.compiled_logp_func.ctypes
    repeats = max(3, 200_000 // size)
    seconds = []
    for _ in range(7):
        started = perf_counter()
        for _ in range(repeats):
            call(*arguments)
        seconds.append((perf_counter() - started) / repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": min(seconds), "peak": peak}


def main() -> None:
    """Measure each size in a process of its own and print the curve."""
    if len(sys.argv) == 2:
        warnings.simplefilter("ignore")
        print(json.dumps(measure(int(sys.argv[1]))))
        return
    print(
        f"{'runs':>10} {'us a gradient':>15} {'ns a run':>10} {'MB beyond 100 runs':>20} {'bytes a run':>12}"
    )
    base = None
    for size in SIZES:
        command = [sys.executable, __file__, str(size)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        base = found["peak"] if base is None else base
        extra = found["peak"] - base
        print(
            f"{size:>10,} {found['seconds'] * 1e6:>15.1f} {found['seconds'] / size * 1e9:>10.1f}"
            f" {extra / 2**20:>20.1f} {extra / size:>12.0f}"
        )


if __name__ == "__main__":
    main()
