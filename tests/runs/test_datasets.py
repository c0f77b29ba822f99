"""Named sets: found, checked against their hash, read as their source means them; no network is used."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_scaling.errors import InputError
from bayes_scaling.laws import chinchilla
from bayes_scaling.resources import resource_folder
from bayes_scaling.runs import datasets
from bayes_scaling.runs.datasets import (
    describe_dataset,
    fetch_dataset,
    list_datasets,
    load_curves,
    load_dataset,
    load_runs,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"
EMBEDDED = ("pocket", "pocket-held-out", "chinchilla-simulated")
SIMULATED = resource_folder("data") / "chinchilla-simulated"
FETCHABLE = ("chinchilla", "chinchilla-all", "marin-comma", "marin-dclm")

needs_shared = pytest.mark.skipif(
    not (SHARED / "source").is_dir(), reason=f"published runs are not beside the checkout: no {SHARED}"
)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """An empty cache, no folder of the user's, and no way out to the network."""
    import pooch

    def unreachable(*args, **_):
        Path(args[2]).write_bytes(b"Model Size,Trai")
        raise ConnectionError("no route to host")

    monkeypatch.delenv(datasets.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(datasets, "_cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", unreachable)


@pytest.fixture
def published(monkeypatch):
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(SHARED / "source"))


@pytest.fixture
def truth():
    return tomllib.loads((SIMULATED / "truth.toml").read_text(encoding="utf-8"))


def test_every_set_is_listed_with_its_licence_and_source():
    table = list_datasets().set_index("name")
    assert set(table.index) == {*EMBEDDED, *FETCHABLE}
    assert (table.loc[list(EMBEDDED), "kind"] == "embedded").all()
    assert table.loc[list(EMBEDDED), "cached"].all()
    assert (table.loc[list(FETCHABLE), "kind"] == "fetchable").all()
    assert not table.loc[list(FETCHABLE), "cached"].any()
    assert (table[["licence", "source", "description"]].map(len) > 5).all(axis=None)


@pytest.mark.parametrize("name", FETCHABLE)
def test_every_fetchable_set_is_pinned(name):
    entry = describe_dataset(name)
    assert re.fullmatch(
        r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/\S+", entry["address"]
    )
    assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
    assert entry["read"]["params_count"] in ("total", "non_embedding")


@needs_shared
@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("name", FETCHABLE)
def test_every_fetchable_set_loads(name):
    runs = load_dataset(name)
    assert len(runs) == describe_dataset(name)["runs"]
    assert runs.attrs["source"] == name
    assert runs.attrs["params_count"] == "total"
    assert describe_dataset(name)["cached"]


@needs_shared
@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("name", "excluded"), [("chinchilla", False), ("chinchilla-all", True)])
def test_chinchilla_is_the_published_rows(name, excluded):
    runs = load_dataset(name)
    known = pd.read_csv(SHARED / "chinchilla_epoch" / "runs.csv")
    known = known if excluded else known[known["source_excluded"] == 0]
    assert len(runs) == len(known)
    for column in ("params", "tokens", "flops", "loss"):
        np.testing.assert_allclose(runs[column], known[column], rtol=1e-8)
    assert runs.attrs["flops_source"] == "given"
    assert "budget" not in runs


@needs_shared
@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("recipe", ["comma", "dclm"])
def test_marin_is_the_published_rows_and_budgets(recipe):
    runs = load_dataset(f"marin-{recipe}").set_index("run_id")
    known = pd.read_csv(SHARED / "marin_isoflop" / "runs.csv")
    known = known[known["group"] == recipe].set_index("run_id")
    assert set(runs.index) == set(known.index)
    known = known.loc[runs.index]
    for column in ("params", "tokens", "flops", "loss"):
        np.testing.assert_allclose(runs[column], known[column], rtol=1e-8)
    on_grid = runs["budget"].notna()
    assert on_grid[known["split"] == "isoflop"].all()
    np.testing.assert_allclose(runs["budget"][on_grid], known["budget"][on_grid])
    # Runs beside the grid, at sizes that its analysis had found, belong to no profile.
    assert (~on_grid).sum() == (5 if recipe == "comma" else 0)


def test_an_unknown_set_is_answered_with_the_nearest():
    for function in (load_dataset, fetch_dataset, describe_dataset, load_curves, load_runs):
        with pytest.raises(InputError, match="did you mean 'chinchilla'"):
            function("chinchila")


