"""The pocket study's script: its text, its plans, and one tiny run, rebuilt in seconds."""

from __future__ import annotations

import csv
import importlib.util
import math
import sys
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "torch", reason="PyTorch is no dependency of the package: install it to test the study's script"
)

SCRIPT = Path(__file__).parents[2] / "data" / "pocket" / "train.py"


@pytest.fixture(scope="module")
def pocket() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pocket_train", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def text() -> tuple[np.ndarray, np.ndarray]:
    """A made-up text that a tiny model learns at once."""
    words = [b"alpha ", b"beta ", b"gamma\n", b"delta "]
    picks = np.random.default_rng(5).integers(0, len(words), 60_000)
    whole = np.frombuffer(b"".join(words[i] for i in picks), np.uint8)
    return whole[20_000:], whole[:20_000]


def read_table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def plan(pocket: ModuleType) -> Any:
    return pocket.Plan("study", budget=6e8, width=8, depth=1, seed=0, lr=0.02)


def test_a_tiny_run_learns_and_its_curve_ends_at_its_loss(pocket, text, plan, tmp_path):
    record = pocket.train_run(plan, *text, tmp_path)
    row, curve = record["row"], record["curve"]
    params, non_embedding = pocket.count_params(8, 1)
    assert params == 256 * 8 + 12 * 8**2 + 3 * 8 == non_embedding + 256 * 8
    assert row["tokens"] == row["steps"] * row["batch"] * pocket.CONTEXT
    assert row["flops"] == 6 * params * row["tokens"] == pytest.approx(plan.budget, rel=0.5 / row["steps"])
    assert row["flops_exact"] == row["tokens"] * 3 * (2 * (12 * 8**2 + 256 * 8) + 4 * pocket.CONTEXT * 8)
    assert row["status"] == "finished"
    assert row["loss"] < math.log(256) - 2
    assert curve[-1]["loss"] == row["loss"]
    assert curve[-1]["tokens"] == row["tokens"]
    tokens = [point["tokens"] for point in curve]
    assert tokens == sorted(set(tokens))
    assert len(tokens) >= 5
    assert curve[0]["loss"] > row["loss"]


def test_the_parameter_count_is_that_of_the_model(pocket):
    for width, depth in pocket.SHAPES:
        model = pocket.Transformer(width, depth)
        assert sum(p.numel() for p in model.parameters()) == pocket.count_params(width, depth)[0]


def test_the_same_plan_gives_the_same_loss_and_another_seed_another(pocket, text, plan, tmp_path):
    first = pocket.train_run(plan, *text, tmp_path / "a")["row"]["loss"]
    assert pocket.train_run(plan, *text, tmp_path / "b")["row"]["loss"] == first
    other = pocket.Plan("study", plan.budget, plan.width, plan.depth, seed=1, lr=plan.lr)
    assert pocket.train_run(other, *text, tmp_path / "a")["row"]["loss"] != first


