from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bayes_scaling import load_spec
from bayes_scaling.errors import InputError
from bayes_scaling.models.discrepancy import PARAMS_SLOPES
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


def test_slopes_beyond_the_runs_are_published_ones_or_numbers(tmp_path: Path):
    own = "{ mean = 0.0, scale = 0.03, spread = 0.5, shared = 0.2, decades = 0.7 }"
    text = (resource_folder("models") / "parametric.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(text.replace('\nloss = "published"', f"\nloss = {own}"))
    found = load_spec(path).discrepancy
    assert found is not None
    assert (found.loss.scale, found.loss.decades) == (0.03, 0.7)
    assert found.params == PARAMS_SLOPES
    # A fit stores the numbers, whatever is published later.
    assert spec_to_dict(load_spec(path))["discrepancy"]["params"]["scale"] == PARAMS_SLOPES.scale
    assert load_spec("parametric-raw").discrepancy is None


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ('loss = "publshed"', 'must be "published" or a table of mean, scale, spread, shared, decades'),
        ("loss = { mean = 0.0 }", "loss: missing decades, scale, shared, spread"),
        ('los = "published"', "unknown key 'los'; did you mean 'loss'"),
        (
            "loss = { mean = 0, scale = 1, spread = 1, shared = 1.5, decades = 1 }",
            "shared must be a number from 0 to 1, not 1.5",
        ),
        (
            "loss = { mean = 0, scale = -1, spread = 1, shared = 1, decades = 1 }",
            "scale must be a number of at least 0, not -1",
        ),
    ],
)
def test_what_is_wrong_in_its_discrepancy_is_named(tmp_path: Path, new: str, said: str):
    path = tmp_path / "own.toml"
    text = (resource_folder("models") / "parametric.toml").read_text()
    path.write_text(text.replace('\nloss = "published"', f"\n{new}"))
    with pytest.raises(InputError, match=re.escape(said)):
        load_spec(path)
