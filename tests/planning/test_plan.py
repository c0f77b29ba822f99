"""The decision at a budget: against closed forms, brute force and simulated truths."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import BESIROGLU, frontier_draws, handmade_fit, law_draws, point_fit
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from bayes_scaling import optimum, plan, plan_to_target
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.laws import chinchilla, inverse
from bayes_scaling.planning import problem as problem_module
from bayes_scaling.planning.choice import best_size, size_grid
from bayes_scaling.planning.constraints import allowed_sizes, limits
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.plan import problem_of
from bayes_scaling.planning.price import Price
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.reference import prepared
from bayes_scaling.planning.surface import surface_of

GOPHER = 5.76e23
"""The budget of the Chinchilla paper, in FLOPs."""


@pytest.fixture(scope="module")
def uncertain() -> xr.DataTree:
    return handmade_fit(law_draws(400, spread=0.05))


def choose(problem: Problem, cost: float, **within: float) -> tuple[float, float]:
    """Size of least expected regret and that regret, without the labels of `plan`."""
    allowed = allowed_sizes(problem, cost, limits(**within))
    judged = prepared(problem, cost, limits(**within))
    grid = size_grid(judged, cost, allowed, judged.best(cost)[0])
    expected = judged.regret(grid[:, None], judged.tokens(grid[:, None], cost)).mean(axis=-1)
    return best_size(judged, cost, allowed, grid, expected)


@pytest.mark.parametrize(
    ("tokens_per_param", "percent"), [(20, 0.067), (10.4, 2.83), (5.7, 11.43), (58.9, 11.32), (92.7, 20.54)]
)
def test_regret_of_a_known_law_in_printed_numbers(tokens_per_param: float, percent: float):
    params = np.sqrt(GOPHER / (6 * tokens_per_param))
    found = plan(point_fit(), GOPHER, params=params, tokens=params * tokens_per_param)
    assert 100 * float(found["proposed_expected_regret"]) == pytest.approx(
        percent, abs=0.006 if percent > 1 else 0.0006
    )
    assert bool(found["proposed_oversized"]) == (tokens_per_param < 18.34)


def test_a_known_law_is_planned_for_at_its_closed_form():
    """1,000 random laws, budgets and k: the search finds the optimum to a relative error of 1e-6."""
    rng = np.random.default_rng(8)
    worst = 0.0
    for _ in range(1000):
        alpha, beta = rng.uniform(0.1, 0.9, 2)
        law = {
            "E": rng.uniform(0, 3, 1),
            "A": rng.uniform(0.05, 2, 1) * 10 ** (rng.uniform(6, 11) * alpha),
            "B": rng.uniform(0.05, 2, 1) * 10 ** (rng.uniform(8, 13) * beta),
            "alpha": np.array([alpha]),
            "beta": np.array([beta]),
        }
        k, compute = rng.uniform(2, 10), 10 ** rng.uniform(17, 26)
        params, regret = choose(Problem(LawSurface(law, Price(k))), compute)
        worst = max(
            worst, abs(params / chinchilla.optimum(compute, **law, flops_per_param_token=k)[0][0] - 1)
        )
        assert regret < 1e-12
    assert worst < 1e-6


def test_expected_regret_is_least_where_a_search_over_all_draws_finds_it(uncertain: xr.DataTree):
    law = {name: uncertain["posterior"][name].values.ravel() for name in BESIROGLU}
    best = chinchilla.optimum(GOPHER, **law)[0]

    def expected(log_params: float) -> float:
        ratio = np.exp(log_params) / best
        return float(chinchilla.regret(ratio, alpha=law["alpha"], beta=law["beta"]).mean())

    bounds = np.log(5e9), np.log(1e12)
    found = minimize_scalar(expected, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    planned = plan(uncertain, GOPHER)
    assert float(planned["recommended_params"]) == pytest.approx(np.exp(found.x), rel=1e-5)
    assert float(planned["recommended_expected_regret"]) == pytest.approx(found.fun, rel=1e-9)
    assert float(planned["recommended_regret"].mean()) == pytest.approx(found.fun, rel=1e-9)
    product = 6 * planned["recommended_params"] * planned["recommended_tokens"]
    assert float(product) == pytest.approx(GOPHER, rel=1e-12)


def test_the_recommended_plan_beats_that_of_the_mean_law_on_simulated_truths():
    """Truths drawn anew from where the posterior comes from: what is promised is what is paid.

    A third of the truths have a far smaller best size than the rest. The plan at the mean of the parameters,
    and any plan whose regret is worked out at that mean, fails here.
    """
    rng = np.random.default_rng(11)

    def truths(count: int) -> dict[str, np.ndarray]:
        draws = law_draws(count, seed=int(rng.integers(2**31)), spread=0.02)
        far = rng.random(count) < 0.35
        return {**draws, "A": np.where(far, draws["A"] / 8, draws["A"])}

    posterior, world = truths(3000), truths(3000)
    planned = plan(handmade_fit(posterior), GOPHER)
    mean_law = {name: float(values.mean()) for name, values in posterior.items()}
    plugged_in = chinchilla.optimum(GOPHER, **mean_law)[0]
    best = chinchilla.optimum(GOPHER, **world)[0]
    paid, paid_at_mean = (
        chinchilla.regret(size / best, alpha=world["alpha"], beta=world["beta"])
        for size in (float(planned["recommended_params"]), plugged_in)
    )
    error = paid.std() / np.sqrt(len(paid))
    assert float(planned["recommended_expected_regret"]) == pytest.approx(paid.mean(), abs=5 * error)
    gain = paid_at_mean - paid
    assert gain.mean() > 5 * gain.std() / np.sqrt(len(gain))
    assert paid.mean() > 20 * error, "regret at the mean law would be nothing"


def test_the_region_ends_where_its_probability_does():
    uncertain = handmade_fit(law_draws(400, spread=0.12))
    planned = plan(uncertain, GOPHER)
    law = {name: uncertain["posterior"][name].values.ravel() for name in BESIROGLU}
    best = chinchilla.optimum(GOPHER, **law)[0]

    def chance(size: float, bound: float) -> float:
        return float((chinchilla.regret(size / best, alpha=law["alpha"], beta=law["beta"]) <= bound).mean())

    seen = 0
    for bound in planned["regret_bound"].values:
        for probability in planned["probability"].values:
            low, high = planned["region"].sel(regret_bound=bound, probability=probability).values
            if np.isnan(low):
                assert max(chance(size, bound) for size in planned["size"].values) < probability
                continue
            seen += 1
            assert chance(low, bound) >= probability > chance(low * (1 - 1e-6), bound)
            assert chance(high, bound) >= probability > chance(high * (1 + 1e-6), bound)
            assert all(chance(size, bound) >= probability for size in np.geomspace(low, high, 20))
    assert 0 < seen < 9, "one region at least, and one at least that does not exist"


def test_the_region_of_a_known_law_is_where_its_regret_is_the_bound():
    region = plan(point_fit(), GOPHER)["region"]
    best = chinchilla.optimum(GOPHER, **BESIROGLU)[0]
    for bound in region["regret_bound"].values:
        ends = region.sel(regret_bound=bound)
        regret = chinchilla.regret(ends / best, alpha=BESIROGLU["alpha"], beta=BESIROGLU["beta"])
        np.testing.assert_allclose(regret, bound, rtol=1e-6)


def test_probabilities_are_shares_of_the_draws(uncertain: xr.DataTree):
    best = optimum(uncertain, GOPHER)["params_opt"].values.ravel()
    planned = plan(uncertain, GOPHER, below=[4e10, 8e10], target=2.0, params=9e10)
    np.testing.assert_allclose(planned["params_opt_below"], [(best < 4e10).mean(), (best < 8e10).mean()])
    assert float(planned["proposed_oversized"]) == (best < 9e10).mean()
    np.testing.assert_allclose(planned["params_opt"].values.ravel(), best, rtol=1e-12)
    assert float(planned["proposed_reaches"]) == float((planned["proposed_loss"] <= 2.0).mean())
    assert 0 < float(planned["proposed_reaches"]) < 1
    near = planned["size_reaches"].interp(size=float(planned["recommended_params"]))
    assert float(planned["recommended_reaches"]) == pytest.approx(float(near), abs=0.02)


def test_a_plan_off_the_budget_is_judged_at_its_own_cost(uncertain: xr.DataTree):
    planned = plan(uncertain, 1e22, params=7e10, tokens=1.4e12)
    alone = plan(uncertain, 6 * 7e10 * 1.4e12, params=7e10)
    assert float(planned["proposed_compute"]) == pytest.approx(5.88e23)
    np.testing.assert_allclose(planned["proposed_regret"], alone["proposed_regret"], rtol=1e-9)
    assert float(planned["proposed_extrapolation"]) == pytest.approx(588)
    assert float(planned["extrapolation"]) == pytest.approx(10)


def test_half_a_plan_is_completed_by_the_budget(uncertain: xr.DataTree):
    by_size, by_tokens = plan(uncertain, 6e23, params=1e11), plan(uncertain, 6e23, tokens=1e12)
    assert float(by_size["proposed_tokens"]) == pytest.approx(1e12)
    assert float(by_tokens["proposed_params"]) == pytest.approx(1e11)


def test_the_runs_own_rate_is_spent():
    planned = plan(handmade_fit(law_draws(50), k=8.0), 1e22, served_tokens=1e11)
    size, tokens = float(planned["recommended_params"]), float(planned["recommended_tokens"])
    assert 8 * size * tokens + 8 / 3 * size * 1e11 == pytest.approx(1e22)
    assert float(planned["recommended_compute"]) == pytest.approx(8 * size * tokens)
    assert float(planned["recommended_cost"]) == pytest.approx(1e22)


def test_blocks_bound_memory_and_change_nothing(uncertain: xr.DataTree, monkeypatch: pytest.MonkeyPatch):
    whole = plan(uncertain, GOPHER, target=2.0)
    monkeypatch.setattr(problem_module, "_BLOCK", 1000)
    xr.testing.assert_allclose(plan(uncertain, GOPHER, target=2.0), whole, rtol=1e-12)


def test_serving_at_a_fixed_cost_is_a_numerical_minimum():
    """One law: size, tokens and loss against a search; regret against the cheapest run to that loss."""
    served, cost = 1e13, 1e24

    def loss(log_params: float) -> float:
        size = np.exp(log_params)
        tokens = cost / (6 * size) - served / 3
        return float(chinchilla.loss(size, tokens, **BESIROGLU))

    high = np.log(cost / (2 * served)) - 1e-6
    found = minimize_scalar(loss, bounds=(np.log(1e8), high), method="bounded", options={"xatol": 1e-11})
    planned = plan(point_fit(), cost, served_tokens=served)
    assert float(planned["recommended_params"]) == pytest.approx(np.exp(found.x), rel=1e-5)
    assert float(planned["loss_opt"].item()) == pytest.approx(found.fun, rel=1e-10)
    assert float(planned["params_opt"].item()) == pytest.approx(
        float(planned["recommended_params"]), rel=1e-5
    )
    assert float(planned["recommended_expected_regret"]) == pytest.approx(0, abs=1e-9)
    assert float(planned["recommended_params"]) < float(plan(point_fit(), cost)["recommended_params"])


@given(
    alpha=st.floats(0.2, 0.6),
    beta=st.floats(0.2, 0.6),
    log_compute=st.floats(44, 58),
    ratio=st.floats(1e-3, 1e3),
    epochs=st.floats(0.3, 50),
)
@settings(max_examples=40, deadline=None)
def test_with_serving_and_repetition_no_size_is_better(alpha, beta, log_compute, ratio, epochs):
    """The chosen plan spends the budget, and no size on a fine grid reaches a lower loss."""
    law = {"E": [1.7], "A": [3e8**alpha], "B": [6e9**beta], "alpha": [alpha], "beta": [beta]}
    surface = LawSurface({name: np.array(values) for name, values in law.items()}, Price(6.0))
    cost = float(np.exp(log_compute))
    tokens_opt = float(surface.optimum(cost)[1][0])
    judged = Problem(surface, served=tokens_opt * ratio, unique=tokens_opt / epochs)
    params, regret = choose(judged, cost)
    tokens = judged.tokens(params, cost)
    assert judged.cost(params, tokens) == pytest.approx(cost)
    assert regret >= -1e-9
    grid = np.geomspace(params / 100, min(params * 100, judged.largest(cost)), 2000)
    others = judged.loss(grid[:, None], judged.tokens(grid[:, None], cost))
    assert judged.loss(params, tokens)[0] <= others.min() * (1 + 1e-9)
    # Constraints cost something: serving pays for nothing but itself, and repeated tokens are worth less.
    assert judged.loss(params, tokens)[0] >= surface.optimum(cost)[2][0] * (1 - 1e-12)


def test_serving_nothing_and_data_without_end_leave_the_plain_optimum(uncertain: xr.DataTree):
    plain = plan(uncertain, GOPHER)
    served = plan(uncertain, GOPHER, served_tokens=1e3)
    endless = plan(uncertain, GOPHER, unique_tokens=1e20)
    for name in ("recommended_params", "recommended_tokens", "recommended_expected_regret"):
        assert float(served[name]) == pytest.approx(float(plain[name]), rel=1e-6)
        assert float(endless[name]) == pytest.approx(float(plain[name]), rel=1e-6)
    for limit in (served, endless):
        np.testing.assert_allclose(limit["params_opt"], plain["params_opt"], rtol=1e-6)
        np.testing.assert_allclose(limit["loss_opt"], plain["loss_opt"], rtol=1e-9)


def test_repetition_trains_a_smaller_model_for_more_epochs(uncertain: xr.DataTree):
    """As Muennighoff et al. find: where data run out, epochs are a better use of compute than parameters."""
    plain, scarce = plan(uncertain, GOPHER), plan(uncertain, GOPHER, unique_tokens=2e11)
    assert float(scarce["recommended_params"]) < float(plain["recommended_params"])
    assert float(scarce["recommended_tokens"]) > 5 * 2e11
    assert (scarce["loss_opt"] > plain["loss_opt"]).all()
    # What the data cost is one thing, and what the plan makes of them another.
    assert (scarce["limits_price"] > 0.1).all()
    assert float(scarce["recommended_expected_regret"]) < 0.01
    region = scarce["region"].sel(regret_bound=0.05, probability=0.8)
    assert float(region[0]) < float(scarce["recommended_params"]) < float(region[1])


def test_a_run_that_is_there_is_continued_where_that_is_better(uncertain: xr.DataTree):
    good = plan(uncertain, 1e23, spent_params=4e10, spent_tokens=5e11)
    assert bool(good["recommended_continues"])
    assert float(good["recommended_tokens"]) == pytest.approx(5e11 + 1e23 / (6 * 4e10))
    loss = chinchilla.loss(4e10, 5e11 + 1e23 / (6 * 4e10), **{
        name: uncertain["posterior"][name].values.ravel() for name in BESIROGLU
    })  # fmt: skip
    np.testing.assert_allclose(good["recommended_loss"].values.ravel(), loss, rtol=1e-12)
    assert float(good["recommended_expected_regret"]) < 1e-6, "nothing is better than to train it on"
    assert (good["recommended_from_scratch"] > 1).all(), "what was spent before is a gift"
    assert np.isnan(good["recommended_oversized"]), "its size is no choice"
    tiny = plan(uncertain, 1e23, spent_params=1e8, spent_tokens=1e12)
    assert not bool(tiny["recommended_continues"])
    assert float(tiny["continued_expected_regret"]) > float(tiny["recommended_expected_regret"])
    law = {name: uncertain["posterior"][name].values.ravel() for name in BESIROGLU}
    reached = chinchilla.loss(1e8, 1e12 + 1e23 / (6 * 1e8), **law)
    least = inverse.least_compute(reached, **law, flops_per_param_token=6.0)
    np.testing.assert_allclose(tiny["continued_from_scratch"].values.ravel(), least / 1e23, rtol=1e-9)
    np.testing.assert_allclose(tiny["continued_regret"].values.ravel(), 1 - least / 1e23, rtol=1e-9)
    forbidden = plan(uncertain, 1e23, spent_params=4e10, spent_tokens=5e11, max_params=3e10)
    assert "continued_params" not in forbidden
    with pytest.raises(InputError, match="give both"):
        plan(uncertain, 1e23, spent_params=4e10)


@pytest.mark.parametrize("more", [{}, {"served_tokens": 2e11}, {"unique_tokens": 2e11}, {"min_params": 1e10}])
def test_a_run_that_is_there_is_one_of_the_plans_that_regret_is_against(uncertain: xr.DataTree, more: dict):
    """By brute force: what it costs to reach a plan's loss, from scratch at its best or by training on."""
    budget, size, spent = 1e23, 3e10, 2e11
    decided = plan(uncertain, budget, spent_params=size, spent_tokens=spent, params=6e10, **more)
    alone = plan(uncertain, budget, params=6e10, **more)
    fitted = surface_of(uncertain)
    problem = problem_of(fitted, **{name: more[name] for name in more if name.endswith("tokens")})
    tokens = float(decided["proposed_tokens"])
    loss = problem.loss(6e10, tokens)
    steps = np.geomspace(1e7, 1e14, 20_000)[:, None]
    enough = problem.loss(size, spent + steps) <= loss
    trained_on = np.where(enough, problem.cost(size, steps), np.inf).min(axis=0)
    expected = np.maximum(alone["proposed_regret"].values.ravel(), 1 - trained_on / budget)
    np.testing.assert_allclose(decided["proposed_regret"].values.ravel(), expected, atol=2e-3)
    for name in ("recommended", "continued", "proposed"):
        assert (decided[f"{name}_regret"] > -1e-6).all()
    assert float(decided["recommended_expected_regret"]) <= float(decided["proposed_expected_regret"])
    assert float(decided["size_expected_regret"].min()) >= float(decided["recommended_expected_regret"])


