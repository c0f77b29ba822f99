"""Pilot runs: against closed forms, exact posteriors by importance, and searches over all batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import BESIROGLU, frontier_draws, handmade_fit, law_draws
from scipy import integrate, stats

from bayes_scaling import design, plan
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.choice import choose
from bayes_scaling.planning.constraints import ANY_SIZE
from bayes_scaling.planning.design import _worth_training
from bayes_scaling.planning.exchange import exchange, greedy
from bayes_scaling.planning.forecast import Forecast, Moments, forecast, moments, truths
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.outcomes import Outcomes, outcomes
from bayes_scaling.planning.pilots import Pilots, candidates, isoflop_grid
from bayes_scaling.planning.price import Price
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.surface import surface_of

TARGET, PILOT = 5.76e23, 1e21


def noisy(count: int = 1000, *, sigma: float = 0.005) -> xr.DataTree:
    """Draws as of a posterior of 12 runs up to 1e20 FLOP, Normal in the logarithms of the parameters."""
    compute = np.repeat([1e18, 1e19, 1e20], 4)
    params = np.sqrt(compute / 120) * np.tile([0.3, 0.7, 1.5, 3], 3)
    names, step = list(BESIROGLU), 1e-5

    def log_loss(changes: dict[str, float]) -> np.ndarray:
        law = {name: value * np.exp(changes.get(name, 0.0)) for name, value in BESIROGLU.items()}
        return np.log(chinchilla.loss(params, compute / (6 * params), **law))

    slopes = [(log_loss({name: step}) - log_loss({name: -step})) / (2 * step) for name in names]
    information = np.array(slopes) @ np.transpose(slopes) / 0.005**2 + np.eye(5)
    logs = np.random.default_rng(1).multivariate_normal(np.zeros(5), np.linalg.inv(information), count)
    draws = {name: value * np.exp(logs[:, i]) for i, (name, value) in enumerate(BESIROGLU.items())}
    noise = {"sigma": sigma, "nu": 4.0, "sigma_growth": 0.0}
    return handmade_fit({**draws, **noise}, spec="parametric", flops=(1e18, 1e19, 1e20))


def some_moments(count: int, seed: int) -> tuple[Moments, np.ndarray]:
    rng = np.random.default_rng(seed)
    losses = rng.normal(size=(count, 3)) @ rng.normal(size=(3, 500))
    best = rng.normal(size=3) @ np.linalg.lstsq(losses.T, losses.T, rcond=None)[0][:3, :3] @ losses[:3]
    noise = rng.uniform(0.5, 2, count)
    return Moments(np.cov(losses), losses @ best / 500, noise), rng.uniform(0.5, 3, count)


@pytest.fixture(scope="module")
def fit() -> xr.DataTree:
    return noisy()


@pytest.fixture(scope="module")
def proposed(fit: xr.DataTree) -> xr.Dataset:
    return design(fit, TARGET, PILOT)


def test_the_batch_is_the_best_of_all_batches():
    found = 0
    for seed in range(20):
        known, compute = some_moments(9, seed)
        pilot = 1.2 * np.sort(compute)[:4].sum()
        batch = exchange(known, compute, pilot, greedy(known, compute, pilot, 4))
        affordable = [c for c in combinations(range(9), 4) if compute[list(c)].sum() <= pilot]
        best = max(known.explained(list(c)) for c in affordable)
        assert len(set(batch)) == 4
        assert compute[batch].sum() <= pilot * (1 + 1e-9)
        assert known.explained(batch) > 0.97 * best
        found += known.explained(batch) > best * (1 - 1e-5)
    assert found >= 18


def test_one_run_is_exchanged_too():
    known, compute = some_moments(9, 3)
    batch = exchange(known, compute, compute.max(), greedy(known, compute, compute.max(), 1))
    assert batch == [int(np.argmax([known.explained([i]) for i in range(9)]))]


def test_what_runs_explain_is_that_of_a_gaussian():
    known, _ = some_moments(6, 1)
    later, seen = known.given([1, 4]), [0, 5]
    assert known.explained([1, 4]) + later.explained(seen) == pytest.approx(known.explained([1, 4, 0, 5]))
    joint = known.covariance + np.diag(known.noise)
    rest = np.ix_([0, 2, 3, 5], [1, 4])
    expected = known.covariance[np.ix_([0, 2, 3, 5], [0, 2, 3, 5])] - joint[rest] @ np.linalg.solve(
        joint[np.ix_([1, 4], [1, 4])], joint[rest].T
    )
    np.testing.assert_allclose(later.covariance[np.ix_([0, 2, 3, 5], [0, 2, 3, 5])], expected)


@pytest.mark.parametrize("sigma", [0.005, 0.01])
def test_the_promise_is_what_the_exact_posterior_keeps(sigma: float):
    """Two noisy runs: outcomes are simulated and the draws reweighted by their likelihood."""
    fit = noisy(4000, sigma=sigma)
    surface = surface_of(fit).surface
    problem = Problem(surface)
    known = truths(problem, TARGET, choose(problem, TARGET, ANY_SIZE)[0])
    runs = Pilots(np.array([3e8, 4e9]), np.array([1.3e11, 1e10]), np.array([2.34e20, 2.4e20]))
    promised = forecast(known, outcomes(fit, surface, runs)).expected_regret

    law = {name: fit["posterior"][name].values.ravel() for name in BESIROGLU}
    log_loss = np.log(chinchilla.loss(runs.params[:, None], runs.tokens[:, None], **law))
    best = np.log(chinchilla.optimum(TARGET, **law)[0])
    sizes = np.linspace(*np.quantile(best, [0.001, 0.999]), 80)
    regret = chinchilla.regret_at_log(sizes[:, None] - best, alpha=law["alpha"], beta=law["beta"])
    rng, kept = np.random.default_rng(5), []
    for truth in rng.choice(4000, 400, replace=False):
        seen = log_loss[:, truth] + sigma * rng.standard_t(4, 2)
        density = stats.t.logpdf(seen[:, None], 4, log_loss, sigma).sum(axis=0)
        weight = np.exp(density - density.max())
        kept.append((regret @ weight).min() / weight.sum())
    error = np.std(kept) / np.sqrt(len(kept))
    before = float(regret.mean(axis=1).min())
    assert np.mean(kept) < 0.9 * before, "else there is nothing to promise"
    assert promised == pytest.approx(np.mean(kept), abs=3 * error + 0.1 * np.mean(kept))


def test_before_any_run_the_regret_is_that_of_the_plan(fit: xr.DataTree, proposed: xr.Dataset):
    planned = plan(fit, TARGET)
    before = proposed.sel(stage="before")
    assert float(before["expected_regret"]) == pytest.approx(float(planned["recommended_expected_regret"]))
    np.testing.assert_allclose(
        before["params_opt"], np.quantile(planned["params_opt"], [0.05, 0.5, 0.95]), rtol=1e-6
    )
    blind = forecast(
        truths(Problem(surface_of(fit).surface), TARGET, float(planned["recommended_params"])),
        outcomes(noisy(sigma=1e3), surface_of(fit).surface, isoflop_grid_of(fit)),
    )
    assert blind.expected_regret == pytest.approx(float(before["expected_regret"]), rel=0.1)


def isoflop_grid_of(fit: xr.DataTree) -> Pilots:
    return isoflop_grid(Problem(surface_of(fit).surface), PILOT, 8, 4.0)


def test_the_proposal_spends_the_compute_and_keeps_its_promises(fit: xr.DataTree, proposed: xr.Dataset):
    assert float(proposed["compute"].sum()) == pytest.approx(PILOT)
    np.testing.assert_allclose(6 * proposed["params"] * proposed["tokens"], proposed["compute"])
    law = {name: fit["posterior"][name].values.ravel() for name in BESIROGLU}
    for params, compute in zip(proposed["params"].values, proposed["compute"].values, strict=True):
        best = np.median(chinchilla.optimum(compute, **law)[0])
        assert 1 / 4.1 < params / best < 4.1
    after = proposed.sel(stage="after")
    assert float(after["expected_regret"]) == float(proposed["regret_after"][-1])
    assert float(after["expected_regret"]) < float(proposed["isoflop_regret"])
    assert float(proposed["isoflop_regret"]) < float(proposed["expected_regret"].sel(stage="before"))
    width = np.log(proposed["params_opt"].sel(statistic="high") / proposed["params_opt"].sel(statistic="low"))
    assert float(width[1]) < 0.7 * float(width[0])
    saved = float(proposed["expected_regret"][0] - proposed["expected_regret"][1])
    assert float(proposed["worth"]) == pytest.approx(saved * TARGET / PILOT)
    assert float(proposed["extrapolation"]) == pytest.approx(5760)


def test_every_run_says_how_far_it_lies_from_the_runs_there_are(fit: xr.DataTree, proposed: xr.Dataset):
    there = fit["constant_data"].dataset
    for ending, own, of in (
        ("", "compute", "flops"), ("_params", "params", "params"), ("_tokens", "tokens", "tokens")
    ):  # fmt: skip
        low, high = float(there[of].min()), float(there[of].max())
        values = proposed[own]
        expected = np.maximum(np.maximum(values / high, low / values), 1)
        np.testing.assert_allclose(proposed[f"run_extrapolation{ending}"], expected)
        assert (proposed[f"run_below_runs{ending}"] == (values < low)).all()
    assert (proposed["run_extrapolation"] > 1).any()
    small = design(fit, TARGET, 1e12, 2)
    assert (small["run_extrapolation_params"] > 10).all()
    assert small["run_below_runs_params"].all()


def test_differences_have_the_error_of_their_simulation(fit: xr.DataTree, proposed: xr.Dataset):
    """Each stage is of the same truths and noise, so that a step is known better than either end of it."""
    np.testing.assert_allclose(proposed["lowered_by"][1:], -np.diff(proposed["regret_after"]), rtol=1e-9)
    before = proposed["regret_after"][0] + proposed["lowered_by"][0]
    assert float(before) == pytest.approx(float(proposed["expected_regret"][0]), rel=0.1)
    assert (proposed["lowered_by_error"][1:] < proposed["regret_after_error"][1:]).all()
    excess = float(proposed["isoflop_regret"] - proposed["regret_after"][-1])
    assert float(proposed["isoflop_excess"]) == pytest.approx(excess)
    surface = surface_of(fit).surface
    # What other truths and other noise make of it lies within a few standard errors.
    batch = Pilots(*(proposed[name].values for name in ("params", "tokens", "compute")))
    expected = outcomes(fit, surface, batch)
    decided = choose(Problem(surface), TARGET, ANY_SIZE)[0]
    turned = np.random.default_rng(0).permutation(1000)
    other = forecast(
        truths(Problem(surface.at_draws(turned)), TARGET, decided),
        Outcomes(expected.log_loss[:, turned], expected.variance[:, turned]),
    )
    error = float(proposed["regret_after_error"][-1])
    assert abs(other.expected_regret - float(proposed["regret_after"][-1])) < 4 * error


def test_so_many_runs_are_worth_it_as_save_what_they_cost():
    rng = np.random.default_rng(3)
    regret = rng.uniform(0, 0.02, 1000)
    stages = [Forecast(share * regret, regret) for share in (1.0, 0.5, 0.4, 0.39)]
    # At a target of 1 FLOP: half a per cent of it saved by the first run, 0.1 by the next, 0.01 by the third.
    for cost, expected in ((5e-5, 3), (5e-4, 2), (4e-3, 1), (1e-2, 0)):
        assert _worth_training(stages, np.full(3, cost), 1.0) == expected
    noise = Forecast(stages[1].regret + rng.normal(-1e-5, 5e-3, 1000), regret)
    assert _worth_training([stages[0], stages[1], noise], np.full(2, 1e-9), 1.0) == 1, "chance saves nothing"


def test_the_isoflop_profile_keeps_the_same_limits(fit: xr.DataTree):
    problem = Problem(surface_of(fit).surface)
    sizes = np.array([1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9])
    grid = isoflop_grid(problem, PILOT, 8, 4.0, max_run=2e19, sizes=sizes)
    assert set(grid.params) <= set(sizes)
    np.testing.assert_allclose(grid.compute, 2e19)
    free = isoflop_grid(problem, 8 * 2e19, 8, 4.0)
    assert np.abs(np.log(grid.params / free.params)).max() < np.log(2) / 2 + 1e-9, "the nearest ones"
    limited = design(fit, TARGET, PILOT, 3, sizes=sizes, max_run=2e19)
    held = isoflop_grid(problem, PILOT, 3, 4.0, max_run=2e19, sizes=sizes)
    surface = surface_of(fit).surface
    known = truths(problem, TARGET, choose(problem, TARGET, ANY_SIZE)[0])
    assert float(limited["isoflop_regret"]) == forecast(known, outcomes(fit, surface, held)).expected_regret


def test_it_beats_other_batches_of_the_same_compute(fit: xr.DataTree, proposed: xr.Dataset):
    surface = surface_of(fit).surface
    problem = Problem(surface)
    known = truths(problem, TARGET, choose(problem, TARGET, ANY_SIZE)[0])
    possible, rng = candidates(problem, PILOT, 8, spread=4.0), np.random.default_rng(2)
    others = []
    while len(others) < 8:
        batch = rng.choice(len(possible.params), 8, replace=False).tolist()
        if 0.8 * PILOT < possible.compute[batch].sum() <= PILOT:
            others.append(forecast(known, outcomes(fit, surface, possible.some(batch))).expected_regret)
    assert float(proposed["expected_regret"].sel(stage="after")) < min(others)


def test_the_same_fit_gives_the_same_proposal(fit: xr.DataTree):
    xr.testing.assert_identical(*(design(fit, TARGET, PILOT, 2) for _ in range(2)))


def test_limits_are_kept(fit: xr.DataTree):
    sizes = [1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9]
    built = design(fit, TARGET, PILOT, 3, sizes=sizes, max_run=2e20)
    assert set(built["params"].values) <= set(sizes)
    assert float(built["compute"].max()) <= 2e20 * (1 + 1e-9)
    assert float(built["compute"].sum()) <= 6e20 * (1 + 1e-9)
    wide, narrow = (float(design(fit, TARGET, PILOT, 2, spread=s)["regret_after"][-1]) for s in (6, 1.5))
    assert wide < narrow
    assert design(fit, TARGET, PILOT, 1).sizes["pilot_run"] == 1


@pytest.mark.parametrize(
    ("family", "known"),
    [
        ("parametric", stats.t(4, scale=0.01)),
        ("parametric-laplace", stats.laplace(scale=0.01)),
        ("parametric-normal", stats.norm(scale=0.01)),
    ],
)
def test_the_variance_of_noise_is_that_of_its_information(family: str, known: stats.rv_frozen):
    """Fisher's information on the mean, integrated."""
    draws = {**law_draws(50), "sigma": 0.01, "nu": 4.0, "sigma_growth": 0.0}
    fit = handmade_fit(draws, spec=family)
    found = outcomes(
        fit, surface_of(fit).surface, Pilots(np.array([1e9]), np.array([2e10]), np.array([1.2e20]))
    )

    def score_squared(x: float) -> float:
        step = 1e-7
        return ((known.logpdf(x + step) - known.logpdf(x - step)) / (2 * step)) ** 2 * known.pdf(x)

    information = 2 * integrate.quad(score_squared, 1e-6, 1.0, points=[0.01, 0.05, 0.2], limit=200)[0]
    np.testing.assert_allclose(found.variance, 1 / information, rtol=1e-3)


