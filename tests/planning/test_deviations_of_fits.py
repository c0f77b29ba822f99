"""What fits say beyond their runs: by each draw's slopes, the same in every answer, and what they rest on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws

from bayes_scaling import audit, compute_to_target, optimum, plan, predict
from bayes_scaling.models.discrepancy import LOSS_SLOPES
from bayes_scaling.planning.deviations import deviations_of
from bayes_scaling.planning.discrepancy import expected_slope
from bayes_scaling.planning.recipes import one_recipe
from bayes_scaling.planning.surface import surface_of
from bayes_scaling.sampling.artefact import BACKTEST, open_fit, save_fit

FAR = 1e23
"""Two decades beyond the runs."""

NOISE = {"sigma": np.full(400, 0.004), "sigma_growth": np.zeros(400), "nu": np.full(400, 5.0)}


def carrying(**more: object) -> xr.DataTree:
    return handmade_fit({**law_draws(400), **NOISE}, spec="parametric", discrepancy=True, **more)  # type: ignore[arg-type]


def taught(
    fit: xr.DataTree, slope: float, recipe: str = "", of: tuple[str, ...] = ("loss",) * 3
) -> xr.DataTree:
    """A fit whose own cuts have shown a slope, of the log loss or as said, so well that it alone counts."""
    cuts = [1e19, 1e20, 1e21]
    fit = fit.copy()
    fit[BACKTEST] = xr.DataTree(
        xr.Dataset(
            {
                "shown_recipe": ("shown", [recipe] * 3),
                "shown_of": ("shown", list(of)),
                "cut": ("shown", cuts),
                "slope": ("shown", [slope] * 3),
                "error": ("shown", [1e-4] * 3),
            }
        )
    )
    return fit


def test_within_the_runs_every_answer_is_the_laws():
    fit = carrying()
    for compute in (1e19, 1e21):
        xr.testing.assert_identical(optimum(fit, compute), optimum(fit, compute, discrepancy=False))
        xr.testing.assert_identical(plan(fit, compute), plan(fit, compute, discrepancy=False))
    xr.testing.assert_identical(predict(fit, 1e9, 2e10), predict(fit, 1e9, 2e10, discrepancy=False))


def test_beyond_them_all_answers_are_of_the_same_slopes():
    fit = carrying()
    best = optimum(fit, [1e20, FAR]).sel(compute=FAR)
    decided = plan(fit, FAR, params=5e10)
    for name in ("params_opt", "tokens_opt", "loss_opt"):
        np.testing.assert_allclose(decided[name], best[name], rtol=1e-12)
    size, tokens = float(decided["proposed_params"]), float(decided["proposed_tokens"])
    np.testing.assert_allclose(
        predict(fit, size, tokens)["law"].isel(plan=0), decided["proposed_loss"], rtol=1e-12
    )
    loss = float(decided["proposed_loss"].median())
    reached = compute_to_target(fit, loss)["compute"].isel(target=0) <= FAR
    np.testing.assert_array_equal(reached, best["loss_opt"] <= loss)
    # Told what its compute is, a run deviates by that.
    longer = predict(fit, size, tokens, flops=10 * FAR)["law"]
    assert not np.allclose(longer, predict(fit, size, tokens)["law"])


def test_it_widens_with_distance_and_the_law_alone_does_not_as_much():
    fit = carrying()
    wide, narrow = (
        np.log(optimum(fit, [1e22, FAR], discrepancy=carried)[["params_opt", "loss_opt"]]).std(
            ("chain", "draw")
        )
        for carried in (True, False)
    )
    assert (wide > 1.5 * narrow).to_array().all()
    assert (wide.sel(compute=FAR) > 1.3 * wide.sel(compute=1e22)).to_array().all()
    # By 0.32 a decade, two decades out, beside what the law leaves open.
    assert float(wide["params_opt"].sel(compute=FAR)) == pytest.approx(0.64, rel=0.15)


def test_what_the_law_holds_for_irreducible_may_be_reached_by_draws_that_leave_it():
    fit = carrying()
    target = 0.99 * float(fit["posterior"]["E"].min())
    assert compute_to_target(fit, target, discrepancy=False)["never"].item() == 1
    found = compute_to_target(fit, target)
    reached = np.isfinite(found["compute"].isel(target=0))
    assert found["never"].item() == pytest.approx(1 - float(reached.mean()))
    slope = xr.DataArray(surface_of(fit).surface.slope.reshape(reached.shape), dims=reached.dims)
    assert 0.3 < float(reached.mean()) < 1
    assert bool((slope.where(reached, -np.inf) < 0).all()), "only those that fall faster than their law"


def test_each_answer_says_what_it_rests_on():
    fit = carrying()
    said = (
        "expect losses to leave the law by -3.7 ± 7.9 % (mean and sd) a decade of compute, "
        "and N_opt by 0 ± 32 %"
    )
    for answer in (optimum(fit, FAR), plan(fit, FAR), predict(fit, 5e10, 1e12), audit(fit)):
        assert (
            answer.attrs["discrepancy"]
            == f"{said}, as in published studies (`fit --backtest` learns it from these runs)"
        )
    assert optimum(fit, FAR, discrepancy=False).attrs["discrepancy"] == ""
    assert optimum(fit, 1e20).attrs["discrepancy"] == ""
    # Cuts that show nothing of N_opt have taught nothing of it.
    learned = optimum(taught(fit, -0.02), FAR).attrs["discrepancy"]
    assert learned.startswith("expect losses to leave the law by -2.0")
    assert "a decade of compute, as 3 cuts of these runs have shown, and N_opt by 0" in learned
    assert " 32 %, as in published studies" in learned
    both = optimum(taught(fit, -0.02, of=("loss", "params", "params")), FAR).attrs["discrepancy"]
    assert "as one cut of these runs has shown, and N_opt" in both
    assert both.endswith("as 2 cuts of these runs have shown")


def test_what_its_own_cuts_have_shown_is_followed(tmp_path: Path):
    save_fit(taught(carrying(), 0.03), tmp_path / "fit.nc")
    fit = open_fit(tmp_path / "fit.nc")
    slope = deviations_of(fit, fit["constant_data"].dataset).slope
    assert slope.mean() == pytest.approx(0.03, abs=0.005)
    assert slope.std() < 0.01
    plain = deviations_of(carrying(), fit["constant_data"].dataset).slope
    expected = expected_slope(LOSS_SLOPES, 1e21).moments()
    assert plain.mean() == pytest.approx(expected[0], abs=4 * expected[1] / 20)


def test_a_spec_without_the_table_leaves_the_law_alone():
    fit = handmade_fit({**law_draws(400), **NOISE}, spec="parametric-raw")
    assert deviations_of(fit, fit["constant_data"].dataset) is None
    assert surface_of(fit).discrepancy == ""
    xr.testing.assert_identical(optimum(fit, FAR), optimum(fit, FAR, discrepancy=False))


def test_recipes_leave_their_laws_each_by_its_own_slopes():
    draws = {
        name: np.stack([values, values], axis=-1) for name, values in {**law_draws(400), **NOISE}.items()
    }
    fit = handmade_fit(draws, spec="parametric-recipes", discrepancy=True, recipes=("web", "code"))
    both = optimum(fit, FAR)
    apart = np.log(both["loss_opt"] / optimum(fit, FAR, discrepancy=False)["loss_opt"]).isel(compute=0)
    web, code = (apart.sel(recipe=name).values.ravel() for name in ("web", "code"))
    assert abs(np.corrcoef(web, code)[0, 1]) < 0.2
    alone = optimum(one_recipe(fit, "code"), FAR)
    np.testing.assert_array_equal(alone["loss_opt"], both["loss_opt"].sel(recipe="code"))
    learned = optimum(taught(fit, 0.01, "web"), FAR).attrs["discrepancy"].splitlines()
    assert learned[0].startswith("web: ")
    assert "3 cuts of these runs have shown" in learned[0]
    assert learned[1].startswith("code: ")
    assert "have shown" not in learned[1]
    assert learned[1].endswith("as in published studies")
