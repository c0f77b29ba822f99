from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import load_dataset, table
from bayes_scaling.errors import InputError

DRAWS = np.linspace(0, 1, 101).reshape(1, -1)


def draws_of(**units: str) -> xr.Dataset:
    """Quantities at two budgets, whose draws rise evenly from 0 to 100, 200, ... million at the second."""
    compute = xr.DataArray([1e14, 5.76e23], dims="compute", coords={"compute": [1e14, 5.76e23]})
    size = xr.DataArray(1e8 * DRAWS, dims=("chain", "draw"))
    found = {name: (i + 1) * size * xr.where(compute > 1e20, 1, 0.1) for i, name in enumerate(units)}
    for name, unit in units.items():
        found[name].attrs["units"] = unit
    return xr.Dataset(found)


def test_numbers_are_written_as_the_command_line_writes_them():
    shown = table(draws_of(params_opt="parameters", cost="FLOP", loss="nats/token"))
    assert shown.loc["5.76e23", "params_opt"].tolist() == ["50M", "5M", "95M", "parameters"]
    assert shown.loc["5.76e23", "cost"].tolist() == ["1e8", "1e7", "1.9e8", "FLOP"]
    assert shown.loc["1e14", "loss"].tolist() == ["1.5e+07", "1.5e+06", "2.85e+07", "nats/token"]


def test_the_interval_is_the_one_asked_for():
    assert table(draws_of(params_opt="parameters"), prob=0.5)["high"].tolist() == ["7.5M", "75M"]


def test_what_has_no_other_dims_comes_first_and_what_has_no_draws_is_left_out():
    answer = draws_of(params_opt="parameters").assign(
        a=(("chain", "draw"), DRAWS, {"units": "1"}), extrapolation=("compute", [1.0, 2.0])
    )
    shown = table(answer)
    assert shown.index.tolist() == [("", "a"), ("1e14", "params_opt"), ("5.76e23", "params_opt")]
    assert shown.loc[("", "a")].tolist() == ["0.5", "0.05", "0.95", ""]


def test_recipes_are_told_apart_by_name():
    both = xr.concat([draws_of(params_opt="parameters")] * 2, pd.Index(["c4", "wiki"], name="recipe"))
    rows = table(both).index.to_frame(index=False)[["recipe", "compute"]]
    assert set(rows.itertuples(index=False, name=None)) == {
        (recipe, compute) for recipe in ("c4", "wiki") for compute in ("1e14", "5.76e23")
    }


def test_runs_keep_their_rows_and_columns():
    runs = load_dataset("pocket")
    shown = table(runs)
    assert shown.columns.tolist() == runs.columns.tolist()
    assert shown.iloc[0][["params", "tokens", "flops", "loss"]].tolist() == [
        "1.43k",
        "11.7M",
        "1e11",
        "2.717",
    ]
    assert runs["params"].dtype == float


@pytest.mark.parametrize("values", [xr.Dataset({"x": ("compute", [1.0])}), xr.DataTree(), 3.0])
def test_what_has_no_draws_is_refused_with_a_remedy(values):
    with pytest.raises(InputError, match="dims chain and draw"):
        table(values)