def test_a_whole_plan_is_judged_at_its_own_compute(uncertain: xr.DataTree):
    for more in ({}, {"served_tokens": 1e12}):
        own = plan(uncertain, params=7e10, tokens=1.4e12, **more)
        cost = 6 * 7e10 * (1.4e12 + more.get("served_tokens", 0.0) / 3)
        assert float(own["compute"]) == pytest.approx(cost)
        xr.testing.assert_allclose(own, plan(uncertain, cost, params=7e10, tokens=1.4e12, **more))
    with pytest.raises(InputError, match="needs compute, a budget in FLOPs, or params and tokens"):
        plan(uncertain, params=7e10)


def test_recipes_are_planned_for_one_at_a_time():
    one, other = law_draws(60, seed=1), law_draws(60, seed=2)
    other["A"] = other["A"] * 3
    both = handmade_fit(
        {name: np.stack([one[name], other[name]], axis=-1) for name in one}, recipes=("web", "code")
    )
    for recipe, draws in (("web", one), ("code", other)):
        alone = plan(handmade_fit(draws), 1e23)
        together = plan(both, 1e23, recipe=recipe)
        assert together.attrs["recipe"] == recipe
        xr.testing.assert_allclose(together, alone)
    with pytest.raises(InputError, match=r"2 recipes, and a plan is for one.*they are 'web', 'code'"):
        plan(both, 1e23)
    with pytest.raises(InputError, match="no recipe 'wed'; did you mean 'web'"):
        plan(both, 1e23, recipe="wed")
    with pytest.raises(InputError, match="does not tell recipes apart"):
        plan(handmade_fit(one), 1e23, recipe="web")


