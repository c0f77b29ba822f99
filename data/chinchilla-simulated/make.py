"""Write runs.csv, curves.csv and truth.toml, beside this script or in the folder that its argument names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_scaling.laws import chinchilla
from bayes_scaling.runs.curves import simulate_curves
from bayes_scaling.runs.simulate import isoflop_design, simulate_runs

LAW = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
SIGMA, NU, SEED = 0.005, 4.0, 2024

BUDGETS = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
SIZES_A_BUDGET = 40
SMALLEST, LARGEST = 70e6, 16e9
SPAN = 8
"""Each profile reaches this factor to both sides of 20 tokens a parameter, inside SMALLEST and LARGEST."""

CURVE_SIZES = [75e6, 150e6, 250e6, 500e6, 1e9, 1.5e9, 2.5e9, 5e9, 7.5e9, 10e9]
CURVE_TOKENS_PER_PARAM = [5, 5 * 16 ** (1 / 3), 5 * 16 ** (2 / 3), 80]
CURVE_POINTS = 50

DECIMALS = 6
"""Of each loss: few enough for the last digit to be the same under any mathematics library."""

OPTIMUM_AT = [1e19, 1e20, 1e21, 1e22, 1e23, 5.76e23, 1e25]


def main(folder: Path) -> None:
    centre = np.sqrt(np.array(BUDGETS) / (6 * 20))
    profiles = isoflop_design(
        BUDGETS,
        params_low=np.maximum(SMALLEST, centre / SPAN),
        params_high=np.minimum(LARGEST, centre * SPAN),
        sizes=SIZES_A_BUDGET,
    )
    profiles.insert(0, "run_id", [f"isoflop-{i:03d}" for i in range(1, len(profiles) + 1)])
    ladder = pd.DataFrame(
        [(size, round(size * ratio)) for size in CURVE_SIZES for ratio in CURVE_TOKENS_PER_PARAM],
        columns=["params", "tokens"],
    )
    ladder.insert(0, "run_id", [f"curve-{i:02d}" for i in range(1, len(ladder) + 1)])
    ladder["flops"] = 6 * ladder["params"] * ladder["tokens"]

    design = pd.concat([profiles, ladder], ignore_index=True)
    runs = (
        simulate_runs(design, LAW, sigma=SIGMA, nu=NU, seed=SEED)
        .round({"loss": DECIMALS})
        .astype({"params": int})
    )
    curves = simulate_curves(runs[runs["run_id"].isin(ladder["run_id"])], LAW, points=CURVE_POINTS).round(
        {"loss": DECIMALS}
    )

    # pandas writes floats in the shortest digits that read back as the same number.
    runs.to_csv(folder / "runs.csv", index=False, lineterminator="\n")
    curves.to_csv(folder / "curves.csv", index=False, lineterminator="\n")
    (folder / "truth.toml").write_text(truth(), encoding="utf-8", newline="\n")


def truth() -> str:
    a, b = chinchilla.exponents(LAW["alpha"], LAW["beta"])
    lines = [
        "# The law and the noise that runs.csv was drawn from, and the optimum that they imply.",
        "[law]",
    ]
    lines += [f"{name} = {value!r}" for name, value in LAW.items()]
    lines += ["", "[noise]", 'family = "StudentT"', 'scale = "log"', f"sigma = {SIGMA!r}", f"nu = {NU!r}"]
    lines += [f"seed = {SEED}", "", "[exponents]", f"a = {a:.10g}", f"b = {b:.10g}"]
    for compute in OPTIMUM_AT:
        params, tokens, loss = chinchilla.optimum(compute, **LAW)
        lines += ["", "[[optimum]]", f"compute = {compute:.10g}", f"params_opt = {params:.10g}"]
        lines += [f"tokens_opt = {tokens:.10g}", f"loss_opt = {loss:.10g}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
