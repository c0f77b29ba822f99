"""`bayes-scaling data`: the named sets of runs."""

from __future__ import annotations

from json import dumps
from typing import Annotated

import typer

from bayes_scaling.cli import options

app = typer.Typer(help="The named sets of runs: list, show, fetch.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="Name of a set, as `data list` shows it.", autocompletion=options.complete_set)
]


@app.command("list")
def list_sets(json: options.Json = False) -> None:
    """List the named sets: those embedded, and those fetched on demand."""
    from bayes_scaling.cli.output import print_json, print_table
    from bayes_scaling.runs.datasets import list_datasets

    table = list_datasets()
    if json:
        print_json(table.to_dict(orient="records"))
        return
    rows = [
        [row["name"], row["kind"], "yes" if row["cached"] else "no", str(row["runs"]), row["description"]]
        for row in table.to_dict(orient="records")
    ]
    columns = ["name", "kind", "on this machine", "runs", "what it is"]
    print_table("named sets of runs (`data show NAME` tells all of one)", columns, rows, texts=5)


@app.command("show")
def show_set(name: Name, json: options.Json = False) -> None:
    """Show what a set is: its source, licence, hash and columns."""
    from bayes_scaling.cli.output import print_json, print_table
    from bayes_scaling.runs.datasets import describe_dataset

    facts = describe_dataset(name)
    if json:
        print_json(facts)
        return
    read = facts.pop("read")
    facts |= {f"read: {key}": value for key, value in read.items()}
    rows = [[key, value if isinstance(value, str) else dumps(value)] for key, value in facts.items()]
    print_table(name, ["", ""], rows, texts=2)


@app.command("fetch")
def fetch_set(name: Name, json: options.Json = False) -> None:
    """Download a set's file into the user's cache, check its hash, and print its path."""
    from bayes_scaling.cli.output import print_json
    from bayes_scaling.runs.datasets import fetch_dataset

    path = str(fetch_dataset(name))
    if json:
        print_json({"name": name, "path": path})
    else:
        typer.echo(path)
