from __future__ import annotations

import contextlib
import json
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from handmade_fits import point_fit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_scaling import save_fit
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.read import read_runs

BROKEN = Path(__file__).parent / "broken"
EXPECTED = tomllib.loads((BROKEN / "expected.toml").read_text(encoding="utf-8"))
REAL = Path(__file__).parents[3] / "shared" / "data"

GOOD = "run_id,params,tokens,loss\na,100M,2e9,3.1\nb,200M,3e9,3.0\n"


def write(folder: Path, content: str, name: str = "runs.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


def refusal(source: Any, **options: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        with pytest.raises(InputError) as caught:
            read_runs(source, **options)
    return str(caught.value)


def test_every_broken_file_is_listed() -> None:
    assert {path.name for path in BROKEN.iterdir()} == {*EXPECTED, "expected.toml"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_broken_file_is_refused_with_its_place_and_reason(name: str) -> None:
    text = refusal(BROKEN / name)
    assert text.startswith(f"{BROKEN / name}: ")
    for fragment in EXPECTED[name]:
        assert fragment in text


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    runs = read_runs(str(path), params_count="total", loss_unit="bits/byte")
    assert runs["params"].tolist() == [1e8, 2e8]
    assert runs.attrs == {
        "source": str(path),
        "params_count": "total",
        "loss_unit": "bits/byte",
        "flops_source": "6ND",
        "derived": {},
        "left_out": {},
    }


def test_common_names_are_understood_and_recorded(tmp_path: Path) -> None:
    path = write(
        tmp_path, "Run Name,Model Size,training-tokens,Training FLOP,L,Group\na,1e8,2e9,1.2e18,3,x\n"
    )
    runs = read_runs(path)
    assert list(runs) == ["run_id", "params", "tokens", "flops", "loss", "recipe"]
    assert runs.attrs["columns"] == {
        "run_id": "Run Name",
        "params": "Model Size",
        "tokens": "training-tokens",
        "flops": "Training FLOP",
        "loss": "L",
        "recipe": "Group",
    }


def test_our_own_name_wins_over_other_names(tmp_path: Path) -> None:
    runs = read_runs(write(tmp_path, "params,N,tokens,loss,val_loss,train_loss\n1e8,7,2e9,3.1,4,5\n"))
    assert runs["params"].tolist() == [1e8]
    assert runs["N"].tolist() == [7]
    assert "columns" not in runs.attrs


def test_columns_says_which_and_a_displaced_column_keeps_its_cells(tmp_path: Path) -> None:
    path = write(tmp_path, "params,params_nonemb,tokens,val_loss,train_loss\n1e8,9e7,2e9,3.1,3.2\n")
    runs = read_runs(path, columns={"params": "params_nonemb", "loss": "val_loss"})
    assert runs["params"].tolist() == [9e7]
    assert runs["params_in_file"].tolist() == [1e8]
    assert runs["loss"].tolist() == [3.1]
    assert runs["train_loss"].tolist() == [3.2]
    assert runs.attrs["columns"] == {
        "params": "params_nonemb",
        "loss": "val_loss",
        "params_in_file": "params",
    }


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"columns": {"parms": "params"}}, "columns names 'parms'; did you mean 'params'?"),
        ({"columns": {"params": "Params"}}, "no column 'Params', given as params; 'params' is there already"),
        ({"columns": {"params": "tokens", "flops": "tokens"}}, "gives 'tokens' two names"),
        ({"scale": {"parms": 1e9}}, "scale names 'parms'; did you mean 'params'?"),
        ({"scale": {"flops": 1e9}}, "there is no such column"),
        ({"scale": {"params": 0}}, "scale of params is 0; it must be a number above zero"),
        ({"scale": {"params": "1e9"}}, "scale of params is '1e9'"),
        ({"scale": {"params": float("nan")}}, "scale of params is nan"),
        ({"scale": {"params": 1e308}}, "line 2, column params: inf is not a finite number"),
        ({"where": "loss > 30"}, "none of the 2 runs is selected by where 'loss > 30'"),
        ({"where": "lossy > 30"}, "did you mean 'loss'?"),
        ({"where": "run_id > 3"}, "line 2, column run_id: 'a' is not a number"),
        ({"params_count": "all"}, "params_count is 'all'"),
        ({"loss_unit": ""}, "loss_unit is ''"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], fragment: str) -> None:
    assert fragment in refusal(write(tmp_path, GOOD), **options)


