from __future__ import annotations

import os
from pathlib import Path

import arviz_stats
import pytest
import xarray as xr

from bayes_scaling import fit_facts, load_spec, open_fit, save_fit
from bayes_scaling.errors import InputError
from bayes_scaling.models.spec import spec_from_dict


@pytest.fixture
def saved(simulated_fit: xr.DataTree, tmp_path: Path) -> Path:
    path = tmp_path / "fit.nc"
    save_fit(simulated_fit, path)
    return path


def test_a_saved_fit_comes_back_whole(simulated_fit: xr.DataTree, saved: Path):
    back = open_fit(saved)
    assert back.identical(simulated_fit)
    facts = fit_facts(back)
    assert spec_from_dict(facts["spec"]) == load_spec("parametric")
    assert facts["labels"]["loss_unit"] == "nats/token"
    assert facts["verdict"]["converged"] is True
    assert {"pymc", "nutpie", "numpy"} <= set(facts["versions"])


# Whether some run is influential is not the question here.
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_a_fit_is_in_arvizs_schema(saved: Path):
    tree = xr.open_datatree(saved)
    assert {"posterior", "sample_stats", "log_likelihood", "posterior_predictive"} <= set(tree.children)
    assert {"observed_data", "constant_data"} <= set(tree.children)
    assert list(arviz_stats.summary(tree, var_names=["alpha"]).index) == ["alpha"]
    assert arviz_stats.loo(tree).n_data_points == 60
    tree.close()


def test_part_of_a_fit_can_be_opened(simulated_fit: xr.DataTree, saved: Path):
    part = open_fit(saved, groups=("posterior", "constant_data"))
    assert set(part.children) == {"posterior", "constant_data"}
    assert part["posterior"].identical(simulated_fit["posterior"])
    assert fit_facts(part) == fit_facts(simulated_fit)


def test_a_file_cut_short_is_refused_at_every_length(saved: Path):
    whole = saved.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.7, 0.99, 0.9999):
        saved.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match="not a complete fit file"):
            open_fit(saved)


def test_another_netcdf_file_is_refused(tmp_path: Path):
    path = tmp_path / "other.nc"
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(InputError, match="is no fit of bayes-scaling"):
        open_fit(path)


def test_a_newer_format_is_refused(simulated_fit: xr.DataTree, tmp_path: Path):
    newer = simulated_fit.copy()
    newer.attrs["bayes_scaling_format"] = 99
    newer.to_netcdf(tmp_path / "newer.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"newer bayes-scaling \(format 99"):
        open_fit(tmp_path / "newer.nc")


def test_a_fit_without_a_group_is_refused(simulated_fit: xr.DataTree, tmp_path: Path):
    lacking = simulated_fit.filter(lambda node: node.name != "sample_stats")
    lacking.attrs = simulated_fit.attrs
    lacking.to_netcdf(tmp_path / "lacking.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="lacks the groups sample_stats"):
        open_fit(tmp_path / "lacking.nc")


def test_a_table_in_place_of_a_fit_is_told_from_a_fit_that_is_cut_short(tmp_path: Path):
    table = tmp_path / "runs.csv"
    table.write_text("params,tokens,loss\n")
    with pytest.raises(
        InputError, match=r"runs\.csv: is no fit but a table.*bayes-scaling fit .*runs\.csv -o fit\.nc"
    ):
        open_fit(table)


def test_text_and_nothing_are_refused(tmp_path: Path):
    text = tmp_path / "text.nc"
    text.write_text("params,tokens,loss\n")
    with pytest.raises(InputError, match="not a complete fit file"):
        open_fit(text)
    with pytest.raises(InputError, match="no such file"):
        open_fit(tmp_path / "none.nc")


def test_a_tree_of_another_make_is_no_fit():
    with pytest.raises(InputError, match="is no fit of bayes-scaling"):
        fit_facts(xr.DataTree())


def test_an_interrupted_write_leaves_the_old_file(saved: Path, simulated_fit: xr.DataTree, monkeypatch):
    before = saved.read_bytes()

    def interrupted(_tree, path, **_):
        Path(path).write_bytes(b"half a fi")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_fit(simulated_fit, saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == ["fit.nc"]


def test_a_folder_that_is_not_there_is_named(simulated_fit: xr.DataTree, tmp_path: Path):
    with pytest.raises(InputError, match=r"none/fit\.nc: cannot be written"):
        save_fit(simulated_fit, tmp_path / "none" / "fit.nc")