def test_a_file_of_the_users_that_differs_is_refused_with_both_hashes(monkeypatch, tmp_path):
    entry = describe_dataset("chinchilla")
    path = tmp_path / entry["file"]
    path.write_text("Model Size,Training FLOP,loss\n1e9,1e20,3\n")
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(InputError) as refusal:
        load_dataset("chinchilla")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    for fragment in (str(path), found, entry["sha256"], datasets.FOLDER_VARIABLE):
        assert fragment in str(refusal.value)


def test_a_folder_of_the_users_that_is_not_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"BAYES_SCALING_DATA=.*nowhere: no such folder"):
        fetch_dataset("chinchilla")


def test_offline_says_what_to_place_where_and_leaves_nothing(tmp_path):
    entry = describe_dataset("marin-dclm")
    with pytest.raises(InputError) as refusal:
        load_dataset("marin-dclm")
    for fragment in (entry["address"], entry["file"], datasets.FOLDER_VARIABLE, "ConnectionError"):
        assert fragment in str(refusal.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("received", [b"Model Size,Trai", b""])
def test_a_partial_or_altered_download_is_refused_and_not_kept(received, monkeypatch, tmp_path):
    import pooch

    def cut_short(*args, **_):
        Path(args[2]).write_bytes(received)

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", cut_short)
    with pytest.raises(InputError, match=r"could not be fetched .* another SHA-256"):
        load_dataset("chinchilla")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@needs_shared
def test_a_download_is_kept_and_not_repeated(monkeypatch, tmp_path):
    import pooch

    asked = []

    def answer(*args, **_):
        asked.append(args[1])
        Path(args[2]).write_bytes((SHARED / "source" / describe_dataset("marin-dclm")["file"]).read_bytes())

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", answer)
    first = fetch_dataset("marin-dclm")
    assert fetch_dataset("marin-dclm") == first
    assert asked == [describe_dataset("marin-dclm")["address"]]
    assert first.parent == tmp_path / "cache"


def test_load_runs_takes_a_path_or_a_name():
    named = load_runs("chinchilla-simulated")
    by_path = load_runs(SIMULATED / "runs.csv", params_count="total")
    assert named.attrs.pop("source") == "chinchilla-simulated"
    assert by_path.attrs.pop("source") == str(SIMULATED / "runs.csv")
    assert named.attrs == by_path.attrs
    pd.testing.assert_frame_equal(named, by_path)


def test_a_file_is_read_before_a_set_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("chinchilla-simulated").write_text("params,tokens,loss\n1e9,1e10,3\n")
    with pytest.raises(InputError, match="chinchilla-simulated") as refusal:
        load_runs("chinchilla-simulated")
    assert ".csv" in str(refusal.value)


@pytest.mark.parametrize("path", ["runs.csv", "no/such/folder"])
def test_a_path_that_is_not_there_is_refused_as_a_path(path):
    with pytest.raises(InputError, match=re.escape(str(Path(path)))) as refusal:
        load_runs(path)
    assert "named set" not in str(refusal.value)


def test_a_users_where_selects_further_within_a_set():
    whole = load_runs("chinchilla-simulated")
    part = load_runs("chinchilla-simulated", where="params > 1e9 or tokens < 1e9")
    expected = whole[(whole["params"] > 1e9) | (whole["tokens"] < 1e9)]
    assert 0 < len(part) < len(whole)
    assert part["run_id"].tolist() == expected["run_id"].tolist()
    assert part.attrs["where"]["kept"] == len(part)
    assert part.attrs["where"]["dropped"] == 400 - len(part)
    with pytest.raises(InputError, match="none of the 400 runs"):
        load_runs("chinchilla-simulated", where="params > 1e12")


@needs_shared
@pytest.mark.usefixtures("published")
def test_a_users_where_never_brings_back_what_the_set_leaves_out():
    assert load_dataset("chinchilla-all", where="loss > 3.4 or params > 1e10")["loss"].max() > 5
    runs = load_dataset("chinchilla", where="loss > 3.4 or params > 1e10")
    assert runs["loss"].max() < 3.42
    assert runs.attrs["where"] == {
        "expression": "(loss < 3.42) and (loss > 3.4 or params > 1e10)",
        "kept": len(runs),
        "dropped": 245 - len(runs),
    }


def test_a_set_says_its_own_columns():
    with pytest.raises(InputError, match="says its own columns, scale, params_count"):
        load_runs("chinchilla-simulated", params_count="non_embedding")


def test_a_set_without_curves_says_which_sets_have_them():
    with pytest.raises(InputError, match="no training curves; sets that have: chinchilla-simulated, pocket"):
        load_curves("chinchilla")


def test_the_embedded_set_has_the_papers_design(truth):
    runs = load_dataset("chinchilla-simulated")
    profiles, ladder = runs[runs["budget"].notna()], runs[runs["budget"].isna()]
    assert len(runs) == 400
    assert len(ladder) == 40
    assert sorted(profiles["budget"].unique()) == [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
    np.testing.assert_allclose(6 * runs["params"] * runs["tokens"], runs["flops"], rtol=1e-12)
    assert (profiles["flops"] == profiles["budget"]).all()
    assert profiles["params"].min() == 70e6
    assert profiles["params"].max() == 16e9
    best = chinchilla.optimum(profiles["budget"].to_numpy(), **truth["law"])[0]
    inside = profiles["params"].groupby(profiles["budget"]).agg(["min", "max"])
    assert (inside["min"] < pd.Series(best, profiles["budget"]).groupby(level=0).first() / 2).all()
    assert (inside["max"] > pd.Series(best, profiles["budget"]).groupby(level=0).first() * 2).all()
    assert ladder.groupby("params").size().eq(4).all()
    assert {75e6, 250e6, 500e6, 1e9, 2.5e9, 5e9, 10e9} <= set(ladder["params"])


def test_the_embedded_curves_end_at_their_runs():
    runs = load_dataset("chinchilla-simulated").set_index("run_id")
    curves = load_curves("chinchilla-simulated")
    ends = curves.groupby("run_id").last()
    assert set(ends.index) == set(runs.index[runs["budget"].isna()])
    for column in ("params", "tokens", "flops", "loss"):
        assert ends[column].tolist() == runs.loc[ends.index, column].tolist()


def test_the_truth_is_what_the_runs_were_drawn_from(truth):
    from scipy import stats
    from scipy.optimize import curve_fit

    runs = load_dataset("chinchilla-simulated")
    log_params, log_tokens = np.log(runs["params"]), np.log(runs["tokens"])
    noise = truth["noise"]
    residuals = np.log(runs["loss"]) - np.log(chinchilla.loss(runs["params"], runs["tokens"], **truth["law"]))
    assert stats.kstest(residuals / noise["sigma"], stats.t(noise["nu"]).cdf).pvalue > 0.01

    def log_loss(_, log_E, log_A, log_B, alpha, beta):
        return np.logaddexp(log_E, np.logaddexp(log_A - alpha * log_params, log_B - beta * log_tokens))

    fitted, covariance = curve_fit(
        log_loss, None, np.log(runs["loss"]), p0=[0.5, 6.0, 7.0, 0.3, 0.3], sigma=None, method="lm"
    )
    law = truth["law"]
    true = [math.log(law["E"]), math.log(law["A"]), math.log(law["B"]), law["alpha"], law["beta"]]
    standard_errors = np.sqrt(np.diag(covariance))
    assert (abs(fitted - true) < 3 * standard_errors).all()
    assert (standard_errors[-2:] < 0.02).all()


def test_the_truths_optimum_is_the_laws(truth):
    a, b = chinchilla.exponents(truth["law"]["alpha"], truth["law"]["beta"])
    assert (truth["exponents"]["a"], truth["exponents"]["b"]) == pytest.approx((a, b), rel=1e-9)
    for row in truth["optimum"]:
        # The best of a fine grid of sizes, not the closed form that wrote the file.
        params = np.geomspace(row["params_opt"] / 2, row["params_opt"] * 2, 20_001)
        losses = chinchilla.loss(params, row["compute"] / (6 * params), **truth["law"])
        assert row["params_opt"] == pytest.approx(params[losses.argmin()], rel=1e-3)
        assert row["tokens_opt"] == pytest.approx(row["compute"] / (6 * row["params_opt"]), rel=1e-9)
        assert row["loss_opt"] == pytest.approx(losses.min(), rel=1e-7)


def test_making_the_embedded_set_again_gives_the_same_bytes(tmp_path):
    spec = importlib.util.spec_from_file_location("make", SIMULATED / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.main(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["curves.csv", "runs.csv", "truth.toml"]
    for name in written:
        assert (tmp_path / name).read_bytes() == (SIMULATED / name).read_bytes(), name


def test_the_card_states_the_command_that_rebuilds_the_set():
    card = Path(describe_dataset("chinchilla-simulated")["card"]).read_text(encoding="utf-8")
    assert "python data/chinchilla-simulated/make.py" in card
    assert sum((SIMULATED / name).stat().st_size for name in ("runs.csv", "curves.csv")) < 1_000_000
