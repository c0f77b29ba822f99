"""What the study's runs say of a larger budget, before anything is trained there; and how it turned out.

    python data/pocket/predict.py 64x3 96x3 128x4

writes `prediction.csv`: by every method N_opt, D_opt and the least loss at the held-out budget, and by each
posterior the loss of the shapes named (width x depth), all from `runs.csv` and `curves.csv` alone.

    python data/pocket/predict.py --outcome

prints that prediction, as it was written, beside `held_out.csv`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_scaling import compare, fit, interval, predict, read_curves, read_runs, reduce_curves
from bayes_scaling.quantities import format_quantity

HERE = Path(__file__).resolve().parent
BUDGET = 1e14
MODELS = ("parametric", "isoflop-skewed")
CONTEXT, BATCH = 128, 16
"""Of `train.py`, whose runs at this budget these are."""

COLUMNS = ["method", "quantity", "estimate", "low", "high"]


def planned(shapes: list[str]) -> pd.DataFrame:
    """Sizes and tokens of the runs, counted as `train.py` counts them."""
    rows = []
    for shape in shapes:
        width, depth = map(int, shape.split("x"))
        params = depth * (12 * width**2 + 2 * width) + width + 256 * width
        steps = round(BUDGET / (6 * params * BATCH * CONTEXT))
        rows.append({"shape": shape, "params": params, "tokens": steps * BATCH * CONTEXT})
    return pd.DataFrame(rows)


def predictions(shapes: list[str]) -> pd.DataFrame:
    """Fit everything to the study's runs, and read off what it says of the held-out budget."""
    runs = read_runs(HERE / "runs.csv", params_count="total", loss_unit="nats/byte")
    fits = [fit(runs, model) for model in MODELS]
    curves = reduce_curves(read_curves(HERE / "curves.csv"))
    compared = compare(runs, BUDGET, curves=curves, fits=fits).isel(compute=0)
    rows = []
    for method in compared["estimator"].values:
        for quantity in ("params_opt", "tokens_opt", "loss_opt"):
            one = compared[quantity].sel(estimator=method)
            rows.append([method, quantity, *one.sel(statistic=["estimate", "low", "high"]).values])
    plan = planned(shapes)
    for model, posterior in zip(MODELS, fits, strict=True):
        losses = interval(predict(posterior, plan["params"].to_list(), plan["tokens"].to_list())["loss"])
        for i, shape in enumerate(shapes):
            values = losses.isel(plan=i).sel(statistic=["estimate", "low", "high"]).values
            rows.append([model, f"loss of {shape}", *values])
    return pd.DataFrame(rows, columns=COLUMNS)


def outcomes(held_out: pd.DataFrame) -> dict[str, float]:
    """What came out: each run's loss, and the vertex of the parabola through all of them."""
    shapes = held_out["width"].astype(str) + "x" + held_out["depth"].astype(str)
    found = dict(zip("loss of " + shapes, held_out["loss"].astype(float), strict=True))
    middle = np.log(held_out["params"]).mean()
    square, slope, level = np.polyfit(np.log(held_out["params"]) - middle, held_out["loss"], 2)
    params = float(np.exp(middle - slope / (2 * square)))
    vertex = {"params_opt": params, "tokens_opt": BUDGET / (6 * params)}
    return found | vertex | {"loss_opt": float(level - slope**2 / (4 * square))}


def print_outcome() -> None:
    """Print the prediction as it was written, of what was then trained, beside what came out."""
    table = pd.read_csv(HERE / "prediction.csv")
    table["outcome"] = table["quantity"].map(outcomes(pd.read_csv(HERE / "held_out.csv")))
    table = table.dropna(subset="outcome")
    table["inside"] = table["outcome"].between(table["low"], table["high"]).map({True: "yes", False: "no"})
    numbers = ["estimate", "low", "high", "outcome"]
    table[numbers] = table[numbers].map(lambda number: format_quantity(number, 4))
    print(table.to_string(index=False))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("shapes", nargs="*", default=[], metavar="WIDTHxDEPTH", help="runs to predict")
    what.add_argument("--outcome", action="store_true", help="print prediction against outcome")
    args = parser.parse_args()
    if not args.outcome:
        predictions(args.shapes).to_csv(HERE / "prediction.csv", index=False, float_format="%.6g")
    else:
        print_outcome()


if __name__ == "__main__":
    main()
