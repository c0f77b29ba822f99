"""Weights of several fits, against searches over all weights."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws
from scipy.optimize import minimize_scalar

from bayes_scaling import model_weights, rank_models, stack_scores
from bayes_scaling.errors import InputError


def scores_of(*rows: np.ndarray) -> xr.DataArray:
    return xr.DataArray(np.stack(rows), dims=("fit", "observation"))


@pytest.fixture
def two() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(-1.0, 0.6, 50), rng.normal(-1.1, 0.6, 50)


def test_stacked_weights_are_those_of_a_search(two: tuple[np.ndarray, np.ndarray]):
    one, other = two

    def missed(weight: float) -> float:
        return -float(np.logaddexp(np.log(weight) + one, np.log1p(-weight) + other).sum())

    best = minimize_scalar(missed, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-10}).x
    assert 0.1 < best < 0.9
    np.testing.assert_allclose(stack_scores(scores_of(one, other)), [best, 1 - best], atol=1e-5)


def test_no_observation_is_so_improbable_that_weights_fail(two: tuple[np.ndarray, np.ndarray]):
    """What all models find improbable alters nothing; what one cannot explain at all tells against it."""
    one, other = two
    plain = stack_scores(scores_of(one, other))
    far = np.where(np.arange(50) == 7, -5000.0, 0.0)
    np.testing.assert_allclose(stack_scores(scores_of(one + far, other + far)), plain, atol=1e-5)
    # Alone on its observation, each is needed there.
    lost = stack_scores(scores_of(one + far, other)).to_numpy()
    assert 0 < lost[0] < plain[0]


def test_a_model_that_is_never_better_gets_nothing(two: tuple[np.ndarray, np.ndarray]):
    one, other = two
    weights = stack_scores(scores_of(one, other, np.minimum(one, other) - 0.5))
    assert weights[2] == pytest.approx(0, abs=1e-7)
    assert float(weights.sum()) == pytest.approx(1)
    np.testing.assert_allclose(weights[:2], stack_scores(scores_of(one, other)), atol=1e-4)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (xr.DataArray(np.zeros((2, 3)), dims=("model", "run")), "scores need a dim fit"),
        (scores_of(np.zeros(3), np.array([0, np.nan, 0])), "finite log densities"),
        (xr.DataArray(np.zeros((2, 0)), dims=("fit", "run")), "at least one"),
    ],
)
def test_scores_that_cannot_be_stacked_are_refused(scores: xr.DataArray, said: str):
    with pytest.raises(InputError, match=said):
        stack_scores(scores)


def test_forward_scores_are_preferred_to_leave_one_out(two: tuple[np.ndarray, np.ndarray]):
    fits = [handmade_fit(law_draws(20)), handmade_fit(law_draws(20))]
    # Two cuts of a backtest: every dim but that of the fits is stacked over.
    scores = scores_of(*two).to_numpy().reshape(2, 5, 10)
    found = model_weights(fits, scores=xr.DataArray(scores, dims=("fit", "cut", "run")))
    np.testing.assert_allclose(found, stack_scores(scores_of(*two)))
    assert found.attrs["by"] == "forward"
    assert found["fit"].values.tolist() == ["handmade", "handmade (2)"]
    with pytest.raises(InputError, match="need a dim fit of 2"):
        model_weights(fits, scores=scores_of(*two, two[0]))


def test_fits_without_densities_are_weighed_equally_and_it_is_said():
    found = model_weights([handmade_fit(law_draws(20))] * 2)
    assert found.values.tolist() == [0.5, 0.5]
    assert found.attrs["by"] == "equal"
    assert found.attrs["why"] == "handmade, handmade (2): without the densities of its runs"
    with pytest.raises(InputError, match="give two or more, not 1"):
        model_weights([handmade_fit(law_draws(20))])


def test_real_fits_are_weighed_as_they_are_ranked(simulated_fit: xr.DataTree):
    """Beside the fit one that predicts every loss worse, and one of other observations."""
    worse = simulated_fit.copy()
    density = simulated_fit["log_likelihood"].dataset["loss"]
    rng = np.random.default_rng(0)
    blurred = density - 0.1 + 0.3 * rng.normal(size=density.sizes["run"])
    worse["log_likelihood"] = xr.DataTree(blurred.to_dataset(name="loss"))
    found = model_weights([worse, simulated_fit])
    ranking = rank_models([worse, simulated_fit])
    assert found.attrs["by"] == "loo"
    np.testing.assert_allclose(found, ranking["weight"].loc[found["fit"].values])
    assert 0 < found[0] < found[1]
    other = simulated_fit.copy()
    observed = simulated_fit["observed_data"].dataset
    other["observed_data"] = xr.DataTree(observed * 1.01)
    apart = model_weights([other, simulated_fit])
    assert apart.values.tolist() == [0.5, 0.5]
    assert (apart.attrs["by"], apart.attrs["why"]) == ("equal", "the fits are not of the same observations")
