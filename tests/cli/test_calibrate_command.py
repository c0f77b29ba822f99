"""`calibrate` as a user meets it; the fits are replaced by ranks that are known."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from flawed_studies import sound

from bayes_scaling.checks import calibrate as module
from bayes_scaling.cli.main import main

REPLICATES = 200


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def given() -> dict[str, Any]:
    """What the fits were asked for by."""
    return {}


@pytest.fixture
def run(
    given: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    def call(*arguments: object, power: float = 1.0, doubtful: int = 0) -> Done:
        rng = np.random.default_rng(0)

        def told(_, tasks, **options):
            given.update(options)
            return [
                {
                    "ranks": {"alpha": rng.uniform() ** power, "beta": rng.uniform()},
                    "rhat": 1.2 if i < doubtful else 1.0,
                    "divergences": 0,
                    "seconds": 0.5,
                    "reason": "",
                }
                for i in range(len(tasks))
            ]

        monkeypatch.setattr(module, "run_tasks", told)
        command = ["bayes-scaling", "calibrate", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    sound().to_csv(path, index=False)
    return path


def test_one_document_and_nothing_else(run, table):
    done = run(table, "--replicates", REPLICATES, "--json", doubtful=3)
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["model"] == "parametric"
    assert document["uniform"] is True
    assert document["replicates"] == REPLICATES
    assert document["seconds"] == REPLICATES / 2
    assert [each["quantity"] for each in document["quantities"]] == ["alpha", "beta"]
    for each in document["quantities"]:
        assert each["coverage"]["0.9"] == pytest.approx(0.9, abs=0.06)
        assert each["mean_rank"] == pytest.approx(0.5, abs=0.06)
    assert [each["replicate"] for each in document["not_converged"]] == [0, 1, 2]
    assert document["not_converged"][0]["rhat"] == 1.2


def test_a_table_a_figure_and_what_is_in_doubt(run, table, tmp_path):
    done = run(table, "--replicates", REPLICATES, "--figure", tmp_path / "calibrate.png", doubtful=7)
    assert done.returncode == 0
    for words in ("90 % interval holds", "uniform within chance (least p of 2", "193 of 200 fits converged"):
        assert words in done.stdout
    assert "replicate 0 did not converge: R-hat 1.200, 0 divergences" in done.stderr
    assert "2 more did not" in done.stderr
    assert (tmp_path / "calibrate.png").stat().st_size > 10_000


def test_ranks_that_are_not_uniform_are_named(run, table):
    done = run(table, "--replicates", REPLICATES, power=2.0)
    assert done.returncode == 3
    assert "NOT calibrated: the ranks of alpha are not uniform" in done.stdout


def test_where_to_fit_is_handed_on(run, table, given, tmp_path):
    address, results = "tcp://10.0.0.1:8786", tmp_path / "replicates.jsonl"
    assert run(table, "--replicates", 20, "--scheduler", address, "--results", results).returncode == 0
    assert {"scheduler": address, "results": results, "workers": None}.items() <= given.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--replicates", "0"], "replicates must be at least 1, not 0"),
        (["--model", "parametrik"], "did you mean 'parametric'"),
        (["--figure", "x.doc"], "no figure format"),
    ],
)
def test_wrong_options_are_refused(run, table, options, message):
    done = run(table, *options)
    assert done.returncode == 2
    assert message in done.stderr
