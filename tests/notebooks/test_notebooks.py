"""The notebooks run from top to bottom, and are stored as a reader wants them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from conftest import SHARED
from nbclient import NotebookClient
from nbformat import NotebookNode

from bayes_scaling import list_datasets

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

FAST = {"draws": 500, "resamples": 50, "cuts": [3e12], "replicates": 2}
"""What the cell with the tag `parameters` says, for a reader who cannot wait."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: NotebookNode) -> set[str]:
    """What a cell shows: a figure, a table, a text."""
    shown = {
        "text" if output.output_type == "stream" else kind
        for output in cell.outputs
        for kind in output.get("data", {"": 0})
    }
    return shown & {"image/png", "text/html"}


def fetched_sets() -> list[str]:
    table = list_datasets()
    return table.loc[~table["cached"], "name"].tolist()


@every_notebook
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if (SHARED / "source").is_dir():
        monkeypatch.setenv("BAYES_SCALING_DATA", str(SHARED / "source"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    stored, notebook = read(path), read(path)
    if missing := [
        name for name in fetched_sets() if any(f'"{name}"' in cell.source for cell in code_cells(stored))
    ]:
        pytest.skip(f"needs {missing[0]}, which is fetched on demand and not on this machine")
    (settings,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    there = {
        name: value for name, value in FAST.items() if re.search(rf"^{name} = ", settings.source, flags=re.M)
    }
    settings.source = "\n".join(f"{name} = {value}" for name, value in there.items())
    assert there
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    assert [kinds(cell) for cell in code_cells(notebook)] == [kinds(cell) for cell in code_cells(stored)]


@every_notebook
def test_a_notebook_says_first_what_its_reader_will_know(path: Path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert "end of this notebook you will" in " ".join(first.source.split())


@every_notebook
def test_a_notebook_is_stored_as_run_from_a_fresh_kernel(path: Path):
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not re.search(r"/(home|root|tmp)/", str(outputs))


def test_the_notebooks_are_small():
    assert len(NOTEBOOKS) == 6
    assert sum(os.path.getsize(path) for path in NOTEBOOKS) < 2e6
