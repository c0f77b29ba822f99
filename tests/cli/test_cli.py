"""The command line as a user meets it: a process with arguments, two outputs and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from bayes_scaling import load_curves, open_fit, optimum, save_fit
from bayes_scaling.runs.datasets import load_dataset


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bayes_scaling", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def runs_csv(simulated: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    renamed = simulated.rename(columns={"params": "Model Size"})
    renamed["good"] = 1
    renamed.loc[0, "good"] = 0
    renamed.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fit_nc(simulated_fit: xr.DataTree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "fit.nc"
    save_fit(simulated_fit, path)
    return path


@pytest.fixture(scope="module")
def unconverged_nc(unconverged_fit: xr.DataTree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "unconverged.nc"
    save_fit(unconverged_fit, path)
    return path


INTERVAL = {"estimate", "low", "high", "mean", "sd"}


def test_fit_writes_json_a_fit_and_a_figure(runs_csv: Path, tmp_path: Path):
    done = run(
        "fit", runs_csv, "--columns", "params=Model Size", "--where", "good == 1", "-o", tmp_path / "fit.nc",
        "--figure", tmp_path / "law.png", "--compute", "1e22", "--draws", 800, "--prob", 0.8, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["prob"] == 0.8
    assert document["model"] == "parametric"
    assert document["converged"] is True
    assert document["runs"] == 59
    assert {"rhat_max", "ess_min", "divergences"} <= set(document["diagnostics"])
    noise = {"sigma", "nu", "sigma_growth"}
    assert {"E", "A", "B", "alpha", "beta", "a", "b"} | noise == set(document["parameters"])
    assert set(document["parameters"]["alpha"]) == INTERVAL
    assert document["optimum"]["optima"][0]["compute"] == 1e22
    fit = open_fit(tmp_path / "fit.nc")
    assert fit["posterior"].sizes["draw"] == 800
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")
    assert done.stderr == "note: where 'good == 1' kept 59 rows and dropped 1\n"


def test_optimum_prints_the_posterior_at_each_budget(fit_nc: Path):
    done = run("optimum", fit_nc, "--compute", "5.76e23,1e22", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == {
        "prob", "model", "converged", "discrepancy", "a", "b", "flops_per_param_token", "optima"
    }  # fmt: skip
    assert "as in published studies" in document["discrepancy"][0]
    assert [row["compute"] for row in document["optima"]] == [5.76e23, 1e22]
    row = document["optima"][0]
    assert set(row) == {
        "compute", "params_opt", "tokens_opt", "tokens_per_param", "loss_opt", "extrapolation",
        "below_runs",
    }  # fmt: skip
    assert row["extrapolation"] == pytest.approx(576)
    expected = optimum(open_fit(fit_nc), 5.76e23)["params_opt"]
    assert row["params_opt"]["estimate"] == pytest.approx(float(expected.median()))
    assert row["params_opt"]["mean"] == pytest.approx(float(expected.mean()))


def test_optimum_in_words_has_units_a_person_reads(fit_nc: Path):
    done = run("optimum", fit_nc, "--compute", "1e22")
    assert done.returncode == 0
    assert "10x" in done.stdout
    assert "N_opt grows as C^a within the runs: a = " in done.stdout
    alone = run("optimum", fit_nc, "--compute", "1e22", "--law-only")
    assert "N_opt grows as C^a: a = " in alone.stdout
    assert any(f"{digit}B" in done.stdout for digit in range(10))
    assert "\x1b" not in done.stdout, "colours in a pipe"


def test_a_saved_fit_answers_without_the_sampler(fit_nc: Path):
    """`optimum` and `--help` may load neither PyMC nor what it brings."""
    code = (
        "import sys; from bayes_scaling.cli.main import app; app(sys.argv[1:], standalone_mode=False);"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    heavy = ("pymc", "pytensor", "numba", "arviz", "arviz_stats", "arviz_base", "nutpie", "scipy")
    for arguments, banned in (
        (["optimum", str(fit_nc), "--json"], heavy),
        (["--help"], (*heavy, "numpy", "pandas", "xarray", "matplotlib")),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        for name in banned:
            assert f"'{name}'" not in done.stderr, f"{arguments[0]} imports {name}"


def test_a_fit_that_did_not_converge_is_written_with_code_3(runs_csv: Path, tmp_path: Path):
    done = run(
        "fit", runs_csv, "--columns", "params=Model Size", "-o", tmp_path / "fit.nc", "--draws", 20,
        "--tune", 100, "--chains", 2, "--json",
    )  # fmt: skip
    assert done.returncode == 3
    assert json.loads(done.stdout)["converged"] is False
    assert (tmp_path / "fit.nc").exists()


def test_planning_on_it_is_refused_unless_allowed(unconverged_nc: Path):
    refused = run("optimum", unconverged_nc)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: the fit is not converged")
    assert len(refused.stderr.splitlines()) == 1
    allowed = run("optimum", unconverged_nc, "--allow-unconverged", "--json")
    assert allowed.returncode == 3
    assert json.loads(allowed.stdout)["converged"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "none.csv"], "none.csv"),
        (["fit", "chinchila"], "did you mean 'chinchilla'"),
        (["fit", "chinchilla-simulated", "--columns", "params"], "write NAME=VALUE"),
        (["fit", "chinchilla-simulated", "--where", "lss > 3"], "did you mean 'loss'"),
        (["fit", "chinchilla-simulated", "--model", "parametrc"], "did you mean 'parametric'"),
        (
            ["fit", "chinchilla-simulated", "--prob", "90"],
            "prob must lie between 0 and 1, such as 0.9, not 90",
        ),
        (["fit", "chinchilla-simulated", "--compute", "-1"], "compute must be positive"),
        (["fit", "chinchilla-simulated", "-o", "none/fit.nc"], "there is no folder none"),
        (["fit", "chinchilla-simulated", "--draws", "1"], "draws must be at least 4"),
        (["fit", "chinchilla-simulated", "--drws", "1"], "No such option: --drws"),
        (
            ["fit", "chinchilla-simulated", "--model", "isoflop-skewed.toml"],
            "there is no such file; did you mean the model isoflop-skewed?",
        ),
        (["demo", "-o", "/proc/out"], "/proc/out: the folder cannot be made"),
        (["optimum", "none.nc"], "none.nc: no such file"),
        (["optimum", "none.nc", "--compute", "lots"], "lots"),
        (["data", "show", "chinchila"], "did you mean 'chinchilla'"),
        (["fi"], "No such command 'fi'"),
    ],
)
def test_a_wrong_request_ends_with_code_2_and_one_clear_message(tmp_path, arguments: list[str], said: str):
    done = subprocess.run(
        [sys.executable, "-m", "bayes_scaling", *arguments],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["--debug optimum none.nc", "optimum none.nc --debug"])
def test_a_traceback_comes_only_when_asked_for(line: str):
    done = run(*line.split())
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_warnings_about_runs_go_to_standard_error(runs_csv: Path, tmp_path: Path):
    table = pd.read_csv(runs_csv)
    pd.concat([table, table.iloc[:1].assign(run_id="again")]).to_csv(tmp_path / "twice.csv", index=False)
    done = run(
        "fit",
        tmp_path / "twice.csv",
        "--columns",
        "params=Model Size",
        "--draws",
        20,
        "--tune",
        100,
        "--json",
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1
    assert "the same as another run's" in lines[0]
    assert json.loads(done.stdout)["warnings"] == [lines[0].removeprefix("warning: ")]


def test_compare_prints_every_method_with_its_intervals(runs_csv: Path, fit_nc: Path, tmp_path: Path):
    done = run(
        "compare", runs_csv, "--columns", "params=Model Size", "--compute", "5.76e23,1e25", "--fit", fit_nc,
        "--published", "--resamples", 50, "--prob", 0.8, "--figure", tmp_path / "compare.png", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(done.stdout)
    assert document["prob"] == 0.8
    methods = {row["method"]: row for row in document["methods"]}
    assert list(methods)[:4] == ["approach-1", "approach-2", "approach-3", "parametric"]
    none = methods["approach-1"]
    assert (none["available"], none["a"], none["optima"]) == (False, None, [])
    assert "training curves" in none["reason"]
    assert [row["compute"] for row in methods["approach-3"]["optima"]] == [5.76e23, 1e25]
    for row in (methods["approach-3"], methods["parametric"]):
        assert row["a"]["low"] < row["a"]["estimate"] < row["a"]["high"]
        assert set(row["a"]) == set(row["optima"][0]["loss_opt"]) == INTERVAL
        assert set(row["optima"][0]) == {
            "compute", "params_opt", "tokens_opt", "tokens_per_param", "loss_opt", "extrapolation",
            "below_runs", "misspent",
        }  # fmt: skip
        assert set(row["optima"][0]["misspent"]) == set(methods)
    assert methods["approach-3"]["resamples"] == 50
    assert methods["hoffmann-approach-1"]["optima"][0]["loss_opt"]["estimate"] is None
    assert any("hoffmann-approach-3" in sentence for sentence in document["disagreements"])


def test_compare_in_words_has_a_row_a_method_and_the_reasons(tmp_path: Path):
    curves = tmp_path / "curves.csv"
    load_curves("chinchilla-simulated").to_csv(curves, index=False)
    quick = ["compare", "chinchilla-simulated", "--no-posterior", "--resamples", 20]
    done = run(*quick, "--where", "budget > 0")
    assert done.returncode == 0, done.stderr
    assert "approach-1: not available: needs training curves" in done.stdout
    assert "all intervals of N_opt and of the loss overlap" in done.stdout
    for options in ([], ["--curves", curves, "--keep-unbracketed"], ["--hull", "--keep-unbracketed"]):
        done = run(*quick, *options)
        assert done.returncode == 0, done.stderr
        assert "not available" not in done.stdout
        assert ("left out" in done.stdout) == (not options)


def test_a_comparison_without_any_answer_fails_and_says_why(tmp_path: Path):
    (tmp_path / "few.csv").write_text("params,tokens,loss\n1e8,2e9,3.1\n2e8,9e9,3.0\n")
    done = run("compare", tmp_path / "few.csv", "--no-posterior", "--compute", "1e22")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: there is no answer to compare:\n  approach-1: needs training curves" in done.stderr


def test_compare_ranks_posteriors_of_the_same_runs(runs_csv: Path, fit_nc: Path):
    done = run(
        "compare", runs_csv, "--columns", "params=Model Size", "--fit", fit_nc, "--fit", fit_nc,
        "--resamples", 20, "--compute", "1e22",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "models by leave-one-out predictive density (ELPD) of the same 60 losses" in done.stdout
    of_second = done.stdout.partition("parametric (2):")[2]
    assert "predicts about as well as parametric" in of_second


def test_compare_of_several_recipes_has_a_row_for_each(runs_csv: Path, tmp_path: Path):
    table = pd.read_csv(runs_csv)
    both = pd.concat(
        [
            table.assign(run_id=[f"{name}-{i}" for i in range(len(table))], group=name)
            for name in ("[c4]", "pile")
        ]
    )
    both.to_csv(tmp_path / "both.csv", index=False)
    arguments = [
        "compare", tmp_path / "both.csv", "--columns", "params=Model Size", "--no-posterior", "--published",
        "--resamples", 20, "--compute", "1e22", "--figure", tmp_path / "compare.png",
    ]  # fmt: skip
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "one law is fitted" not in done.stderr
    assert "approach-3: 20 resamples" in done.stdout
    assert "\n[c4]" in done.stdout, "brackets are no markup"
    assert "within each recipe all intervals" in done.stdout
    rows = json.loads(run(*arguments, "--json").stdout)["methods"]
    assert [(row["recipe"], row["method"]) for row in rows][:6] == [
        (recipe, f"approach-{i}") for recipe in ("[c4]", "pile") for i in (1, 2, 3)
    ]
    assert {row["recipe"] for row in rows[6:]} == {None}


def test_options_about_curves_need_curves(runs_csv: Path, tmp_path: Path):
    quick = ["compare", runs_csv, "--columns", "params=Model Size", "--no-posterior", "--resamples", 20]
    done = run(*quick, "--hull")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --hull, --keep-unbracketed and --curves-columns are about")
    curves = tmp_path / "curves.csv"
    load_curves("chinchilla-simulated").rename(columns={"tokens": "seen"}).to_csv(curves, index=False)
    done = run(*quick, "--curves", curves, "--curves-columns", "tokens=seen")
    assert done.returncode == 0, done.stderr
    assert "approach-1: not available" not in done.stdout


def test_compare_of_a_fit_that_did_not_converge(runs_csv: Path, unconverged_nc: Path):
    arguments = ["compare", runs_csv, "--columns", "params=Model Size", "--fit", unconverged_nc]
    refused = run(*arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    allowed = run(*arguments, "--allow-unconverged", "--resamples", 20)
    assert allowed.returncode == 3
    assert "parametric: NOT converged: " in allowed.stdout
    assert "parametric is from a fit that is NOT converged" in allowed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scheme", "jackknife"], "error: scheme: 'jackknife' is unknown"),
        (["--resamples", "0"], "error: resamples must be at least 1, not 0"),
        (
            ["--hull", "--where", "budget > 0"],
            "note: where 'budget > 0' kept 360 rows and dropped 40\nerror: --hull",
        ),
        (["--curves", "nowhere.csv"], "error: nowhere.csv: there is no such file"),
        (["--no-posterior", "--model", "parametric"], "error: --no-posterior leaves out what --model"),
        (["--figure", "compare.jpg"], "error: compare.jpg: no figure format '.jpg'"),
        (["--fit", "nowhere.nc"], "error: nowhere.nc: no such file"),
    ],
)
def test_a_wrong_comparison_is_refused_before_the_work(arguments: list[str], said: str):
    done = run("compare", "chinchilla-simulated", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(said)


def test_data_lists_shows_and_fetches(shared: Path):
    listed = json.loads(run("data", "list", "--json").stdout)
    assert {"chinchilla-simulated", "chinchilla", "marin-comma"} <= {row["name"] for row in listed}
    shown = json.loads(run("data", "show", "chinchilla", "--json").stdout)
    assert len(shown["sha256"]) == 64
    fetched = run("data", "fetch", "chinchilla", BAYES_SCALING_DATA=str(shared / "source"))
    assert fetched.returncode == 0
    assert Path(fetched.stdout.strip()).is_file()


def test_data_tables_are_read_by_people():
    assert "chinchilla-simulated" in run("data", "list").stdout
    assert "CC0" in run("data", "show", "chinchilla-simulated").stdout


def test_the_demo_goes_the_whole_way(tmp_path: Path):
    done = run("demo", "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["fit"]["runs"] == len(load_dataset(document["dataset"]))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "fit.nc", "law.png", "optimum.png", "compare.png"
    }  # fmt: skip
    compared = {row["method"]: row for row in document["compare"]["methods"]}
    assert list(compared) == ["approach-1", "approach-2", "approach-3", "parametric"]
    assert all(row["available"] for row in compared.values())
    assert [row["extrapolation"] for row in document["optimum"]["optima"]] == pytest.approx([1, 10, 100])


def test_the_version_is_the_packages():
    assert run("--version").stdout.startswith("bayes-scaling 0.")
