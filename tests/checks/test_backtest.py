from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from held_out import LAW, NOISE, runs_of, told_the_law

from bayes_scaling import backtest, plot_backtest
from bayes_scaling.checks.backtest import score_folds
from bayes_scaling.checks.fold_fits import APPROACH_3, BOOTSTRAP_NOISE, predict_fold
from bayes_scaling.checks.folds import folds
from bayes_scaling.checks.minima import minima
from bayes_scaling.checks.slopes import seen_slope
from bayes_scaling.cli.backtest import describe
from bayes_scaling.errors import InputError
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.discrepancy import LOSS_SLOPES, PARAMS_SLOPES
from bayes_scaling.runs.simulate import simulate_runs


@pytest.fixture(scope="module")
def scored() -> xr.Dataset:
    return score_folds(told_the_law(runs_of()), "known", LOSS_SLOPES, PARAMS_SLOPES)


def test_the_true_law_covers_as_it_says(scored):
    covered = scored["pooled_coverage"].sel(estimator="known")
    # The folds share their runs: some 27 different ones, of which a standard error is 0.08 at 0.8.
    assert covered.values == pytest.approx(scored["prob"].values, abs=0.16)
    assert float(scored["pooled_bias"].sel(estimator="known")) == pytest.approx(0, abs=NOISE)
    # 2 x 1.645 sigma, and what misses: 4.1 sigma is the score of a Normal distribution's own 90 % interval.
    assert float(scored["pooled_interval_score"].sel(estimator="known")) == pytest.approx(
        4.1 * NOISE, rel=0.25
    )


def test_a_discrepancy_widens_with_distance(scored):
    at = scored.sel(prob=0.9)
    width = np.log(at["high"] / at["low"])
    ratio = (width.sel(estimator="known + discrepancy") / width.sel(estimator="known")).to_numpy()
    one = scored["prediction_fold"] == 0
    near, far = (ratio[one & (np.abs(scored["decades_beyond"] - d) < 0.1)].mean() for d in (0.5, 1.5))
    assert 1 < near < far


def test_a_study_that_leaves_its_law_is_followed():
    found = score_folds(told_the_law(runs_of(slope=-0.05)), "known", LOSS_SLOPES, PARAMS_SLOPES)
    # The law told is that of 1e18, so beyond a cut runs lie below it by more than the slope.
    assert float(found["pooled_bias"].sel(estimator="known")) < -0.05
    assert float(found["pooled_coverage"].sel(estimator="known", prob=0.9)) < 0.1
    better = found["pooled_interval_score"].sel(estimator=["known + discrepancy", "known"]).values
    assert better[0] < 0.2 * better[1]


def test_optima_of_the_true_law_waste_little(scored):
    assert scored.sizes["decision"] >= 3
    known = scored.sel(estimator="known")
    assert float(known["regret"].max()) < 0.05
    assert np.log(known["params_opt"] / known["params_min"]).values == pytest.approx(0, abs=0.25)


def test_a_slope_is_measured():
    rng, decades = np.random.default_rng(0), np.linspace(0.1, 1.5, 40)
    draws = 1 + 0.01 * rng.normal(size=(40, 500))
    came = 1 - 0.07 * decades + 0.01 * rng.normal(size=40)
    seen = seen_slope(1e20, draws, came, decades)
    assert seen.slope == pytest.approx(-0.07, abs=3 * seen.error)
    assert seen.error == pytest.approx(0.01 / np.sqrt((decades**2).sum()), rel=0.3)
    assert seen_slope(1e20, draws, came, 0.1 * decades) is None
    assert seen_slope(1e20, draws[:2], came[:2], decades[:2]) is None


def test_slopes_rest_on_runs_up_to_the_cut_alone():
    study = told_the_law(runs_of(slope=-0.05))
    first = study[0]
    before = first.seen("known", 1e19 * 1.01)
    loss = first.fold.predicted["loss"].to_numpy().copy()
    loss[first.fold.predicted["flops"] > 1.1e19] = 100.0
    first.fold.predicted["loss"] = loss
    assert first.seen("known", 1e19 * 1.01) == before
    assert first.seen("known", 1e21) != before