def test_a_killed_run_goes_on_from_its_checkpoint(pocket, text, plan, tmp_path, monkeypatch):
    whole = pocket.train_run(plan, *text, tmp_path / "whole")
    rate, seen = pocket.learning_rate, []

    def killed(plan: Any, step: int) -> float:
        if step == 20:
            raise KeyboardInterrupt
        return rate(plan, step)

    def watched(plan: Any, step: int) -> float:
        seen.append(step)
        return rate(plan, step)

    monkeypatch.setattr(pocket, "learning_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        pocket.train_run(plan, *text, tmp_path, checkpoint_seconds=0.0)
    assert not list(tmp_path.glob("*.json"))
    monkeypatch.setattr(pocket, "learning_rate", watched)
    monkeypatch.setattr(pocket, "utc_now", lambda: "later")
    resumed = pocket.train_run(plan, *text, tmp_path)
    assert seen[0] == 20
    assert datetime.fromisoformat(resumed["began"]).tzinfo is UTC
    assert resumed["ended"] == "later"
    assert resumed["curve"] == whole["curve"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f"{plan.run_id}.json"]


def test_a_run_that_blows_up_stays_with_its_flag(pocket, text, plan, tmp_path):
    wild = pocket.Plan("study", plan.budget, plan.width, plan.depth, seed=0, lr=1e30)
    record = pocket.train_run(wild, *text, tmp_path / "work")
    assert record["row"]["status"] == "diverged"
    pocket.write_tables(pocket.read_records(tmp_path / "work"), "study", tmp_path)
    assert [row["status"] for row in read_table(tmp_path / "runs.csv")] == ["diverged"]


def test_a_run_that_ends_above_the_limit_has_diverged_and_has_no_loss(
    pocket, text, plan, tmp_path, monkeypatch
):
    monkeypatch.setattr(pocket, "DIVERGED_ABOVE", 0.1)
    record = pocket.train_run(plan, *text, tmp_path)
    assert record["row"]["status"] == "diverged"
    assert record["row"]["steps"] == plan.steps
    assert math.isnan(record["row"]["loss"])
    assert math.isnan(record["curve"][-1]["loss"])


def test_no_run_uses_a_byte_twice(pocket, text, plan, tmp_path):
    long = pocket.Plan("study", 1e12, plan.width, plan.depth, seed=0, lr=plan.lr)
    with pytest.raises(SystemExit, match="no byte is used twice"):
        pocket.train_run(long, *text, tmp_path)


def test_attention_sees_no_later_byte(pocket):
    torch = pocket.torch
    torch.manual_seed(0)
    model = pocket.Transformer(16, 2)
    windows = torch.randint(0, 256, (1, pocket.CONTEXT + 1))
    changed = windows.clone()
    changed[0, 100:] = (changed[0, 100:] + 1) % 256
    hidden = []
    for batch in (windows, changed):
        x = pocket.F.embedding(batch[:, :-1], model.embedding)
        for block in model.blocks:
            x = block(x, model.cos, model.sin, model.mask)
        hidden.append(x[0])
    assert torch.allclose(hidden[0][:100], hidden[1][:100], atol=1e-6)
    assert not torch.allclose(hidden[0][100:], hidden[1][100:], atol=1e-2)


def test_the_learning_rate_warms_up_and_ends_at_zero(pocket, plan):
    rates = [pocket.learning_rate(plan, step) for step in range(plan.steps)]
    assert max(rates) == plan.lr == rates[9]
    assert rates[0] == pytest.approx(plan.lr / 10)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


def test_windows_tile_the_text(pocket):
    text = np.arange(pocket.CONTEXT * 2 + 1) % 256
    windows = pocket.take_windows(text.astype(np.uint8), np.array([0, 1]))
    assert pocket.count_windows(text) == 2
    assert windows[0, 0] == 0
    assert windows[0, -1] == windows[1, 0] == pocket.CONTEXT
    assert windows[1, -1] == text[-1]


def test_the_library_is_the_same_wherever_python_is_installed(pocket, tmp_path, monkeypatch):
    monkeypatch.setattr(pocket, "PYTHON", ".".join(map(str, sys.version_info[:3])))
    found = []
    for prefix in ("/usr", "/root/.pyenv/versions/3.11.7", "/home/user/a longer one"):
        config = tmp_path / prefix.strip("/") / "config-3.11-x86_64-linux-gnu"
        (config.parent / "site-packages").mkdir(parents=True)
        config.mkdir()
        (config / "python-config.py").write_text(f"#!{prefix}/bin/python3.11\nimport sys\n")
        (config.parent / "_sysconfigdata__linux.py").write_text(f"prefix = {prefix!r}\n")
        (config.parent / "site-packages" / "other.py").write_text("import other\n")
        (config.parent / "this.py").write_text("#!/usr/bin/env python3\n")
        monkeypatch.setattr(pocket.sysconfig, "get_paths", lambda: {"stdlib": str(config.parent)})  # noqa: B023
        found.append(sorted(content for _, content in pocket.stdlib_sources()))
    published = b"#!/root/.pyenv/versions/3.11.7/bin/python3.11\nimport sys\n"
    assert found == [[published, b"#!/usr/bin/env python3\n"]] * 3


def test_the_split_is_by_file_without_order_or_repeats(pocket):
    files = [("a==1", bytes([65 + i]) * (200 + i)) for i in range(40)]
    train, validation, manifest = pocket.split_text(files, 1000)
    again = pocket.split_text([*reversed(files), ("b==1", files[3][1])], 1000)
    assert (train, validation) == again[:2]
    parts = [set(part.rstrip(b"\0").split(b"\0")) for part in (train, validation)]
    assert parts[0] | parts[1] == {content for _, content in files}
    assert not parts[0] & parts[1]
    assert 1000 <= len(validation) < 1000 + 241
    assert manifest == {"a==1": [40, sum(len(content) for _, content in files)]}


def test_the_split_leaves_out_markers_and_tables(pocket):
    short, long, good = b"x" * 99, b"y" * 200_001, b"z" * 500
    train, validation, manifest = pocket.split_text([("a==1", short), ("a==1", long), ("a==1", good)], 1)
    assert (train, validation, manifest) == (b"", good + b"\0", {"a==1": [1, 500]})


def test_the_rate_rule_finds_the_vertices(pocket):
    rows = [
        {
            "width": width,
            "lr": rate,
            "loss": 2.0 + (math.log(rate) - math.log(0.1 * width**-0.5)) ** 2,
            "status": "finished",
        }
        for width in (16, 64)
        for rate in pocket.SWEEP_RATES
    ]
    rows.append({"width": 16, "lr": 10.0, "loss": math.nan, "status": "diverged"})
    rows.append({"width": 64, "lr": 0.011, "loss": 0.5, "status": "diverged"})
    assert pocket.fit_rate_rule(rows) == pytest.approx((0.1, -0.5))
    assert pocket.describe_rule(rows) == "0.1 * width ** -0.5"


def test_the_rate_rule_refuses_an_open_end(pocket):
    rows = [{"width": 16, "lr": rate, "loss": rate, "status": "finished"} for rate in (0.1, 0.2, 0.3)]
    with pytest.raises(ValueError, match="at width 16 the lowest loss is at the end"):
        pocket.fit_rate_rule(rows)
    assert pocket.describe_rule(rows).startswith("none, at width 16")


def test_the_study_trains_by_the_rule_of_the_published_sweep(pocket):
    rows = [
        {
            "width": int(row["width"]),
            "lr": float(row["lr"]),
            "loss": float(row["loss"]),
            "status": row["status"],
        }
        for row in read_table(SCRIPT.with_name("sweep.csv"))
    ]
    assert pocket.fit_rate_rule(rows) == pytest.approx(pocket.RATE_RULE, abs=5e-6)
    trained = read_table(SCRIPT.with_name("runs.csv"))
    published = {row["run_id"]: float(row["lr"]) for row in trained}
    assert {plan.run_id: plan.lr for plan in pocket.study_plans()} == published


def test_the_design_is_the_one_asked_for(pocket):
    plans = pocket.study_plans()
    assert len({plan.run_id for plan in plans}) == len(plans)
    assert sorted({plan.budget for plan in plans}) == [1e11, 3e11, 1e12, 3e12, 1e13, 3e13]
    for budget in pocket.BUDGETS:
        at = [plan for plan in plans if plan.budget == budget]
        sizes = {pocket.count_params(plan.width, plan.depth)[0] for plan in at}
        assert len(sizes) >= 8
        assert max(sizes) / min(sizes) >= 16
        assert len(at) == len(sizes) * (3 if budget in pocket.REPEATED else 1)


def test_the_tables_hold_a_stage_each_in_order(pocket, text, plan, tmp_path):
    swept = pocket.Plan("sweep", 3e8, 8, 1, 0, 0.01)
    held_out = pocket.Plan("held_out", 4e8, 8, 1, 0, 0.01)
    later = pocket.Plan("study", plan.budget, 8, 1, 1, plan.lr)
    for each in (later, swept, held_out, plan):
        pocket.train_run(each, *text, tmp_path / "work")
    records = pocket.read_records(tmp_path / "work")
    for stage in ("sweep", "held_out"):
        pocket.write_tables(records, stage, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["held_out.csv", "sweep.csv"]
    pocket.write_tables(records, "study", tmp_path)
    tables = {path.name: read_table(path) for path in tmp_path.glob("*.csv")}
    assert sorted(tables) == ["curves.csv", "held_out.csv", "runs.csv", "sweep.csv"]
    runs = tables["runs.csv"]
    assert [row["run_id"] for row in runs] == [plan.run_id, later.run_id]
    assert [row["lr"] for row in tables["sweep.csv"]] == ["0.01"]
    ends = {point["run_id"]: (point["tokens"], point["loss"]) for point in tables["curves.csv"]}
    assert ends == {row["run_id"]: (row["tokens"], row["loss"]) for row in runs}


class OneByOne:
    """Stands in for a pool of processes: what is handed in is done at once, in this one."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments))
        except SystemExit as error:
            done.set_exception(error)
        return done


def test_the_tables_wait_for_the_last_run_of_their_stage(pocket, text, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(pocket, "ProcessPoolExecutor", OneByOne)
    for name, part in zip(("train", "validation"), text, strict=True):
        part.tofile(tmp_path / f"{name}.bin")
    published = tmp_path / "runs.csv"
    published.write_text("the published table")
    plans = [plan, pocket.Plan("study", 1e12, plan.width, plan.depth, seed=0, lr=plan.lr)]
    folders = (tmp_path, tmp_path / "work", tmp_path)
    with pytest.raises(SystemExit, match="no byte is used twice"):
        pocket.train_all(plans, 1, *folders)
    assert [record["row"]["run_id"] for record in pocket.read_records(folders[1])] == [plan.run_id]
    assert published.read_text() == "the published table"
    assert not (tmp_path / "curves.csv").exists()
    rows = pocket.train_all([plan], 1, *folders)
    assert (
        [row["run_id"] for row in read_table(published)] == [plan.run_id] == [row["run_id"] for row in rows]
    )
    assert (tmp_path / "curves.csv").exists()
