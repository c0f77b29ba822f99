"""Many independent fits: on all cores, or on a cluster, and never the same one twice.

Every task has a key and every result that is kept is plain values, one JSON line in a file that only grows.
What is in the file is not done again: after a kill, or on another day, the same call goes on where it
stopped. A worker that is lost loses the task in its hands and nothing else.

Backtests, calibration and bootstraps come here, so this lies below all of them. Nothing heavy is imported
here: a worker sets its threads before anything that reads them is loaded.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

from bayes_scaling.errors import BayesScalingError, InputError
from bayes_scaling.progress import tracked

type Task = Mapping[str, Any]
"""Plain values, of which `key` names the task."""
type Work[Result] = Callable[[Task], Result]
"""From a task to plain values; to anything else only where no results are kept."""
type Finished[Result] = Iterator[tuple[str, Result]]
"""Keys and results of tasks, as they are done."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_ONE_FIT = Lock()
_LOSSES = 3
"""Pools of workers that may be lost in a row, with no task finished between them."""


def run_tasks[Result](
    work: Work[Result],
    tasks: Sequence[Task],
    *,
    workers: int | None = None,
    threads: bool = False,
    scheduler: str | None = None,
    results: str | Path | None = None,
    what: str = "fits",
    progress: bool = False,
) -> list[Result]:
    """Do every task once, and give the results in the order of the tasks.

    Parameters
    ----------
    work : callable
        What is done with a task. For processes it must be importable by its module and name. It raises for
        what no task of its kind should meet.
    tasks : sequence of mapping
        Plain values; `key` is a different text for each.
    workers : int, optional
        Processes on this machine, each on one thread; as many as there are cores unless given.
    threads : bool
        Threads of this process instead: for array arithmetic, which runs beside Python's lock, in tasks of
        less time than a new process needs to import what they use.
    scheduler : str, optional
        Address of a dask.distributed scheduler, whose workers are used instead.
    results : str or Path, optional
        File that finished results are kept in, and taken from.
    what : str
        What the progress bar says.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    list
        What `work` returned.

    Raises
    ------
    InputError
        If an option is out of range, dask.distributed is not installed, no scheduler answers, or the file is
        none of results.
    BayesScalingError
        If workers are lost again and again and no task is finished.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    keys = [task["key"] for task in tasks]
    if len(set(keys)) < len(keys):
        raise ValueError("two tasks have one key")
    path = None if results is None else Path(results)
    done = {} if path is None else _read(path)
    missing = [task for task in tasks if task["key"] not in done]
    if missing:
        count = min(workers or available_cores(), len(missing))
        if scheduler:
            source = _on_cluster(work if threads else partial(_alone, work), missing, scheduler)
        elif count == 1:
            source = ((task["key"], work(task)) for task in missing)
        else:
            source = (_in_threads if threads else _in_processes)(work, missing, count)
        for key, result in tracked(source, what, total=len(missing), show=progress):
            done[key] = result
            if path is not None:
                _append(path, key, result)
    return [done[key] for key in keys]


def _in_threads[Result](work: Work[Result], tasks: Sequence[Task], count: int) -> Finished[Result]:
    with ThreadPoolExecutor(count) as pool:
        yield from _finished({pool.submit(work, task): task["key"] for task in tasks})


def _in_processes[Result](work: Work[Result], tasks: Sequence[Task], count: int) -> Finished[Result]:
    left, losses = {task["key"]: task for task in tasks}, 0
    while left:
        # Spawned, not forked: a fork of a process with threads may hang.
        with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            waiting = {pool.submit(work, task): key for key, task in left.items()}
            try:
                for key, result in _finished(waiting):
                    del left[key]
                    losses = 0
                    yield key, result
            except BrokenProcessPool:
                losses += 1
                if losses == _LOSSES:
                    raise BayesScalingError(
                        f"{_LOSSES} workers in a row were lost before any finished a task: there may be too "
                        "little memory; use fewer workers"
                    ) from None


def _on_cluster[Result](work: Work[Result], tasks: Sequence[Task], address: str) -> Finished[Result]:
    try:
        from dask.distributed import Client, KilledWorker
        from dask.distributed import as_completed as as_they_come
    except ImportError:
        raise InputError(
            "a scheduler needs dask.distributed: pip install 'bayes-scaling[cluster]', or '.[cluster]'"
        ) from None
    wrong: str | None = None
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        wrong = str(error)
    if wrong is not None:
        # Half a client is left, which ends its thread when it is collected: now, and not in a thread where
        # that waits for itself.
        gc.collect()
        raise InputError(
            f"scheduler {address!r}: {wrong}; start one by `dask scheduler`, and give the address it says"
        )
    with client:
        waiting = {client.submit(work, dict(task), pure=False): task["key"] for task in tasks}
        try:
            for future in as_they_come(waiting, loop=client.loop):
                yield waiting[future], future.result()
        except KilledWorker as error:
            raise BayesScalingError(f"too many workers of {address} were lost at one task: {error}") from None


def _alone[Result](work: Work[Result], task: Task) -> Result:
    """Do a task while no other thread of this process does one: two fits side by side take a worker down."""
    with _ONE_FIT:
        return work(task)


def _finished[Result](waiting: Mapping[Future[Result], str]) -> Finished[Result]:
    try:
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        for future in waiting:
            future.cancel()


def available_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_thread() -> None:
    os.environ.update(dict.fromkeys(_THREADS, "1"))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    # A kill may have cut the last line short: it is no result.
    whole, rest = lines[:-1], lines[-1]
    try:
        done = {entry["key"]: entry["result"] for entry in map(json.loads, whole)}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no file of results; name another, or remove it") from None
    if rest:
        path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return done


def _append(path: Path, key: str, result: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, "result": result}) + "\n")
        file.flush()
        os.fsync(file.fileno())