def test_minima_lie_at_the_optimum():
    found = minima(runs_of())
    assert len(found) >= 5
    for each in found:
        at = np.log(chinchilla.optimum(each.budget, **LAW)[0])
        assert each.log_params == pytest.approx(at, abs=4 * each.error.std() + 0.1)
        # A model twice too large, by the law: what it wastes in compute.
        regret = float(chinchilla.regret(2.0, alpha=LAW["alpha"], beta=LAW["beta"]))
        assert -np.expm1(-each.steepness * np.log(2) ** 2) == pytest.approx(regret, rel=0.6)


def test_runs_without_profiles_have_no_minima():
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7, 9, 40), 10 ** rng.uniform(9, 11, 40)
    table = pd.DataFrame({"params": params, "tokens": tokens, "flops": 6 * params * tokens})
    assert minima(simulate_runs(table, LAW, sigma=0.005, seed=0)) == []


def test_approach_3_predicts_a_fold():
    fold = next(each for each in folds(runs_of()) if each.scored)
    task = {
        "key": "one",
        "method": APPROACH_3,
        "fitted": {name: fold.fitted[name].tolist() for name in ("params", "tokens", "flops", "loss")},
        "planned": {name: fold.predicted[name].tolist() for name in ("params", "tokens", "flops")},
        "budgets": [1e20],
        "seed": 0,
    }
    found = predict_fold(task)
    with_noise = np.array(found["predictions"][BOOTSTRAP_NOISE]["log_loss"])
    without = np.array(found["predictions"][APPROACH_3]["log_loss"])
    assert with_noise.shape == (len(fold.predicted), 200)
    assert with_noise.std(axis=1).mean() > without.std(axis=1).mean()
    truth = np.log(chinchilla.loss(fold.predicted["params"], fold.predicted["tokens"], **LAW).to_numpy())
    assert np.median(without, axis=1) == pytest.approx(truth, abs=0.03)
    best = np.log(chinchilla.optimum(1e20, **LAW)[0])
    assert np.median(found["predictions"][APPROACH_3]["log_params"][0]) == pytest.approx(best, abs=0.5)
    assert predict_fold(task) == found


def test_what_cannot_be_fitted_has_its_reason():
    runs = runs_of()
    fold = next(each for each in folds(runs) if each.scored)
    few = fold.fitted.iloc[:3]
    task = {
        "method": APPROACH_3,
        "fitted": {name: few[name].tolist() for name in ("params", "tokens", "flops", "loss")},
        "planned": {name: fold.predicted[name].tolist() for name in ("params", "tokens", "flops")},
        "budgets": [],
        "seed": 0,
    }
    found = predict_fold(task)
    assert found["predictions"] == {}
    assert "needs 6 runs" in found["reason"]
    study = told_the_law(runs)
    for each in study:
        each.take(APPROACH_3, found)
    scores = score_folds(study, "known", LOSS_SLOPES, PARAMS_SLOPES)
    assert scores["interval_score"].sel(estimator=BOOTSTRAP_NOISE).isnull().all()
    assert "needs 6 runs" in scores["reason"].sel(estimator=BOOTSTRAP_NOISE).values[0]


def test_the_document_has_its_keys(scored):
    document = describe(scored)
    assert list(document) == ["prob", "model", "rows", "pooled", "decisions", "predictions", "slopes"]
    row = document["rows"][0]
    for key in ("method", "recipe", "cut", "runs_fitted", "runs_predicted", "decades", "bias"):
        assert key in row
    assert set(row["coverage"]) == {"0.5", "0.8", "0.9"}
    assert len(document["rows"]) == scored.sizes["fold"] * scored.sizes["estimator"]


def test_the_figure_has_three_panels(scored):
    axes = plot_backtest(scored)
    assert len(axes) == 3
    assert len(axes[0].lines) == 1 + scored.sizes["estimator"]
    legend = [text.get_text() for text in axes[1].get_legend().get_texts()]
    model, carried = scored["estimator"].values[:2]
    assert legend == [f"90 % interval of {carried}", f"runs, against {model}"]
    with pytest.raises(InputError, match="that backtest returns"):
        plot_backtest(xr.Dataset())


@pytest.mark.slow
def test_a_simulated_study_is_predicted_as_its_posterior_says(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = backtest(runs_of(), workers=1, results=tmp_path / "folds.jsonl")
        again = backtest(runs_of(), workers=1, results=tmp_path / "folds.jsonl")
    assert bool(found["converged"].sel(estimator="parametric").all())
    assert 0.75 < float(found["pooled_coverage"].sel(estimator="parametric", prob=0.9)) <= 1.0
    xr.testing.assert_equal(found, again)
