from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayes_scaling import load_spec
from bayes_scaling.errors import InputError
from bayes_scaling.models.spec import list_specs, spec_from_dict, spec_to_dict, spec_to_json
from bayes_scaling.resources import resource_folder

DEFAULT = resource_folder("models") / "parametric.toml"


@pytest.mark.parametrize("name", list_specs())
def test_every_shipped_spec_reads_back_from_what_a_fit_stores(name: str):
    spec = load_spec(name)
    assert spec.name == name
    assert spec_from_dict(json.loads(spec_to_json(spec))) == spec


def test_the_default_and_its_variants_ship():
    assert {"parametric", "parametric-normal", "parametric-laplace", "parametric-raw"} <= set(list_specs())


def test_a_copy_with_another_prior_is_a_spec_of_its_own(tmp_path: Path):
    path = tmp_path / "my.toml"
    path.write_text(DEFAULT.read_text().replace("mu = -1.05, sigma = 0.5", "mu = -1.0, sigma = 0.1"))
    assert load_spec(path).priors["alpha"].parameters["sigma"] == 0.1
    assert load_spec("parametric").priors["alpha"].parameters["sigma"] == 0.5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[noise]", "[nois]", "unknown key 'nois'; did you mean 'noise'"),
        ('family = "StudentT"', 'famly = "StudentT"', "unknown key 'famly'; did you mean 'family'"),
        ('family = "StudentT"', 'family = "Cauchy"', "'Cauchy' is not one of StudentT, Laplace, Normal"),
        ('law = "chinchilla"', 'law = "kaplan"', "law = 'kaplan' is not one of"),
        ('name = "parametric"', "name = 3", "name must be a text, not 3"),
        ("alpha = {", "alhpa = {", "unknown key 'alhpa'; did you mean 'alpha'"),
        ('sigma = { dist = "HalfNormal", sigma = 0.05 }', "", "missing sigma"),
        ('family = "StudentT"', 'family = "Normal"', "unknown key 'nu'"),
        ('dist = "HalfNormal"', 'distribution = "HalfNormal"', 'needs dist = "…"'),
        ('"HalfNormal", sigma = 0.05', '"HalfNormal", sigma = "wide"', "sigma must be a number"),
        ('growth = "loss"', 'growth = "constant"', "unknown key 'sigma_growth'"),
        ("sigma_growth = {", "# sigma_growth = {", "missing sigma_growth"),
        ('"Dirichlet", a = [2.0, 1.0, 1.0]', '"HalfNormal", sigma = 1.0', "share: must be a Dirichlet"),
        ("[priors]", "[priors", "not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_spec_is_named(tmp_path: Path, old: str, new: str, said: str):
    path = tmp_path / "my.toml"
    text = DEFAULT.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=r"my\.toml") as caught:
        load_spec(path)
    assert said in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'parametric'"):
        load_spec("parametic")


def test_a_missing_file_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.toml: there is no such file; known: .*parametric"):
        load_spec(tmp_path / "none.toml")
    with pytest.raises(InputError, match="no such file; did you mean the model parametric"):
        load_spec("parametric.toml")
    with pytest.raises(InputError, match="cannot be read as a model spec"):
        load_spec(tmp_path)


def test_a_spec_is_returned_as_it_is():
    spec = load_spec("parametric")
    assert load_spec(spec) is spec
    assert spec_to_dict(spec)["priors"]["alpha"]["dist"] == "LogNormal"
