from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.runs.check import check_runs, data_hash, flops_per_param_token


def table(**columns: Any) -> pd.DataFrame:
    """Three good runs, with some columns replaced, added or (None) removed."""
    good: dict[str, Any] = {"params": [1e8, 2e8, 4e8], "tokens": [8e9, 4e9, 2e9], "loss": [3.0, 2.9, 3.1]}
    kept = {name: column for name, column in (good | columns).items() if column is not None}
    return pd.DataFrame(
        {name: pd.Series(column, dtype=getattr(column, "dtype", None)) for name, column in kept.items()}
    )


def refusal(runs: pd.DataFrame) -> str:
    with pytest.raises(InputError) as caught:
        check_runs(runs)
    return str(caught.value)


def test_the_checked_table_has_one_form() -> None:
    runs = check_runs(table(lr=[1, 2, 3], recipe=["a", "b", "a"], budget=[np.nan, 5e18, 5e18]))
    assert list(runs) == ["run_id", "params", "tokens", "flops", "loss", "budget", "recipe", "lr"]
    assert runs["run_id"].tolist() == ["run-1", "run-2", "run-3"]
    assert (runs[["params", "tokens", "flops", "loss", "budget"]].dtypes == np.float64).all()
    assert runs["lr"].tolist() == [1, 2, 3]
    assert runs["flops"].tolist() == [4.8e18] * 3
    assert runs.index.tolist() == [0, 1, 2]
    assert runs.attrs == {
        "source": "runs",
        "params_count": "unstated",
        "loss_unit": "nats/token",
        "flops_source": "6ND",
        "derived": {},
        "left_out": {},
    }


def test_wholly_blank_optional_columns_are_as_if_absent() -> None:
    blank = ["", None, np.nan]
    runs = check_runs(table(run_id=blank, recipe=blank, budget=blank, loss_se=blank, flops=blank))
    assert list(runs) == ["run_id", "params", "tokens", "flops", "loss"]
    assert runs["run_id"].tolist() == ["run-1", "run-2", "run-3"]


def test_run_ids_are_taken_from_an_index_of_that_name() -> None:
    runs = table(run_id=["a", "b", "c"]).set_index("run_id")
    assert check_runs(runs)["run_id"].tolist() == ["a", "b", "c"]


def test_texts_are_read_as_quantities() -> None:
    runs = check_runs(table(params=["100M", " 2e8 ", 400_000_000]))
    assert runs["params"].tolist() == [1e8, 2e8, 4e8]


def test_all_problems_are_told_at_once_in_the_order_of_the_rows() -> None:
    text = refusal(table(params=["x", 2e8, -1], tokens=[8e9, np.inf, 2e9], loss=[3, None, 0]))
    assert text.splitlines() == [
        "runs: 5 problems",
        "  row 1, column params: 'x' is not a number; write digits such as 1.4e12 or 1.4T",
        "  row 2, column tokens: inf is not a finite number; correct it or leave the run out",
        "  row 2, column loss: is blank; every run needs its loss",
        "  row 3, column params: -1 is not above zero; correct the row or leave it out (where)",
        "  row 3, column loss: 0.0 is not above zero; correct the row or leave it out (where)",
    ]


