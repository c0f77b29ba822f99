"""Surfaces that leave their law beyond the runs, against searches that know nothing of how."""

from __future__ import annotations

import numpy as np
import pytest
from handmade_fits import BESIROGLU, frontier_draws, law_draws

from bayes_scaling.planning.deviating_surface import DeviatingSurface
from bayes_scaling.planning.deviations import Deviations
from bayes_scaling.planning.discrepancy import KEPT
from bayes_scaling.planning.draws_surface import deviating
from bayes_scaling.planning.frontier_surface import FrontierSurface
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.price import Price
from bayes_scaling.planning.surface import Surface

LARGEST = 1e21
COUNT = 60


def law_surface(price: Price) -> LawSurface:
    return LawSurface(law_draws(COUNT), price)


def frontier_surface(skewed: bool) -> FrontierSurface:
    line = frontier_draws(law_draws(COUNT)) | {"kappa": np.full(COUNT, 0.02)}
    skew = {name: line.pop(name) for name in ("alpha", "beta")}
    line["E"] = np.full(COUNT, 1.7)
    return FrontierSurface(
        log_kappa=np.log(line.pop("kappa")),
        **line,
        skew=skew if skewed else {},
        price=Price(6.0),
        typical_compute=1e20,
    )


SURFACES = {
    "law": law_surface(Price(6.0)),
    "law with a rising price": law_surface(Price(5.0, 0.4, 3e9, 0.8)),
    "skewed": frontier_surface(skewed=True),
    "parabola": frontier_surface(skewed=False),
}


def slopes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Some that take most of what the law gains from the start, some that never do."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(-0.2, 0.25, COUNT)
    return slope, rng.permutation(np.linspace(-0.6, 0.6, COUNT))


def deviated(law: Surface, slope: np.ndarray, params_slope: np.ndarray) -> DeviatingSurface:
    found = deviating(law, Deviations(LARGEST, slope, params_slope, "as made"))
    assert isinstance(found, DeviatingSurface)
    return found


@pytest.fixture(params=list(SURFACES))
def law(request: pytest.FixtureRequest) -> Surface:
    return SURFACES[request.param]


def answers(surface: Surface, compute: float) -> dict[str, np.ndarray]:
    """Everything that a surface says about one compute."""
    params, tokens, loss = surface.optimum(compute)
    size = np.array([[0.5], [2.0]]) * np.median(params)
    rest = compute / surface.compute(size, 1.0)
    return {
        "params": params,
        "tokens": tokens,
        "loss_opt": loss,
        "loss": surface.loss(size, rest),
        "regret": surface.regret(size, rest),
        "least": surface.least_compute(loss * 1.001),
        "served": surface.least_lifetime_compute(loss * 1.001, 1e11),
        "reach": surface.tokens_to_reach(size, surface.loss(size, rest * 0.9)),
        "fed": surface.params_of_tokens(tokens * 0.9),
    }


def test_slopes_of_zero_give_the_law_to_the_bit(law):
    surface = deviated(law, np.zeros(COUNT), np.zeros(COUNT))
    for compute in (1e19, 1e24):
        for (name, found), by_law in zip(
            answers(surface, compute).items(), answers(law, compute).values(), strict=True
        ):
            assert np.array_equal(found, by_law), name


def test_within_the_runs_it_is_the_law_to_the_bit(law):
    surface = deviated(law, *slopes())
    for compute in (1e19, LARGEST):
        for (name, found), by_law in zip(
            answers(surface, compute).items(), answers(law, compute).values(), strict=True
        ):
            if name != "served" or compute < LARGEST:
                assert np.array_equal(found, by_law), name


def test_it_leaves_the_law_without_a_jump(law):
    surface = deviated(law, *slopes())
    just = LARGEST * (1 + 1e-7)
    for (name, found), by_law in zip(
        answers(surface, just).items(), answers(law, just).values(), strict=True
    ):
        if name == "served":
            continue
        assert found == pytest.approx(by_law, rel=1e-5, abs=1e-6), name


