"""The documentation: its commands are commands, its names are there, and what it shows is what is printed."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

import bayes_scaling
from bayes_scaling.cli.main import app

ROOT = Path(__file__).parents[2]


def load_script(path: Path) -> ModuleType:
    """Import a script, which need not end in .py."""
    loader = SourceFileLoader(path.stem.replace("-", "_"), str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


run_docs = load_script(ROOT / "tools" / "run-docs")
from_package = load_script(ROOT / "docs" / "from_package.py")
PAGES = run_docs.pages()
WITH_BLOCKS = [page for page in PAGES if run_docs.BLOCK.search(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *kinds: str) -> list[str]:
    found = run_docs.BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if kind in kinds]


def parse(words: list[str]) -> None:
    """Parse a command as the command line does, and run nothing."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    command.make_context(command.name, words)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_every_command_is_one_that_the_command_line_takes(page: Path):
    for block in blocks(page, "console", "sh"):
        for line in run_docs.commands(block):
            program, *words = shlex.split(line, comments=True)
            if program == "bayes-scaling":
                parse(words)


@pytest.mark.parametrize("line", ["optimum fit.nc --conpute 1e14", "fitt runs.csv", "optimum"])
def test_a_wrong_command_would_be_found(line: str):
    with pytest.raises(Exception, match=r"conpute|fitt|fit"):
        parse(shlex.split(line))


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_every_name_that_python_imports_is_public(page: Path):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "bayes_scaling":
                assert {alias.name for alias in node.names} <= set(bayes_scaling.__all__)


def test_every_public_name_has_its_place_in_the_reference():
    pages = "\n".join(from_package.api_pages().values())
    assert sorted(re.findall(r"^\.\. auto\w+:: (\w+)$", pages, flags=re.M)) == bayes_scaling.__all__


def test_every_command_and_every_option_is_in_the_reference():
    page = from_package.commands_fragment()
    for names, command in from_package.commands(get_command(app)):
        section = f"\n{page}".partition(f"\n## {' '.join(names[1:])}\n")[2].partition("\n## ")[0]
        options = [flag for each in command.params for flag in each.opts if flag.startswith("--")]
        assert [flag for flag in options if f"`{flag}`" not in section] == []


def test_every_prior_of_every_spec_is_explained():
    page = from_package.priors_fragment()
    for name in from_package.list_specs():
        section = f"\n{page}".partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section, flags=re.M))
        assert set(rows) == set(bayes_scaling.load_spec(name).priors)
        assert all(rows.values())


def test_what_readme_links_to_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_what_a_page_shows_is_what_is_printed(page: Path):
    assert Path(sys.executable).with_name("bayes-scaling").exists()
    assert run_docs.run_page(page) == page.read_text(encoding="utf-8")
