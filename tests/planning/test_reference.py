"""What a plan could have done instead within the same limits: against brute force over all of their plans."""

from __future__ import annotations

import numpy as np
import pytest
from handmade_fits import frontier_draws, handmade_fit, law_draws

from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.constraints import limits
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.price import Price
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.reference import prepared, price_of_limits
from bayes_scaling.planning.surface import Surface, surface_of

COST = 5.76e23
DRAWS = {**law_draws(6, spread=0.15), "E": np.full(6, 1.7)}
SIZE, TOKENS = 7e10, 1.4e12

LIMITS = [
    ({}, {"unique": 2e11}),
    ({}, {"unique": 3e12}),
    ({}, {"served": 1e12}),
    ({}, {"served": 3e13}),
    ({"max_params": 1e10}, {}),
    ({"min_params": 3e11}, {}),
    ({"max_tokens": 5e11}, {}),
    ({"max_params": 3e10}, {"unique": 3e11, "served": 1e12}),
    ({"max_tokens": 6e11, "min_params": 2e10}, {"unique": 3e11}),
    ({"min_params": 3e10}, {"served": 8e12}),
    ({"sizes": [7e9, 3e10, 1.3e11]}, {}),
    ({"sizes": [7e9, 3e10, 1.3e11], "max_tokens": 8e11}, {"unique": 3e11}),
]


def surfaces() -> list[Surface]:
    steep = {**DRAWS, "alpha": DRAWS["alpha"] * 1.8, "A": DRAWS["A"] * 1e9 ** (0.8 * DRAWS["alpha"])}
    rising = Price(4.5, 0.3, 1e10, 1.0)
    line = {**frontier_draws(DRAWS), "E": np.full(6, 1.2), "kappa": np.full(6, 0.05)}
    parabola = {name: values for name, values in line.items() if name not in ("alpha", "beta")}
    return [
        LawSurface(DRAWS, Price(6.0)),
        LawSurface(steep, rising),
        surface_of(handmade_fit(line, law="isoflop-skewed")).surface,
        surface_of(handmade_fit(parabola, law="isoflop-parabola")).surface,
    ]


def least_by_force(problem: Problem, loss: np.ndarray, allowed: dict) -> np.ndarray:
    """Least cost of all plans within limits that have the loss: grids of sizes, each finer about the best."""

    def costs(sizes: np.ndarray) -> np.ndarray:
        tokens = problem.tokens_to_reach(sizes, loss)
        return np.where(tokens <= allowed.get("max_tokens", np.inf), problem.cost(sizes, tokens), np.inf)

    if "sizes" in allowed:
        return costs(np.array(allowed["sizes"])[:, None]).min(axis=0)
    low = np.full(len(loss), np.log(allowed.get("min_params", 1e5)))
    high = np.full(len(loss), np.log(allowed.get("max_params", 1e16)))
    for _ in range(6):
        grid = np.linspace(low, high, 400)
        best = costs(np.exp(grid)).argmin(axis=0)
        draw = np.arange(len(loss))
        low, high = grid[np.maximum(best - 1, 0), draw], grid[np.minimum(best + 1, 399), draw]
    return costs(np.exp(grid)).min(axis=0)


@pytest.mark.parametrize(("allowed", "paid"), LIMITS)
@pytest.mark.parametrize("number", range(4))
def test_regret_is_against_the_best_plan_within_the_limits(number: int, allowed: dict, paid: dict):
    surface = surfaces()[number]
    bare = Problem(surface, **paid)
    within = limits(**allowed)
    problem = prepared(bare, COST, within)
    low = max(allowed.get("min_params", 0.0), 0.0)
    if "max_tokens" in allowed:
        low = max(low, surface.params(allowed["max_tokens"] + bare.served / 3, COST))
    high = min(allowed.get("max_params", np.inf), float(bare.largest(COST)))
    sizes = np.asarray(allowed.get("sizes", np.clip(np.geomspace(1e9, 3e12, 9), low, high)))
    for size in sizes[(sizes >= low) & (sizes <= high)]:
        tokens = bare.tokens(size, COST)
        loss = bare.loss(size, tokens)
        expected = 1 - least_by_force(bare, loss, allowed) / COST
        # Where another size becomes the best, or a limit begins to hold, lies a corner between two costs that
        # are worked out; about a frontier more so, whose profiles need not fall with the tokens.
        rough = 6e-3 if number > 1 else 2e-3 if "sizes" in allowed else 4e-4
        np.testing.assert_allclose(problem.regret(size, tokens), expected, atol=rough)
        assert (problem.regret(size, tokens) >= -1e-12).all()


@pytest.mark.parametrize("number", range(4))
def test_limits_that_hold_nothing_are_none(number: int):
    surface = surfaces()[number]
    plain = Problem(surface)
    assert prepared(plain, COST) == plain
    sizes = np.geomspace(1e9, 3e12, 40)[:, None]
    tokens = plain.tokens(sizes, COST)
    for paid, allowed in (({"served": 1e3}, {}), ({"unique": 1e20}, {}), ({}, {"max_params": 1e18})):
        held = prepared(Problem(surface, **paid), COST, limits(**allowed))
        np.testing.assert_allclose(held.regret(sizes, tokens), plain.regret(sizes, tokens), atol=2e-9)
        np.testing.assert_allclose(
            price_of_limits(Problem(surface, **paid), COST, limits(**allowed)), 0, atol=1e-7
        )


@pytest.mark.parametrize("served", [1e11, 1e13])
def test_a_frontier_that_falls_steeply_is_served_for_without_misses(served: float):
    line = {**frontier_draws(DRAWS), "E": np.full(6, 1.5), "kappa": np.full(6, 0.3)}
    line |= {"gamma": np.full(6, 1.3), "loss_coefficient": np.full(6, 0.4 * 1e22**1.3)}
    bare = Problem(surface_of(handmade_fit(line, law="isoflop-skewed")).surface, served=served)
    problem = prepared(bare, 1e23)
    for size in np.geomspace(1e9, min(1e11, float(bare.largest(1e23))), 7):
        tokens = bare.tokens(size, 1e23)
        expected = 1 - bare.surface.least_lifetime_compute(bare.loss(size, tokens), served) / 1e23
        np.testing.assert_allclose(problem.regret(size, tokens), expected, atol=2e-3)


def test_what_limits_cost_is_the_compute_that_reaches_the_same_loss_without_them():
    surface = LawSurface(DRAWS, Price(6.0))
    found = price_of_limits(Problem(surface), COST, limits(max_params=1e10))
    best = chinchilla.optimum(COST, **DRAWS)[0]
    expected = chinchilla.regret(1e10 / best, alpha=DRAWS["alpha"], beta=DRAWS["beta"])
    np.testing.assert_allclose(found, np.where(best > 1e10, expected, 0), rtol=1e-9)
    scarce = Problem(surface, unique=2e11)
    loss = scarce.best(COST)[2]
    np.testing.assert_allclose(
        price_of_limits(scarce, COST, limits()), 1 - surface.least_compute(loss) / COST, rtol=1e-6
    )


def test_a_problem_that_is_not_prepared_has_no_reference():
    with pytest.raises(ValueError, match="prepare the problem"):
        Problem(LawSurface(DRAWS, Price(6.0)), unique=1e11).regret(SIZE, TOKENS)