def test_noise_of_the_raw_loss_and_noise_that_grows_are_brought_to_the_log_loss():
    pilots = Pilots(np.array([1e8, 1e10]), np.array([2e9, 2e11]), np.array([1.2e18, 1.2e22]))
    draws = {**law_draws(50), "sigma": 0.01, "nu": 4.0}
    fit = handmade_fit(draws, spec="parametric-raw")
    found = outcomes(fit, surface_of(fit).surface, pilots)
    typical = np.exp(np.log(fit["observed_data"]["loss"]).mean().item())
    np.testing.assert_allclose(found.variance, (0.01 * typical / np.exp(found.log_loss)) ** 2 * 7 / 5)
    growth = np.linspace(-1, 4, 50)
    fit = handmade_fit({**draws, "sigma_growth": growth}, spec="parametric")
    found = outcomes(fit, surface_of(fit).surface, pilots)
    scale = 0.01 * (np.exp(found.log_loss) / typical) ** growth
    np.testing.assert_allclose(found.variance, scale**2 * 7 / 5)


def test_runs_of_one_compute_share_the_scatter_of_their_isoflop_profile():
    law = {**law_draws(2000, spread=0.02), "E": np.zeros(2000)}
    scatters = {"params_scatter": 0.2, "loss_scatter": 0.01, "kappa_scatter": 0.1}
    draws = {**frontier_draws(law), **scatters, "sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    fit = handmade_fit(draws, law="isoflop-skewed", spec="isoflop-skewed")
    surface = surface_of(fit, new_budget=False).surface
    best = float(np.median(surface.optimum(1e20)[0]))
    params, compute = np.array([best, best, best]), np.array([1e20, 1e20, 2e20])
    found = outcomes(fit, surface, Pilots(params, compute / (6 * params), compute))
    plain = np.log(surface.loss(params[:, None], (compute / (6 * params))[:, None]))
    luck = np.corrcoef(found.log_loss - plain)
    assert luck[0, 1] == pytest.approx(1)
    assert abs(luck[0, 2]) < 0.1
    # Where the line is in doubt, and not the scatter about it alone.
    wide = frontier_draws({**law_draws(2000, spread=0.3), "E": np.zeros(2000)})
    small = {name: value / 10 for name, value in scatters.items()}
    proposed = design(
        handmade_fit({**draws, **wide, **small}, law="isoflop-skewed", spec="isoflop-skewed"), 1e23, 1e21, 6
    )
    assert float(proposed["regret_after"][-1]) < 0.8 * float(proposed["expected_regret"][0])


def test_a_recipe_is_designed_for_by_its_own_law():
    alone = law_draws(500, spread=0.05)
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    own = {**alone, **{name: np.full(500, value) for name, value in noise.items()}}
    other = {**own, "A": own["A"] * 3}
    draws = {name: np.stack([own[name], other[name]], axis=-1) for name in own}
    both = handmade_fit(draws, recipes=("web", "code"), spec="parametric-recipes")
    expected = design(handmade_fit(own, spec="parametric"), TARGET, PILOT, 3)
    found = design(both, TARGET, PILOT, 3, recipe="web")
    np.testing.assert_allclose(found["params"], expected["params"])
    assert found.attrs["recipe"] == "web"
    with pytest.raises(InputError, match="name it"):
        design(both, TARGET, PILOT, 3)


def test_laws_that_are_hardly_known_are_designed_for_without_warnings():
    rng = np.random.default_rng(0)
    draws = law_draws(1000, spread=0.05)
    flat = rng.random(1000) < 0.05
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    draws = {**draws, "alpha": np.where(flat, 1e-3, draws["alpha"]), **noise}
    found = design(handmade_fit(draws, spec="parametric"), TARGET, PILOT, 4)
    assert np.isfinite(found["regret_after"]).all()
    assert float(found["regret_after"][-1]) < float(found["expected_regret"][0])


def test_a_truth_does_not_help_to_guess_itself():
    """Losses that are noise alone, known without error: guesses are as bad as before."""
    rng = np.random.default_rng(7)
    law = law_draws(1000, spread=0.05)
    problem = Problem(LawSurface(law, Price(6.0)))
    known = truths(problem, TARGET, choose(problem, TARGET, ANY_SIZE)[0])
    noise = Outcomes(rng.normal(size=(2, 1000)), np.full((2, 1000), 1e-12))
    found = forecast(known, noise)
    assert found.error.std() > 0.9 * known.log_best.std()
    told = forecast(known, replace(noise, log_loss=np.stack([known.log_best, noise.log_loss[0]])))
    assert told.expected_regret < 1e-3 * found.expected_regret
    assert moments(known, noise).noise == pytest.approx(1e-12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pilot": 1e24}, "no cheaper than the run of 5.76e23 that they prepare"),
        ({"runs": 0}, "runs must be a whole number of at least 1, not 0"),
        ({"runs": 2.5}, "whole number"),
        ({"runs": 60, "sizes": [1e9]}, "do not allow 60 different pilot runs"),
        ({"spread": 1.0}, "spread is a factor above 1"),
        ({"sizes": [7e10]}, "the sizes do not allow 8 different pilot runs within the compute"),
        ({"max_run": -1.0}, "max_run must be positive"),
        ({"target": "large"}, "target must be a number"),
    ],
)
def test_a_wrong_request_is_refused(fit: xr.DataTree, changes: dict, said: str):
    with pytest.raises(InputError, match=said):
        design(fit, **{"target": TARGET, "pilot": PILOT, **changes})


def test_an_unconverged_fit_is_refused_unless_allowed_and_one_of_few_draws_always():
    draws = {**law_draws(300), "sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    few = handmade_fit({name: np.ravel(values)[:150] for name, values in draws.items()}, spec="parametric")
    with pytest.raises(InputError, match=r"the fit has 150 draws, and .* takes 200"):
        design(few, TARGET, PILOT, 2)
    bad = handmade_fit(draws, converged=False, spec="parametric")
    with pytest.raises(NotConvergedError):
        design(bad, TARGET, PILOT, 2)
    assert not design(bad, TARGET, PILOT, 2, allow_unconverged=True).attrs["converged"]