def test_an_isoflop_model_that_is_a_law_is_planned_for_alike():
    """Without irreducible loss the skewed profiles are a Chinchilla law: every answer has to be the same."""
    law = {**law_draws(200, spread=0.05), "E": np.zeros(200)}
    as_law, as_frontier = handmade_fit(law), handmade_fit(frontier_draws(law), law="isoflop-skewed")
    asked = {"params": 9e10, "tokens": 9e11, "target": 0.17, "below": 6e10}
    for more in ({}, {"served_tokens": 3e12}, {"unique_tokens": 3e11}, {"max_tokens": 1e12}):
        expected, found = (plan(each, GOPHER, **asked, **more) for each in (as_law, as_frontier))
        same = (
            "recommended_params",
            "recommended_tokens",
            "proposed_loss",
            "size_expected_loss",
            "params_opt",
        )
        for name in same:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4 if "size" in name else 1e-5)
        np.testing.assert_allclose(found["proposed_regret"], expected["proposed_regret"], atol=5e-5)
        np.testing.assert_allclose(found["size_regret"], expected["size_regret"], atol=5e-4)
        np.testing.assert_allclose(found["region"], expected["region"], rtol=1e-4)
        assert float(found["params_opt_below"][0]) == float(expected["params_opt_below"][0])


