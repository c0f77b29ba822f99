"""Forward scores: from backtests of known laws into the weights of a mixture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws
from held_out import runs_of, told_the_law

from bayes_scaling import forward_scores, model_weights, save_fit
from bayes_scaling.checks.backtest import score_folds
from bayes_scaling.checks.scores import log_score
from bayes_scaling.cli.backtest import describe
from bayes_scaling.cli.main import app
from bayes_scaling.errors import InputError
from bayes_scaling.models.discrepancy import LOSS_SLOPES, PARAMS_SLOPES
from bayes_scaling.planning.stacking import stack_scores


@pytest.fixture(scope="module")
def backtests() -> list[xr.Dataset]:
    """Of the same study, by the law told and by the same told five per cent too low."""
    found = []
    for wrong in (0.0, -0.05):
        study = told_the_law(runs_of(), "handmade")
        for each in study:
            each.by_method["handmade"].log_loss[:] += wrong
        found.append(score_folds(study, "handmade", LOSS_SLOPES, PARAMS_SLOPES))
    return found


@pytest.fixture(scope="module")
def fits() -> list[xr.DataTree]:
    return [handmade_fit(law_draws(20)), handmade_fit(law_draws(20, seed=2))]


def test_the_score_of_each_prediction_is_in_the_backtest(backtests: list[xr.Dataset]):
    study = [each for each in told_the_law(runs_of(), "handmade") if each.fold.scored]
    expected = [log_score(each.by_method["handmade"].log_loss, each.log_loss) for each in study]
    found = backtests[0]["prediction_log_score"].sel(estimator="handmade")
    np.testing.assert_allclose(found, np.concatenate(expected))
    means = [score.mean() for score in expected]
    np.testing.assert_allclose(backtests[0]["log_score"].sel(estimator="handmade"), means)


def test_what_predicted_better_has_the_weight(
    fits: list[xr.DataTree], backtests: list[xr.Dataset], tmp_path: Path
):
    scores = forward_scores(fits, backtests)
    own = [each["prediction_log_score"].sel(estimator="handmade + discrepancy") for each in backtests]
    assert sorted(scores[0].values) == pytest.approx(sorted(own[0].values))
    weights = model_weights(fits, scores=scores)
    np.testing.assert_allclose(weights, stack_scores(scores))
    assert weights[0] > 0.9
    assert weights.attrs["by"] == "forward"
    assert f"of {scores.sizes['prediction']} losses beyond" in weights.attrs["why"]
    # The same from the files of what the command prints, as a person has them.
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, found in zip(paths, backtests, strict=True):
        path.write_text(json.dumps(describe(found)))
    np.testing.assert_allclose(forward_scores(fits, paths), scores)


def test_only_what_all_predict_is_compared(fits: list[xr.DataTree], backtests: list[xr.Dataset]):
    fewer = backtests[1].isel(prediction=np.flatnonzero(backtests[1]["prediction_fold"] == 0))
    scores = forward_scores(fits, [backtests[0], fewer])
    assert scores.sizes["prediction"] == fewer.sizes["prediction"]
    assert "beyond 1 cut" in scores.attrs["of"]
    elsewhere = fewer.assign(cut=fewer["cut"] * 1.5)
    with pytest.raises(InputError, match="predict no run beyond the same cut"):
        forward_scores(fits, [backtests[0], elsewhere])


def test_what_is_no_backtest_of_these_fits_is_refused(
    fits: list[xr.DataTree], backtests: list[xr.Dataset], tmp_path: Path
):
    with pytest.raises(InputError, match="2 fits and 1 backtests"):
        forward_scores(fits, backtests[:1])
    other = backtests[1].assign_attrs(model="other")
    with pytest.raises(InputError, match="backtest 2: is a backtest of other, and fit 2 is of handmade"):
        forward_scores(fits, [backtests[0], other.assign_coords(estimator=["other", "other + x", "c", "d"])])
    named = [fit.copy() for fit in fits]
    for fit in named:
        runs = fit["constant_data"].to_dataset()
        fit["constant_data"] = xr.DataTree(runs.assign_coords(run=["a", "b", "c"]))
    with pytest.raises(InputError, match="none of its runs is one of the fit's"):
        forward_scores(named, backtests)
    with pytest.raises(InputError, match=r"none\.json: cannot be read: no such file; write it by"):
        forward_scores(fits, [tmp_path / "none.json"] * 2)
    (tmp_path / "else.json").write_text('{"model": "handmade", "rows": []}')
    with pytest.raises(InputError, match=r"else\.json: is not what bayes-scaling backtest --json prints"):
        forward_scores(fits, [tmp_path / "else.json"] * 2)
    with pytest.raises(InputError, match="is not what backtest returns"):
        forward_scores(fits, [xr.Dataset()] * 2)


def test_plan_takes_them_from_files(
    fits: list[xr.DataTree],
    backtests: list[xr.Dataset],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    asked = ["plan"]
    for i, fit in enumerate(fits):
        save_fit(fit, tmp_path / f"{i}.nc")
        asked.append(str(tmp_path / f"{i}.nc"))
    for i, found in enumerate(backtests):
        (tmp_path / f"{i}.json").write_text(json.dumps(describe(found)))
        asked += ["--scores", str(tmp_path / f"{i}.json")]
    app([*asked, "--compute", "1e23", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["weights_by"] == "forward"
    weights = model_weights(fits, scores=forward_scores(fits, backtests))
    assert [model["weight"] for model in document["models"]] == pytest.approx(weights.values.tolist())
    app([*asked, "--compute", "1e23"], standalone_mode=False)
    assert "by stacking of forward predictions (of 45 losses beyond 2 cuts)" in capsys.readouterr().out
