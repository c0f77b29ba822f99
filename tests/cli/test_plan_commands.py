"""`plan` and `audit` as a user meets them: arguments, two outputs and an exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from handmade_fits import frontier_draws, handmade_fit, law_draws

from bayes_scaling import audit, design, open_fit, plan, plan_to_target, save_fit
from bayes_scaling.cli.main import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """The command's own entry, with its outputs and exit code, without the seconds of a process."""

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["bayes-scaling", *map(str, arguments)])
        # The command puts its own in place of it.
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    save_fit(handmade_fit({**law_draws(300), **noise}, spec="parametric"), folder / "fit.nc")
    save_fit(handmade_fit({**law_draws(300, seed=2), **noise}, spec="parametric"), folder / "other.nc")
    bad = handmade_fit({**law_draws(200), **noise}, spec="parametric", converged=False)
    save_fit(bad, folder / "unconverged.nc")
    return folder


INTERVAL = {"estimate", "low", "high", "mean", "sd"}


def test_plan_prints_the_decision_as_json_and_draws_it(folder: Path, run: Callable[..., Done]):
    done = run(
        "plan", folder / "fit.nc", "--compute", "5.76e23", "--params", "280B", "--below", "50B,90B",
        "--target", "2.0", "--improvement", "0.01", "--peak", "989e12", "--mfu", "0.4", "--price", "2",
        "--prob", "0.8", "--figure", folder / "plan.png", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "plan.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(done.stdout)
    expected = plan(open_fit(folder / "fit.nc"), 5.76e23, params=2.8e11, below=[5e10, 9e10], target=2.0)
    assert {"prob", "compute", "recommended", "region", "proposed", "model", "converged"} <= set(document)
    assert (document["prob"], document["compute"]) == (0.8, 5.76e23)
    best, proposed = document["recommended"], document["proposed"]
    assert {"params", "tokens", "expected_regret", "loss"} <= set(best)
    assert {"params", "tokens", "regret", "loss", "oversized"} <= set(proposed)
    assert set(best["loss"]) == set(proposed["regret"]) == INTERVAL
    assert best["params"] == pytest.approx(float(expected["recommended_params"]))
    assert proposed["oversized"] == float(expected["proposed_oversized"])
    assert proposed["regret"]["estimate"] == pytest.approx(float(expected["proposed_regret"].median()))
    assert set(document["region"][0]) == {"regret", "probability", "low", "high"}
    assert len(document["region"]) == 9
    assert [row["params"] for row in document["below"]] == [5e10, 9e10]
    assert best["reaches"] == pytest.approx(float(expected["recommended_reaches"]))
    hours = 5.76e23 / (989e12 * 0.4 * 3600)
    assert document["accelerator_hours"] == pytest.approx(hours)
    assert document["money"] == pytest.approx(2 * hours)
    assert document["improvement"]["compute_factor"]["low"] > 1
    assert document["extrapolation"] == pytest.approx(576)


def test_plan_in_words_says_both_units_the_region_and_how_far_it_reaches(
    folder: Path, run: Callable[..., Done]
):
    done = run(
        "plan", folder / "fit.nc", "--gpus", 512, "--hours", 720, "--peak", "989e12", "--mfu", 0.4,
        "--max-params", "10B",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "5.25e23 FLOP (369k accelerator-hours)" in words
    assert "held by max_params: without limits on size and tokens" in words
    assert "% of the compute" in words
    assert "regret is against the best plan within the same limits" in words
    assert "one more budget" not in words
    assert "extrapolated by a factor of up to 525" in words
    assert "\x1b" not in done.stdout


def test_plan_says_what_serving_and_repetition_rest_on(folder: Path, run: Callable[..., Done]):
    unusual = ["--served-tokens", "1T", "--unique-tokens", "200B"]
    asked = ["plan", folder / "fit.nc", "--compute", "5.76e23", *unusual]
    words = " ".join(run(*asked).stdout.split())
    assert "a third of one trained on: 2 N where training costs 6 N" in words
    assert "no uncertainty of them is published" in words
    document = json.loads(run(*asked, "--json").stdout)
    assert (document["served_tokens"], document["unique_tokens"]) == (1e12, 2e11)
    assert "so much would be saved with fresh tokens" in words
    assert document["limits_price"]["low"] > 0.1
    assert document["recommended"]["expected_regret"] < 0.01
    best = document["recommended"]
    assert best["epochs"] == pytest.approx(best["tokens"] / 2e11)
    assert best["cost"] == pytest.approx(5.76e23)
    assert best["compute"] < best["cost"]
    cheapest = ["plan", folder / "fit.nc", "--target", "2.1", *unusual]
    assert "epochs of the unique tokens" in run(*cheapest).stdout
    best = json.loads(run(*cheapest, "--json").stdout)["recommended"]
    assert best["epochs"] == pytest.approx(best["tokens"] / 2e11)


def test_serving_that_decides_the_plan_is_said(folder: Path, run: Callable[..., Done]):
    """It lies within the compute of the runs, and far from their sizes and tokens."""
    asked = ["plan", folder / "fit.nc", "--compute", "1e23", "--served-tokens", "1e18"]
    words = " ".join(run(*asked).stdout.split())
    assert "N_opt, serving paid:" in words
    assert "serving takes 99." in words
    assert "in size" in words
    assert "THIS IS A GUESS" in words
    best = json.loads(run(*asked, "--json").stdout)["recommended"]
    assert best["extrapolation"] == 1
    assert min(best["extrapolation_params"], best["extrapolation_tokens"]) > 1000
    assert best["serving_share"] > 0.99
    words = " ".join(run("plan", folder / "fit.nc", "--compute", "1e23").stdout.split())
    assert "regret is against the optimum" in words
    assert "N_opt: " in words
    assert "serving" not in words
    assert "GUESS" not in words


def test_tables_fit_a_terminal_of_80_letters(folder: Path, run: Callable[..., Done]):
    plan_of = ["plan", folder / "fit.nc", "--compute", "5.76e23", "--params", "280B"]
    for asked in (
        [*plan_of, "--spent-params", "40B", "--spent-tokens", "200B", "--target", "2"],
        ["audit", folder / "fit.nc"],
        ["optimum", folder / "fit.nc"],
    ):
        rows = [line for line in run(*asked).stdout.splitlines() if "  " in line or "\u2500" in line]
        assert len(rows) > 5
        assert max(map(len, rows)) <= 80


def test_a_run_that_is_there_is_said_without_a_contradiction(folder: Path, run: Callable[..., Done]):
    asked = [
        "plan",
        folder / "fit.nc",
        "--compute",
        "1e22",
        "--spent-params",
        "70B",
        "--spent-tokens",
        "1.4T",
    ]
    words = " ".join(run(*asked).stdout.split())
    assert "to train on the run that is there is the better plan" in words
    assert "too large with probability -" in words
    assert "N_opt of a run from scratch:" in words
    assert "regret is against the optimum, or training on the run that is there" in words
    document = json.loads(run(*asked, "--json").stdout)
    best = document["recommended"]
    assert best["continues"] is True
    assert best["expected_regret"] == 0
    assert best["oversized"] is None
    assert best["from_scratch"]["low"] > 10
    assert "none: no size is that sure" in words, "there are no limits"
    held = " ".join(run("plan", folder / "fit.nc", "--compute", "1e23", "--max-params", "9B").stdout.split())
    assert "none: no size within the limits is that sure" in held or "none:" not in held


def test_an_improvement_that_no_compute_buys_is_said_in_words(folder: Path, run: Callable[..., Done]):
    asked = ["plan", folder / "fit.nc", "--compute", "1e23", "--improvement"]
    words = " ".join(run(*asked, "1").stdout.split())
    assert "a loss lower by 1 is beyond any compute with probability 100 %" in words
    assert "inf" not in words.replace("information", "")
    found = json.loads(run(*asked, "1", "--json").stdout)["improvement"]
    assert found["never"] == 1
    assert found["compute_factor"]["estimate"] is None
    words = " ".join(run(*asked, "0.21").stdout.split())
    assert "times this compute" in words
    assert "never)" in words


def test_sizes_that_are_one_are_written_once(folder: Path, run: Callable[..., Done]):
    words = run("plan", folder / "fit.nc", "--compute", "5.76e23", "--sizes", "7B,70B,700B").stdout
    assert "70B\N{EN DASH}70B" not in words
    assert " 70B " in words
    money = run(
        "plan", folder / "fit.nc", "--money", "1M", "--price", "2", "--peak", "989e12", "--mfu", "0.4"
    ).stdout
    assert "1M in the currency of --price" in " ".join(money.split())


def test_without_a_budget_the_plan_is_the_cheapest_to_a_target(folder: Path, run: Callable[..., Done]):
    asked = ["plan", folder / "fit.nc", "--target", "2.0", "--sure", "0.9", "--served-tokens", "1T"]
    done = run(*asked, "--figure", folder / "target.svg", "--json")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (folder / "target.svg").read_text()
    document = json.loads(done.stdout)
    expected = plan_to_target(open_fit(folder / "fit.nc"), 2.0, sure=0.9, served_tokens=1e12)
    assert document["recommended"]["cost"] == pytest.approx(float(expected["recommended_cost"]))
    assert document["recommended"]["reaches"] == pytest.approx(0.9, abs=0.004)
    assert document["compute"]["estimate"] == pytest.approx(float(expected["compute"].median()), rel=0.01)
    assert document["never"] == 0
    words = run(*asked).stdout
    assert "lifetime cost (FLOP)" in words
    assert "least training compute to it" in words


def test_a_target_that_some_draws_never_reach_is_null_where_it_is_infinite(
    folder: Path, run: Callable[..., Done]
):
    done = run("plan", folder / "fit.nc", "--target", "1.83", "--sure", "0.3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert 0.1 < document["never"] < 0.5
    assert document["compute"]["high"] is None
    assert document["compute"]["mean"] is None
    assert document["compute"]["low"] > 0
    words = run("plan", folder / "fit.nc", "--target", "1.83", "--sure", "0.3").stdout
    assert "to never)" in words
    assert re.search(r"^with probability [\d.]+ % no compute reaches it$", words, re.MULTILINE)


def test_an_answer_from_an_isoflop_fit_says_that_it_is_of_one_more_budget(
    folder: Path, run: Callable[..., Done]
):
    scatters = {"params_scatter": 0.2, "loss_scatter": 0.01, "kappa_scatter": 0.1}
    draws = {**frontier_draws({**law_draws(300), "E": np.zeros(300)}), **scatters}
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    fit = handmade_fit({**draws, **noise}, law="isoflop-skewed", spec="isoflop-skewed")
    save_fit(fit, folder / "profiles.nc")
    for asked in (
        ["plan", folder / "profiles.nc", "--compute", "1e23"],
        ["plan", folder / "profiles.nc", "--target", "0.5"],
        ["audit", folder / "profiles.nc"],
        ["design", folder / "profiles.nc", "--target", "1e23", "--pilot", "1e21", "--runs", "2"],
    ):
        done = run(*asked)
        assert done.returncode == 0, done.stderr
        assert "of one more budget, scattered about the line" in " ".join(done.stdout.split())
        assert json.loads(run(*asked, "--json").stdout)["new_budget"] is True


def test_audit_has_a_row_a_model(folder: Path, run: Callable[..., Done]):
    done = run("audit", folder / "fit.nc", "--json", "--figure", folder / "audit.png")
    assert done.returncode == 0, done.stderr
    assert (folder / "audit.png").read_bytes().startswith(b"\x89PNG")
    rows = {row["name"]: row for row in json.loads(done.stdout)["plans"]}
    assert list(rows) == ["LaMDA", "GPT-3", "Jurassic-1", "Gopher", "MT-NLG", "Chinchilla"]
    expected = audit(open_fit(folder / "fit.nc")).sel(plan="Gopher")
    assert rows["Gopher"]["regret"]["estimate"] == pytest.approx(float(expected["regret"].median()))
    assert rows["Gopher"]["expected_regret"] == pytest.approx(float(expected["regret"].mean()))
    assert set(rows["Gopher"]["params_opt"]) == INTERVAL
    assert rows["Gopher"]["oversized"] == 1
    own = folder / "own.csv"
    own.write_text("name,params,tokens\nours,5B,140B\n")
    words = run("audit", folder / "fit.nc", own).stdout
    plan_of_it = run("plan", folder / "fit.nc", "--params", "5B", "--tokens", "140B", "--json")
    judged = json.loads(plan_of_it.stdout)["proposed"]
    assert f"{100 * judged['expected_regret']:.3g} %" in words, "audit and plan give one statistic"
    assert "ours" in words
    assert "Gopher" not in words


def test_several_fits_are_planned_from_together(folder: Path, run: Callable[..., Done]):
    asked = ["plan", folder / "fit.nc", folder / "other.nc", "--compute", "1e23", "--improvement", "0.01"]
    done = run(*asked, "--weights", "0.7,0.3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    fits = [open_fit(folder / name) for name in ("fit.nc", "other.nc")]
    expected = plan(fits, 1e23, weights=[0.7, 0.3])
    assert document["model"] == "mixture of 2 fits"
    assert document["weights_by"] == "given"
    assert document["recommended"]["params"] == pytest.approx(float(expected["recommended_params"]))
    assert [model["weight"] for model in document["models"]] == pytest.approx([0.7, 0.3])
    own = document["models"][1]
    assert own["params"] == pytest.approx(float(plan(fits[1], 1e23)["recommended_params"]))
    assert set(own["params_opt"]) == {"estimate", "low", "high"}
    # These fits carry no densities of their runs.
    words = run(*asked).stdout
    assert "what each model would train" in words
    assert "weights, equal (handmade, handmade (2): without the densities of its runs)" in words
    to_target = run("plan", folder / "fit.nc", folder / "other.nc", "--target", "2", "--weights", "1,0")
    assert "weights, as given: handmade 1.00, handmade (2) 0.00" in to_target.stdout
    alone = json.loads(run("plan", folder / "fit.nc", "--compute", "1e23", "--json").stdout)
    assert (alone["weights_by"], alone["models"]) == (None, [])


def test_design_prints_the_pilot_runs_and_draws_them(folder: Path, run: Callable[..., Done]):
    asked = ["design", folder / "fit.nc", "--target", "5.76e23", "--pilot", "1e21", "--runs", "3"]
    done = run(*asked, "--json", "--figure", folder / "design.png")
    assert done.returncode == 0, done.stderr
    assert (folder / "design.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(done.stdout)
    expected = design(open_fit(folder / "fit.nc"), 5.76e23, 1e21, 3)
    assert [each["params"] for each in document["runs"]] == pytest.approx(expected["params"].values)
    assert document["before"]["expected_regret"] == pytest.approx(float(expected["expected_regret"][0]))
    assert document["runs"][-1]["regret_after"] == document["after"]["expected_regret"]
    assert set(document["after"]["params_opt"]) == {"estimate", "low", "high"}
    words = run(*asked, "--sizes", "100M,300M,1B,3B", "--max-run", "4e20").stdout
    assert "3 pilot runs of" in words
    assert "is the standard error of the simulation" in words
    assert document["runs"][0]["lowered_by"]["error"] > 0
    assert document["isoflop"]["excess"]["error"] > 0
    assert 0 <= document["runs_worth"] <= 3
    small = run("design", folder / "fit.nc", "--target", "5.76e23", "--pilot", "1e13", "--runs", "2").stdout
    assert "x below" in small
    assert "pilot runs outside the runs there are: 2 of 2 in compute, 2 of 2 in size" in " ".join(
        small.split()
    )
    assert "an IsoFLOP profile, would leave" in words
    allowed = run(
        "design", folder / "unconverged.nc", "--target", "1e23", "--pilot", "1e21", "--runs", "1",
        "--allow-unconverged", "--json",
    )  # fmt: skip
    assert allowed.returncode == 3
    assert json.loads(allowed.stdout)["converged"] is False
    refused = run(*asked, "--pilot", "much")
    assert refused.returncode == 2
    assert "--pilot 'much'" in refused.stderr


def test_the_commands_load_no_sampler(folder: Path):
    """A plan loads nothing heavy at all; pilot runs take a search tree."""
    # Where dask is installed, as for a cluster, xarray imports it, and it SciPy: here it is not.
    code = (
        "import sys; sys.modules['dask'] = None; from bayes_scaling.cli.main import app\n"
        "def ask(*asked):\n"
        "    app([asked[0], sys.argv[1], *asked[1:], '--json'], standalone_mode=False)\n"
        "ask('plan', '--compute', '1e22'); ask('plan', '--target', '2.1'); ask('audit')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "ask('design', '--target', '1e23', '--pilot', '1e21', '--runs', '2')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "fit.nc")], capture_output=True, text=True, check=True
    )
    planned, designed = done.stderr.splitlines()
    for name in ("pymc", "pytensor", "numba", "arviz", "arviz_stats", "arviz_base", "nutpie"):
        assert f"'{name}'" not in designed, f"something imports {name}"
    assert "'scipy'" not in planned


def test_a_fit_that_did_not_converge_is_refused_or_marked(folder: Path, run: Callable[..., Done]):
    for command in (
        ["plan", folder / "unconverged.nc", "--compute", "1e22"],
        ["audit", folder / "unconverged.nc"],
    ):
        refused = run(*command)
        assert refused.returncode == 2
        assert refused.stdout == ""
        assert refused.stderr.startswith("error: the fit is not converged")
        allowed = run(*command, "--allow-unconverged", "--json")
        assert allowed.returncode == 3
        assert json.loads(allowed.stdout)["converged"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            [],
            "plan needs a budget (--compute, --gpus and --hours, or --money) or, without one, a --target or",
        ),
        (
            ["--compute", "1e22", "--gpus", "8", "--hours", "10", "--peak", "1e15", "--mfu", "0.4"],
            "given 2 times",
        ),
        (["--compute", "1e22", "--sure", "0.9"], "--sure is for the cheapest plan to a target"),
        (["--target", "2", "--params", "7B"], "--params ask about a budget"),
        (["--compute", "lots"], "--compute 'lots': 'lots' is not a number"),
        (
            ["--compute", "1e22", "--max-params", "1B", "--max-tokens", "1B"],
            "max_params and max_tokens contradict",
        ),
        (["--compute", "1e22", "--figure", "plan.jpg"], "no figure format '.jpg'"),
        (["--compute", "1e22", "--recipe", "web"], "does not tell recipes apart"),
        (["--compute", "1e22", "--weights", "1"], "weights tell several fits apart, and there is one"),
        (["--compute", "1e22", "--scores", "a.json"], "--scores weigh several fits, by themselves"),
        (["--compute", "1e22", "--weights", "half"], "--weights 'half': 'half' is not a number"),
        (["--target", "1.2"], "no draw of the fit reaches it"),
    ],
)
def test_a_wrong_request_ends_with_code_2_and_one_clear_line(
    folder: Path, run: Callable[..., Done], arguments: list[str], said: str
):
    done = run("plan", folder / "fit.nc", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
