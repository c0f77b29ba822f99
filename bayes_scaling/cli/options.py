"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayes_scaling.cli.output import note
from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB
from bayes_scaling.quantities import parse_quantity


def complete_set(incomplete: str) -> list[str]:
    """Named sets that begin so, for a shell to complete; where there is none it completes files."""
    from bayes_scaling.runs.datasets import dataset_names

    return [name for name in dataset_names() if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Model specs that ship and begin so, likewise."""
    from bayes_scaling.models.spec import list_specs

    return [name for name in list_specs() if name.startswith(incomplete)]


Runs = Annotated[
    str,
    typer.Argument(
        help="Table of runs (.csv, .tsv, .parquet, .jsonl), or the name of a set: `data list`.",
        autocompletion=complete_set,
    ),
]
Columns = Annotated[
    list[str] | None, typer.Option(help='Columns by other names: params="Model Size",tokens=D.')
]
Where = Annotated[str | None, typer.Option(help='Keep only these rows: "loss < 3.42".')]
Scale = Annotated[list[str] | None, typer.Option(help="Multiply columns: flops=1e9 for GFLOPs.")]
ParamsCount = Annotated[str, typer.Option(help="What the column params counts: total or non_embedding.")]
LossUnit = Annotated[str, typer.Option(help="Unit of the loss.")]
Fit = Annotated[Path, typer.Argument(help="Fit that `bayes-scaling fit -o` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Prob = Annotated[float, typer.Option(help="Probability inside every interval.")]
Figure = Annotated[Path | None, typer.Option(help="Also draw a figure, to this .png, .svg or .pdf.")]
AllowUnconverged = Annotated[
    bool, typer.Option("--allow-unconverged", help="Answer although the fit breaks a convergence rule.")
]
Compute = Annotated[
    list[str] | None,
    typer.Option(
        help="Budgets in FLOPs, as 5.76e23,1e24; unless given 1, 10 and 100 times the largest run's."
    ),
]
LawOnly = Annotated[
    bool,
    typer.Option("--law-only", help="Say what the law alone says beyond the runs, as if it held out there."),
]
Recipe = Annotated[
    str | None, typer.Option(help="Which recipe to plan for, of a fit that tells recipes apart.")
]
Draws = Annotated[int, typer.Option(help="Draws kept, per chain.")]
Tune = Annotated[int, typer.Option(help="Draws thrown away while the sampler adapts, per chain.")]
Chains = Annotated[int, typer.Option(help="Independent chains.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same draws.")]
Workers = Annotated[int | None, typer.Option(help="Processes here; as many as there are cores unless given.")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Address of a dask.distributed scheduler to fit on instead; one thread a worker."),
]
Results = Annotated[
    Path | None, typer.Option(help="File in which finished fits are kept, and taken from another day.")
]

if TYPE_CHECKING:
    import pandas as pd

    from bayes_scaling.models.spec import Spec

DEFAULT_PROB = PROB
DEFAULT_COUNT, DEFAULT_UNIT = "unstated", "nats/token"


def assignments(texts: list[str] | None, option: str) -> dict[str, str]:
    """Read `name=value,name=value` texts; a comma inside a value needs no quoting.

    Raises
    ------
    InputError
        If a part has no "=", or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts or []:
        # Only a comma that a further `name=` follows separates: column names may hold commas.
        for part in re.split(r",(?=\s*\w+\s*=)", text):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not (name and equals and value):
                raise InputError(f"{option} {part!r}: write NAME=VALUE")
            if name in found:
                raise InputError(f"{option}: {name!r} is given twice, as {found[name]!r} and as {value!r}")
            found[name] = value
    return found


def budgets(texts: list[str] | None) -> list[float]:
    """Read budgets in FLOPs, separated by commas or given by several options."""
    return quantities(texts, "--compute")


def quantities(texts: list[str] | None, option: str) -> list[float]:
    """Read numbers as people write them, separated by commas or given by several options, each once.

    Raises
    ------
    InputError
        If one is no number.
    """
    found = []
    for text in texts or []:
        for part in text.split(","):
            try:
                found.append(parse_quantity(part))
            except InputError as error:
                raise InputError(f"{option} {text!r}: {error}") from None
    return list(dict.fromkeys(found))


def numbers(text: str, option: str) -> list[float]:
    """Read numbers separated by commas, every one of them.

    Raises
    ------
    InputError
        If one is no number.
    """
    try:
        return [parse_quantity(part) for part in text.split(",")]
    except InputError as error:
        raise InputError(f"{option} {text!r}: {error}") from None


def quantity(text: str | None, option: str) -> float | None:
    """Read one number as people write it, if it is given.

    Raises
    ------
    InputError
        If it is no number.
    """
    if text is None:
        return None
    try:
        return parse_quantity(text)
    except InputError as error:
        raise InputError(f"{option} {text!r}: {error}") from None


def model_spec(text: str) -> Spec:
    """Read the model that a command is given, by its name or as a file.

    Raises
    ------
    InputError
        If there is no such model or file, or it breaks a rule.
    """
    from bayes_scaling.models.spec import load_spec

    return load_spec(text)


def load_table(
    runs: str,
    columns: list[str] | None,
    where: str | None,
    scale: list[str] | None,
    params_count: str,
    loss_unit: str,
) -> pd.DataFrame:
    """Read the runs that a command is given, and say what `--where` kept of them."""
    from bayes_scaling.runs.datasets import load_runs

    table = load_runs(
        runs,
        columns=assignments(columns, "--columns"),
        where=where,
        scale={name: parse_quantity(text) for name, text in assignments(scale, "--scale").items()},
        params_count=params_count,
        loss_unit=loss_unit,
    )
    if chosen := table.attrs.get("where"):
        note(f"where {chosen['expression']!r} kept {chosen['kept']} rows and dropped {chosen['dropped']}")
    return table
