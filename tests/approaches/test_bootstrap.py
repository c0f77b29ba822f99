from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayes_scaling.approaches.bootstrap import bootstrap, resampling_weights
from bayes_scaling.errors import InputError

DATA = np.random.default_rng(0).normal(size=60)


def mean(weights: np.ndarray) -> xr.Dataset:
    return xr.Dataset({"mean": ("resample", weights @ DATA / weights.sum(1))})


def test_the_spread_of_a_mean_is_its_standard_error():
    found = bootstrap(mean, np.arange(60), resamples=4000)["mean"]
    assert found.sizes["resample"] == 4000
    assert float(found.std()) == pytest.approx(DATA.std() / np.sqrt(60), rel=0.05)
    assert float(found.mean()) == pytest.approx(DATA.mean(), abs=3 * DATA.std() / np.sqrt(60 * 4000))


def test_subsamples_of_80_per_cent_spread_half_as_much():
    """Without replacement the variance is (1 - f) / (f n) of the finite population's, f being the share."""
    found = bootstrap(mean, np.arange(60), resamples=4000, scheme="subsample")["mean"]
    expected = DATA.std(ddof=1) * np.sqrt(0.2 / 0.8 / 60)
    assert float(found.std()) == pytest.approx(expected, rel=0.05)


def test_rows_of_a_training_run_are_drawn_together():
    """Fifteen runs of four checkpoints: the spread is that of fifteen means, not of sixty rows."""
    clusters = np.repeat([f"run {i}" for i in range(15)], 4)
    for scheme in ("bootstrap", "subsample"):
        weights = resampling_weights(
            np.unique(clusters, return_inverse=True)[1], 30, scheme, np.random.default_rng(0)
        )
        assert (weights.reshape(30, 15, 4) == weights.reshape(30, 15, 4)[:, :, :1]).all()
        assert (weights.sum(1) == (60 if scheme == "bootstrap" else 48)).all()
    found = bootstrap(mean, clusters, resamples=4000)["mean"]
    expected = DATA.reshape(15, 4).mean(1).std() / np.sqrt(15)
    assert float(found.std()) == pytest.approx(expected, rel=0.05)


def test_the_same_seed_gives_the_same_draws_on_any_number_of_workers():
    one, many, other = (
        bootstrap(mean, np.arange(60), resamples=260, seed=seed, workers=workers)["mean"].values
        for seed, workers in ((7, 1), (7, 3), (8, 1))
    )
    assert (one == many).all()
    assert not (one == other).any()
    assert len(set(one)) == 260, "chunks must not repeat each other's draws"


def test_the_workers_of_a_scheduler_give_the_same_draws():
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster: dask.distributed")
    # On a worker of its own process: the estimator travels there, with what it rests on.
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        there = bootstrap(mean, np.arange(60), resamples=260, scheduler=cluster.scheduler_address)
    xr.testing.assert_identical(there, bootstrap(mean, np.arange(60), resamples=260))


def test_an_estimator_s_error_ends_the_bootstrap():
    def broken(weights: np.ndarray) -> xr.Dataset:
        raise InputError(f"no estimate of {weights.shape[1]} rows")

    with pytest.raises(InputError, match="no estimate of 60 rows"):
        bootstrap(broken, np.arange(60), resamples=200, workers=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "bootstap"}, "scheme: 'bootstap' is unknown; did you mean 'bootstrap'"),
        ({"resamples": 0}, "resamples must be at least 1, not 0"),
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        bootstrap(mean, np.arange(60), **options)  # type: ignore[arg-type]
