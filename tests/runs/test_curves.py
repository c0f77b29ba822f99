"""Training curves: what is refused, what is read, and how simulated ones behave."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_scaling.errors import InputError
from bayes_scaling.runs.curves import check_curves, read_curves, simulate_curves
from bayes_scaling.runs.simulate import simulate_runs

LAW = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture
def curves():
    return pd.DataFrame(
        {
            "run_id": ["a", "a", "a", "b", "b"],
            "params": [1e8, 1e8, 1e8, 2e8, 2e8],
            "tokens": [1e9, 2e9, 3e9, 1e9, 4e9],
            "loss": [4.0, 3.5, 3.2, 3.9, 3.1],
            "step": [1, 2, 3, 1, 4],
        }
    )


def runs_of(sigma):
    design = pd.DataFrame({"params": [1e8, 1e9, 1e8], "tokens": [2e9, 2e10, 8e9]})
    return simulate_runs(design, LAW, sigma=sigma, seed=1)


def test_good_curves_come_back_with_their_flops_and_other_columns(curves):
    before = curves.copy()
    checked = check_curves(curves)
    pd.testing.assert_frame_equal(curves, before)
    assert list(checked) == ["run_id", "params", "tokens", "flops", "loss", "step"]
    assert checked["run_id"].tolist() == ["a", "a", "a", "b", "b"]
    np.testing.assert_allclose(checked["flops"], 6 * curves["params"] * curves["tokens"])
    pd.testing.assert_frame_equal(check_curves(checked), checked)


@pytest.mark.parametrize(
    ("cells", "fragments"),
    [
        ({(1, "tokens"): 1e9}, ["curve a", "tokens do not grow", "point 1", "to 2"]),
        ({(4, "tokens"): 5e8}, ["curve b", "tokens do not grow"]),
        ({(2, "params"): 3e8}, ["curve a", "several sizes"]),
        ({(4, "run_id"): "c"}, ["curve b", "curve c", "one point", "2 problems"]),
        ({(3, "loss"): -1.0}, ["loss", "row 4"]),
        ({(3, "loss"): np.nan}, ["loss", "row 4"]),
        ({(3, "run_id"): None}, ["run_id", "row 4"]),
        ({(0, "tokens"): 9e9, (3, "tokens"): 9e9}, ["curve a", "curve b", "2 problems"]),
    ],
)
def test_bad_curves_are_refused_with_every_problem_named(curves, cells, fragments):
    for (row, column), value in cells.items():
        curves.loc[row, column] = value
    with pytest.raises(InputError) as refusal:
        check_curves(curves)
    for fragment in fragments:
        assert fragment in str(refusal.value)


def test_curves_must_belong_to_the_runs(curves):
    runs = pd.DataFrame({"run_id": ["a"], "params": [1.5e8]})
    with pytest.raises(InputError) as refusal:
        check_curves(curves, runs=runs)
    assert "curve a: params is 100000000 here and 150000000 in the table of runs" in str(refusal.value)
    assert "curve b: there is no such run" in str(refusal.value)


def test_a_table_without_run_ids_is_refused(curves):
    with pytest.raises(InputError, match="run_id"):
        check_curves(curves.drop(columns="run_id"))


@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_simulated_curves_end_at_their_runs(sigma):
    runs = runs_of(sigma)
    curves = simulate_curves(runs, LAW, points=20)
    ends = curves.groupby("run_id").last().loc[runs["run_id"]]
    for column in ("params", "tokens", "flops", "loss"):
        assert ends[column].tolist() == runs[column].tolist()
    assert (curves.groupby("run_id").size() == 20).all()


def test_an_unfinished_run_is_worse_than_one_planned_to_end_there():
    runs = runs_of(0.0)
    curves = simulate_curves(runs, LAW, points=20, excess=0.04)
    law = 1.8 + 480.0 / curves["params"] ** 0.35 + 2100.0 / curves["tokens"] ** 0.37
    over = (curves["loss"] / law - 1).to_numpy().reshape(len(runs), 20)
    assert (np.diff(over, axis=1) < 0).all()
    assert 0.035 < over[:, 0].min() <= over.max() < 0.04
    np.testing.assert_allclose(over[:, 9], 0.02)
    np.testing.assert_allclose(over[:, -1], 0, atol=1e-12)
    assert (np.diff(curves["loss"].to_numpy().reshape(len(runs), 20), axis=1) < 0).all()


@pytest.mark.parametrize("options", [{"points": 1}, {"excess": -0.1}, {"excess": np.nan}])
def test_impossible_curves_are_refused(options):
    with pytest.raises(InputError, match="points must be"):
        simulate_curves(runs_of(0.0), LAW, **options)


def test_curves_are_read_from_a_file_under_other_names(curves, tmp_path):
    path = tmp_path / "curves.csv"
    curves.rename(columns={"run_id": "run name", "params": "N", "tokens": "D"}).to_csv(path, index=False)
    read = read_curves(path)
    expected = check_curves(curves)
    pd.testing.assert_frame_equal(read[list(expected)[:5]], expected[list(expected)[:5]])
    assert read.attrs["source"] == str(path)


def test_a_bad_cell_of_a_file_is_named_by_its_line(curves, tmp_path):
    path = tmp_path / "curves.csv"
    curves.astype({"loss": object}).replace({"loss": {3.2: "three"}}).to_csv(path, index=False)
    with pytest.raises(InputError) as refusal:
        read_curves(path)
    for fragment in (str(path), "line 4", "loss", "three"):
        assert fragment in str(refusal.value)
