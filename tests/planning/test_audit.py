"""Other people's models, judged: against the paper that judged them first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from handmade_fits import BESIROGLU, handmade_fit, law_draws, point_fit

from bayes_scaling import audit, interval, optimum, plan, published_models
from bayes_scaling.errors import InputError, RunsWarning
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.audit import read_models


def test_the_posterior_says_of_gopher_and_chinchilla_what_the_paper_said(chinchilla_fit: xr.DataTree):
    """Gopher's compute is best spent on 40 to 70 billion parameters, and Chinchilla's plan wastes little."""
    found = audit(chinchilla_fit, discrepancy=False)
    gopher, own = found.sel(plan="Gopher"), found.sel(plan="Chinchilla")
    for carried in (False, True):
        best = plan(chinchilla_fit, float(gopher["compute"]), discrepancy=carried)["recommended_params"]
        assert 40e9 < float(best) < 70e9
    assert 40e9 < float(gopher["params_opt"].median()) < 70e9
    assert float(own["regret"].mean()) < 0.02
    assert float(own["regret"].quantile(0.95)) < 0.05
    others = found.drop_sel(plan="Chinchilla")
    assert (others["regret"].quantile(0.05, ("chain", "draw")) > 0.2).all()
    assert (others["oversized"] > 0.99).all()


def test_each_model_is_judged_at_its_own_compute():
    fit = handmade_fit(law_draws(100))
    found = audit(fit)
    table = published_models()
    assert found["plan"].values.tolist() == table["name"].to_list()
    law = {name: fit["posterior"][name].values.ravel() for name in BESIROGLU}
    for row in table.itertuples():
        one = found.sel(plan=row.name)
        compute = 6 * row.params * row.tokens
        assert float(one["compute"]) == pytest.approx(compute)
        best = optimum(fit, compute)
        np.testing.assert_allclose(one["params_opt"], best["params_opt"].isel(compute=0), rtol=1e-12)
        np.testing.assert_allclose(one["loss"].values.ravel(), chinchilla.loss(row.params, row.tokens, **law))
        assert float(one["oversized"]) == float((best["params_opt"] < row.params).mean())
        judged = plan(fit, 1e22, params=row.params, tokens=row.tokens)
        np.testing.assert_allclose(one["regret"], judged["proposed_regret"], rtol=1e-12)
        assert float(one["extrapolation"]) == pytest.approx(compute / 1e21)


def test_every_model_says_how_far_it_lies_from_the_runs():
    fit = point_fit()
    gopher = audit(fit).sel(plan="Gopher")
    runs = fit["constant_data"]
    assert float(gopher["extrapolation_params"]) == pytest.approx(280e9 / float(runs["params"].max()))
    assert float(gopher["extrapolation_tokens"]) == pytest.approx(300e9 / float(runs["tokens"].max()))


def test_models_of_other_tokens_than_the_runs_are_told():
    fit = point_fit()
    fit.attrs["labels"] = json.dumps({"loss_unit": "nats/byte"})
    with pytest.warns(RunsWarning, match="these models are of losses in nats/token, .* is in nats/byte"):
        audit(fit)
    # A table of one's own is in the tokens that its owner counts.
    audit(fit, pd.DataFrame({"name": ["own"], "params": [1e9], "tokens": [2e10]}))


def test_a_table_of_ones_own(tmp_path: Path):
    path = tmp_path / "models.csv"
    path.write_text("name,params,tokens\nours,5B,140B\ntheirs,1e9,1.4T\n")
    found = audit(point_fit(), read_models(path))
    assert found["params"].values.tolist() == [5e9, 1e9]
    assert found["oversized"].values.tolist() == [0, 0]
    assert float(interval(found["regret"].sel(plan="theirs")).sel(statistic="estimate")) > 0.3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,params\na,7B\n", "lacks tokens; a table of models has name, params and tokens"),
        ("name,params,tokens\n", "holds no models"),
        (
            "name,params,tokens\na,big,1T\nb,1B,-1\nc,,1T\n",
            "(?s)line 2, column params: 'big' is not a.*line 3, column tokens: is -1;.*line 4.* is blank",
        ),
        ("name,params,tokens\na,1B,1T\na,2B,1T\n", "'a' names more than one model"),
    ],
)
def test_what_is_no_table_of_models_is_refused_whole(tmp_path: Path, text: str, said: str):
    path = tmp_path / "models.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        audit(point_fit(), read_models(path))
    with pytest.raises(InputError, match="models: lacks name"):
        audit(point_fit(), pd.DataFrame({"params": [1e9], "tokens": [1e10]}))
