"""`check` as a user meets it: a fit or runs in, a verdict a line out, and exit codes."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from flawed_studies import sound, with_outliers
from handmade_fits import fit_of_draws, laplace_fit

from bayes_scaling import save_fit
from bayes_scaling.cli.main import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["bayes-scaling", *map(str, arguments)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    fit = laplace_fit(with_outliers(), draws=300)
    save_fit(fit, folder / "fit.nc")
    unconverged = fit_of_draws(sound(), "parametric-normal", fit["posterior"].to_dataset(), converged=False)
    save_fit(unconverged, folder / "unconverged.nc")
    sound().to_csv(folder / "runs.csv", index=False)
    return folder


def test_findings_are_one_json_document_and_no_error(folder: Path, run: Callable[..., Done]):
    done = run("check", folder / "fit.nc", "--json", "--figure", folder / "check.png", "--compute", "1e23")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["model"] == "parametric-normal"
    assert document["converged"] is True
    checks = {each.pop("check"): each for each in document["checks"]}
    assert all(set(each) == {"passed", "p_value", "text", "remedy"} for each in checks.values())
    assert checks["convergence"] == {**checks["convergence"], "passed": True, "p_value": None, "remedy": None}
    assert checks["largest residuals"]["passed"] is False
    assert checks["largest residuals"]["p_value"] < 0.01
    assert "1e23 FLOP" in checks["prior: plan"]["text"]
    assert (folder / "check.png").read_bytes().startswith(b"\x89PNG")


def test_for_people_each_verdict_has_a_line_and_each_remedy_one(folder: Path, run: Callable[..., Done]):
    done = run("check", folder / "fit.nc")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert ["FAILED", "largest", "residuals"] in [line[:3] for line in lines]
    assert ["passed", "convergence"] in [line[:2] for line in lines]
    assert any(line[:3] == ["largest", "residuals:", "look"] for line in lines)
    assert "checks failed" in done.stdout


def test_only_a_fit_that_is_not_converged_has_exit_code_3(folder: Path, run: Callable[..., Done]):
    done = run("check", folder / "unconverged.nc", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["converged"] is False


def test_runs_are_judged_before_they_are_fitted(folder: Path, run: Callable[..., Done]):
    done = run("check", folder / "runs.csv", "--json")
    assert done.returncode == 0, done.stderr
    verdicts = {each["check"]: each["passed"] for each in json.loads(done.stdout)["checks"]}
    assert set(verdicts.values()) == {True}
    assert "design: ratios" in verdicts
    kept = run("check", folder / "runs.csv", "--where", "params < 5e8", "--json")
    assert not {each["check"]: each["passed"] for each in json.loads(kept.stdout)["checks"]}["design: sizes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit.nc", "--where", "params > 1"], "--where: a fit has its runs already"),
        (["runs.csv", "--figure", "a.png"], "--figure is for a fit"),
        (["runs.csv", "--compute", "1e20"], "--compute is for a fit"),
        (["none.nc"], "no such file"),
        (["fit.nc", "--compute", "much"], "--compute 'much'"),
        (["fit.nc", "--figure", "a.txt"], "no figure format '.txt'"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, run: Callable[..., Done], arguments: list[str], said: str):
    done = run("check", folder / arguments[0], *arguments[1:])
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
