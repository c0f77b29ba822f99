"""Comparisons of runs of several recipes: each recipe by itself, and nothing judged across them."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import (
    compare,
    disagreements,
    load_curves,
    optimum,
    plot_compare,
    rank_models,
    reduce_curves,
    simulate_runs,
)
from bayes_scaling.approaches.envelope import approach_1
from bayes_scaling.approaches.recipes import by_recipe, select_curves
from bayes_scaling.cli.compare_output import print_compare
from bayes_scaling.cli.documents import compare_document
from bayes_scaling.cli.output import print_json
from bayes_scaling.errors import RunsWarning
from bayes_scaling.planning.recipes import distinct_names
from bayes_scaling.runs.check import check_runs, data_hash
from bayes_scaling.runs.datasets import load_dataset
from bayes_scaling.runs.simulate import isoflop_design

BUDGETS = [1e21, 5.76e23]
APPROACHES = ["approach-1", "approach-2", "approach-3"]
OTHER = {"E": 2.2, "A": 900.0, "B": 500.0, "alpha": 0.40, "beta": 0.29}


def joined(**recipes: pd.DataFrame) -> pd.DataFrame:
    parts = [
        runs.assign(recipe=name, run_id=[f"{name}/{run}" for run in runs["run_id"]])
        for name, runs in recipes.items()
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def other() -> pd.DataFrame:
    """Runs of another law, at three smaller budgets."""
    design = isoflop_design([1e18, 1e19, 1e20], params_low=3e7, params_high=3e9, sizes=10)
    return simulate_runs(design, OTHER, sigma=0.004, seed=5)


@pytest.fixture(scope="module")
def two(simulated: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    return joined(pile=simulated, c4=other)


@pytest.fixture(scope="module")
def comparison(two: pd.DataFrame) -> xr.Dataset:
    return compare(two, BUDGETS, resamples=60, published=True)


def of(comparison: xr.Dataset, recipe: str) -> xr.Dataset:
    return comparison.isel(estimator=np.flatnonzero(comparison["recipe"] == recipe))


def fit_of(fit: xr.DataTree, runs: pd.DataFrame, recipes: list[str] | np.ndarray) -> xr.DataTree:
    """The draws of a fit as if it were of these runs, of these recipes."""
    tree = fit.copy()
    constant = tree["constant_data"].to_dataset()
    tree["constant_data"] = xr.DataTree(constant.assign(recipe=("run", np.asarray(recipes, dtype=str))))
    tree.attrs["data_hash"] = json.dumps(data_hash(check_runs(runs)))
    return tree


def test_each_recipe_has_a_row_for_each_approach(comparison: xr.Dataset):
    assert comparison["method"].values.tolist()[:6] == APPROACHES * 2
    assert comparison["recipe"].values.tolist()[:6] == ["pile"] * 3 + ["c4"] * 3
    assert comparison["estimator"].values.tolist()[:2] == ["approach-1 [pile]", "approach-2 [pile]"]
    published = of(comparison, "")
    assert "besiroglu" in published["estimator"].values
    assert not set(published["method"].values) & set(APPROACHES)
    assert (of(comparison, "c4")["runs"].values == [0, 30, 30]).all()


@pytest.mark.parametrize("recipe", ["pile", "c4"])
def test_a_recipe_s_rows_are_those_of_its_runs_alone(comparison: xr.Dataset, two: pd.DataFrame, recipe: str):
    """To the last bit, bootstraps and what is misspent included."""
    alone = compare(two[two["recipe"] == recipe], BUDGETS, resamples=60)
    rows = of(comparison, recipe)
    rows = rows.isel(judge=np.flatnonzero(np.isin(rows["judge"], rows["estimator"])))
    for name in alone.data_vars:
        np.testing.assert_array_equal(rows[name].values, alone[name].values, err_msg=str(name))
    assert set(alone["recipe"].values) == {""}
    assert not np.isnan(alone["misspent"].sel(estimator="approach-2", judge="approach-3")).any()


def test_nothing_is_judged_across_recipes(comparison: xr.Dataset):
    recipe = comparison["recipe"].values
    across = recipe[:, None] != recipe[None, :]
    assert np.isnan(comparison["misspent"].values[across]).all()
    # The two laws' optima are a factor apart, and that is no disagreement.
    sizes = comparison["params_opt"].sel(estimator=["approach-3 [pile]", "approach-3 [c4]"]).isel(compute=1)
    (low, _), (_, high) = sizes.sel(statistic=["low", "high"]).values[np.argsort(-sizes[:, 0].values)]
    assert low > high
    for sentence in disagreements(comparison):
        assert not ("pile" in sentence and "c4" in sentence)


def test_disagreements_say_of_which_recipe(comparison: xr.Dataset):
    shifted = comparison.copy(deep=True)
    shifted["loss_opt"].loc[{"estimator": "approach-3 [pile]"}] += 1.0
    told = [text for text in disagreements(shifted) if "loss" in text]
    assert told[0].startswith("pile, at 1e21 FLOP the loss at the optimum of approach-2 (")
    assert not any(text.startswith("c4") for text in told)


def test_the_budget_is_extrapolated_from_the_recipe_s_own_runs(comparison: xr.Dataset):
    np.testing.assert_allclose(of(comparison, "pile")["extrapolation"], [[1, 576]] * 3, rtol=1e-6)
    np.testing.assert_allclose(of(comparison, "c4")["extrapolation"], [[10, 5760]] * 3, rtol=1e-6)


def test_an_approach_that_cannot_run_for_one_recipe_keeps_its_row(
    simulated: pd.DataFrame, other: pd.DataFrame
):
    """Without budgets of its own a recipe's column is blank, and its profiles are found by FLOPs."""
    few = other[other["budget"] < 5e19].reset_index(drop=True)
    found = compare(joined(pile=simulated, c4=few), BUDGETS, resamples=20)
    assert found["available"].sel(estimator=["approach-2 [pile]", "approach-2 [c4]"]).values.tolist() == [
        True,
        False,
    ]
    assert found["reason"].sel(estimator="approach-2 [c4]").item().startswith("2 usable budgets")
    blank = joined(pile=simulated, c4=other.assign(budget=np.nan))
    notes = compare(blank, BUDGETS, resamples=20)["notes"]
    assert "grouped by FLOPs" in notes.sel(estimator="approach-2 [c4]").item()
    assert "grouped by" not in notes.sel(estimator="approach-2 [pile]").item()


