"""Plans from several fits: the mixture of their draws, against the fits alone and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from handmade_fits import BESIROGLU, frontier_draws, handmade_fit, law_draws, point_fit

from bayes_scaling import compute_to_target, plan, plan_to_target, worth_of_improvement
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning import mixture
from bayes_scaling.sampling.artefact import fit_facts, label_fit

BUDGET = 1e23

ASKED = {
    "served_tokens": 1e12, "unique_tokens": 5e11, "target": 2.0, "params": 1e10,
    "spent_params": 2e10, "spent_tokens": 1e11,
}  # fmt: skip


@pytest.fixture(scope="module")
def one() -> xr.DataTree:
    return handmade_fit(law_draws(400, spread=0.05))


@pytest.fixture(scope="module")
def other() -> xr.DataTree:
    draws = law_draws(400, seed=2, spread=0.05)
    return handmade_fit({**draws, "A": draws["A"] * 2})


def test_a_fit_mixed_with_itself_plans_as_alone(one: xr.DataTree):
    alone = plan(one, BUDGET, **ASKED)
    mixed = plan([one, one], BUDGET, weights=[0.5, 0.5], **ASKED)
    # Quantiles of draws that are there tenfold, and what is read off a grid between them, differ a little.
    for name in (name for name, values in alone.data_vars.items() if not values.dims):
        np.testing.assert_allclose(mixed[name], alone[name], rtol=1e-6, err_msg=str(name))
    np.testing.assert_allclose(mixed["region"], alone["region"], rtol=0.01)
    assert mixed.sizes["draw"] == 4000


def test_a_law_mixed_with_the_isoflop_model_that_is_the_same_law_plans_as_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    """Arguments that differ by draw reach the right draws of the right part, whatever is asked."""
    monkeypatch.setattr(mixture, "_DRAWS", 400)
    law = {**law_draws(100, spread=0.05), "E": np.zeros(100)}
    alone, frontier = handmade_fit(law), handmade_fit(frontier_draws(law), law="isoflop-skewed")
    asked = {"served_tokens": 1e12, "target": 0.4, "params": 3e9}
    expected = plan(alone, BUDGET, **asked)
    for fits in ([alone, frontier], [frontier, alone]):
        found = plan(fits, BUDGET, weights=[0.75, 0.25], **asked)
        names = ("params", "tokens", "expected_regret", "oversized", "reaches")
        for name in [f"{kind}_{name}" for kind in ("recommended", "proposed") for name in names]:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-6, err_msg=name)
    goal = float(np.median(chinchilla.optimum(BUDGET, **law)[2]))
    both = plan_to_target([alone, frontier], goal, weights=[0.5, 0.5], served_tokens=1e12)
    single = plan_to_target(alone, goal, served_tokens=1e12)
    assert float(both["recommended_cost"]) == pytest.approx(float(single["recommended_cost"]), rel=1e-6)
    assert both["weight"].values.tolist() == [0.5, 0.5]


def test_expected_regret_is_the_weighted_mean_of_the_models(one: xr.DataTree, other: xr.DataTree):
    found = plan([one, other], BUDGET, weights=[0.7, 0.3], params=2e10)
    alone = [float(plan(fit, BUDGET, params=2e10)["proposed_expected_regret"]) for fit in (one, other)]
    expected = 0.7 * alone[0] + 0.3 * alone[1]
    # 1,200 draws of the second are its 400 threefold, 2,800 of the first its 400 sevenfold.
    assert float(found["proposed_expected_regret"]) == pytest.approx(expected, rel=1e-9)
    by_size = [
        0.7 * float(plan(one, BUDGET, params=size)["proposed_expected_regret"])
        + 0.3 * float(plan(other, BUDGET, params=size)["proposed_expected_regret"])
        for size in float(found["recommended_params"]) * np.array([0.97, 1, 1.03])
    ]
    assert np.argmin(by_size) == 1


def test_each_models_own_answer_stands_beside_the_mixture(one: xr.DataTree, other: xr.DataTree):
    found = plan([one, other], BUDGET, weights=[0.7, 0.3], max_params=3e10)
    for i, fit in enumerate((one, other)):
        own, alone = found.isel(fit=i), plan(fit, BUDGET, max_params=3e10)
        for name in ("params", "tokens", "expected_regret"):
            assert float(own[f"own_{name}"]) == pytest.approx(float(alone[f"recommended_{name}"]))
        judged = plan(fit, BUDGET, params=float(found["recommended_params"]), max_params=3e10)
        assert float(own["own_regret_of_recommended"]) == pytest.approx(
            float(judged["proposed_expected_regret"])
        )
        low, middle, high = np.quantile(alone["params_opt"], [0.05, 0.5, 0.95])
        np.testing.assert_allclose(own["own_params_opt"], [low, middle, high])
        assert float(own["own_regret_by_mixture"]) >= float(found["recommended_expected_regret"]) - 1e-9
    assert found.attrs["weights_by"] == "given"
    assert found.attrs["model"] == "mixture of 2 fits"


def test_parameters_are_never_averaged():
    """Two laws known to the digit: the mixture believes in the one or in the other, and in none between."""
    small, large = point_fit(), point_fit(A=10 * BESIROGLU["A"])
    found = plan([small, large], BUDGET, weights=[0.25, 0.75])
    ends = [float(plan(fit, BUDGET)["params_opt"].item()) for fit in (small, large)]
    sizes, counts = np.unique(found["params_opt"], return_counts=True)
    np.testing.assert_allclose(sizes, ends)
    assert counts.tolist() == [1000, 3000]
    assert ends[0] < float(found["recommended_params"]) < ends[1]


def test_a_fit_without_weight_has_no_say(one: xr.DataTree, other: xr.DataTree):
    found, alone = plan([one, other], BUDGET, weights=[1, 0]), plan(one, BUDGET)
    assert float(found["recommended_params"]) == pytest.approx(float(alone["recommended_params"]))
    assert found.sizes["fit"] == 2


def test_a_plan_costs_the_same_by_every_model(monkeypatch: pytest.MonkeyPatch):
    """Fits that count FLOPs differently: one price for all, so that nothing saves less than nothing."""
    monkeypatch.setattr(mixture, "_DRAWS", 400)
    fits = [handmade_fit(law_draws(100)), handmade_fit(law_draws(100, seed=3), k=7.0)]
    for weights, k in (([0.6, 0.4], 6.0), ([0.4, 0.6], 7.0)):
        found = plan(fits, BUDGET, weights=weights, served_tokens=1e11)
        product = float(found["recommended_params"] * found["recommended_tokens"])
        assert float(found["recommended_compute"]) == pytest.approx(k * product)
        assert float(found["recommended_regret"].min()) > -1e-9


def test_what_else_is_planned_takes_several_fits_too(one: xr.DataTree, other: xr.DataTree):
    weights = [0.5, 0.5]
    shares = [float(compute_to_target(fit, 1.85)["never"][0]) for fit in (one, other)]
    both = compute_to_target([one, other], 1.85, weights=weights)
    assert float(both["never"][0]) == pytest.approx(np.mean(shares))
    worth = worth_of_improvement([one, other], BUDGET, 0.01, weights=weights)
    means = [float((1 / worth_of_improvement(fit, BUDGET, 0.01)).mean()) for fit in (one, other)]
    assert float((1 / worth).mean()) == pytest.approx(np.mean(means))


def test_of_recipes_the_one_asked_for_is_mixed(one: xr.DataTree):
    alone = law_draws(400, spread=0.05)
    draws = {name: np.stack([values, 2 * values], axis=-1) for name, values in alone.items()}
    both = handmade_fit(draws, recipes=("web", "code"))
    found = plan([both, one], BUDGET, weights=[0.5, 0.5], recipe="web")
    assert float(found["recommended_params"]) == pytest.approx(float(plan(one, BUDGET)["recommended_params"]))
    with pytest.raises(InputError, match="name it"):
        plan([both, one], BUDGET, weights=[0.5, 0.5])
    with pytest.raises(InputError, match="does not tell recipes apart"):
        plan([one, one], BUDGET, weights=[0.5, 0.5], recipe="web")


@pytest.mark.parametrize(
    ("count", "weights", "said"),
    [
        (2, [0.5, 0.4], "must add up to 1, not 0.5, 0.4"),
        (2, [1.5, -0.5], "must not be negative"),
        (2, [1.0], "there are 2 fits and 1 weights"),
        (2, ["half", "half"], "must be numbers"),
        (1, [1.0], "leave weights out"),
        (0, None, "needs a fit, or a list of fits"),
    ],
)
def test_wrong_weights_are_refused(one: xr.DataTree, count: int, weights: list | None, said: str):
    with pytest.raises(InputError, match=said):
        plan([one] * count, BUDGET, weights=weights)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            {"params_count": "non_embedding"},
            "count parameters differently: params_count is non_embedding, total",
        ),
        ({"loss_unit": "bits/byte"}, "count losses differently: loss_unit is bits/byte, nats/token"),
    ],
)
def test_fits_of_other_quantities_are_not_mixed(one: xr.DataTree, labels: dict, said: str):
    facts = fit_facts(one)
    other = label_fit(
        {name: node.to_dataset() for name, node in one.children.items()},
        {**facts, "labels": {**facts["labels"], **labels}},
    )
    with pytest.raises(InputError, match=said):
        plan([one, other], BUDGET, weights=[0.5, 0.5])
    unknown = label_fit(
        {name: node.to_dataset() for name, node in one.children.items()},
        {**facts, "labels": {"params_count": "unstated"}},
    )
    assert plan([one, unknown], BUDGET, weights=[0.5, 0.5]).sizes["fit"] == 2


def test_one_fit_that_did_not_converge_spoils_the_mixture(one: xr.DataTree):
    bad = handmade_fit(law_draws(400), converged=False)
    with pytest.raises(NotConvergedError):
        plan([one, bad], BUDGET, weights=[0.5, 0.5])
    assert not plan([one, bad], BUDGET, weights=[0.5, 0.5], allow_unconverged=True).attrs["converged"]