def test_the_optimum_moves_as_the_slopes_say(law):
    slope, params_slope = slopes()
    surface = deviated(law, slope, params_slope)
    params, tokens, loss = surface.optimum(1e23)
    by_law = law.optimum(1e23)
    assert params == pytest.approx(by_law[0] * np.exp(2 * params_slope))
    assert surface.compute(params, tokens) == pytest.approx(1e23)
    straight = surface.bend >= 2
    assert 10 < straight.sum() < COUNT
    assert loss[straight] == pytest.approx((by_law[2] * np.exp(2 * slope))[straight])


def test_the_bend_is_where_no_more_of_the_gain_may_be_lost(law):
    slope, _ = slopes()
    surface = deviated(law, slope, np.zeros(COUNT))

    def rate(surface: Surface, decades: np.ndarray) -> np.ndarray:
        step = 1e-3
        before, after = (surface.optimum(LARGEST * 10 ** (decades + side * step))[2] for side in (-1, 1))
        return np.log(before / after) / (2 * step)

    inside = np.flatnonzero((surface.bend > 0.01) & np.isfinite(surface.bend))
    assert inside.size
    part, own = law.at_draws(inside), surface.at_draws(inside)
    assert rate(part, own.bend) == pytest.approx(own.slope / (1 - KEPT), rel=1e-4)
    for decades in (0.5, 2.0, 5.0):
        kept = rate(surface, np.full(COUNT, decades)) / rate(law, np.full(COUNT, decades))
        assert kept.min() > KEPT - 1e-4
    assert (surface.bend[slope <= 0] == np.inf).all()


def test_the_optimum_is_the_best_of_a_grid(law):
    surface = deviated(law, *slopes())
    for compute in (3e21, 1e24):
        params, _, loss = surface.optimum(compute)
        grid = params * np.exp(np.linspace(-1, 1, 2001))[:, None]
        along = surface.loss(grid, compute / surface.compute(grid, 1.0))
        best = along.argmin(axis=0)
        assert np.abs(best - 1000).max() <= (1 if isinstance(law, LawSurface) else 60)
        assert along.min(axis=0) == pytest.approx(loss, rel=1e-6)


def test_regret_is_zero_at_the_optimum_and_never_below(law):
    surface = deviated(law, *slopes())
    for compute in (1.3e21, 1e23, 7e25):
        params, tokens, _ = surface.optimum(compute)
        assert surface.regret(params, tokens) == pytest.approx(0, abs=1e-6)
        size = np.geomspace(1e8, 1e13, 40)[:, None]
        wasted = surface.regret(size, compute / surface.compute(size, 1.0))
        assert wasted.min() >= 0
        assert wasted.max() <= 1


def test_regret_is_what_the_frontier_would_have_saved(law):
    surface = deviated(law, *slopes())
    size = np.geomspace(1e9, 1e12, 9)[:, None]
    for compute in (3e21, 1e24):
        tokens = compute / surface.compute(size, 1.0)
        loss, regret = surface.loss(size, tokens), surface.regret(size, tokens)
        assert surface.optimum(compute * (1 - regret))[2] == pytest.approx(loss, rel=1e-7)


def test_the_least_compute_is_where_the_frontier_has_the_loss(law):
    surface = deviated(law, *slopes())
    for compute in (1e20, 1.01e21, 1e22, 3e24, 1e29):
        loss = surface.optimum(compute)[2]
        assert surface.least_compute(loss) == pytest.approx(compute, rel=1e-6)
        # Not what else is asked for at the same time.
        many = surface.least_compute(np.linspace(1, 1.2, 30)[:, None] * loss)
        assert many[0] == pytest.approx(compute, rel=1e-6)
        assert (np.diff(many, axis=0) < 0).all()


