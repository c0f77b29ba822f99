"""The pocket study's tables: what the card says of them holds, row by row."""

from __future__ import annotations

import importlib.util
import math
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
    # Whole steps only: off the budget by half a step at most.
    assert (abs(rows["flops"] / rows["budget"] - 1) <= 0.5 / rows["steps"]).all()
    assert (rows["batch"] == np.where(rows["budget"] < 3e12, 8, 16)).all()
    assert rows["status"].isin(["finished", "diverged"]).all()
    finished = rows["status"] == "finished"
    assert ((rows["loss"] < 1.2 * math.log(VOCABULARY)) == finished).all()


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
    rows = pd.concat([tables["runs"], tables["held_out"]])
    rule = 0.2042 * rows["width"] ** -0.9459
    np.testing.assert_allclose(rows["lr"], rule, rtol=0.05)
    best = tables["sweep"].loc[tables["sweep"].groupby("width")["loss"].idxmin()]
    np.testing.assert_allclose(best["lr"], 0.2042 * best["width"] ** -0.9459, rtol=0.4)


def test_every_curve_ends_as_its_run_does(tables: dict[str, pd.DataFrame]):
    curves, runs = tables["curves"], tables["runs"].set_index("run_id")
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
