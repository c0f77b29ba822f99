"""Many tasks: each done once, in their order, whatever is killed, on processes or on a cluster."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from types import ModuleType
from typing import Any

import pytest

from bayes_scaling.errors import BayesScalingError, InputError
from bayes_scaling.executor import run_tasks

TASKS = [{"key": f"task {i}", "number": i} for i in range(7)]


def squared(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"square": task["number"] ** 2, "threads": os.environ.get("OMP_NUM_THREADS")}


def noted(task: Mapping[str, Any]) -> dict[str, Any]:
    """Leave a mark for each time that a task is done."""
    with Path(task["marks"]).open("a") as file:
        file.write(f"{task['number']}\n")
    return {"square": task["number"] ** 2}


def lost_once(task: Mapping[str, Any]) -> dict[str, Any]:
    """Take the worker down with the first try at one task."""
    mark = Path(task["mark"])
    if task["number"] == 3 and not mark.exists():
        mark.touch()
        os._exit(1)
    return {"square": task["number"] ** 2}


def always_lost(_: Mapping[str, Any]) -> dict[str, Any]:
    os._exit(1)


def failing(task: Mapping[str, Any]) -> dict[str, Any]:
    if task["number"] == 2:
        raise ValueError("no such number")
    return {}


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int):
    found = run_tasks(squared, TASKS, workers=workers)
    assert [each["square"] for each in found] == [i**2 for i in range(7)]
    if workers > 1:
        assert {each["threads"] for each in found} == {"1"}


def test_what_is_in_the_file_is_not_done_again(tmp_path: Path):
    results, marks = tmp_path / "results" / "squares.jsonl", tmp_path / "marks"
    tasks = [{**task, "marks": str(marks)} for task in TASKS]
    run_tasks(noted, tasks[:3], workers=1, results=results)
    # As a kill leaves it: the last line is cut short.
    with results.open("a", encoding="utf-8") as file:
        file.write('{"key": "task 3", "resu')
    found = run_tasks(noted, tasks, workers=1, results=results)
    assert [each["square"] for each in found] == [i**2 for i in range(7)]
    assert marks.read_text().split() == [str(i) for i in range(7)]
    kept = [json.loads(line)["key"] for line in results.read_text(encoding="utf-8").splitlines()]
    assert kept == [task["key"] for task in TASKS]


def test_a_lost_worker_loses_no_finished_result(tmp_path: Path):
    tasks = [{**task, "mark": str(tmp_path / "lost")} for task in TASKS]
    results = tmp_path / "squares.jsonl"
    found = run_tasks(lost_once, tasks, workers=2, results=results)
    assert [each["square"] for each in found] == [i**2 for i in range(7)]
    assert len(results.read_text(encoding="utf-8").splitlines()) == 7


def test_a_task_that_always_takes_its_worker_down_ends_in_words():
    with pytest.raises(BayesScalingError, match="3 workers in a row were lost"):
        run_tasks(always_lost, TASKS[:2], workers=2)


def test_an_error_of_a_task_is_the_caller_s(tmp_path: Path):
    results = tmp_path / "some.jsonl"
    with pytest.raises(ValueError, match="no such number"):
        run_tasks(failing, TASKS, workers=1, results=results)
    assert len(results.read_text(encoding="utf-8").splitlines()) == 2


def test_what_is_wrong_is_said(tmp_path: Path):
    with pytest.raises(InputError, match="workers must be at least 1, not 0"):
        run_tasks(squared, TASKS, workers=0)
    other = tmp_path / "runs.csv"
    other.write_text("params,tokens\n1,2\n")
    with pytest.raises(InputError, match=r"runs\.csv: is no file of results"):
        run_tasks(squared, TASKS, workers=1, results=other)
    assert other.read_text() == "params,tokens\n1,2\n"
    with pytest.raises(ValueError, match="one key"):
        run_tasks(squared, [TASKS[0], TASKS[0]], workers=1)


def test_threads_take_what_no_process_can_be_given():
    together = Barrier(2, timeout=30)

    def work(task: Mapping[str, Any]) -> complex:
        together.wait()
        return 1j * task["number"]

    assert run_tasks(work, TASKS[:6], workers=2, threads=True) == [1j * i for i in range(6)]


def test_a_scheduler_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(InputError, match=r"pip install 'bayes-scaling\[cluster\]'"):
        run_tasks(squared, TASKS, scheduler="tcp://127.0.0.1:8786")


@pytest.fixture(scope="module")
def distributed() -> ModuleType:
    return pytest.importorskip("distributed", reason="needs the extra cluster: dask.distributed")


@pytest.fixture
def cluster(distributed: ModuleType) -> Iterator[Callable[..., str]]:
    """Start a scheduler with workers, and give its address."""
    with ExitStack() as stack:

        def start(**options: Any) -> str:
            options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, **options}
            started = distributed.LocalCluster(dashboard_address=None, **options)
            return stack.enter_context(started).scheduler_address

        yield start


def test_the_workers_of_a_scheduler_do_the_same(cluster: Callable[..., str], tmp_path: Path):
    results, marks = tmp_path / "all.jsonl", tmp_path / "marks"
    tasks = [{**task, "marks": str(marks)} for task in TASKS]
    run_tasks(noted, tasks[:3], workers=1, results=results)
    found = run_tasks(noted, tasks, scheduler=cluster(), results=results)
    assert [each["square"] for each in found] == [i**2 for i in range(7)]
    assert len(results.read_text(encoding="utf-8").splitlines()) == 7
    assert sorted(marks.read_text().split()) == [str(i) for i in range(7)]


def test_a_lost_worker_of_a_scheduler_loses_no_result(cluster: Callable[..., str], tmp_path: Path):
    tasks = [{**task, "mark": str(tmp_path / "lost")} for task in TASKS]
    found = run_tasks(lost_once, tasks, scheduler=cluster(processes=True))
    assert (tmp_path / "lost").exists()
    assert [each["square"] for each in found] == [i**2 for i in range(7)]


def test_a_task_that_takes_a_scheduler_s_workers_down_ends_in_words(cluster: Callable[..., str]):
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        address = cluster(processes=True, n_workers=1)
        with pytest.raises(BayesScalingError, match=r"too many workers of tcp.* were lost at one task"):
            run_tasks(always_lost, TASKS[:1], scheduler=address)


@pytest.mark.usefixtures("distributed")
def test_an_address_where_no_scheduler_can_be_is_refused():
    with pytest.raises(InputError, match="scheduler 'nowhere': missing port number"):
        run_tasks(squared, TASKS, scheduler="nowhere")


MEETING = Barrier(2)


def met(_: Mapping[str, Any]) -> bool:
    """Tell whether another task is being done in this process too."""
    try:
        MEETING.wait(timeout=0.5)
    except BrokenBarrierError:
        return False
    return True


@pytest.mark.parametrize("threads", [True, False])
def test_a_worker_of_many_threads_does_one_fit_at_a_time(cluster: Callable[..., str], threads: bool):
    """Fits side by side in one process take it down; array arithmetic may go on side by side."""
    MEETING.reset()
    address = cluster(n_workers=1, threads_per_worker=2)
    assert run_tasks(met, TASKS[:2], scheduler=address, threads=threads) == [threads, threads]
