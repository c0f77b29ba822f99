from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws

from bayes_scaling import (
    audit,
    compute_to_target,
    design,
    optimum,
    plan,
    plan_to_target,
    plot_audit,
    plot_design,
    plot_plan,
    plot_plans,
    plot_target,
)
from bayes_scaling.errors import InputError
from bayes_scaling.quantities import format_share


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def uncertain() -> xr.DataTree:
    return handmade_fit(law_draws(200, spread=0.05))


@pytest.fixture(scope="module")
def decision(uncertain: xr.DataTree) -> xr.Dataset:
    return plan(uncertain, 5.76e23, params=2.8e11, spent_params=4e10, spent_tokens=1e10)


def test_the_regret_of_every_size_is_drawn_and_the_region_shaded(decision: xr.Dataset):
    ax = plot_plan(decision, region=(0.02, 0.5))
    expected = next(line for line in ax.lines if line.get_label() == "expected")
    np.testing.assert_allclose(expected.get_xdata(), decision["size"])
    np.testing.assert_allclose(expected.get_ydata(), decision["size_expected_regret"])
    shaded = next(patch for patch in ax.patches if "at most 2 % with probability 50 %" in patch.get_label())
    low, high = decision["region"].sel(regret_bound=0.02, probability=0.5).values
    assert (shaded.get_x(), shaded.get_x() + shaded.get_width()) == pytest.approx((low, high))
    for name in ("recommended", "continued", "proposed"):
        mark = next(line for line in ax.lines if str(line.get_label()).startswith(name))
        assert mark.get_xdata()[0] == float(decision[f"{name}_params"])
        left, right = ax.get_xlim()
        bottom, top = ax.get_ylim()
        assert left < mark.get_xdata()[0] < right
        assert bottom < mark.get_ydata()[0] < top


def test_a_region_that_does_not_exist_is_not_drawn(uncertain: xr.DataTree):
    held = plan(uncertain, 5.76e23, max_params=1e10, sizes=[5e9, 1e10])
    ax = plot_plan(held)
    assert not ax.patches
    expected = next(line for line in ax.lines if line.get_label() == "expected")
    assert expected.get_linestyle() == "None", "nothing can be built between the sizes of a list"
    assert expected.get_xdata().tolist() == [5e9, 1e10]
    assert any(c.get_label() == "90 % interval" for c in ax.collections)
    with pytest.raises(InputError, match="plan has the bounds"):
        plot_plan(held, region=(0.3, 0.5))
    with pytest.raises(InputError, match="takes what plan returns"):
        plot_plan(optimum(uncertain, 1e22))


def test_the_compute_to_a_target_is_drawn_with_what_never_gets_there(uncertain: xr.DataTree):
    cheapest = plan_to_target(uncertain, 1.85, sure=0.5)
    ax = plot_target(cheapest, prob=0.8)
    shares = sum(patch.get_height() for patch in ax.patches if patch.get_label() == "_nolegend_")
    never = float(cheapest["never"])
    assert 0 < never < 0.5
    assert shares == pytest.approx(0.98 * (1 - never), abs=0.02)
    assert f"never with probability {format_share(never, 2)}" in ax.get_title()
    plan_line = next(line for line in ax.lines if "plan that reaches it" in str(line.get_label()))
    assert plan_line.get_xdata()[0] == float(cheapest["recommended_compute"])
    assert ax.get_xlabel() == "least training compute to a loss of 1.85 (FLOP)"
    assert plot_target(compute_to_target(uncertain, 2.0)).lines
    with pytest.raises(InputError, match="nothing to draw"):
        plot_target(compute_to_target(uncertain, 1.0))
    with pytest.raises(InputError, match="of one target"):
        plot_target(compute_to_target(uncertain, [2.0, 2.1]))


def test_the_optimum_under_audited_plans_is_that_of_their_recipe():
    one, other = law_draws(60, seed=1), law_draws(60, seed=2)
    other["A"] = other["A"] * 3
    draws = {name: np.stack([one[name], other[name]], axis=-1) for name in one}
    both, alone = handmade_fit(draws, recipes=("web", "code")), handmade_fit(other)
    lines = [
        next(
            line for line in plot_audit(fit, audit(fit, recipe=recipe)).lines if "median" in line.get_label()
        )
        for fit, recipe in ((both, "code"), (alone, None))
    ]
    np.testing.assert_allclose(lines[0].get_xydata(), lines[1].get_xydata())


