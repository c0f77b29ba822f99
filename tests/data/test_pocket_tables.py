"""The pocket study's tables: what the card says of them holds, row by row."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from bayes_scaling import load_curves, load_dataset
from bayes_scaling.resources import resource_folder

FOLDER = resource_folder("data") / "pocket"
BUDGETS = [1e11, 3e11, 1e12, 3e12, 1e13, 3e13]
COLUMNS = [
    "run_id", "params", "tokens", "flops", "budget", "loss", "params_non_embedding", "flops_exact", "width",
    "depth", "seed", "lr", "batch", "steps", "seconds", "status",
]  # fmt: skip
CONTEXT, VOCABULARY = 128, 256


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(FOLDER / f"{name}.csv") for name in ("runs", "sweep", "held_out", "curves")}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pocket_predict", FOLDER / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["runs", "sweep", "held_out"])
def test_every_row_counts_as_the_card_says(tables: dict[str, pd.DataFrame], name: str):
    rows = tables[name]
    assert list(rows.columns) == COLUMNS
    assert rows["run_id"].is_unique
    width, depth = rows["width"], rows["depth"]
    inner = depth * (12 * width**2 + 2 * width) + width
    assert (rows["params_non_embedding"] == inner).all()
    assert (rows["params"] == inner + VOCABULARY * width).all()
    assert (rows["tokens"] == rows["steps"] * rows["batch"] * CONTEXT).all()
    assert (rows["flops"] == 6 * rows["params"] * rows["tokens"]).all()
    products = 2 * (depth * 12 * width**2 + VOCABULARY * width) + 4 * depth * CONTEXT * width
    assert (rows["flops_exact"] == 3 * products * rows["tokens"]).all()
    assert (rows["batch"] == np.where(rows["budget"] < 3e12, 8, 16)).all()
    assert rows["status"].isin(["finished", "diverged"]).all()
    finished = rows["status"] == "finished"
    assert (rows["loss"][finished] < 1.2 * math.log(VOCABULARY)).all()
    assert rows["loss"][~finished].isna().all()
    # Whole steps only: off the budget by half a step at most, but for a run that broke off.
    assert (abs(rows["flops"] / rows["budget"] - 1) <= 0.5 / rows["steps"])[finished].all()


def test_every_budget_has_its_sizes_and_seeds(tables: dict[str, pd.DataFrame]):
    runs = tables["runs"]
    assert sorted(runs["budget"].unique()) == BUDGETS
    for budget, rows in runs.groupby("budget"):
        assert rows["params"].nunique() >= 8
        seeds = 3 if budget in (3e11, 1e12) else 1
        assert (rows.groupby("params")["seed"].nunique() == seeds).all()


def test_every_budget_brackets_its_least_loss_fourfold(tables: dict[str, pd.DataFrame]):
    """The vertex of the parabola through the best size and its two neighbours on each side."""
    for budget, rows in tables["runs"].groupby("budget"):
        losses = rows.groupby("params")["loss"].mean()
        at = int(losses.to_numpy().argmin())
        near = losses.iloc[max(0, at - 2) : at + 3]
        square, slope, _ = np.polyfit(np.log(near.index), near, 2)
        best = math.exp(-slope / (2 * square))
        assert losses.index.min() * 4 <= best <= losses.index.max() / 4, (budget, best)


def test_the_rates_follow_the_rule_of_the_sweep(tables: dict[str, pd.DataFrame]):
    """A line through the vertices of the parabolas through each width's best rate and its neighbours."""
    best = {}
    for width, rows in tables["sweep"].groupby("width"):
        swept = rows[rows["status"] == "finished"].set_index("lr")["loss"].sort_index()
        at = int(swept.to_numpy().argmin())
        assert 0 < at < len(swept) - 1
        near = swept.iloc[at - 1 : at + 2]
        parabola = np.polynomial.Polynomial.fit(np.log(near.index), near, 2)
        best[width] = float(parabola.deriv().roots()[0])
    log_scale, power = np.polynomial.Polynomial.fit(np.log(list(best)), list(best.values()), 1).convert().coef
    assert (math.exp(log_scale), power) == pytest.approx((0.20422, -0.94591), abs=5e-6)
    for rows in (tables["runs"], tables["held_out"]):
        rule = 0.20422 * rows["width"] ** -0.94591
        assert [float(f"{rate:.2g}") for rate in rule] == rows["lr"].tolist()


def test_every_curve_ends_as_its_run_does(tables: dict[str, pd.DataFrame]):
    runs = tables["runs"][tables["runs"]["status"] == "finished"].set_index("run_id")
    curves = tables["curves"][tables["curves"]["run_id"].isin(runs.index)]
    ends = curves.groupby("run_id").last()
    assert set(ends.index) == set(runs.index)
    for column in ("params", "tokens", "loss"):
        assert ends[column].tolist() == runs.loc[ends.index, column].tolist()
    assert (curves.groupby("run_id")["tokens"].apply(lambda tokens: tokens.diff().min()) > 0).all()
    assert (curves.groupby("run_id").size() >= 5).all()