def test_scale_multiplies_numbers_and_leaves_bad_cells_to_be_refused_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "N,D,GFLOP,loss\n100,2,1.2e9,3\n200,3,,2\n")
    with pytest.warns(RunsWarning, match="flops is blank"):
        runs = read_runs(path, columns={"flops": "GFLOP"}, scale={"flops": 1e9, "params": 1e6, "tokens": 1e9})
    assert runs["params"].tolist() == [1e8, 2e8]
    assert runs["flops"].tolist() == [1.2e18, 3.6e18]
    assert runs.attrs["scale"] == {"flops": 1e9, "params": 1e6, "tokens": 1e9}
    bad = write(tmp_path, "N,D,loss\n100,two,3\n")
    assert "line 2, column tokens ('D' in the file): 'two' is not" in refusal(bad, scale={"tokens": 1e9})


def test_where_comes_before_the_checks_and_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "Model Size,tokens,loss,use\n1,2e9,3,yes\nbad,3e9,,no\n4,2e9,2.9,yes\n")
    scale = {"params": 1e8}
    runs = read_runs(path, scale=scale, where="use == 'yes'")
    assert runs["params"].tolist() == [1e8, 4e8]
    assert runs["run_id"].tolist() == ["run-1", "run-2"]
    assert runs.attrs["where"] == {"expression": "use == 'yes'", "kept": 2, "dropped": 1}
    by_theirs = read_runs(path, scale=scale, where="use == 'yes' and `Model Size` != '1'")
    by_ours = read_runs(path, scale=scale, where='use == "yes" and params > "100M"')
    pd.testing.assert_frame_equal(by_theirs, by_ours)
    assert by_ours["params"].tolist() == [4e8]
    assert "line 3, column params: 'bad'" in refusal(path, where="params > 1")


def test_where_excludes_rows_before_repeated_ids_count(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "a,300M,2e9,2.9\n")
    assert "line 4, column run_id" in refusal(path)
    assert len(read_runs(path, where="params < '250M'")) == 2


def test_left_out_runs_are_said_and_the_file_lines_stay_true(tmp_path: Path) -> None:
    path = write(tmp_path, "params,tokens,loss,status\n1e8,2e9,,FAILED\n2e8,2e9,3,done\n3e8,2e9,x,\n")
    assert "line 4, column loss: 'x'" in refusal(path)
    with pytest.warns(RunsWarning, match=r"runs\.csv: left out as failed: 1 of 2 runs \(run-1\)"):
        runs = read_runs(path, where="loss != 'x'")
    assert runs.attrs["left_out"] == {"failed": ["run-1"]}
    assert runs["run_id"].tolist() == ["run-2"]


def test_further_columns_of_texts_are_numbers_only_if_nothing_is_lost(tmp_path: Path) -> None:
    header = "params,tokens,loss,lr,seed,code,digest,note,void,nan\n"
    path = write(tmp_path, header + "1e8,2e9,3,1e-3,7,007,12345678901234567,a,,nan\n2e8,2e9,3,,8,8,1,1,,1\n")
    runs = read_runs(path)
    assert runs["lr"].tolist() == pytest.approx([1e-3, np.nan], nan_ok=True)
    assert runs["seed"].tolist() == [7, 8]
    for name, cells in {
        "code": ["007", "8"],
        "digest": ["12345678901234567", "1"],
        "note": ["a", "1"],
    }.items():
        assert runs[name].tolist() == cells
    assert runs["void"].tolist() == ["", ""]
    assert runs["nan"].tolist() == ["nan", "1"]


