"""What it takes to make a fit again is told whole, and can be pasted."""

from __future__ import annotations

import json
import shlex
import tomllib

import flawed_studies as studies
import pytest
from handmade_fits import laplace_fit

from bayes_scaling import fit_facts, load_spec
from bayes_scaling.models.spec import list_specs, spec_to_dict
from bayes_scaling.report.checklist import checklist, command, spec_text


@pytest.mark.parametrize("name", list_specs())
def test_the_spec_is_the_file_that_it_came_from(name: str):
    fit = laplace_fit(studies.sound(), draws=10)
    spec = load_spec(name)
    other = fit.copy()
    other.attrs["spec"] = json.dumps(spec_to_dict(spec))
    assert tomllib.loads(spec_text(other)) == spec_to_dict(spec)


def test_the_command_has_what_the_fit_was_made_with():
    runs = studies.sound()
    runs.attrs |= {
        "source": "my runs.csv",
        "columns": {"params": "Model Size"},
        "where": {"expression": "loss < 3.42", "kept": 60, "dropped": 2},
    }
    fit = laplace_fit(runs, draws=10)
    words = shlex.split(command(fit))
    assert words[:5] == ["bayes-scaling", "fit", "my runs.csv", "--model", "parametric-normal.toml"]
    assert words[words.index("--columns") + 1] == "params=Model Size"
    assert words[words.index("--where") + 1] == "loss < 3.42"


def test_the_checklist_has_every_part_and_every_prior():
    fit = laplace_fit(studies.sound(), draws=10)
    sections = {section["title"]: section["rows"] for section in checklist(fit)}
    assert list(sections) == ["Law", "Data", "Noise", "Priors", "Sampler", "Not told by the fit"]
    told = {row["words"]: row["value"] for row in sections["Priors"]}
    assert set(told) == set(fit_facts(fit)["spec"]["priors"])
    assert told["sigma"].startswith("HalfNormal(sigma=")
    data = {row["words"]: row["value"] for row in sections["Data"]}
    assert data["runs"] == "60"
    assert data["parameters"].startswith("100M to 8B")