def test_the_named_sets_are_these_tables(tables: dict[str, pd.DataFrame]):
    for name, table in (("pocket", "runs"), ("pocket-held-out", "held_out")):
        runs = load_dataset(name)
        assert runs.attrs["loss_unit"] == "nats/byte"
        assert runs.attrs["params_count"] == "total"
        finished = tables[table][tables[table]["status"] == "finished"]
        assert runs["run_id"].tolist() == finished["run_id"].tolist()
    assert load_curves("pocket")["run_id"].nunique() == len(load_dataset("pocket"))


def test_the_held_out_runs_are_those_predicted(tables: dict[str, pd.DataFrame], script: ModuleType):
    held_out = tables["held_out"]
    assert (held_out["budget"] == 1e14).all()
    assert held_out["params"].nunique() >= 3
    shapes = [f"{run.width}x{run.depth}" for run in held_out.itertuples()]
    planned = script.planned(shapes)
    assert (planned["params"].to_numpy() == held_out["params"].to_numpy()).all()
    assert (planned["tokens"].to_numpy() == held_out["tokens"].to_numpy()).all()
    prediction = pd.read_csv(FOLDER / "prediction.csv")
    predicted = set(prediction["quantity"])
    assert {f"loss of {shape}" for shape in shapes} <= predicted
    outcomes = script.outcomes(held_out)
    assert set(outcomes) <= predicted
    assert held_out["params"].min() < outcomes["params_opt"] < held_out["params"].max()


def test_the_card_prints_the_outcome_that_the_tables_give(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
):
    script.print_outcome()
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    for line in capsys.readouterr().out.splitlines():
        assert line.rstrip() in card


def test_the_range_of_the_outcome_is_that_of_noisy_losses(script: ModuleType):
    """Against the vertex in closed form, by Lagrange's divided differences, of losses drawn otherwise."""
    held_out = pd.read_csv(FOLDER / "held_out.csv")
    x, y = np.log(held_out["params"].to_numpy()), held_out["loss"].to_numpy()
    y = y[:, None] * (1 + 0.009 * np.random.default_rng(7).standard_normal((3, 50_000)))
    first = (y[1:] - y[:-1]) / np.diff(x)[:, None]
    square = (first[1] - first[0]) / (x[2] - x[0])
    vertex = (x[0] + x[1]) / 2 - first[0] / (2 * square)
    sizes, losses = script.noisy_outcomes(held_out, 0.009)
    assert np.isnan(sizes).mean() == pytest.approx(np.mean(square <= 0), abs=0.005)
    assert (np.isnan(sizes) == np.isnan(losses)).all()
    expected = np.quantile(vertex[square > 0], [0.05, 0.5, 0.95])
    np.testing.assert_allclose(np.log(np.nanquantile(sizes, [0.05, 0.5, 0.95])), expected, atol=0.03)
    exact = script.noisy_outcomes(held_out, 0.0)
    assert exact[0] == pytest.approx(script.outcomes(held_out)["params_opt"])


def test_the_noise_of_a_run_is_pooled_within_plans(script: ModuleType):
    runs = pd.DataFrame({"budget": 1.0, "params": [1, 1, 2, 2, 2, 3], "loss": np.exp([0, 2, 1, 3, 5, 9])})
    # Squares about their means: 2 with one degree of freedom, 8 with two.
    assert script.run_noise(runs) == (pytest.approx(math.sqrt(10 / 3)), 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["abc"], "'abc' is no shape: write WIDTHxDEPTH, as 96x4"),
        (["0x4"], "'0x4' is no shape"),
        ([], "name the shapes to predict"),
        (["--outcome", "96x4"], "name the shapes to predict"),
        (["--outcome", "-o", "x.csv"], "-o goes with shapes"),
        (["96x4", "-o", str(FOLDER / "prediction.csv")], "was written before the runs it is about"),
    ],
)
def test_the_prediction_refuses_what_it_cannot_do(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
):
    monkeypatch.setattr("sys.argv", ["predict.py", *words])
    with pytest.raises(SystemExit) as refused:
        script.main()
    assert refused.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_prediction_is_printed_unless_a_file_is_named(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    written = (FOLDER / "prediction.csv").read_bytes()
    table = pd.DataFrame([["parametric", "params_opt", 2e6, 1e6, 3e6]], columns=script.COLUMNS)
    monkeypatch.setattr(script, "predictions", lambda _: table)
    monkeypatch.setattr("sys.argv", ["predict.py", "96x4"])
    script.main()
    printed = capsys.readouterr()
    assert "parametric" in printed.out
    assert printed.err.startswith("fitting parametric and isoflop-skewed")
    monkeypatch.setattr("sys.argv", ["predict.py", "96x4", "-o", str(tmp_path / "new.csv")])
    script.main()
    assert not capsys.readouterr().out
    assert pd.read_csv(tmp_path / "new.csv")["high"].tolist() == [3e6]
    assert (FOLDER / "prediction.csv").read_bytes() == written