def test_columns_without_a_name_are_named_by_their_number(tmp_path: Path) -> None:
    runs = read_runs(write(tmp_path, ",params,tokens,loss,\n0,1e8,2e9,3,\n"))
    assert list(runs) == ["run_id", "params", "tokens", "flops", "loss", "column 1", "column 5"]


def test_a_fit_is_no_table_of_runs(tmp_path: Path) -> None:
    save_fit(point_fit(), tmp_path / "fit.nc")
    assert "is no table of runs but a netCDF file, such as a fit; of a fit ask" in refusal(
        tmp_path / "fit.nc"
    )


def test_a_column_that_is_there_under_a_known_name_need_not_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "Model Size,tokens,loss\n1e8,2e9,3.1\n")
    said = refusal(path, columns={"params": "N"})
    assert "no column 'N', given as params; 'Model Size' is there already, and is read as params" in said


def test_json_lines_keep_their_types(tmp_path: Path) -> None:
    rows = [
        {"name": "a", "params": "100M", "tokens": 2e9, "loss": 3, "lr": 1e-3, "code": "7", "good": True},
        {"name": "b", "params": 2e8, "flops": 3.6e18, "loss": 2.9, "lr": None, "code": "8", "good": False},
    ]
    path = write(tmp_path, "\r\n\n".join(map(json.dumps, rows)), "runs.jsonl")
    with pytest.warns(RunsWarning, match="is blank and derived") as caught:
        runs = read_runs(path, where="good in [True, False]")
    assert len(caught) == 2
    assert runs["tokens"].tolist() == [2e9, 3e9]
    assert runs["code"].tolist() == ["7", "8"]
    assert runs["good"].tolist() == [True, False]


def test_a_parquet_index_is_read_as_the_column_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame({"run_id": ["a", "b"], "params": [1e8, 2e8], "tokens": 2e9, "loss": 3.0})
    table.attrs = {"source": "elsewhere"}
    table.set_index("run_id").to_parquet(tmp_path / "runs.parquet")
    runs = read_runs(tmp_path / "runs.parquet")
    assert runs["run_id"].tolist() == ["a", "b"]
    assert runs.attrs["source"] == str(tmp_path / "runs.parquet")


def test_a_table_in_memory_is_read_as_a_file_would_be() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "N": [1e8, 2e8], "D": 2e9, "L": [3.0, 2.9], 7: 1}).set_index("id")
    before = table.copy()
    runs = read_runs(table, where="N > 1e8")
    assert runs[["run_id", "params", "7"]].to_numpy().tolist() == [["b", 2e8, 1]]
    pd.testing.assert_frame_equal(table, before)
    assert "row 2, column loss ('L' in the file): -1.0 is not" in refusal(table.assign(L=[3.0, -1.0]))


def test_the_labels_of_a_table_in_memory_stay_unless_something_else_is_said() -> None:
    table = pd.DataFrame({"params": [1e8], "tokens": [2e9], "loss": [3.0]})
    table.attrs = {"source": "mine", "params_count": "total", "loss_unit": "bits/byte"}
    assert read_runs(table).attrs.items() >= table.attrs.items()
    assert read_runs(table, params_count="non_embedding").attrs["params_count"] == "non_embedding"
    checked = check_runs(table)
    pd.testing.assert_frame_equal(read_runs(checked), checked)


def test_paths_that_are_no_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD, "chinchilla.csv")
    assert refusal(tmp_path) == f"{tmp_path}: is a folder; name a file in it"
    text = refusal(tmp_path / "chinchila.csv")
    assert text == f"{tmp_path / 'chinchila.csv'}: there is no such file; did you mean 'chinchilla.csv'?"
    assert refusal(tmp_path / "none" / "runs.csv").endswith("there is no such file")
    assert "cannot be read" in refusal(str(tmp_path / "a\x00b.csv"))
    assert "not int" in refusal(3)

    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert refusal(tmp_path / "chinchilla.csv").endswith("chinchilla.csv: cannot be read: Permission denied")


POSITIVE = st.floats(1e-3, 1e30)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and "\x00" not in text
)