def test_only_twenty_problems_are_shown() -> None:
    lines = refusal(pd.DataFrame({"params": ["x"] * 50, "tokens": 1e9, "loss": 3.0})).splitlines()
    assert lines[0] == "runs: 50 problems"
    assert len(lines) == 22
    assert lines[-1].strip() == "and 30 more"


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"params": [True, False, True]}, "True is not a number"),
        ({"params": [1j, 2, 3]}, "1j is not a number"),
        ({"params": [[1], 2, 3]}, "[1] is not a number"),
        ({"params": pd.to_datetime(["2024-01-01"] * 3)}, "is not a number"),
        ({"params": [10**400, 2e8, 4e8]}, "is not a finite number"),
        ({"params": ["nan", 2e8, 4e8]}, "'nan' is not a number"),
        ({"params": [1e-320, 2e8, 4e8], "tokens": [1e-200, 1, 1]}, "flops: is blank, and 6 params tokens is"),
        ({"loss": None}, "no column loss"),
        ({"loss": None, "lossy": [1, 2, 3]}, "did you mean 'lossy'?"),
        ({"tokens": None}, "no column tokens nor flops; two of params, tokens and flops are needed"),
        ({"tokens": None, "toknes": [1, 2, 3]}, "did you mean 'toknes'?"),
        ({"flops": [1e18, -1e18, 1e18]}, "row 2, column flops: -1e+18 is not above zero"),
        ({"budget": [1e18, 0, 1e18]}, "row 2, column budget: 0.0 is not above zero"),
        ({"loss_se": [0.1, 0, 0.1]}, "row 2, column loss_se: 0.0 is not above zero"),
        ({"loss_se": [0.1, None, 0.1]}, "row 2, column loss_se: is blank"),
        ({"recipe": ["a", "", "b"]}, "row 2, column recipe: is blank"),
        ({"run_id": ["a", "", "b"]}, "row 2, column run_id: is blank"),
        ({"run_id": ["a", "b", " a "]}, "row 3, column run_id: 'a' is also that of row 1"),
        (
            {"run_id": np.array(["a\ud800", "b", "c"], dtype=object)},
            "row 1, column run_id: 'a\\ud800' is not Unicode text",
        ),
        ({"tokens": [np.nan, 4e9, 2e9]}, "row 1, columns tokens, flops: are blank; two of"),
        ({"status": ["ok", "paused", "ok"]}, "row 2, column status: 'paused' is no known status"),
        ({"status": ["failed", "Crashed", "KILLED"]}, "none of the 3 runs is finished"),
    ],
)
def test_refusals(change: dict[str, Any], fragment: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        assert fragment in refusal(table(**change))


def test_tables_that_are_none_are_refused() -> None:
    assert "no runs in it" in refusal(table().iloc[:0])
    assert "must be a pandas DataFrame, not list" in refusal([1, 2])  # type: ignore[arg-type]
    assert "several columns 'params'" in refusal(pd.concat([table(), table()], axis=1))
    assert "2 levels of names" in refusal(pd.concat({"a": table()}, axis=1))
    odd = table()
    odd.attrs = {"params_count": "some", "source": "mine"}
    assert refusal(odd).startswith("mine: params_count is 'some'")
    odd.attrs = {"loss_unit": 3}
    assert "loss_unit is 3" in refusal(odd)


def test_the_blank_one_of_three_is_derived_and_said() -> None:
    runs = table(
        run_id=["a", "b", "c"], params=[np.nan, 2e8, 4e8], tokens=[8e9, "", 2e9], flops=[4.8e18, 9.6e18, None]
    )
    with pytest.warns(RunsWarning) as caught:
        checked = check_runs(runs)
    assert checked["params"].tolist() == [1e8, 2e8, 4e8]
    assert checked["tokens"].tolist() == [8e9, 8e9, 2e9]
    assert checked["flops"].tolist() == [4.8e18, 9.6e18, 4.8e18]
    assert checked.attrs["derived"] == {"params": ["a"], "tokens": ["b"], "flops": ["c"]}
    assert [str(warning.message) for warning in caught] == [
        "runs: params is blank and derived as flops / (6 tokens): 1 of 3 runs (a)",
        "runs: tokens is blank and derived as flops / (6 params): 1 of 3 runs (b)",
        "runs: flops is blank and derived as 6 params tokens: 1 of 3 runs (c)",
    ]


def test_k_is_that_of_the_runs_own_flops_alone() -> None:
    assert flops_per_param_token(check_runs(table())) == 6
    own = check_runs(table(flops=[7 * 8e17, 7 * 8e17, 7 * 8e17]))
    assert own.attrs["flops_source"] == "given"
    assert flops_per_param_token(own) == pytest.approx(7, rel=1e-12)
    with pytest.warns(RunsWarning, match="flops is blank"):
        mixed = check_runs(table(flops=[7 * 8e17, "", 8 * 8e17]))
    assert flops_per_param_token(mixed) == pytest.approx(56**0.5, rel=1e-12)
    with pytest.warns(RunsWarning, match=r"no column tokens: derived as flops / \(6 params\) for all runs"):
        none_own = check_runs(table(tokens=None, flops=[1e18, 1e18, 1e18]))
    assert flops_per_param_token(none_own) == 6


def test_derived_flops_that_somebody_changed_are_given() -> None:
    runs = check_runs(table())
    assert check_runs(runs.assign(flops=runs["flops"] * 1.1)).attrs["flops_source"] == "given"


def test_unfinished_runs_are_left_out_by_name_before_their_cells_are_checked() -> None:
    runs = table(loss=[3.0, "", "x"], status=["Completed", "running", " Failed "], run_id=["a", "b", "b"])
    with pytest.warns(RunsWarning) as caught:
        checked = check_runs(runs)
    assert [str(warning.message) for warning in caught] == [
        "runs: left out as running: 1 of 3 runs (b)",
        "runs: left out as failed: 1 of 3 runs (b)",
    ]
    assert checked["run_id"].tolist() == ["a"]
    assert checked.attrs["left_out"] == {"running": ["b"], "failed": ["b"]}
    assert check_runs(checked).attrs["left_out"] == {"running": ["b"], "failed": ["b"]}


def test_run_ids_are_not_made_up_where_the_only_named_run_is_left_out() -> None:
    with pytest.warns(RunsWarning, match=r"left out as failed: 1 of 3 runs \(a\)"):
        text = refusal(table(run_id=["", "a", ""], status=["ok", "failed", "ok"]))
    assert "row 1, column run_id: is blank" in text


def test_run_ids_count_rows_before_any_are_left_out() -> None:
    with pytest.warns(RunsWarning, match=r"left out as failed: 1 of 3 runs \(run-1\)"):
        checked = check_runs(table(status=["failed", "ok", "ok"]))
    assert checked["run_id"].tolist() == ["run-2", "run-3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": [70, 2e8, 4e8]}, "params is below 1e3 or above 1e14 (70 for 70B?): 1 of 3 runs (run-1)"),
        (
            {"tokens": [8e14, 4e9, 2e9]},
            "tokens is below 1e3 or above 1e14 (70 for 70B?): 1 of 3 runs (run-1)",
        ),
        ({"loss": [3, 21, 22]}, "loss is above 20 (a perplexity?): 2 of 3 runs (run-2, run-3)"),
        (
            {"params": [1e8, 1e8, 4e8], "tokens": [8e9, 8e9, 2e9], "loss": [3, 3, 3]},
            "params, tokens and loss are the same as another run's: 2 of 3 runs (run-1, run-2)",
        ),
        (
            {"flops": [4.8e18, 2.3e18, 9.7e18]},
            "flops is more than a factor of 2 from 6 params tokens: 2 of 3 runs (run-2, run-3)",
        ),
        (
            {"tokens": [2e9, 4e9, 8.1e9]},
            "all runs have about 20 tokens per parameter (within 5 %), so they cannot tell alpha from beta: "
            "how a budget splits between params and tokens is the prior's word, not the data's; "
            "add runs at other ratios",
        ),
    ],
)
def test_doubtful_values_are_warned_of_and_kept(change: dict[str, Any], message: str) -> None:
    with pytest.warns(RunsWarning) as caught:
        checked = check_runs(table(**change))
    assert [str(warning.message) for warning in caught] == [f"runs: {message}"]
    assert caught[0].filename == __file__
    for name, column in change.items():
        assert checked[name].tolist() == column


