"""From a bare machine to an installed package: the Python that is chosen, the versions, the wheel."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOOLS = ("cat", "chmod", "grep", "ls", "mkdir", "mktemp", "rm", "sh", "sort")


def write_script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def write_python(path: Path, version: str, *, without: str = "nothing", pip: str = "exit 1") -> Path:
    """Write a Python that claims a version and that path, and lacks a module; `pip` is what its pip does."""
    pretence = (
        f'import sys; sys.version_info = ({version.replace(".", ", ")}, 0); sys.executable = "{path}"; '
        f'sys.modules["{without}"] = None; exec(sys.argv.pop(1))'
    )
    return write_script(
        path,
        f'if [ "$1" = -m ]; then\n{pip}\nexit\nfi\n'
        f'code=$2; shift 2; exec {sys.executable} -I -c \'{pretence}\' "$code" "$@"',
    )


def uv_text(python: Path, log: Path) -> str:
    """Text of a uv that finds `python` only after it was asked to install one."""
    return f"""echo "$@" >> {log}
case "$2" in
    install) : > {log}.installed ;;
    find) [ -e {log}.installed ] && echo {python} ;;
esac"""


@pytest.fixture
def machine(tmp_path):
    """A machine with the usual tools in bin/, no Python at all, and a folder for temporary files."""
    for name in TOOLS:
        tool = tmp_path / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.symlink_to(shutil.which(name))
    (tmp_path / "tmp").mkdir()
    return tmp_path


def find_python(machine: Path) -> subprocess.CompletedProcess[str]:
    home, temporary = machine / "home", machine / "tmp"
    return subprocess.run(
        [ROOT / "tools" / "find-python"],
        env={"PATH": str(machine / "bin"), "HOME": str(home), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )


def found(machine: Path) -> Path:
    result = find_python(machine)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.removesuffix("\n"))


def test_the_newest_python_on_path_is_chosen(machine):
    write_python(machine / "bin" / "python3", "3.12")
    write_python(machine / "bin" / "python3.12", "3.12")
    newest = write_python(machine / "bin" / "python3.13", "3.13")
    assert found(machine) == newest


def test_a_shim_of_a_version_that_is_not_switched_on_is_no_python(machine):
    write_script(machine / "bin" / "python3.13", 'echo "pyenv: python3.13: command not found" >&2; exit 127')
    plain = write_python(machine / "bin" / "python3", "3.12")
    assert found(machine) == plain


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_python_that_cannot_make_an_environment_is_passed_over(machine, module):
    write_python(machine / "bin" / "python3.14", "3.14", without=module)
    complete = write_python(machine / "bin" / "python3.12", "3.12")
    assert found(machine) == complete


@pytest.mark.parametrize("version", ["3.11", "3.15"])
def test_a_version_without_wheels_is_passed_over(machine, version):
    write_python(machine / "bin" / "python3", version)
    good = write_python(machine / "bin" / "python", "3.14")
    assert found(machine) == good


def test_pyenv_has_the_newest_that_runs(machine):
    write_python(machine / "bin" / "python3", "3.11")
    versions = machine / "home" / ".pyenv" / "versions"
    (versions / "3.14.1").mkdir(parents=True)
    for version in ("3.9.18", "3.12.9", "3.12.10", "3.11.7"):
        write_python(versions / version / "bin" / "python", version.rpartition(".")[0])
    assert found(machine) == versions / "3.12.10" / "bin" / "python"


def test_uv_fetches_a_python_where_there_is_none(machine):
    fetched = write_python(machine / "fetched" / "python3.13", "3.13")
    write_python(machine / "bin" / "python3", "3.11")
    write_script(machine / "bin" / "uv", uv_text(fetched, machine / "uv.log"))
    assert found(machine) == fetched
    assert "python install 3.13" in (machine / "uv.log").read_text(encoding="utf-8")


def test_uv_comes_from_pip_where_it_is_missing_and_leaves_nothing_behind(machine):
    fetched = write_python(machine / "fetched" / "python3.13", "3.13")
    uv = write_script(machine / "elsewhere" / "uv", uv_text(fetched, machine / "uv.log"))
    pip = f"""while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin" && cat {uv} > "$2/bin/uv" && chmod +x "$2/bin/uv\""""
    write_python(machine / "bin" / "python3", "3.11", pip=pip)
    assert found(machine) == fetched
    assert list((machine / "tmp").iterdir()) == []


def test_where_nothing_helps_the_message_says_what_was_tried(machine):
    write_python(machine / "bin" / "python3.14", "3.14", without="ensurepip")
    write_script(machine / "bin" / "python3.13", "exit 127")
    write_python(machine / "bin" / "python3", "3.11")
    result = find_python(machine)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "find-python: found no Python 3.14 3.13 3.12 with the modules venv and ensurepip:\n"
        "  python3.14: lacks the module ensurepip\n"
        "  python3.13: does not run\n"
        "  python3: is Python 3.11\n"
        "  uv: is not on PATH, and pip could not install it\n"
        "Install one (from python.org, the system's packages, or `pyenv install 3.13`) and run make again.\n"
    )


@pytest.fixture
def checkout(tmp_path):
    """What make reads, with a `.venv` that counts as complete."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (1e9, 1e9))
    write_script(tmp_path / ".venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def steps(checkout: Path) -> tuple[bool, bool]:
    """Whether `make test` would build the environment anew, and whether it would install anything."""
    text = subprocess.run(
        ["make", "-n", "test"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout
    assert "-m pytest" in text
    return "-m venv" in text, "pip install" in text.replace("--disable-pip-version-check ", "")


def test_a_complete_environment_is_left_alone(checkout):
    assert steps(checkout) == (False, False)


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_new_requirements_are_installed_into_the_environment(checkout, name):
    os.utime(checkout / name, (4e9, 4e9))
    assert steps(checkout) == (False, True)


def test_an_environment_whose_python_is_gone_is_rebuilt(checkout):
    (checkout / ".venv" / "bin" / "python").unlink()
    assert steps(checkout) == (True, True)


def test_an_environment_whose_python_is_too_old_is_rebuilt(checkout):
    write_python(checkout / ".venv" / "bin" / "python", "3.11")
    assert steps(checkout) == (True, True)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


LEFT_OUT = ("cluster", "peers")
"""Extras for what is used where it is installed."""


def wanted() -> list[Requirement]:
    # `make setup` leaves these out: where there is dask, xarray imports it and starts later.
    extras = [lines for name, lines in PROJECT["optional-dependencies"].items() if name not in LEFT_OUT]
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != PROJECT["name"]]


def test_constraints_are_names_and_exact_versions_in_order():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[\w.-]+==\d[\w.]*", line)] == []
    names = [canonicalize_name(line.partition("==")[0]) for line in pinned]
    assert len(set(names)) == len(names)


def test_every_declared_requirement_is_pinned_inside_its_range():
    versions = {canonicalize_name(name): version for name, version in pins().items()}
    outside = [
        str(requirement)
        for requirement in wanted()
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"))
    ]
    assert outside == []


def test_the_package_requires_what_it_imports_and_nothing_else():
    imported = set()
    for path in (ROOT / "bayes_scaling").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    outside = imported - sys.stdlib_module_names - {"bayes_scaling"}
    # xarray is asked by name for the one, which needs the other.
    engines = {"h5netcdf", "h5py"}
    homes = {
        "arviz_base": "arviz",
        "arviz_plots": "arviz",
        "arviz_stats": "arviz",
        "dask": "distributed",
        "simple_scaling_laws": "simple-scaling-laws",
    }
    optional = [line for name in LEFT_OUT for line in PROJECT["optional-dependencies"][name]]
    lines = [*PROJECT["dependencies"], *optional]
    required = {Requirement(line).name for line in lines}
    assert {homes.get(name, name) for name in outside} | engines == required


def test_all_that_the_requirements_require_is_pinned_and_nothing_else():
    needed: dict[str, set[str]] = {}
    waiting = wanted()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in needed and requirement.extras <= needed[name]:
            continue
        extras = needed.setdefault(name, set())
        extras |= requirement.extras
        for line in requires(name) or []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": x}) for x in ("", *extras)):
                waiting.append(inner)
    assert set(needed) == {canonicalize_name(name) for name in pins()}


def files_of_the_checkout(*folders: str) -> list[Path]:
    """Paths, relative to the root, of what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [Path(name) for name in listed.stdout.split("\0") if name]
    assert names
    return [name for name in names if (ROOT / name).is_file()]


def test_no_file_names_a_package_registry():
    # In pieces, so that this file is clean too.
    hosts = [
        b".".join(pieces)
        for pieces in (
            (b"pypi", b"org"),
            (b"pythonhosted", b"org"),
            (b"npmjs", b"org"),
            (b"npmjs", b"com"),
            (b"deb", b"debian", b"org"),
            (b"archive", b"ubuntu", b"com"),
            (b"conda", b"anaconda", b"org"),
        )
    ]
    files = files_of_the_checkout()
    assert [(str(name), host) for name in files for host in hosts if host in (ROOT / name).read_bytes()] == []


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which pip has installed the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    run = {"check": True, "capture_output": True}
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, **run)
    (wheel,) = folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", folder / "site", wheel], **run)
    return folder / "site"


def test_the_wheel_carries_the_specs_and_the_run_tables_whole(installed):
    names = files_of_the_checkout("data", "models")
    share = installed / "bayes_scaling" / "share"
    assert [str(name) for name in names if not (share / name).is_file()] == []
    assert sorted(path.name for path in installed.iterdir() if path.suffix != ".dist-info") == [
        "bayes_scaling",
        "bin",
    ]


def test_the_wheel_carries_the_package_s_own_files_that_are_no_code(installed):
    names = [name for name in files_of_the_checkout("bayes_scaling") if name.suffix != ".py"]
    assert {name.suffix for name in names} >= {".css", ".html", ".js"}
    assert [str(name) for name in names if not (installed / name).is_file()] == []


def test_the_installed_package_finds_its_own_specs_and_tables_from_anywhere(installed, tmp_path):
    code = (
        "import bayes_scaling\n"
        "from bayes_scaling.models.spec import list_specs, load_spec\n"
        "from bayes_scaling.resources import resource_folder\n"
        "print(bayes_scaling.__file__)\n"
        "print(resource_folder('models'))\n"
        "print(resource_folder('data'))\n"
        "for name in list_specs():\n"
        "    print(load_spec(name).name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    package = installed / "bayes_scaling"
    file, models, data, *specs = result.stdout.splitlines()
    assert Path(file) == package / "__init__.py"
    assert (Path(models), Path(data)) == (package / "share" / "models", package / "share" / "data")
    assert specs == sorted(path.stem for path in (ROOT / "models").glob("*.toml"))


def test_the_command_of_the_wheel_starts(installed):
    result = subprocess.run(
        [installed / "bin" / "bayes-scaling", "--help"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "demo" in result.stdout