@st.composite
def valid_tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 5))

    def column(cells: st.SearchStrategy[Any], *, unique: bool = False) -> list[Any]:
        return draw(st.lists(cells, min_size=rows, max_size=rows, unique=unique))

    columns: dict[str, Any] = {"run_id": column(TEXT, unique=True)}
    columns |= {name: column(POSITIVE) for name in ("params", "tokens", "flops", "loss")}
    if draw(st.booleans()):
        columns["budget"] = [draw(POSITIVE), *column(st.one_of(POSITIVE, st.just(np.nan)))[1:]]
    if draw(st.booleans()):
        columns["recipe"] = column(TEXT)
    if draw(st.booleans()):
        columns["loss_se"] = column(POSITIVE)
    if draw(st.booleans()):
        columns["depth"] = [float(number) for number in column(st.integers(-99, 99))]
    return check_runs(pd.DataFrame(columns))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::bayes_scaling.runs.check.RunsWarning")
def test_what_is_written_in_any_format_is_read_back_equal(tmp_path: Path, data: st.DataObject) -> None:
    table = data.draw(valid_tables())
    table.to_csv(tmp_path / "runs.csv", index=False)
    table.to_csv(tmp_path / "runs.tsv", index=False, sep="\t")
    table.to_json(tmp_path / "runs.jsonl", orient="records", lines=True, double_precision=15)
    table.to_parquet(tmp_path / "runs.parquet")
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        # JSON as pandas writes it holds 15 digits at most.
        back = read_runs(tmp_path / f"runs.{suffix}")
        pd.testing.assert_frame_equal(
            back, table, check_exact=suffix != "jsonl", rtol=1e-12, check_dtype=suffix != "jsonl"
        )


WORDS = [
    "params",
    "tokens",
    "loss",
    "flops",
    "run_id",
    "status",
    ",",
    ",",
    "{",
    "}",
    ":",
    "[",
    "1",
    "70B",
    "1e9",
    "-1",
    "NaN",
    "null",
    "ok",
    "failed",
    "é",
]
PIECES = st.sampled_from([*WORDS, '"', "\t", "\n", "\n", "\r", " ", "\ufeff", "\x00", "\u2028"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
        st.lists(PIECES, max_size=25).map(lambda pieces: "".join(pieces).encode()),
        st.lists(PIECES, max_size=9).map(lambda pieces: (GOOD + ",".join(pieces)).encode()),
    ),
    st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
)
@pytest.mark.filterwarnings("ignore::bayes_scaling.runs.check.RunsWarning")
def test_random_files_are_read_or_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"runs.{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert len(read_runs(path)) > 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
        lambda cells: st.one_of(
            st.lists(cells, max_size=2), st.dictionaries(st.text(max_size=3), cells, max_size=2)
        ),
        max_leaves=4,
    ),
    st.text(max_size=5),
    st.sampled_from(["params", "loss", "run_id", "status", "extra"]),
)
@pytest.mark.filterwarnings("ignore::bayes_scaling.runs.check.RunsWarning")
def test_random_json_cells_are_read_or_refused(tmp_path: Path, cell: Any, name: str, ours: str) -> None:
    good = {"run_id": "a", "params": 1e8, "tokens": 2e9, "loss": 3.0}
    rows = [good, good | {"run_id": "b", name: cell, ours: cell}]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "runs.jsonl")
    with contextlib.suppress(InputError):
        assert len(read_runs(path)) > 0


@pytest.mark.skipif(not REAL.is_dir(), reason="the tables of real runs are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "rows", "warning"),
    [
        ("cerebras_gpt", 7, "cannot tell alpha from beta"),
        ("chinchilla_epoch", 245, None),
        ("gadre", 104, None),
        ("gemstones", 619, None),
        ("marin_isoflop", 177, None),
        ("porian", 1164, None),
    ],
)
def test_real_runs_are_read(name: str, rows: int, warning: str | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runs = read_runs(REAL / name / "runs.csv")
    assert len(runs) == rows
    assert runs.attrs["columns"] == {"recipe": "group"}
    said = [str(each.message) for each in caught]
    assert len(said) == (1 if warning else 0)
    assert all(warning in text for text in said)