def test_one_law_for_all_recipes_is_said_to_be(two: pd.DataFrame, simulated_fit: xr.DataTree):
    pooled = fit_of(simulated_fit, two, ["pile"] * 30 + ["c4"] * 30)
    found = compare(two, BUDGETS, fits=[pooled], resamples=20)
    row = found.sel(estimator="parametric")
    assert row["recipe"].item() == ""
    assert row["notes"].item() == "one law for all 2 recipes"
    np.testing.assert_allclose(row["extrapolation"], [1, 576], rtol=1e-6)


def test_a_fit_of_one_recipe_is_in_its_rows(two: pd.DataFrame, simulated_fit: xr.DataTree):
    runs = two[two["recipe"] == "pile"]
    own = fit_of(simulated_fit, runs, ["pile"] * 60)
    found = compare(two, BUDGETS, fits=[own, own], resamples=20)
    assert found["method"].values.tolist()[:5] == [*APPROACHES, "parametric", "parametric (2)"]
    assert found["recipe"].values.tolist()[:5] == ["pile"] * 5
    assert found["notes"].sel(estimator="parametric [pile]").item() == "", "it is of these runs"
    judged = found["misspent"].sel(estimator="approach-3 [pile]", judge="parametric [pile]")
    assert judged.notnull().all()


def with_recipes(fit: xr.DataTree, budgets: xr.DataArray, names: list[str]) -> xr.Dataset:
    """What `optimum` says of a fit that tells recipes apart: here the second's sizes are half the first's."""
    one = optimum(fit, budgets)
    scale = xr.DataArray([1.0, 0.5], dims="recipe", coords={"recipe": names})
    names_scaled = ("params_opt", "tokens_opt", "tokens_per_param", "loss_opt", "a", "b", "extrapolation")
    both = one.assign({name: one[name] * scale for name in names_scaled})
    return both.transpose("chain", "draw", "recipe", "compute")


