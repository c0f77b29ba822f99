"""Ranking by leave-one-out densities, against models whose own are known in closed form."""

from __future__ import annotations

import warnings

import arviz_stats
import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats

from bayes_scaling import rank_models
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.sampling.artefact import label_fit

RUNS, SIGMA = 40, 0.1

GOOD = {"converged": True, "problems": []}


class Regression:
    """Log loss as a line in features, its coefficients standard normal: everything about it is exact."""

    def __init__(self, features: np.ndarray, log_loss: np.ndarray, *, is_log: bool = True):
        self.x, self.y, self.is_log = features, log_loss, is_log
        self.names = [f"run-{i}" for i in range(len(log_loss))]

    def posterior(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        precision = np.eye(self.x.shape[1]) + self.x[kept].T @ self.x[kept] / SIGMA**2
        covariance = np.linalg.inv(precision)
        return covariance @ self.x[kept].T @ self.y[kept] / SIGMA**2, covariance

    @property
    def loss(self) -> np.ndarray:
        return np.exp(self.y) if self.is_log else self.y

    @property
    def log_slope(self) -> np.ndarray:
        """Log density of the loss less that of what is normal: d log L / dL = 1 / L."""
        return -self.y if self.is_log else np.zeros_like(self.y)

    def left_out(self) -> np.ndarray:
        """Log density of each loss given all the others."""
        found = []
        for i in range(len(self.y)):
            mean, covariance = self.posterior(np.arange(len(self.y)) != i)
            spread = np.sqrt(SIGMA**2 + self.x[i] @ covariance @ self.x[i])
            found.append(stats.norm.logpdf(self.y[i], self.x[i] @ mean, spread))
        return np.array(found) + self.log_slope

    def fit(
        self, model: str, *, seed: int = 0, order: np.ndarray | None = None, **facts: object
    ) -> xr.DataTree:
        """Draw from the posterior, exactly, and label the draws as `fit` does."""
        order = np.arange(len(self.y)) if order is None else order
        mean, covariance = self.posterior(np.ones(len(self.y), dtype=bool))
        draws = np.random.default_rng(seed).multivariate_normal(mean, covariance, size=(4, 1000))
        density = stats.norm.logpdf(self.y[order], draws @ self.x[order].T, SIGMA) + self.log_slope[order]
        run = {"run": np.array(self.names)[order]}
        groups = {
            "posterior": xr.Dataset({"slope": (("chain", "draw", "feature"), draws)}),
            "log_likelihood": xr.Dataset({"loss": (("chain", "draw", "run"), density)}, run),
            "observed_data": xr.Dataset({"loss": ("run", self.loss[order])}, run),
            "constant_data": xr.Dataset({"params": ("run", np.ones(len(order)))}, run),
        }
        return label_fit(groups, {"model": model, "verdict": GOOD, **facts})


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = np.linspace(-1, 1, RUNS)
    return x, 0.8 + 0.12 * x + SIGMA * rng.normal(size=RUNS)


@pytest.fixture(scope="module")
def models(data: tuple[np.ndarray, np.ndarray]) -> dict[str, Regression]:
    x, y = data
    return {
        "flat": Regression(np.ones((RUNS, 1)), y),
        "line": Regression(np.stack([np.ones(RUNS), x], axis=1), y),
        "bend": Regression(np.stack([np.ones(RUNS), np.abs(x)], axis=1), y),
    }


def test_the_ranking_is_that_of_the_exact_densities(models: dict[str, Regression]):
    exact = {name: model.left_out() for name, model in models.items()}
    ranking = rank_models([model.fit(name) for name, model in models.items()])
    assert list(ranking.index) == sorted(exact, key=lambda name: -exact[name].sum())
    best = exact[ranking.index[0]]
    assert ranking["rank"].tolist() == [1, 2, 3]
    assert set(ranking["group"]) == {1}
    for name, densities in exact.items():
        row, difference = ranking.loc[name], densities - best
        assert row["elpd"] == pytest.approx(densities.sum(), abs=0.05)
        assert row["se"] == pytest.approx(np.sqrt(RUNS * densities.var()), rel=0.02)
        assert row["elpd_diff"] == pytest.approx(difference.sum(), abs=0.05)
        assert row["dse"] == pytest.approx(np.sqrt(RUNS * difference.var()), abs=0.02)
        assert (row["runs"], row["high_k"]) == (RUNS, 0)


def test_the_weights_are_those_of_stacking(models: dict[str, Regression]):
    """Weights that maximise the mixture's own leave-one-out density, by a search over all mixtures of two."""
    names = ["flat", "line"]
    flat, line = (models[name].left_out() for name in names)

    def loss(weight: float) -> float:
        return -float(np.logaddexp(np.log(weight) + flat, np.log1p(-weight) + line).sum())

    best = optimize.minimize_scalar(loss, bounds=(1e-9, 1 - 1e-9), method="bounded").x
    ranking = rank_models([models[name].fit(name) for name in names])
    assert 0.02 < best < 0.98
    assert ranking.loc["flat", "weight"] == pytest.approx(best, abs=0.02)
    assert ranking["weight"].sum() == pytest.approx(1)


def test_a_model_of_the_loss_and_one_of_its_logarithm_are_scored_on_the_same_scale(
    data: tuple[np.ndarray, np.ndarray],
):
    """The one gives the density of the loss itself; so does the other, exactly, by the slope of the log."""
    x, y = data
    features = np.stack([np.ones(RUNS), x], axis=1)
    log, raw = Regression(features, y), Regression(features, np.exp(y), is_log=False)
    ranking = rank_models([log.fit("log"), raw.fit("raw")])
    assert set(ranking["group"]) == {1}
    difference = raw.left_out().sum() - log.left_out().sum()
    assert ranking.loc["raw", "elpd"] - ranking.loc["log", "elpd"] == pytest.approx(difference, abs=0.1)


def test_the_order_of_the_runs_does_not_matter(models: dict[str, Regression]):
    shuffled = np.random.default_rng(1).permutation(RUNS)
    plain = rank_models([models["flat"].fit("flat"), models["line"].fit("line")])
    mixed = rank_models([models["flat"].fit("flat"), models["line"].fit("line", order=shuffled)])
    numbers = ["elpd", "se", "elpd_diff", "dse", "weight"]
    np.testing.assert_allclose(mixed[numbers], plain[numbers], atol=1e-6)


def test_a_run_that_the_draws_cannot_do_without_is_named(data: tuple[np.ndarray, np.ndarray]):
    """A coefficient that one run alone informs: without it the posterior is the prior again."""
    x, y = data
    own = np.zeros(RUNS)
    own[7] = 1.0
    alone = Regression(np.stack([np.ones(RUNS), x, own], axis=1), y + 2.0 * own)
    plain = Regression(np.stack([np.ones(RUNS), x], axis=1), y + 2.0 * own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what ArviZ warns of is passed on in the notes
        ranking = rank_models([alone.fit("alone"), plain.fit("plain")])
    row = ranking.loc["alone"]
    assert row["high_k"] == 1
    assert "Pareto k of 1 of 40 runs (run-7) is above 0.70" in row["notes"]
    assert "elpd is probably too high" in row["notes"]
    assert row["elpd"] > alone.left_out().sum() + 0.5, "and so it is"


def test_a_run_far_off_in_every_model_does_not_spoil_the_weights(data: tuple[np.ndarray, np.ndarray]):
    """Its density is zero to the last digit: ArviZ by itself divides by it."""
    x, y = data
    far = y.copy()
    far[3] += 80 * SIGMA
    line = np.stack([np.ones(RUNS), x], axis=1)
    fits = [Regression(line[:, :1], far).fit("flat"), Regression(line, far).fit("line")]
    ranking = rank_models(fits)
    assert (ranking["elpd"] < -745).all()
    assert np.isfinite(ranking[["elpd", "elpd_diff", "dse", "weight"]]).all(axis=None)
    assert ranking["weight"].sum() == pytest.approx(1)
    assert ranking["weight"].max() > 0.6


def test_differences_that_decide_nothing_are_said_to(models: dict[str, Regression]):
    ranking = rank_models([models["line"].fit("line"), models["line"].fit("line", seed=1)])
    assert list(ranking.index) in (["line", "line (2)"], ["line (2)", "line"])
    second = ranking.iloc[1]["notes"].splitlines()
    assert second[0].startswith("predicts about as well as line")
    assert second[1].startswith("compared on 40 runs: below 100")
    assert ranking.iloc[0]["notes"] == ""


def test_models_of_other_observations_are_never_ranked_against_each_other(models: dict[str, Regression]):
    line = models["line"]
    fewer = Regression(line.x[:-2], line.y[:-2])
    other = Regression(line.x, np.where(np.arange(RUNS) == 5, line.y + 0.01, line.y))
    fits = [fewer.fit("fewer"), line.fit("line"), models["flat"].fit("flat"), other.fit("other")]
    ranking = rank_models(fits)
    assert ranking["group"].to_dict() == {"line": 1, "flat": 1, "other": 2, "fewer": 3}
    alone = ranking.loc[["other", "fewer"]]
    assert alone[["elpd_diff", "dse", "weight"]].isna().all(axis=None)
    assert np.isfinite(alone[["elpd", "se"]]).all(axis=None)
    assert "leaves out 2 of 40 runs (run-38, run-39)" in ranking.loc["fewer", "notes"]
    assert "has another loss for 1 of 40 runs (run-5)" in ranking.loc["other", "notes"]
    assert "cannot be compared" in ranking.loc["other", "notes"]


def test_fits_of_single_recipes_are_told_apart_by_name(models: dict[str, Regression]):
    line = models["line"]
    fits = []
    for recipe, shift in (("c4", 0.0), ("pile", 0.1)):
        for model in ("one", "two"):
            fit = Regression(line.x, line.y + shift).fit(model)
            constant = fit["constant_data"].to_dataset().assign(recipe=("run", np.full(RUNS, recipe)))
            fit["constant_data"] = xr.DataTree(constant)
            fits.append(fit)
    ranking = rank_models(fits)
    assert set(ranking.index) == {"one [c4]", "two [c4]", "one [pile]", "two [pile]"}
    assert ranking.groupby("group").size().tolist() == [2, 2]


def test_draws_that_have_not_converged_are_refused_or_said_to_be(models: dict[str, Regression]):
    bad = models["flat"].fit("flat", verdict={"converged": False, "problems": ["R-hat 1.2 is above 1.01"]})
    fits = [models["line"].fit("line"), bad]
    with pytest.raises(NotConvergedError):
        rank_models(fits)
    ranking = rank_models(fits, allow_unconverged=True)
    assert ranking.loc["flat", "notes"].startswith("NOT converged: R-hat 1.2")


def test_what_cannot_be_ranked_is_refused(models: dict[str, Regression]):
    fit = models["line"].fit("line")
    for wrong, message in (
        (fit, "must be a list of fits"),
        ([fit], "needs two fits or more, not 1"),
        (
            [fit, fit.filter(lambda node: node.name != "log_likelihood")],
            "lacks log_likelihood.*open it whole",
        ),
    ):
        with pytest.raises(InputError, match=message):
            rank_models(wrong)  # type: ignore[arg-type]


def test_real_draws_are_scored_as_arviz_scores_them(simulated_fit: xr.DataTree):
    """The same model twice, once with half of its draws; ArviZ's own scores but for its effective draws."""
    half = simulated_fit.copy()
    half["log_likelihood"] = xr.DataTree(
        simulated_fit["log_likelihood"].to_dataset().isel(draw=slice(0, None, 2))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = arviz_stats.loo(simulated_fit, var_name="loss")
    ranking = rank_models([simulated_fit, half])
    np.testing.assert_allclose(ranking["elpd"], expected.elpd, atol=0.15)
    np.testing.assert_allclose(ranking["se"], expected.se, rtol=0.02)
    assert abs(ranking["elpd_diff"].iloc[1]) < 0.15