def test_a_warning_names_five_runs_and_counts_the_rest() -> None:
    runs = pd.DataFrame({"params": [7] * 9, "tokens": np.arange(1, 10) * 1e9, "loss": 3.0})
    with pytest.warns(RunsWarning, match=r"9 of 9 runs \(run-1, run-2, run-3, run-4, run-5, …\)"):
        check_runs(runs)


POSITIVE = st.floats(1e-3, 1e30)
CELLS = st.one_of(POSITIVE, st.sampled_from(["", None, np.nan, "70B", "1.2.3", -1, 0, np.inf]))


@st.composite
def random_tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 5))
    columns: dict[str, Any] = {}
    for name in ("params", "tokens", "flops", "loss", "budget", "loss_se"):
        cells = draw(st.sampled_from([None, POSITIVE, POSITIVE, CELLS]))
        if cells is not None:
            columns[name] = draw(st.lists(cells, min_size=rows, max_size=rows))
    for name in ("run_id", "recipe", "status", "note"):
        if draw(st.booleans()):
            texts = st.one_of(st.text(max_size=4), st.sampled_from(["failed", "ok"]), st.integers())
            columns[name] = draw(st.lists(texts, min_size=rows, max_size=rows))
    return pd.DataFrame(columns, index=range(rows), dtype=object)


@settings(max_examples=100, deadline=None)
@given(random_tables())
def test_checking_twice_changes_nothing_and_the_input_is_never_changed(runs: pd.DataFrame) -> None:
    before, labels = runs.copy(), copy.deepcopy(runs.attrs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        try:
            once = check_runs(runs)
        except InputError:
            return
        finally:
            pd.testing.assert_frame_equal(runs, before)
            assert runs.attrs == labels
        labels = copy.deepcopy(once.attrs)
        twice = check_runs(once)
    pd.testing.assert_frame_equal(twice, once)
    assert twice.attrs == once.attrs == labels
    assert np.isfinite(once[["params", "tokens", "flops", "loss"]].to_numpy()).all()


def test_the_hash_is_of_values_and_order_and_nothing_else() -> None:
    runs = check_runs(table(run_id=["ab", "c", "d"]))
    assert data_hash(runs) == data_hash(check_runs(table(run_id=["ab", "c", "d"], lr=[1, 2, 3])))
    relabelled = runs.copy()
    relabelled.attrs["source"] = "elsewhere"
    assert data_hash(runs) == data_hash(relabelled)
    changed = runs.assign(loss=runs["loss"].where(runs.index != 1, np.nextafter(2.9, 3)))
    others = [runs.iloc[::-1], runs.assign(run_id=["a", "bc", "d"]), changed, runs.assign(recipe="x")]
    hashes = {data_hash(other) for other in [runs, *others]}
    assert len(hashes) == 5


def test_runs_on_one_line_cannot_tell_alpha_from_beta() -> None:
    sizes = np.geomspace(1e8, 1e10, 12)
    line = pd.DataFrame({"params": sizes, "tokens": 20 * sizes**1.3 / 1e8**0.3, "loss": 3.0})
    with pytest.warns(RunsWarning, match="lie on one line in log params and log tokens, so they cannot tell"):
        check_runs(line)


def test_a_blank_cell_follows_from_the_tables_own_k() -> None:
    own = pd.DataFrame({"params": [1e8, 2e8, 3e8], "tokens": [2e9, 9e9, None], "loss": 3.0})
    own["flops"] = 8 * own["params"] * [2e9, 9e9, 5e9]
    with pytest.warns(RunsWarning, match=r"tokens is blank and derived as flops / \(8 params\): 1 of 3 runs"):
        checked = check_runs(own)
    assert checked["tokens"].tolist() == pytest.approx([2e9, 9e9, 5e9])
