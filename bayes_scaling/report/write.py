"""`write_report`: fits in, one HTML file out that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.files import check_writable, replaced
from bayes_scaling.intervals import PROB, check_prob
from bayes_scaling.planning.constraints import one_positive
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.progress import tracked, working
from bayes_scaling.quantities import format_flops, format_share

_SCRIPTS = ("quantities.js", "laws.js", "planner.js", "page.js")
"""In the order in which they build on each other."""


def write_report(
    fits: xr.DataTree | Sequence[xr.DataTree],
    path: str | Path,
    *,
    compute: float | None = None,
    prob: float = PROB,
    allow_unconverged: bool = False,
    progress: bool | None = None,
) -> None:
    """Write a page about fits to hand around: one HTML file without anything to fetch.

    It has the verdict, the plan at a budget, a planner for other budgets and limits, N_opt and D_opt against
    compute, IsoFLOP profiles, the three approaches beside the posteriors, what `check` finds, and what it
    takes to make the fits again.

    Parameters
    ----------
    fits : DataTree or sequence of DataTree
        From `fit` or `open_fit`, with all of their groups; of the same runs, which are those of the first in
        the comparison.
    path : str or Path
        File to write; an existing one is replaced only when the new one is complete.
    compute : float, optional
        Budget in FLOPs of the plan and the comparison; ten times the largest run's of the first fit unless
        given.
    prob : float
        Probability inside the intervals.
    allow_unconverged : bool
        Write about fits that break a convergence rule; the page says so at its top.
    progress : bool, optional
        Show on standard error what is being done; by default if that is a terminal.

    Raises
    ------
    InputError
        If there is no fit, one lacks a group, the budget is not positive, or the file cannot be written.
    NotConvergedError
        If a fit is not converged and its use was not allowed.

    Notes
    -----
    The planner works with up to 4,000 draws of each recipe, by the formulas of `optimum` and `plan`, and
    gives what these print, to the digit; a page of many recipes has room for fewer, and says so.
    """
    fits = [fits] if isinstance(fits, xr.DataTree) else list(fits)
    if not fits:
        raise InputError("a report needs a fit, as from fit or open_fit")
    check_prob(prob)
    for fit in fits:
        require_usable(fit, allow_unconverged=allow_unconverged)
    if compute is None:
        # To the digits with which it is written, so that whoever types them gets the same answer.
        compute = float(format_flops(10 * float(fits[0]["constant_data"]["flops"].max())))
    budget = one_positive("compute", compute)
    check_writable(path)
    show = sys.stderr.isatty() if progress is None else progress
    content = _content(fits, budget, prob, show)
    with working("writing the page", show=show):
        page = _rendered(content)
    with replaced(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _content(fits: list[xr.DataTree], budget: float, prob: float, show: bool) -> dict[str, Any]:
    """Work out all that the page says."""
    from bayes_scaling.report.comparison import compared
    from bayes_scaling.report.draws import draws_for, embedded_draws
    from bayes_scaling.report.parts import parts_of
    from bayes_scaling.report.sections import figures_of, fit_section, part_section

    parts = parts_of(fits)
    sections = [
        part_section(part, budget, prob) for part in tracked(parts, "planning", total=len(parts), show=show)
    ]
    about_fits = []
    for number, fit in enumerate(fits):
        model = next(part.model for part in parts if part.number == number)
        about_fits.append(fit_section(fit, number, model, budget, progress=show))
    return {
        "parts": sections,
        "fits": about_fits,
        "figures": figures_of(parts, budget, prob, progress=show),
        "comparison": compared(fits, budget, prob=prob, progress=show),
        "budget": format_flops(budget),
        "prob": format_share(prob),
        "data": {
            "prob": prob,
            "compute": budget,
            "parts": [
                {
                    "key": part.key,
                    "recipe": part.recipe,
                    **embedded_draws(part.fit, part.recipe, draws_for(len(parts))),
                }
                for part in parts
            ],
        },
    }


def _rendered(content: dict[str, Any]) -> str:
    """Fill the template: texts are escaped, and no script but the page's own may run."""
    from importlib.metadata import version

    from jinja2 import Environment, PackageLoader, StrictUndefined

    own = files(__package__)
    scripts = [own.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS]
    environment = Environment(
        loader=PackageLoader("bayes_scaling", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Inside a script element nothing is escaped; a name that ends the element early must not do so.
    data = json.dumps(content["data"]).replace("<", "\\u003c")
    return environment.get_template("page.html").render(
        **{key: value for key, value in content.items() if key != "data"},
        data=data,
        style=own.joinpath("page.css").read_text(encoding="utf-8"),
        scripts=scripts,
        hashes=[_digest(script) for script in scripts],
        version=version("bayes-scaling"),
    )


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