def test_a_fit_that_tells_recipes_apart_has_a_row_for_each(
    two: pd.DataFrame, simulated_fit: xr.DataTree, monkeypatch: pytest.MonkeyPatch
):
    names = ["pile", "c4"]
    tree = fit_of(simulated_fit, two, ["pile"] * 40 + ["c4"] * 20)
    draws = tree["posterior"].to_dataset()
    factor = xr.DataArray([1.0, 1.2], dims="recipe", coords={"recipe": names})
    tree["posterior"] = xr.DataTree(draws.assign(alpha=draws["alpha"] * factor))
    told = with_recipes(simulated_fit, BUDGETS, names)
    monkeypatch.setattr("bayes_scaling.planning.estimators.optimum", lambda *_, **__: told)

    found = compare(two, BUDGETS, fits=[tree], resamples=20)
    assert found["method"].values.tolist() == [*APPROACHES, "parametric"] * 2
    assert found["recipe"].values.tolist() == ["pile"] * 4 + ["c4"] * 4
    for name, runs in (("pile", 40), ("c4", 20)):
        row = found.sel(estimator=f"parametric [{name}]")
        expected = told["params_opt"].sel(recipe=name).quantile([0.5, 0.05, 0.95], ("chain", "draw")).T
        np.testing.assert_allclose(row["params_opt"][:, :3], expected, rtol=1e-12)
        np.testing.assert_allclose(row["extrapolation"], told["extrapolation"].sel(recipe=name))
        assert row["runs"] == runs
        assert row["a"].sel(statistic="estimate") == pytest.approx(float(told["a"].sel(recipe=name).median()))
    assert "NOT" not in "".join(found["notes"].values)

    # Beside the runs of one recipe alone the same fit still has both, and that recipe's are together.
    with pytest.warns(RunsWarning, match="other runs"):
        alone = compare(two[two["recipe"] == "c4"], BUDGETS, fits=[tree], resamples=20)
    assert alone["recipe"].values.tolist() == ["c4"] * 4 + ["pile"]
    assert alone["misspent"].sel(estimator="approach-3 [c4]", judge="parametric [c4]").notnull().all()


def test_curves_go_with_their_runs(simulated: pd.DataFrame):
    runs, curves = load_dataset("chinchilla-simulated"), load_curves("chinchilla-simulated")
    ids = curves["run_id"].unique()
    first, second, stranger = set(ids[::2]), set(ids[1::2][:-1]), ids[1::2][-1]
    runs = runs[runs["run_id"] != stranger]
    recipe = runs["run_id"].isin(second).map({True: "second", False: "first"})
    third = simulated.assign(recipe="third", run_id=[f"third/{i}" for i in range(60)])
    table = pd.concat([runs.assign(recipe=recipe), third], ignore_index=True)
    reduced = reduce_curves(curves)
    with pytest.warns(RunsWarning, match=f"of no recipe, and left out: .*1 of 40 runs .{stranger}"):
        parts = by_recipe(check_runs(table), reduced)
    for part, own in zip(parts, (first, second, set()), strict=True):
        assert part.curves is not None
        assert set(part.curves["run_id"].values) == own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        found = compare(table, BUDGETS, curves=reduced, resamples=20)
    assert found["runs"].sel(estimator=["approach-1 [first]", "approach-1 [second]"]).values.tolist() == [
        20,
        19,
    ]
    assert (
        found["reason"].sel(estimator="approach-1 [third]").item().startswith("none of the training curves")
    )


@pytest.mark.parametrize("hull", [False, True])
def test_some_curves_give_what_a_resample_of_them_gives(hull: bool):
    reduced = reduce_curves(load_curves("chinchilla-simulated"))
    kept = np.arange(reduced.sizes["curve"]) % 3 > 0
    by_weight = approach_1(reduced, kept[None].astype(float), hull=hull)
    by_choice = approach_1(select_curves(reduced, kept), np.ones((1, kept.sum())), hull=hull)
    xr.testing.assert_allclose(by_weight, by_choice)


