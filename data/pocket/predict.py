"""What the study's runs say of a larger budget, before anything is trained there; and how it turned out.

    python data/pocket/predict.py 64x3 96x3 128x4

prints a table, or writes it with `-o FILE`: by every method N_opt, D_opt and the least loss at the held-out
budget, and by each posterior the loss of the shapes named (width x depth), all from `runs.csv` and
`curves.csv` alone. `prediction.csv` was written so before the runs at that budget, and stays as it is.

    python data/pocket/predict.py --outcome

prints that prediction beside `held_out.csv`, and how far three runs can place an optimum.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_scaling import compare, fit, interval, predict, read_curves, read_runs, reduce_curves
from bayes_scaling.quantities import format_quantity

HERE = Path(__file__).resolve().parent
PREDICTION = HERE / "prediction.csv"
BUDGET = 1e14
MODELS = ("parametric", "isoflop-skewed")
CONTEXT, BATCH = 128, 16
"""Of `train.py`, whose runs at this budget these are."""

NOISY_OUTCOMES = 100_000
"""Draws of the held-out losses with the noise of a run: enough for three digits of a quantile."""

COLUMNS = ["method", "quantity", "estimate", "low", "high"]


def read_shape(word: str) -> str:
    """Take WIDTHxDEPTH, or say what is wrong with it."""
    if not re.fullmatch("[1-9][0-9]*x[1-9][0-9]*", word):
        raise argparse.ArgumentTypeError(f"{word!r} is no shape: write WIDTHxDEPTH, as 96x4")
    return word


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
        losses = interval(
            predict(posterior, plan["params"].to_list(), plan["tokens"].to_list(), discrepancy=False)["loss"]
        )
        for i, shape in enumerate(shapes):
            values = losses.isel(plan=i).sel(statistic=["estimate", "low", "high"]).values
            rows.append([model, f"loss of {shape}", *values])
    return pd.DataFrame(rows, columns=COLUMNS)


def vertices(params: pd.Series, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares parabolas of the losses over log N: size and loss at their minimum.

    Parameters
    ----------
    params : Series
        Sizes of the runs.
    losses : ndarray
        Their losses, a column a draw.

    Returns
    -------
    params_opt, loss_opt : ndarray
        One a draw; NaN where the parabola has no minimum.
    """
    middle = np.log(params).mean()
    square, slope, level = np.polyfit(np.log(params) - middle, losses, 2)
    square = np.where(square > 0, square, np.nan)
    with np.errstate(over="ignore"):  # a parabola that is nearly a line has its vertex anywhere
        return np.exp(middle - slope / (2 * square)), level - slope**2 / (4 * square)


def outcomes(held_out: pd.DataFrame) -> dict[str, float]:
    """What came out: each run's loss, and the vertex of the parabola through all of them."""
    shapes = held_out["width"].astype(str) + "x" + held_out["depth"].astype(str)
    found = dict(zip("loss of " + shapes, held_out["loss"].astype(float), strict=True))
    params, loss = (float(one[0]) for one in vertices(held_out["params"], held_out[["loss"]].to_numpy()))
    return found | {"params_opt": params, "tokens_opt": BUDGET / (6 * params), "loss_opt": loss}


def run_noise(runs: pd.DataFrame) -> tuple[float, int]:
    """Pooled standard deviation of the log loss between seeds, and how many repeated plans it is from."""
    plans = np.log(runs["loss"]).groupby([runs["budget"], runs["params"]]).agg(["var", "count"])
    repeated = plans[plans["count"] > 1]
    return float(np.sqrt(np.average(repeated["var"], weights=repeated["count"] - 1))), len(repeated)


def noisy_outcomes(held_out: pd.DataFrame, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """The vertex again, with the noise of a run on each of the losses: size and loss, a value a draw."""
    draws = np.random.default_rng(0).standard_normal((len(held_out), NOISY_OUTCOMES))
    return vertices(held_out["params"], held_out[["loss"]].to_numpy() * np.exp(noise * draws))


def print_outcome() -> None:
    """Print the prediction as it was written, of what was then trained, beside what came out."""
    held_out = pd.read_csv(HERE / "held_out.csv")
    table = pd.read_csv(PREDICTION)
    table["outcome"] = table["quantity"].map(outcomes(held_out))
    table = table.dropna(subset="outcome")
    table["inside"] = table["outcome"].between(table["low"], table["high"]).map({True: "yes", False: "no"})
    numbers = ["estimate", "low", "high", "outcome"]
    table[numbers] = table[numbers].map(lambda number: format_quantity(number, 4))
    print(table.to_string(index=False))

    noise, plans = run_noise(pd.read_csv(HERE / "runs.csv"))
    sizes, losses = noisy_outcomes(held_out, noise)
    size, loss = (np.nanquantile(found, [0.05, 0.95]) for found in (sizes, losses))
    ranges = {"params_opt": size, "tokens_opt": BUDGET / (6 * size[::-1]), "loss_opt": loss}
    print(f"\nthe optimum is the vertex of the parabola through {len(held_out)} losses of one seed each;")
    print(
        f"with the noise of a run on each, {100 * noise:.1f} % by {plans} plans of several seeds, it lies at"
    )
    for quantity, bounds in ranges.items():
        print(f"{quantity:>10} {' to '.join(format_quantity(bound, 4) for bound in bounds)}")
    print(f"in 90 % of the draws that have a minimum; {100 * np.isnan(sizes).mean():.0f} % have none")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("shapes", nargs="*", type=read_shape, metavar="WIDTHxDEPTH", help="runs to predict")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the table there, as CSV")
    parser.add_argument("--outcome", action="store_true", help="print prediction against outcome")
    args = parser.parse_args()
    if args.outcome == bool(args.shapes):
        parser.error("name the shapes to predict, as 96x4, or --outcome")
    if args.outcome and args.output:
        parser.error("--outcome prints; -o goes with shapes")
    if args.output and args.output.resolve() == PREDICTION:
        parser.error(f"{PREDICTION} was written before the runs it is about: name another file")
    if args.outcome:
        print_outcome()
        return
    print(f"fitting {' and '.join(MODELS)} to runs.csv, and the approaches: a minute or two", file=sys.stderr)
    table = predictions(args.shapes)
    if args.output:
        table.to_csv(args.output, index=False, float_format="%.6g")
        print(f"wrote {args.output}", file=sys.stderr)
    else:
        print(table.to_string(index=False, float_format="{:.5g}".format))


if __name__ == "__main__":
    main()