def test_an_isoflop_model_spends_budgets_as_its_optimum_does():
    """Where k drifts with the size, tokens are what the rest of the budget buys at that size's k."""
    fit = handmade_fit(
        frontier_draws(law_draws(40)), law="isoflop-skewed", flops=tuple(np.geomspace(1e19, 1e22, 9))
    )
    constant = fit["constant_data"].to_dataset()
    constant["flops"] = constant["flops"] * (constant["params"] / 1e9) ** 0.04
    posterior = fit["posterior"].to_dataset().assign(params_min=3e9)
    fit["constant_data"], fit["posterior"] = xr.DataTree(constant), xr.DataTree(posterior)
    surface, best = surface_of(fit).surface, optimum(fit, 1e23)
    for name, found in zip(("params_opt", "tokens_opt", "loss_opt"), surface.optimum(1e23), strict=True):
        np.testing.assert_allclose(found, best[name].values.ravel(), rtol=1e-12)
    params, tokens, _ = surface.optimum(1e23)
    np.testing.assert_allclose(surface.compute(params, tokens), 1e23, rtol=1e-12)
    np.testing.assert_allclose(surface.params(tokens, 1e23), params, rtol=1e-12)
    np.testing.assert_allclose(surface.params_of_tokens(tokens), params, rtol=1e-9)
    assert surface.compute(1e10, 1.0) / surface.compute(3e8, 1.0) > 1.03 * 1e10 / 3e8


