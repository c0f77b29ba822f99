"""`backtest` as a user meets it; the fits are replaced by a law that is known."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from held_out import runs_of, told_the_law

from bayes_scaling.checks import backtest as module
from bayes_scaling.cli.main import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def given() -> dict[str, object]:
    """What the fits were asked for by."""
    return {}


@pytest.fixture
def run(
    given: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    def call(*arguments: object, converged: bool = True) -> Done:
        def told(runs, spec, **options):
            given.update(options)
            study = told_the_law(runs, spec.name)
            for each in study:
                each.converged[spec.name] = converged
            return study

        monkeypatch.setattr(module, "predict_folds", told)
        monkeypatch.setattr(sys, "argv", ["bayes-scaling", "backtest", *map(str, arguments)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    runs_of().to_csv(path, index=False)
    return path


def test_one_document_and_nothing_else(run, table):
    done = run(table, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["model"] == "parametric"
    assert {row["method"] for row in document["pooled"]} >= {"parametric", "parametric + discrepancy"}


def test_tables_and_a_figure(run, table, tmp_path):
    done = run(table, "--figure", tmp_path / "backtest.png")
    assert done.returncode == 0
    for words in (
        "runs beyond each cut",
        "pooled over folds",
        "minima of IsoFLOP",
        "a decade of compute",
    ):
        assert words in done.stdout
    assert (tmp_path / "backtest.png").stat().st_size > 10_000


def test_where_to_fit_is_handed_on(run, table, given, tmp_path):
    address, results = "tcp://10.0.0.1:8786", tmp_path / "folds.jsonl"
    assert run(table, "--scheduler", address, "--results", results, "--workers", 3).returncode == 0
    assert {"scheduler": address, "results": results, "workers": 3}.items() <= given.items()


def test_chains_that_do_not_agree_are_said(run, table):
    done = run(table, converged=False)
    assert done.returncode == 3
    assert "its chains do not agree" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--cuts", "many"], "--cuts 'many'"), (["--figure", "x.doc"], "no figure format")],
)
def test_wrong_options_are_refused(run, table, options, message):
    done = run(table, *options)
    assert done.returncode == 2
    assert message in done.stderr
