"""What follows from the package is written from it, so that it cannot drift: API, commands, priors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bayes_scaling
from bayes_scaling.models.spec import Prior, list_specs, load_spec
from bayes_scaling.resources import resource_folder

_TITLES = {
    "runs": "Runs: what comes in",
    "models": "Models: from a spec to a PyMC model",
    "sampling": "Sampling: fits, made, saved and opened",
    "approaches": "Approaches: the point estimators",
    "planning": "Planning: from a fit to a decision",
    "checks": "Checks: whether to believe it",
    "plots": "Plots",
    "report": "Report: a page to hand around",
    "intervals": "Reading results",
    "tables": "Reading results",
}
"""Title of the page on which the public names of a module are."""


def write_pages(folder: Path) -> None:
    """Write all of it, each file only where it has changed: Sphinx reads again what is newer."""
    folder.mkdir(exist_ok=True)
    pages = {**api_pages(), "commands.md": commands_fragment(), "priors.md": priors_fragment()}
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()


def api_pages() -> dict[str, str]:
    """Write a page for each part of the package, with all its public names, and a list of these pages.

    A part without a title is a KeyError: it needs one.
    """
    found: dict[str, list[str]] = {title: [] for title in _TITLES.values()}
    for name, home in bayes_scaling._HOME.items():
        found[_TITLES[home.partition(".")[0]]].append(name)
    pages = {
        f"api-{title.partition(':')[0].lower().replace(' ', '-')}.md": f"# {title}\n\n"
        + "\n".join(_entry(name) for name in names)
        for title, names in found.items()
        if names
    }
    listed = "\n".join(f"generated/{name.removesuffix('.md')}" for name in pages)
    return {**pages, "api.md": f"```{{toctree}}\n:maxdepth: 2\n\n{listed}\n```\n"}


def _entry(name: str) -> str:
    value = getattr(bayes_scaling, name)
    directive = "autoclass" if isinstance(value, type) else "autofunction"
    return f"```{{eval-rst}}\n.. currentmodule:: bayes_scaling\n.. {directive}:: {name}\n```\n"


def commands_fragment() -> str:
    """Write a section for each command, with its arguments and options as `--help` has them."""
    from typer.main import get_command

    from bayes_scaling.cli.main import app

    parts = []
    for names, command in commands(get_command(app)):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        usage = " ".join([*names, *(_flags(each) for each in arguments), "[OPTIONS]"])
        rows = [
            f"| {_flags(each)} | {_escaped(each.help or '')} | {_default(each)} |"
            for each in command.params
            if each.name != "help"
        ]
        parts += [
            f"## {' '.join(names[1:])}",
            f"```text\n{usage}\n```",
            _escaped(command.help or ""),
            "\n".join(["| | | unless given |", "|---|---|---|", *rows]),
        ]
    return "\n\n".join(parts) + "\n"


def commands(
    group: Any, names: tuple[str, ...] = ("bayes-scaling",)
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Walk over all commands, those of groups among them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


def priors_fragment() -> str:
    """Write a section for each spec that ships: law, noise, each prior and what it means."""
    parts = []
    for name in sorted(list_specs(), key=lambda name: (not name.startswith("parametric"), len(name), name)):
        spec = load_spec(name)
        text = (resource_folder("models") / f"{name}.toml").read_text(encoding="utf-8")
        head = text.partition("\n\n")[0]
        formulas = re.findall(r"^#   (.*)$", head, flags=re.M)
        noise = spec.noise
        comments = _comments(text)
        rows = [["parameter", "prior", "5 %", "95 %", "over recipes", ""], ["---"] * 6]
        for key, prior in spec.priors.items():
            given = ", ".join(f"{name} = {value}" for name, value in prior.parameters.items())
            low, high = _ends(prior)
            pooled = spec.pooling.get(key, "")
            rows.append([f"`{key}`", f"{prior.dist}({given})", low, high, pooled, _escaped(comments[key])])
        if not spec.pooling:
            rows = [[*row[:4], row[5]] for row in rows]
        parts += [
            f"## {name}",
            f"{spec.description}.",
            "```text\n" + "\n".join(formulas) + "\n```",
            f"Noise: {noise.family}, on the {noise.scale} loss; growth: {noise.growth}.",
            "\n".join(f"| {' | '.join(row)} |" for row in rows),
        ]
    return "\n\n".join(parts) + "\n"


def _comments(text: str) -> dict[str, str]:
    """Comment above each prior; those that follow without one share it."""
    found, block, fresh = {}, [], True
    for line in text.partition("[priors]")[2].partition("\n[")[0].splitlines():
        if line.startswith("#"):
            block = [*([] if fresh else block), line.removeprefix("#").strip()]
            fresh = False
        elif "=" in line:
            found[line.partition("=")[0].strip()] = " ".join(block)
            fresh = True
        else:
            # What a blank line ends is about all that follows, and no prior's own.
            block, fresh = [], True
    return found


def _ends(prior: Prior) -> tuple[str, str]:
    """Find the ends of the 90 % of a prior, exactly; of a vector there are none."""
    import pymc as pm

    from bayes_scaling.models.plain import PLAIN

    if any(isinstance(value, list) for value in prior.parameters.values()):
        return "", ""
    variable = getattr(pm, prior.dist).dist(**prior.parameters)
    low, high = (f"{float(pm.icdf(variable, q).eval(mode=PLAIN)):.2g}" for q in (0.05, 0.95))
    return low, high


def _flags(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Any) -> str:
    value = parameter.default
    return "" if value is None or isinstance(value, bool | tuple) or callable(value) else f"`{value}`"


def _escaped(text: str) -> str:
    """Write a text so that Markdown shows it as it is, in a cell too; paragraphs stay."""
    escaped = re.sub(r"([|_*])", r"\\\1", text)
    return "\n\n".join(" ".join(part.split()) for part in escaped.split("\n\n"))