def test_a_parabola_is_least_at_its_frontier():
    law = {**law_draws(50), "E": np.full(50, 1.5)}
    draws = {n: v for n, v in frontier_draws(law).items() if n not in ("alpha", "beta")}
    fit = handmade_fit({**draws, "E": law["E"], "kappa": 0.05, "kappa_slope": -0.02}, law="isoflop-parabola")
    surface = surface_of(fit).surface
    params, tokens, loss = surface.optimum(1e22)
    np.testing.assert_allclose(surface.loss(params, tokens), loss, rtol=1e-12)
    np.testing.assert_allclose(surface.regret(params, tokens), 0, atol=1e-12)
    np.testing.assert_allclose(surface.least_compute(loss), 1e22, rtol=1e-9)
    for factor in (0.3, 3.0):
        worse = surface.loss(params * factor, tokens / factor)
        assert (worse > loss).all()
        saved = 1 - surface.least_compute(worse) / 1e22
        np.testing.assert_allclose(surface.regret(params * factor, tokens / factor), saved, rtol=1e-9)
        # Not always the tokens it was trained on: a parabola's loss may fall to that before it rises again.
        reached = surface.tokens_to_reach(params * factor, worse)
        np.testing.assert_allclose(surface.loss(params * factor, reached), worse, rtol=1e-9)
        assert (reached <= tokens / factor * (1 + 1e-9)).all()
    np.testing.assert_allclose(surface.params_of_tokens(tokens), params, rtol=1e-9)