def test_pilot_runs_are_drawn_among_the_runs_with_both_intervals():
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    fit = handmade_fit({**law_draws(300), **noise}, spec="parametric")
    proposed = design(fit, 5.76e23, 1e21, 3, prob=0.8)
    ax = plot_design(fit, proposed)
    lines = {str(line.get_label()): line for line in ax.lines}
    there = lines["runs there are"]
    np.testing.assert_allclose(there.get_xdata(), fit["constant_data"]["flops"])
    marks = next(line for label, line in lines.items() if label.startswith("proposed: "))
    np.testing.assert_allclose(
        marks.get_xydata(), np.stack([proposed["compute"], proposed["params"]], axis=1)
    )
    for stage in ("before", "after"):
        bar = next(line for label, line in lines.items() if label.startswith(f"N_opt {stage}, 80 % interval"))
        expected = proposed["params_opt"].sel(stage=stage, statistic=["low", "high"])
        np.testing.assert_allclose(bar.get_ydata(), expected)
    with pytest.raises(InputError, match="takes what design returns"):
        plot_design(fit, optimum(fit, 1e22))


@pytest.mark.parametrize(
    ("quantity", "of_plan"), [("params_opt", "params"), ("tokens_opt", "tokens"), ("loss_opt", "loss")]
)
def test_every_plan_is_marked_at_its_own_compute(uncertain: xr.DataTree, quantity: str, of_plan: str):
    audited = audit(uncertain)
    ax = plot_audit(uncertain, audited, quantity=quantity)
    for name in audited["plan"].values:
        written = next(text for text in ax.texts if text.get_text() == name)
        value = float(audited[of_plan].sel(plan=name).median())
        assert written.xy == pytest.approx((float(audited["compute"].sel(plan=name)), value))
        assert any(line.get_xydata().tolist() == [list(written.xy)] for line in ax.lines)
    heights = sorted(text.get_position()[1] for text in ax.texts)
    assert min(np.diff(heights)) > 0.05, "names do not cover each other"
    assert heights[0] >= 0
    assert heights[-1] <= 1
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == ["compute of the runs", "runs", "90 % interval", "median"]
    band = next(c for c in ax.collections if "90 % interval" in str(c.get_label()))
    assert band.get_paths()[0].vertices[:, 0].max() > float(audited["compute"].max())
    with pytest.raises(InputError, match="no 'tokens_per_param' to mark"):
        plot_audit(uncertain, audited, quantity="tokens_per_param")
    with pytest.raises(InputError, match="takes what audit or plan returns"):
        plot_audit(uncertain, optimum(uncertain, 1e22))


def test_a_decision_is_drawn_with_every_plan_in_four_panels(uncertain: xr.DataTree, decision: xr.Dataset):
    panels = plot_plans(uncertain, decision)
    assert len(panels) == 4
    assert "regret" in panels[0].get_ylabel()
    for ax, key in zip(panels[1:], ("params", "tokens", "loss"), strict=True):
        written = {text.get_text(): text.xy for text in ax.texts}
        names = {"recommended", "proposed"} | (
            set() if bool(decision["recommended_continues"]) else {"continued"}
        )
        assert set(written) == names
        for name, at in written.items():
            value = float(decision[f"{name}_{key}"].median())
            assert at == pytest.approx((float(decision[f"{name}_compute"]), value))
    assert len(plot_plans(uncertain, audit(uncertain))) == 3
    with pytest.raises(InputError, match="takes what audit or plan returns"):
        plot_plans(uncertain, optimum(uncertain, 1e22))


def test_a_plan_from_several_fits_lies_among_the_line_of_each(uncertain: xr.DataTree):
    other = handmade_fit(law_draws(200, seed=2))
    both = plan([uncertain, other], 1e23, weights=[0.5, 0.5], params=1e10)
    ax = plot_plans([uncertain, other], both)[1]
    for name, fit in (("handmade", uncertain), ("handmade (2)", other)):
        line = next(line for line in ax.lines if line.get_label() == name)
        expected = optimum(fit, line.get_xdata())["params_opt"].median(("chain", "draw"))
        np.testing.assert_allclose(line.get_ydata(), expected)