def test_what_no_compute_within_reach_has_is_never_reached(law):
    surface = deviated(law, *slopes())
    assert (surface.least_compute(surface.optimum(LARGEST * 10**13.0)[2]) == np.inf).all()
    assert (surface.least_compute(0.0) == np.inf).all()
    # A law that gets better than it knew reaches what it held for irreducible, and others do not.
    found = surface.least_compute(np.full(COUNT, 1.6))
    assert np.isfinite(found[:5]).all()
    assert (found[-5:] == np.inf).all()


def test_tokens_to_a_loss_have_it_and_fewer_have_not(law):
    surface = deviated(law, *slopes())
    size = np.array([[3e9], [3e10]])
    for compute in (5e20, 1e22, 1e24):
        loss = surface.optimum(compute)[2] * 1.02
        tokens = surface.tokens_to_reach(size, loss)
        there = np.isfinite(tokens)
        assert there.any()
        reached = surface.loss(size, np.where(there, tokens, 1e12))
        assert reached[there] == pytest.approx(np.broadcast_to(loss, tokens.shape)[there], rel=1e-8)
        share = np.linspace(0.02, 0.995, 60)[:, None, None]
        fewer = surface.loss(size, share * np.where(there, tokens, 1e12))
        assert (fewer > loss)[:, there].all()


def test_the_size_of_tokens_is_that_whose_optimum_takes_them(law):
    surface = deviated(law, *slopes())
    for compute in (1e20, 3e21, 1e24):
        params, tokens, _ = surface.optimum(compute)
        assert surface.params_of_tokens(tokens) == pytest.approx(params, rel=1e-8)


@pytest.mark.parametrize("served", [1e10, 3e12])
def test_a_lifetime_costs_the_least_of_a_grid(law, served):
    surface = deviated(law, *slopes())
    loss = surface.optimum(1e23)[2] * 1.01
    found = surface.least_lifetime_compute(loss, served)
    best = surface.optimum(surface.least_compute(loss))[0]
    # Where the least cost is that of the smallest size that has the loss, a grid comes near it but slowly.
    log_size, width = np.log(best), 6.0
    for _ in range(4):
        size = np.exp(log_size + width * np.linspace(-1, 0.2 if width == 6.0 else 1, 60)[:, None])
        cost = surface.compute(size, surface.tokens_to_reach(size, loss) + served / 3)
        log_size = np.log(size[cost.argmin(axis=0), np.arange(COUNT)])
        width /= 20
    least = cost.min(axis=0)
    assert (found <= least * (1 + 1e-6)).all()
    assert found == pytest.approx(least, rel=1e-3)
    assert surface.least_lifetime_compute(loss, 0.0) == pytest.approx(surface.least_compute(loss))


def test_some_draws_are_those_draws():
    surface = deviated(SURFACES["law"], *slopes())
    which = np.array([0, 7, 7, 50])
    for name, found in answers(surface.at_draws(which), 1e23).items():
        if name in ("params", "tokens", "loss_opt", "least"):
            assert np.array_equal(found, answers(surface, 1e23)[name][which]), name


def test_the_frontier_of_besiroglu_bends_in_closed_form():
    """g' = gamma ln 10 (1 - E / L_opt), of a frontier E + F C^-gamma."""
    law = LawSurface({name: np.full(3, value) for name, value in BESIROGLU.items()}, Price(6.0))
    alpha, beta = BESIROGLU["alpha"], BESIROGLU["beta"]
    gamma = alpha * beta / (alpha + beta)
    slope = np.array([0.015, 0.03, 0.2])
    surface = deviated(law, slope, np.zeros(3))
    loss = BESIROGLU["E"] / (1 - slope / (1 - KEPT) / (gamma * np.log(10)))
    at = np.log10(law.least_compute(np.where(loss > 0, loss, 1e9)) / LARGEST)
    assert surface.bend == pytest.approx([at[0], at[1], 0.0], rel=1e-5)
