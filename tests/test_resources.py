"""The data folders are found in a wheel and in a checkout, and missed in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayes_scaling import resources
from bayes_scaling.errors import BayesScalingError


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "bayes_scaling"
    folder.mkdir()
    monkeypatch.setattr(resources, "__file__", str(folder / "resources.py"))
    return folder


def test_a_checkout_holds_the_folders_beside_the_package(package: Path):
    (package.parent / "data").mkdir()
    assert resources.resource_folder("data") == package.parent / "data"


def test_an_installed_package_takes_its_own_folder_first(package: Path):
    (package.parent / "data").mkdir()
    (package / "share" / "data").mkdir(parents=True)
    assert resources.resource_folder("data") == package / "share" / "data"


def test_a_broken_installation_is_told_with_both_places(package: Path):
    with pytest.raises(BayesScalingError) as failure:
        resources.resource_folder("models")
    assert str(package / "share" / "models") in str(failure.value)
    assert str(package.parent / "models") in str(failure.value)