@pytest.mark.parametrize("served", [None, 1e12])
def test_exponents_that_are_hardly_known_overflow_nowhere(served: float | None):
    """Draws whose losses lie orders of magnitude beyond a float are infinite, not a warning or NaN."""
    rng = np.random.default_rng(3)
    alpha, beta = np.exp(rng.uniform(np.log(0.01), np.log(5), (2, 200)))
    law = {
        "E": rng.uniform(0.1, 2, 200),
        "A": rng.uniform(0.1, 1, 200) * 1e9**alpha,
        "B": rng.uniform(0.1, 1, 200) * 2e10**beta,
        "alpha": alpha,
        "beta": beta,
    }
    for fit in (handmade_fit(law), handmade_fit(frontier_draws(law), law="isoflop-skewed")):
        planned = plan(fit, 1e26, params=7e10, served_tokens=served)
        for name in ("recommended_params", "recommended_expected_regret", "proposed_regret", "params_opt"):
            assert np.isfinite(planned[name]).all()
        assert planned["region"].isnull().all()
        cheapest = plan_to_target(fit, 2.3, sure=0.3, served_tokens=served)
        assert 0.3 <= float(cheapest["recommended_reaches"]) < 0.4
        assert not cheapest["lifetime"].isnull().any()


def test_draws_that_have_not_converged_are_refused_unless_allowed():
    fit = handmade_fit(law_draws(20), converged=False)
    with pytest.raises(NotConvergedError, match="it was made so"):
        plan(fit, 1e22)
    assert plan(fit, 1e22, allow_unconverged=True).attrs["converged"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"compute": 0.0}, "compute must be positive"),
        ({"compute": [1e22, 1e23]}, "compute must be one number, not 2"),
        ({"params": -1.0}, "params must be positive"),
        ({"target": np.nan}, "target must be positive"),
        ({"served_tokens": 0.0}, "served_tokens must be positive"),
        ({"unique_tokens": np.inf}, "unique_tokens must be positive"),
        ({"below": ["big"]}, "below must be a number of parameters"),
        ({"prob": 90}, "prob must lie between 0 and 1"),
        ({"params": 1e13, "served_tokens": 1e12}, r"serving such a model alone costs 2e25 FLOPs, more"),
    ],
)
def test_what_is_no_request_is_refused(uncertain: xr.DataTree, changes: dict, said: str):
    with pytest.raises(InputError, match=said):
        plan(uncertain, **{"compute": 1e22, **changes})


