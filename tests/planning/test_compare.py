from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import (
    compare,
    disagreements,
    load_curves,
    optimum,
    read_runs,
    reduce_curves,
    simulate_runs,
)
from bayes_scaling.approaches.envelope import approach_1
from bayes_scaling.approaches.isoflop import approach_2
from bayes_scaling.approaches.methods import run_approaches
from bayes_scaling.approaches.recipes import by_recipe
from bayes_scaling.errors import InputError, NotConvergedError, RunsWarning
from bayes_scaling.laws import chinchilla
from bayes_scaling.runs.budgets import isoflop_profiles
from bayes_scaling.runs.datasets import load_dataset

GOPHER = 5.76e23


@pytest.fixture(scope="module")
def comparison(simulated: pd.DataFrame, simulated_fit: xr.DataTree) -> xr.Dataset:
    return compare(simulated, [1e22, GOPHER], fits=[simulated_fit], published=True, resamples=100)


def value(
    comparison: xr.Dataset, estimator: str, name: str, statistic: str = "estimate", i: int = 1
) -> float:
    cell = comparison[name].sel(estimator=estimator, statistic=statistic)
    return float(cell.isel(compute=i) if "compute" in cell.dims else cell)


def test_every_estimator_has_a_row(comparison: xr.Dataset):
    names = comparison["estimator"].values.tolist()
    assert names[:4] == ["approach-1", "approach-2", "approach-3", "parametric"]
    assert "besiroglu" in names
    assert comparison["available"].values.tolist() == [False] + [True] * (len(names) - 1)
    assert "training curves" in comparison["reason"].sel(estimator="approach-1").item()
    assert (
        comparison["runs"].sel(estimator=["approach-2", "approach-3", "parametric"]).values.tolist()
        == [60] * 3
    )
    assert comparison["resamples"].sel(estimator="approach-3").item() == 100


def test_the_posterior_s_row_is_the_posterior(comparison: xr.Dataset, simulated_fit: xr.DataTree):
    draws = optimum(simulated_fit, [1e22, GOPHER])
    for name in ("params_opt", "tokens_opt", "tokens_per_param", "loss_opt"):
        expected = draws[name].quantile([0.5, 0.05, 0.95], ("chain", "draw")).T
        three = comparison[name].sel(estimator="parametric", statistic=["estimate", "low", "high"])
        np.testing.assert_allclose(three, expected, rtol=1e-12)
    a = comparison["a"].sel(estimator="parametric")
    np.testing.assert_allclose(a[:3], draws["a"].quantile([0.5, 0.05, 0.95]), rtol=1e-12)
    np.testing.assert_allclose(a[3:], [draws["a"].mean(), draws["a"].std()], rtol=1e-12)
    expected = np.broadcast_to(draws["extrapolation"], comparison["extrapolation"].shape)
    np.testing.assert_allclose(comparison["extrapolation"], expected)


