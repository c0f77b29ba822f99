"""The laws turned round, with serving and repetition, against searches that know nothing of the algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from bayes_scaling.laws import chinchilla, inverse, lifetime, repeated

LAW = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def random_laws(count: int, seed: int) -> dict[str, np.ndarray]:
    """Laws whose size and data terms are about as large as each other at sensible runs."""
    rng = np.random.default_rng(seed)
    alpha, beta = rng.uniform(0.1, 0.9, (2, count))
    return {
        "E": rng.uniform(0, 3, count),
        "A": rng.uniform(0.05, 2, count) * 10 ** (rng.uniform(6, 11, count) * alpha),
        "B": rng.uniform(0.05, 2, count) * 10 ** (rng.uniform(8, 13, count) * beta),
        "alpha": alpha,
        "beta": beta,
    }


def one(laws: dict[str, np.ndarray], i: int) -> dict[str, float]:
    return {name: float(values[i]) for name, values in laws.items()}


def test_the_least_compute_to_the_optimums_loss_is_its_compute():
    laws = random_laws(1000, seed=1)
    compute = 10 ** np.random.default_rng(2).uniform(17, 26, 1000)
    reached = chinchilla.optimum(compute, **laws, flops_per_param_token=7.0)[2]
    found = inverse.least_compute(reached, **laws, flops_per_param_token=7.0)
    # A loss near its floor has few digits left above it.
    digits = 1e-13 * reached / (reached - laws["E"]) * (1 / laws["alpha"] + 1 / laws["beta"])
    assert (np.abs(found / compute - 1) < digits).all()


def test_tokens_and_size_turn_the_law_round():
    laws = random_laws(1000, seed=3)
    params, tokens, _ = chinchilla.optimum(1e22, **laws)
    reducible = {**laws, "E": 0.0}
    reached = chinchilla.loss(params, tokens, **reducible)
    np.testing.assert_allclose(inverse.tokens_to_reach(reached, params, **reducible), tokens, rtol=1e-9)
    without = {name: values for name, values in laws.items() if name != "E"}
    np.testing.assert_allclose(inverse.params_of_tokens(tokens, **without), params, rtol=1e-10)


def test_what_cannot_be_reached_is_infinite_and_makes_no_noise():
    assert inverse.least_compute(LAW["E"], **LAW) == np.inf
    assert inverse.least_compute(1.0, **LAW) == np.inf
    assert inverse.tokens_to_reach(1.9, 1e8, **LAW) == np.inf
    assert lifetime.cheapest_run(1.0, 1e12, **LAW) == (np.inf, np.inf, np.inf)


def test_the_cheapest_lifetime_is_a_numerical_minimum():
    """1,000 random laws, losses and loads, by a search over the size, to a relative error of 1e-6."""
    laws = random_laws(1000, seed=4)
    rng = np.random.default_rng(5)
    compute, ratio = 10 ** rng.uniform(18, 25, 1000), 10 ** rng.uniform(-3, 3, 1000)
    _, tokens_opt, reached = chinchilla.optimum(compute, **laws)
    served = ratio * tokens_opt
    worst_cost, worst_size = 0.0, 0.0
    for i in range(1000):
        law = {**one(laws, i), "E": 0.0}
        goal = float(reached[i] - laws["E"][i])
        params, tokens, cost = lifetime.cheapest_run(goal, served[i], **law)

        # What the size leaves of the loss decides the tokens; its share of it is between 0 and 1.
        def log_cost(odds: float, law=law, goal=goal, load=served[i]) -> float:
            share = 1 / (1 + np.exp(-odds))
            size = (law["A"] / (goal * share)) ** (1 / law["alpha"])
            count = (law["B"] / (goal * (1 - share))) ** (1 / law["beta"])
            return float(np.log(6 * size * count + 2 * size * load))

        found = minimize_scalar(log_cost, bounds=(-30, 30), method="bounded", options={"xatol": 1e-9})
        worst_cost = max(worst_cost, abs(np.log(cost) - found.fun))
        assert chinchilla.loss(params, tokens, **law) == pytest.approx(goal, rel=1e-10)
        share = law["A"] * params ** -law["alpha"] / goal
        worst_size = max(worst_size, abs(np.log(share / (1 - share)) - found.x))
        assert cost == pytest.approx(6 * params * tokens + 2 * params * served[i], rel=1e-12)
    assert worst_cost < 1e-6
    # A minimum's place is known to the root of the digits of its value.
    assert worst_size < 1e-4


def test_serving_nothing_leaves_the_plain_optimum():
    params, tokens, loss = chinchilla.optimum(1e23, **LAW)
    found = lifetime.cheapest_run(loss, 0.0, **LAW)
    np.testing.assert_allclose(found, (params, tokens, 1e23), rtol=1e-11)
    nearly = lifetime.cheapest_run(loss, 1e-3, **LAW)
    np.testing.assert_allclose(nearly, (params, tokens, 1e23), rtol=1e-10)


def test_serving_makes_the_model_smaller_and_its_training_longer():
    loss = chinchilla.optimum(1e23, **LAW)[2]
    params, tokens, cost = np.array([lifetime.cheapest_run(loss, n, **LAW) for n in (0, 1e11, 1e12, 1e13)]).T
    assert (np.diff(params) < 0).all()
    assert (np.diff(tokens) > 0).all()
    assert (np.diff(cost) > 0).all()


@given(count=st.floats(1e6, 1e14), unique=st.floats(1e8, 1e13), decay=st.floats(1, 30))
@settings(max_examples=200)
def test_repeated_tokens_are_worth_less_and_never_more_than_the_limit(count, unique, decay):
    worth = repeated.effective(count, unique, decay)
    assert worth <= count * (1 + 1e-12)
    assert worth <= unique * (1 + decay) * (1 + 1e-12)
    if count <= unique:
        assert worth == count
    if worth < unique * (1 + decay * (1 - 1e-6)):
        assert repeated.count_for(worth, unique, decay) == pytest.approx(count, rel=1e-6)


def test_repetition_in_the_papers_numbers():
    """Four epochs are worth 93 % of fresh tokens and sixteen 66 %; no number of them more than 16.4 U."""
    at = [
        repeated.effective(epochs * 1e11, 1e11, repeated.TOKENS_DECAY) / (epochs * 1e11) for epochs in (4, 16)
    ]
    assert at == pytest.approx([0.932, 0.661], abs=1e-3)
    assert repeated.effective(1e20, 1e11, repeated.TOKENS_DECAY) == pytest.approx(16.387756e11)
    assert repeated.count_for(17e11, 1e11, repeated.TOKENS_DECAY) == np.inf


def test_the_first_repetition_is_worth_what_the_formula_says_by_its_slope():
    """The value of one more token, by a difference, is exp(-R / R*)."""
    unique, step = 1e11, 1e5
    for repetitions in (0.5, 3.0, 20.0):
        at = unique * (1 + repetitions)
        ends = [repeated.effective(at + side * step, unique, 15.387756) for side in (-1, 1)]
        assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(np.exp(-repetitions / 15.387756), rel=1e-5)


def test_a_frontier_that_is_a_law_has_its_inverse():
    def gap(log_compute: float) -> float:
        return float(chinchilla.optimum(np.exp(log_compute), **LAW)[2] - 2.1)

    numerical = np.exp(brentq(gap, 40, 70, xtol=1e-13))
    assert inverse.least_compute(2.1, **LAW) == pytest.approx(numerical, rel=1e-9)