def test_draws_that_are_no_law_are_refused_with_their_share():
    draws = law_draws(100)
    draws["A"][:25] = np.inf
    draws["alpha"][20:30] = np.nan
    with pytest.raises(InputError, match=r"30 % of its draws are no law, for A, alpha must be finite"):
        plan(handmade_fit(draws), 1e22)
    line = frontier_draws(law_draws(100))
    line["kappa"][:10] = 0.0
    with pytest.raises(InputError, match=r"10 % of its draws are no law, for kappa must"):
        plan(handmade_fit(line, law="isoflop-skewed"), 1e22)


@given(alpha=st.floats(0.15, 0.8), beta=st.floats(0.15, 0.8), epochs=st.floats(0.5, 300))
@settings(max_examples=60, deadline=None)
def test_where_tokens_repeat_the_best_size_is_that_of_brute_force(alpha, beta, epochs):
    """Where a parameter is worth much more than a token the best model is larger than with fresh tokens."""
    law = {"E": 1.7, "A": 3e8**alpha, "B": 6e9**beta, "alpha": alpha, "beta": beta}
    surface = LawSurface({name: np.array([value]) for name, value in law.items()}, Price(6.0))
    plain, tokens_opt, _ = (values.item() for values in surface.optimum(1e22))
    problem = Problem(surface, unique=tokens_opt / epochs)
    params, tokens, loss = (values.item() for values in problem.best(1e22))
    grid = plain * np.geomspace(1e-5, 1e5, 20_001)[:, None]
    others = problem.loss(grid, problem.tokens(grid, 1e22))
    assert loss <= others.min() * (1 + 1e-9)
    assert 6 * params * tokens == pytest.approx(1e22)


def test_repetition_may_ask_for_a_larger_model():
    law = {"E": 1.7, "A": 3e8**0.6, "B": 6e9**0.2, "alpha": 0.6, "beta": 0.2}
    fit = handmade_fit(law)
    plain, scarce = plan(fit, 1e22), plan(fit, 1e22, unique_tokens=1e9)
    assert float(scarce["params_opt"].item()) > 1.2 * float(plain["params_opt"].item())
    assert float(scarce["recommended_params"]) == pytest.approx(scarce["params_opt"].item(), rel=1e-4)


def test_a_plan_says_how_far_size_and_tokens_lie_from_the_runs():
    """Serving a million times the tokens leaves next to nothing for training, inside the runs' compute."""
    fit = point_fit()
    runs = fit["constant_data"].dataset
    found = plan(fit, 1e23, served_tokens=1e18, params=1e8, tokens=1e9)
    params, tokens = float(found["recommended_params"]), float(found["recommended_tokens"])
    assert float(found["recommended_extrapolation_params"]) == pytest.approx(
        float(runs["params"].min()) / params
    )
    assert float(found["recommended_extrapolation_tokens"]) == pytest.approx(
        tokens / float(runs["tokens"].max())
    )
    assert float(found["recommended_serving_share"]) == pytest.approx(2 * params * 1e18 / 1e23)
    assert float(found["recommended_serving_share"]) > 0.99
    assert float(found["proposed_serving_share"]) == pytest.approx(1 / (1 + 3 * 1e9 / 1e18))
    assert found["recommended_extrapolation_params"].attrs["units"] == "1"
    inside = plan(fit, 1e20)
    assert float(inside["recommended_extrapolation_params"]) == 1
    assert "recommended_serving_share" not in inside
    cheapest = plan_to_target(fit, 2.5, served_tokens=1e12)
    cost, compute = float(cheapest["recommended_cost"]), float(cheapest["recommended_compute"])
    assert float(cheapest["recommended_serving_share"]) == pytest.approx(1 - compute / cost)
    assert float(cheapest["recommended_extrapolation_params"]) >= 1


def test_a_size_beyond_which_serving_alone_costs_more_is_too_large():
    """Of what serving leaves, a model that is smaller by a thousandth has many times the tokens."""
    found = plan(point_fit(), 1e23, served_tokens=1e18, params=1e8, tokens=1e9)
    assert float(found["proposed_oversized"]) == 1