def test_names_are_shared_only_where_no_recipe_is():
    names = distinct_names(["m", "m", "m", "m"], [{"a", "b"}, {"a"}, {"c"}, {"c"}])
    assert names == ["m", "m (2)", "m", "m (2)"]


def test_the_document_has_the_recipe_in_each_entry(comparison: xr.Dataset):
    document = compare_document(comparison)
    keys = [(row["recipe"], row["method"]) for row in document["methods"]]
    assert keys[:6] == [(recipe, name) for recipe in ("pile", "c4") for name in APPROACHES]
    assert keys[-1][0] is None
    row = document["methods"][4]
    assert set(row["optima"][0]["misspent"]) == set(APPROACHES)
    assert [at["extrapolation"] for at in row["optima"]] == pytest.approx([10, 5760])
    assert document["ranking"] == []


def test_the_document_and_the_words_have_the_ranking(
    comparison: xr.Dataset, simulated_fit: xr.DataTree, capsys: pytest.CaptureFixture[str]
):
    fewer = simulated_fit.isel(run=slice(0, 50))
    ranking = rank_models([simulated_fit, simulated_fit, fewer])
    document = compare_document(comparison, ranking)
    rows = document["ranking"]
    assert [(row["model"], row["group"], row["rank"], row["runs"]) for row in rows] == [
        ("parametric", 1, 1, 60),
        ("parametric (2)", 1, 2, 60),
        ("parametric (3)", 2, 1, 50),
    ]
    assert set(rows[0]) == {
        "model", "group", "rank", "elpd", "se", "elpd_diff", "dse", "p", "weight", "runs", "high_k", "notes"
    }  # fmt: skip
    assert rows[1]["elpd_diff"] == pytest.approx(0, abs=1e-9)
    print_json(document)
    assert json.loads(capsys.readouterr().out)["ranking"][2]["weight"] is None
    print_compare(document)
    printed = " ".join(capsys.readouterr().out.split())
    assert "(ELPD) of the same 60 losses" in printed
    assert "of the same 50 losses" not in printed, "one alone is no ranking"
    of_third = printed.partition("parametric (3):")[2]
    assert "not ranked against parametric, for it is of other observations" in of_third


def test_the_printed_table_is_grouped_by_recipe(comparison: xr.Dataset, capsys: pytest.CaptureFixture[str]):
    print_compare(compare_document(comparison))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    firsts = [words[0] for words in lines if words and words[0] in ("pile:", "c4:")]
    assert firsts == ["pile:", "c4:"] * 3, "once in the exponents' table and in each budget's"
    text = [" ".join(words) for words in lines]
    assert sum("needs training curves" in line for line in text) == 1, "said once for both"
    assert any(line.startswith("approach-1: not available") for line in text)


def test_the_printed_tables_fit_a_terminal_of_80_letters(
    comparison: xr.Dataset, capsys: pytest.CaptureFixture[str]
):
    print_compare(compare_document(comparison))
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if "  " in line or "\u2500" in line]
    assert max(map(len, rows)) <= 80
    assert "(80 %)" in printed, "beside the published intervals"
    lines = [line.strip() for line in printed.splitlines()]
    start = lines.index("optimum at 5.76e23 FLOP")
    said = [lines[i + 1] for i, line in enumerate(lines) if i > start and line in ("pile:", "c4:")]
    beyond = comparison["extrapolation"].sel(compute=5.76e23).groupby("recipe").first()
    assert said == [f"{float(beyond.sel(recipe=name)):,.0f}x beyond the runs" for name in ("pile", "c4")]
    assert "THIS IS A GUESS" in printed


def test_the_figure_is_grouped_by_recipe(comparison: xr.Dataset):
    ax = plot_compare(comparison)
    headings = [text for text in ax.texts if text.get_fontweight() == "bold"]
    assert [text.get_text() for text in headings] == ["pile", "c4", "all recipes together; other runs"]
    places = [*ax.get_yticks(), *(text.get_position()[1] for text in headings)]
    assert sorted(places) == list(range(comparison.sizes["estimator"] + 3))
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == comparison["method"].values.tolist()
    points = ax.lines[0].get_ydata() + 0.125
    np.testing.assert_allclose(points, ax.get_yticks())
