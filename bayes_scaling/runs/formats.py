"""The formats of run tables: from a file's bytes to cells that know their line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.quantities import shorten
from bayes_scaling.runs.cells import PLACE, refuse, row_names


def read_table(source: str | Path) -> pd.DataFrame:
    """Read a file as a table of cells, without any rule about what they hold.

    Parameters
    ----------
    source : str or Path
        .csv, .tsv, .jsonl, .ndjson or .parquet.

    Returns
    -------
    DataFrame
        Cells as the file has them, texts where the format is text; each row is named by its place in the
        file, such as "line 7".

    Raises
    ------
    InputError
        If the file cannot be read or a line is no row of a table.
    """
    if not isinstance(source, str | Path):
        raise InputError(f"runs must be a file's path or a DataFrame, not {type(source).__name__}")
    path = Path(source)
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a file in it") from None
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file{_near_files(path)}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    suffix = path.suffix.lower()
    if content.startswith(_HDF5):
        raise InputError(
            f"{path}: is no table of runs but a netCDF file, such as a fit; of a fit ask `bayes-scaling "
            f"optimum {path}`, or `bayes-scaling compare RUNS --fit {path}` to set it beside its runs"
        )
    if suffix not in _READERS:
        raise InputError(f"{path}: cannot tell a table's format by {suffix!r}; known: {', '.join(_READERS)}")
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    return _READERS[suffix](content, path)


def _near_files(path: Path) -> str:
    try:
        known = [file.name for file in path.parent.iterdir() if file.suffix.lower() in _READERS]
    except OSError:
        return ""
    meant = did_you_mean(path.name, known) if known else ""
    return meant if len(meant) < 200 else ""


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the file as UTF-8 text") from None


def _read_delimited(content: bytes, path: Path) -> pd.DataFrame:
    # Python's own reader, because it tells the line at which each row begins.
    delimiter = DELIMITERS[path.suffix.lower()]
    reader = csv.reader(io.StringIO(_text(content, path), newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: dict[str, list[str]] = {}
    problems: list[str] = []
    line = 1
    try:
        for row in reader:
            if row and not header:
                header = [name.strip() or f"column {i}" for i, name in enumerate(row, 1)]
            elif row and len(row) == len(header):
                rows[f"line {line}"] = row
            elif row:
                count = f"line {line} has {len(row)} fields and the header {len(header)}"
                problems.append(f"{count}; {_remedy(delimiter, header)}")
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(f"line {line} cannot be read: {error}")
    refuse(str(path), problems)
    return pd.DataFrame(list(rows.values()), pd.Index(rows, name=PLACE), header, dtype=str)


def _remedy(delimiter: str, header: list[str]) -> str:
    """Say what to do about a line with too many or too few fields."""
    other = next((mark for mark in (";", "\t", "|", ",") if len(header) == 1 and mark in header[0]), None)
    if other is None:
        return f"put a field that holds {delimiter!r} in double quotes"
    return f"the header is separated by {other!r}; save the table with {delimiter!r}, and points for decimals"


def _read_json_lines(content: bytes, path: Path) -> pd.DataFrame:
    rows: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for number, line in enumerate(_text(content, path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            # NaN and Infinity are no JSON: as texts they are refused where a number must be.
            row = json.loads(line, object_pairs_hook=_object, parse_constant=str)
        except json.JSONDecodeError as error:
            problems.append(f"line {number} is not JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number} cannot be read: {error}")
        else:
            if isinstance(row, dict):
                rows[f"line {number}"] = row
                problems += [f"line {number}, {problem}" for problem in _unfit(row)]
            else:
                problems.append(f'line {number} is not an object; write such as {{"params": 7e10, …}}')
    refuse(str(path), problems)
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = pd.DataFrame(list(rows.values()), pd.Index(rows, name=PLACE), names, dtype=object)
    return table.infer_objects()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return row


def _unfit(row: dict[str, Any]) -> Iterator[str]:
    for name, cell in row.items():
        if isinstance(cell, dict | list):
            yield f"column {name}: {shorten(cell)} is nested; give one number or text"
        if any("\ud800" <= character <= "\udfff" for character in f"{name}{cell}"):
            yield f"column {shorten(name)}: {shorten(cell)} is not Unicode text"


def _read_parquet(content: bytes, path: Path) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # Without pandas' own notes in the file, which may hide columns in an index and bring labels along.
        table = parquet.ParquetFile(io.BytesIO(content)).read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from None
    return named_rows(table)


def named_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """Copy a table, with each row named by its place and an index with names turned into columns."""
    names = row_names(runs)
    index = [name for name in runs.index.names if name != PLACE]
    # An index with names holds what would be columns in a file, most often the run ids.
    told = all(name is not None and name not in runs for name in index)
    table = runs.reset_index() if index and told and runs.columns.nlevels == 1 else runs.copy()
    table.index = pd.Index(names, name=PLACE)
    if table.columns.nlevels == 1:
        table.columns = [str(name) for name in table.columns]
    return table


_HDF5 = b"\x89HDF\r\n\x1a\n"
"""How a netCDF file begins, which a fit is saved as."""

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_READERS: dict[str, Callable[[bytes, Path], pd.DataFrame]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}

SUFFIXES = tuple(_READERS)
"""How the names of files end that can be read as tables."""
