from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import bayes_scaling


@pytest.mark.parametrize("name", bayes_scaling.__all__)
def test_every_public_name_is_there_and_documented(name: str):
    value = getattr(bayes_scaling, name)
    assert inspect.getdoc(value)
    assert name in dir(bayes_scaling)


@pytest.mark.parametrize("name", [name for name in bayes_scaling.__all__ if name.startswith("plot_")])
def test_every_figure_goes_where_its_caller_says(name: str):
    taken = inspect.signature(getattr(bayes_scaling, name)).parameters
    assert "ax" in taken or "figsize" in taken


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        bayes_scaling.fitt  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, bayes_scaling; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("numpy", "pandas", "xarray", "pymc", "matplotlib"):
        assert f"'{heavy}'" not in loaded
