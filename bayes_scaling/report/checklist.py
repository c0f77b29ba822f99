"""What it takes to make a fit again, and what its file cannot tell: by the (Mis)Fitting checklist.

Source of what is asked: Li et al. 2025, "(Mis)Fitting: A Survey of Scaling Laws", arXiv 2502.18969.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import xarray as xr

from bayes_scaling.quantities import format_flops, format_plain, format_quantity, format_share
from bayes_scaling.sampling.artefact import fit_facts

_LAWS = {
    "chinchilla": "L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022)",
    "isoflop-parabola": "along each budget L = L_min (1 + kappa u^2), with u = log N - log N_min",
    "isoflop-skewed": "along each budget a slice through a Chinchilla law, of curvature kappa at its minimum",
}
_FRONTIER = "N_min follows C^a and L_min follows E + F C^-gamma, each budget scattered about them"

_POOLED = {
    "none": "each recipe by itself",
    "partial": "partially pooled over recipes",
    "full": "one value for all recipes",
}


def checklist(fit: xr.DataTree) -> list[dict[str, Any]]:
    """List what a reader needs to make a fit again, or to doubt it.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.

    Returns
    -------
    list of dict
        title (law, data, noise, priors, sampler, versions, and what the file does not know) and rows of
        words and value, all of them text.
    """
    facts = fit_facts(fit)
    sections = {
        "Law": _law(facts),
        "Data": _data(fit, facts),
        "Noise": _noise(facts.get("spec", {})),
        "Priors": _priors(facts.get("spec", {})),
        "Sampler": _sampler(facts),
        "Versions": dict(facts.get("versions", {})),
        "Not told by the fit": _UNKNOWN,
    }
    return [
        {"title": title, "rows": [{"words": words, "value": value} for words, value in rows.items()]}
        for title, rows in sections.items()
        if rows
    ]


_UNKNOWN = {
    "training": "architecture, optimiser, tokenizer, batch size, learning rates and how they were tuned",
    "checkpoints": "whether losses are of finished runs or on the way, and whether rates had decayed by then",
    "evaluation": "on which text, and how much of it, the losses were measured",
    "selection": "which runs were made and never entered the table",
}
"""What the checklist asks for and a table of runs does not say."""


def _law(facts: dict[str, Any]) -> dict[str, str]:
    law = {"form": _LAWS.get(facts["law"], facts["law"])}
    if facts["law"] != "chinchilla":
        law["frontier"] = _FRONTIER
    if description := facts.get("spec", {}).get("description"):
        law["in words"] = description
    return law


def _data(fit: xr.DataTree, facts: dict[str, Any]) -> dict[str, str]:
    labels, constant = facts["labels"], fit["constant_data"].dataset
    loss = fit["observed_data"].dataset["loss"]

    def span(values: xr.DataArray, write: Any) -> str:
        return f"{write(float(values.min()))} to {write(float(values.max()))}"

    rows = {
        "source": str(labels.get("source", "not recorded")),
        "SHA-256 of the runs": facts.get("data_hash", "not recorded"),
        "runs": str(constant.sizes["run"]),
        "parameters": f"{span(constant['params'], format_quantity)}, "
        f"count: {labels.get('params_count', 'unstated').replace('_', '-')}",
        "tokens": span(constant["tokens"], format_quantity),
        "tokens per parameter": span(constant["tokens"] / constant["params"], format_quantity),
        "training compute": f"{span(constant['flops'], format_flops)} FLOP",
        "FLOPs": "6 N D" if labels.get("flops_source") == "6ND" else "as the table gives them",
        "loss": f"{span(loss, format_plain)} {labels.get('loss_unit', '')}",
    }
    if "recipe" in constant:
        names = dict.fromkeys(constant["recipe"].to_numpy().astype(str).tolist())
        rows["recipes"] = ", ".join(names)
    if "budget" in constant:
        rows["IsoFLOP budgets"] = str(len(set(constant["budget"].dropna("run").to_numpy().tolist())))
    if where := labels.get("where"):
        rows["kept of the table"] = (
            f"{where['kept']} rows where {where['expression']}; {where['dropped']} dropped"
        )
    for status, left in (labels.get("left_out") or {}).items():
        rows[f"left out, {status}"] = ", ".join(map(str, left)) if isinstance(left, list) else str(left)
    if facts.get("warnings"):
        rows["doubts"] = "; ".join(facts["warnings"])
    return rows


def _noise(spec: dict[str, Any]) -> dict[str, str]:
    if not (noise := spec.get("noise")):
        return {}
    of = "the log loss" if noise["scale"] == "log" else "the loss"
    growth = {
        "constant": "of one size",
        "loss": "sigma (L / L0)^sigma_growth: it grows with the loss",
        "compute": "sigma (C / C0)^-sigma_growth: it grows towards small compute",
    }
    return {"family": f"{noise['family']} on {of}", "size": growth[noise["growth"]]}


def _priors(spec: dict[str, Any]) -> dict[str, str]:
    rows = {}
    for name, prior in spec.get("priors", {}).items():
        parameters = ", ".join(f"{key}={value}" for key, value in prior.items() if key != "dist")
        pooled = _POOLED.get(spec.get("pooling", {}).get(name, ""), "")
        rows[name] = f"{prior['dist']}({parameters}){f', {pooled}' if pooled else ''}"
    return rows


def _sampler(facts: dict[str, Any]) -> dict[str, str]:
    sampling, verdict = facts.get("sampling"), facts["verdict"]
    rows = {}
    if sampling:
        rows["sampler"] = f"NUTS, {sampling['sampler']}"
        rows["draws"] = f"{sampling['chains']} chains of {sampling['draws']} after {sampling['tune']}"
        rows["seed"] = str(sampling["seed"])
        rows["target acceptance"] = format_share(sampling["target_accept"])
    for key, words in (
        ("rhat_max", "largest R-hat"),
        ("ess_bulk_min", "least effective sample size, bulk"),
        ("ess_tail_min", "least effective sample size, tail"),
        ("divergences", "divergences"),
        ("ebfmi_min", "least E-BFMI"),
    ):
        if key in verdict:
            rows[words] = format_plain(verdict[key])
    if "seconds" in facts:
        rows["seconds"] = format_plain(facts["seconds"])
    return rows


def command(fit: xr.DataTree) -> str:
    """Write the command that makes a fit again, from the same table and the spec below it."""
    facts = fit_facts(fit)
    sampling, labels = facts.get("sampling", {}), facts["labels"]
    words = ["bayes-scaling", "fit", str(labels.get("source", "RUNS")), "--model", f"{facts['model']}.toml"]
    for name, column in labels.get("columns", {}).items():
        words += ["--columns", f"{name}={column}"]
    if where := labels.get("where"):
        words += ["--where", where["expression"]]
    for label in ("params_count", "loss_unit"):
        if label in labels:
            words += [f"--{label.replace('_', '-')}", labels[label]]
    for name in ("draws", "tune", "chains", "seed", "sampler", "target_accept"):
        if name in sampling:
            words += [f"--{name.replace('_', '-')}", str(sampling[name])]
    return shlex.join([*words, "-o", "fit.nc"])


def spec_text(fit: xr.DataTree) -> str:
    """Write the spec of a fit as the TOML file that `--model` takes; empty where the fit carries none."""
    spec = fit_facts(fit).get("spec", {})
    lines = [f"{key} = {_toml(value)}" for key, value in spec.items() if not isinstance(value, dict)]
    for table, rows in spec.items():
        if isinstance(rows, dict):
            lines += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in rows.items())]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(part)}' for key, part in value.items())} }}"
    # Of texts, numbers, truth values and lists of them JSON and TOML have the same forms.
    return json.dumps(value, ensure_ascii=False)