def test_the_approaches_agree_with_the_truth_they_were_simulated_from(comparison: xr.Dataset):
    truth = chinchilla.optimum(GOPHER, E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
    for estimator in ("approach-3", "parametric"):
        for name, true in zip(("params_opt", "tokens_opt", "loss_opt"), truth, strict=True):
            low, high = (value(comparison, estimator, name, end) for end in ("low", "high"))
            assert low < true < high, (estimator, name)


def test_published_rows_say_what_was_published(comparison: xr.Dataset):
    """Hoffmann et al. 2022, Tables 2 and 3; Besiroglu et al. 2024: at the Gopher budget."""
    assert value(comparison, "hoffmann-approach-1", "params_opt") == pytest.approx(67e9, rel=0.02)
    assert [value(comparison, "hoffmann-approach-1", "a", end) for end in ("low", "high")] == [0.488, 0.502]
    assert value(comparison, "besiroglu", "tokens_per_param") == pytest.approx(18.34, abs=0.005)
    assert [value(comparison, "besiroglu", "tokens_per_param", end) for end in ("low", "high")] == [9.9, 29.0]
    # Published at that budget alone.
    assert np.isnan(value(comparison, "besiroglu", "tokens_per_param", "low", i=0))
    assert np.isnan(value(comparison, "kaplan", "params_opt"))


def test_misspent_is_the_regret_by_the_judge_s_own_law(comparison: xr.Dataset):
    """Hoffmann's approach 3 by Besiroglu's law: the least compute with which that law reaches its loss."""
    law = {"E": 1.816864, "A": 482.0057, "B": 2085.4342, "alpha": 0.3478130, "beta": 0.3658541}
    params = value(comparison, "hoffmann-approach-3", "params_opt")
    reached = chinchilla.loss(params, GOPHER / 6 / params, **law)
    budgets = np.geomspace(GOPHER / 3, GOPHER, 200_001)
    least = budgets[np.argmax(chinchilla.optimum(budgets, **law)[2] <= reached)]
    found = comparison["misspent"].sel(estimator="hoffmann-approach-3", judge="besiroglu").isel(compute=1)
    assert float(found) == pytest.approx(1 - least / GOPHER, abs=2e-5)


def test_nothing_is_misspent_by_one_s_own_law_and_no_judge_without_a_law(comparison: xr.Dataset):
    own = [
        float(comparison["misspent"].sel(estimator=name, judge=name).isel(compute=0))
        for name in ("besiroglu", "hoffmann-approach-3")
    ]
    assert own == pytest.approx([0, 0], abs=1e-12)
    assert comparison["misspent"].sel(judge=["approach-1", "hoffmann-approach-1", "kaplan"]).isnull().all()
    known = comparison["misspent"].sel(
        estimator=["approach-2", "parametric"], judge=["approach-3", "parametric"]
    )
    assert ((known >= 0) & (known < 1)).all()


def test_disagreements_are_told_with_their_price(comparison: xr.Dataset):
    told = disagreements(comparison)
    one = next(text for text in told if "of approach-3 (" in text and "hoffmann-approach-3, 40.4B" in text)
    assert one.startswith(
        "at 5.76e23 FLOP N_opt of hoffmann-approach-3, 40.4B (no interval published), lies outside that of "
    )
    share = 100 * float(
        comparison["misspent"].sel(estimator="approach-3", judge="hoffmann-approach-3").isel(compute=1)
    )
    assert f"{share:.2g} % of the compute is misspent by approach-3 if hoffmann-approach-3 is right" in one
    assert not any("kaplan" in text for text in told)
    assert not any("besiroglu" in text and "hoffmann" in text for text in told), "both are points"
    assert not any("do not overlap" in text and "hoffmann" in text for text in told), (
        "a point overlaps nothing"
    )


def test_what_was_published_in_other_units_is_not_set_against_the_runs(simulated: pd.DataFrame):
    in_bytes = simulated.copy()
    in_bytes.attrs["loss_unit"] = "nats/byte"
    with pytest.warns(RunsWarning, match="published estimates are of losses in nats/token, .* in nats/byte"):
        found = compare(in_bytes, GOPHER, published=True, resamples=20)
    published = found.isel(estimator=~found["same_units"].values)
    assert published["estimator"].values.tolist() == found["estimator"].values.tolist()[3:]
    assert all("not comparable" in notes for notes in published["notes"].values)
    assert found["misspent"].sel(judge=published["estimator"].values).isnull().all()
    assert not any("hoffmann" in text for text in disagreements(found))


def test_curves_of_other_runs_are_told(simulated: pd.DataFrame):
    runs = load_dataset("chinchilla-simulated")
    curves = reduce_curves(load_curves("chinchilla-simulated"))
    renamed = curves.assign_coords(run_id=("curve", [f"curve {i}" for i in range(curves.sizes["curve"])]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for own in (curves, renamed):
            assert by_recipe(runs, own)[0].curves is own, "those that end in a run are of it by any name"
    with pytest.warns(RunsWarning, match="seem to be curves of other runs .* share no run_id, and none ends"):
        by_recipe(simulated, renamed)


def test_methods_that_overlap_are_not_said_to_disagree(comparison: xr.Dataset):
    ours = comparison.sel(estimator=["approach-3", "parametric"])
    assert disagreements(ours) == []


def test_approach_1_runs_where_there_are_curves():
    runs = load_dataset("chinchilla-simulated")
    found = compare(runs, GOPHER, curves=reduce_curves(load_curves("chinchilla-simulated")), resamples=40)
    assert found["available"].all()
    assert found["runs"].values.tolist() == [40, 360, 400]
    assert "of the envelope" in found["notes"].sel(estimator="approach-1").item()
    assert "40 of 400 runs" in found["notes"].sel(estimator="approach-2").item()
    truth = 0.3658 / (0.3478 + 0.3658)
    assert (found["a"].sel(statistic="low") < truth).all()
    assert (found["a"].sel(statistic="high") > truth).all()


def test_an_approach_that_cannot_run_keeps_its_row_with_the_reason(simulated: pd.DataFrame):
    two_budgets = simulated[simulated["budget"] < 5e19].reset_index(drop=True)
    found = compare(two_budgets, GOPHER, resamples=20)
    assert found["reason"].sel(estimator="approach-2").item().startswith("2 usable budgets, 3 are needed")
    assert np.isnan(found["params_opt"].sel(estimator="approach-2")).all()
    four = run_approaches(simulated.iloc[[0, 20, 40, 50]].reset_index(drop=True), resamples=20)
    assert four[2].reason.startswith("4 different runs of ")


def test_resamples_without_an_estimate_are_counted(simulated: pd.DataFrame):
    """Three usable budgets of few sizes: many a resample loses one of them."""
    few = simulated[simulated["budget"] < 2e20].iloc[::2].reset_index(drop=True)
    approach_2 = run_approaches(few, resamples=100)[1]
    found = compare(few, GOPHER, resamples=100)
    failed = found["failed"].sel(estimator="approach-2").item()
    assert approach_2.resamples is not None
    assert failed == int(approach_2.resamples["a"].isnull().sum()) > 5
    # An interval of those that happen to have an estimate would be too narrow: there is none.
    known = np.isfinite(found["params_opt"].sel(estimator="approach-2").isel(compute=0))
    assert known.values.tolist() == [True, False, False, False, False]
    assert "no interval" in found["notes"].sel(estimator="approach-2").item()
    assert not any("approach-2" in sentence for sentence in disagreements(found)), "it is not sure, nor exact"


def test_checkpoints_of_a_run_are_drawn_together():
    """Eight checkpoints share their run's luck: drawn one by one, they make the intervals too narrow."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(1e7, 1e10, 20)
    design = pd.DataFrame(
        {"params": np.repeat(sizes, 8), "tokens": np.tile(np.geomspace(1e9, 3e11, 8), 20)}
    )  # fmt: skip
    runs = simulate_runs(
        design, {"E": 1.8, "A": 480, "B": 2000, "alpha": 0.35, "beta": 0.36}, sigma=1e-4, seed=0
    )
    luck = np.repeat(np.exp(0.01 * rng.normal(size=20)), 8)
    runs = runs.assign(loss=runs["loss"] * luck, ladder_run=np.repeat([f"size {i}" for i in range(20)], 8))
    together, apart = (
        run_approaches(runs, resamples=200, cluster=cluster)[2] for cluster in (None, "run_id")
    )
    assert together.notes == ["resampled by ladder_run: 20 training runs, 160 rows"]
    assert together.resamples is not None
    assert apart.resamples is not None
    assert float(together.resamples["a"].std()) > 1.5 * float(apart.resamples["a"].std())


def test_the_workers_do_not_decide_the_draws(simulated: pd.DataFrame):
    one, two = (compare(simulated, GOPHER, resamples=120, workers=workers) for workers in (1, 2))
    xr.testing.assert_identical(one, two)


def test_a_fit_of_other_runs_is_told(simulated: pd.DataFrame, simulated_fit: xr.DataTree):
    with pytest.warns(RunsWarning, match="the fit of parametric is of other runs than those compared"):
        found = compare(simulated.iloc[1:], GOPHER, fits=[simulated_fit, simulated_fit], resamples=20)
    assert found["estimator"].values.tolist()[3:] == ["parametric", "parametric (2)"]
    assert found["notes"].values.tolist()[3] == "fitted on other runs than these"


def test_wrong_requests_are_refused(simulated: pd.DataFrame, unconverged_fit: xr.DataTree):
    for wrong, message in (
        ({"compute": -1}, "compute must be positive"),
        ({"prob": 1.5}, "prob must lie between 0 and 1"),
        ({"scheme": "jackknife"}, "scheme: 'jackknife' is unknown"),
        ({"cluster": "laddr_run"}, "no column 'laddr_run' to cluster by"),
        ({"degree": 4}, "degree is 4"),
        ({"resamples": 19}, "resamples is 19; fewer than 20 make no interval"),
        ({"fits": unconverged_fit}, "fits must be a list of fits"),
        ({"fits": ["fit.nc"]}, "fits must be a list of fits"),
    ):
        with pytest.raises(InputError, match=message):
            compare(simulated, **{"compute": GOPHER, **wrong})  # type: ignore[arg-type]
    blank = simulated.assign(ladder_run=["a", None, *["b"] * 58])
    with pytest.raises(InputError, match=r"column ladder_run.* is blank for 1 rows \(run-2\)"):
        compare(blank, GOPHER)
    with pytest.raises(NotConvergedError):
        compare(simulated, GOPHER, fits=[unconverged_fit])
    allowed = compare(simulated, GOPHER, fits=[unconverged_fit], resamples=20, allow_unconverged=True)
    assert allowed["notes"].values.tolist()[3].startswith("NOT converged: ")
    assert allowed["converged"].values.tolist() == [True, True, True, False]


def reason_of_approach_3(table: pd.DataFrame) -> str:
    """Why approach 3 cannot run on runs whose other doubts are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        return run_approaches(read_runs(table), resamples=20)[2].reason


def test_runs_that_cannot_tell_size_from_data_have_no_huber_fit():
    size = np.geomspace(1e7, 1e10, 12)
    one_ratio = pd.DataFrame({"params": size, "tokens": 20 * size, "loss": 2 + (1e7 / size) ** 0.3})
    reason = (
        "all runs have about 20 tokens per parameter (within 5 %), so the fit cannot tell alpha from beta"
    )
    assert reason_of_approach_3(one_ratio) == reason


def test_a_loss_that_does_not_fall_has_no_huber_fit():
    size, data = (values.ravel() for values in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    flat = pd.DataFrame({"params": size, "tokens": data, "loss": 2.5})
    assert reason_of_approach_3(flat).endswith("it has no optimum")


def test_a_frontier_off_its_budget_or_without_an_irreducible_loss_says_so(simulated: pd.DataFrame):
    """Losses with nothing irreducible in them; and tokens that cost more in a larger model."""
    tokens = simulated["tokens"] / (simulated["params"] / 1e9) ** 0.3
    drifting = simulated.assign(tokens=tokens, loss=simulated["loss"] - 1.81)
    with pytest.warns(RunsWarning):
        notes = compare(drifting, GOPHER, resamples=20)["notes"].sel(estimator="approach-2").item()
    assert "times the budget" in notes
    assert "no irreducible loss" in notes


def test_losses_that_contradict_each_other_are_told(comparison: xr.Dataset):
    shifted = comparison.sel(estimator=["approach-3", "parametric"]).copy(deep=True)
    shifted["loss_opt"][1] += 1.0
    told = disagreements(shifted)
    assert len(told) == 2
    assert told[0].startswith("at 1e22 FLOP the loss at the optimum of approach-3 (")
    assert not any("the loss" in sentence for sentence in disagreements(comparison)), "other data's"
    with pytest.raises(InputError, match="takes what compare returns"):
        disagreements(comparison[["a"]])


def test_a_model_that_could_not_be_fitted_keeps_its_row(simulated: pd.DataFrame):
    found = compare(simulated, GOPHER, unavailable={"isoflop-skewed": "too few budgets"}, resamples=20)
    assert found["reason"].sel(estimator="isoflop-skewed").item() == "too few budgets"
    assert not found["available"].sel(estimator="isoflop-skewed").item()


def test_a_ladder_column_that_is_blank_says_nothing(simulated: pd.DataFrame):
    blank = run_approaches(simulated.assign(ladder_run=" "), resamples=20)
    without = run_approaches(simulated, resamples=20)
    for one, other in zip(blank[1:], without[1:], strict=True):
        assert one.notes == other.notes
        assert one.resamples is not None
        assert other.resamples is not None
        np.testing.assert_array_equal(one.resamples["a"], other.resamples["a"])


def test_every_option_reaches_its_approach(simulated: pd.DataFrame):
    """Each changes the estimates or the intervals of its own approach, as called by itself."""
    rows = np.ones((1, len(simulated)))
    profiles = isoflop_profiles(simulated)
    cubic = compare(simulated, GOPHER, degree=3, within=10, resamples=20)
    assert value(cubic, "approach-2", "a", i=0) == approach_2(profiles, rows, degree=3, within=10)["a"].item()
    assert cubic["runs"].sel(estimator="approach-2").item() < 60
    curves = reduce_curves(load_curves("chinchilla-simulated"))
    for options in ({}, {"hull": True}, {"keep_unbracketed": True}):
        found = run_approaches(simulated, curves, resamples=20, **options)[0]
        assert found.frontier is not None
        assert found.resamples is not None
        expected = approach_1(curves, np.ones((1, curves.sizes["curve"])), **options)
        assert found.frontier["a"].item() == expected["a"].item()
        assert not np.isclose(found.resamples["a"], expected["a"].item()).all()
    in_pairs = simulated.assign(pair=[f"pair {i // 2}" for i in range(60)])
    for number in (1, 2):
        spreads = [
            float(run_approaches(in_pairs, resamples=100, **options)[number].resamples["a"].std())  # type: ignore[index, arg-type]
            for options in ({}, {"scheme": "subsample"}, {"cluster": "pair"}, {"seed": 1})
        ]
        assert len(set(spreads)) == 4
        assert spreads[1] < 0.8 * spreads[0]


def test_subsamples_are_not_passed_off_as_an_interval(simulated: pd.DataFrame):
    found = compare(simulated, GOPHER, scheme="subsample", resamples=20)
    for name in ("approach-2", "approach-3"):
        assert "half as wide as a 90 % interval" in found["notes"].sel(estimator=name).item()


def test_misspent_is_the_median_over_the_judge_s_draws(simulated: pd.DataFrame, simulated_fit: xr.DataTree):
    found = compare(simulated, GOPHER, fits=[simulated_fit], resamples=20)
    draws = optimum(simulated_fit, GOPHER)["params_opt"].isel(compute=0)
    alpha, beta = simulated_fit["posterior"]["alpha"], simulated_fit["posterior"]["beta"]
    plan = value(found, "approach-2", "params_opt", i=0)
    shares = chinchilla.regret(plan / draws, alpha=alpha, beta=beta)
    judged = found["misspent"].sel(estimator="approach-2", judge="parametric").item()
    assert judged == pytest.approx(float(shares.median()), rel=1e-12)


def test_published_sizes_that_count_otherwise_are_said(simulated: pd.DataFrame):
    counted = simulated.copy()
    counted.attrs["params_count"] = "non_embedding"
    notes = compare(counted, GOPHER, published=True, resamples=20)["notes"]
    assert "its sizes count total parameters" in notes.sel(estimator="besiroglu").item()
    assert compare(simulated, GOPHER, published=True, resamples=20)["prob"].values.tolist()[2:4] == [0.9, 0.8]


def test_chance_groups_of_like_flops_are_no_isoflop_design(shared: Path):
    """Checkpoints of 22 runs, among which some happen to have cost the same."""
    runs = read_runs(shared / "gemstones" / "runs.csv", where="group == 'hot'")
    assert "these runs are no IsoFLOP design" in run_approaches(runs, resamples=20)[1].reason


def test_an_approach_all_of_whose_resamples_fail_has_no_interval(shared: Path):
    """Six sizes on a ladder of lengths: three groups of like FLOPs, and seldom all three in a resample."""
    runs = read_runs(shared / "gadre" / "runs.csv", where="group == 'c4_original'")
    found = compare(runs, 1e22, resamples=20).sel(estimator="approach-2").isel(compute=0)
    assert found["available"]
    assert found["failed"].item() == 20
    assert np.isfinite(found["params_opt"]).values.tolist() == [True, False, False, False, False]
