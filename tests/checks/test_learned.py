"""What a fit learns from its own cuts, whose predictions are a known law's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws
from held_out import runs_of, told_the_law

from bayes_scaling import learn_discrepancy, open_fit, optimum, save_fit
from bayes_scaling.checks import learned
from bayes_scaling.errors import InputError
from bayes_scaling.planning.deviations import deviations_of
from bayes_scaling.sampling.artefact import BACKTEST
from bayes_scaling.sampling.observed import constant_data


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> xr.DataTree:
    """Of runs whose log loss leaves the law by 0.05 a decade; what is fitted to their cuts is the law."""

    def told(runs, spec, **how):
        assert how["peers"] is False
        return told_the_law(runs, spec.name)

    monkeypatch.setattr(learned, "predict_folds", told)
    tree = handmade_fit(law_draws(400), spec="parametric", discrepancy=True)
    constant = constant_data(runs_of(slope=0.05))
    tree["observed_data"] = xr.DataTree(constant[["loss"]])
    tree["constant_data"] = xr.DataTree(constant.drop_vars("loss"))
    return tree


def test_its_own_cuts_are_kept_and_followed(fit: xr.DataTree, tmp_path: Path):
    save_fit(learn_discrepancy(fit), tmp_path / "fit.nc")
    assert BACKTEST not in fit.children, "the fit that was given stays as it was"
    known = open_fit(tmp_path / "fit.nc")
    shown = known[BACKTEST].dataset
    assert set(shown["shown_of"].values) == {"loss", "params"}
    assert set(shown["shown_recipe"].values) == {""}
    loss = shown.isel(shown=np.flatnonzero(shown["shown_of"] == "loss"))
    # The law told is that of 1e18, so that a slope beyond a cut comes with what was left before it.
    assert (loss["slope"] > 0.04).all()
    assert (loss["error"] > 0).all()
    assert (loss["cut"] < 3e20).all()
    before, after = (deviations_of(each, each["constant_data"].dataset) for each in (fit, known))
    assert after.slope.mean() > before.slope.mean() + 0.04
    assert "cuts of these runs have shown" in optimum(known, 1e22).attrs["discrepancy"]
    # The minima lie where the law has them, so that N_opt strays less than studies' do.
    assert after.params_slope.std() < before.params_slope.std()


def test_a_path_is_no_fit():
    with pytest.raises(InputError, match="a path; open it first"):
        learn_discrepancy("fit.nc")  # type: ignore[arg-type]
