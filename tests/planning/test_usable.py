"""What is no fit is refused in one way by whatever takes a fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade_fits import handmade_fit, law_draws

from bayes_scaling import (
    audit,
    compute_to_target,
    design,
    model_weights,
    optimum,
    plan,
    plan_to_target,
    plot_frontier,
    plot_law,
    plot_optimum,
    plot_profiles,
    predict,
    worth_of_improvement,
)
from bayes_scaling.errors import InputError

ASKED: list[tuple[Callable[..., Any], tuple[float, ...]]] = [
    (optimum, (1e23,)),
    (plan, (1e23,)),
    (plan_to_target, (2.0,)),
    (compute_to_target, (2.0,)),
    (worth_of_improvement, (1e23, 0.01)),
    (audit, ()),
    (design, (1e23, 1e21)),
    (predict, (1e9, 2e10)),
    (plot_frontier, ()),
    (plot_law, ()),
    (plot_optimum, ()),
    (plot_profiles, ()),
]


@pytest.mark.parametrize(("function", "asked"), ASKED)
def test_a_path_is_no_fit_until_it_is_opened(function: Callable[..., Any], asked: tuple[float, ...]):
    for path in ("fit.nc", Path("fit.nc")):
        with pytest.raises(InputError, match=r"fit is 'fit.nc', a path; open it first: open_fit\('fit.nc'\)"):
            function(path, *asked)
    with pytest.raises(InputError, match="fit must be a DataTree, as from fit or open_fit, not NoneType"):
        function(None, *asked)


@pytest.mark.parametrize(
    ("function", "asked"),
    [
        (plan, (1e23,)),
        (plan_to_target, (2.0,)),
        (compute_to_target, (2.0,)),
        (worth_of_improvement, (1e23, 0.01)),
        (model_weights, ()),
    ],
)
def test_nor_among_several_fits(function: Callable[..., Any], asked: tuple[float, ...]):
    fit = handmade_fit(law_draws(20))
    for path in ("fit.nc", Path("fit.nc")):
        with pytest.raises(InputError, match=r"fit is 'fit.nc', a path; open it first: open_fit\('fit.nc'\)"):
            function([fit, path], *asked)
    with pytest.raises(InputError, match="fit must be a DataTree, as from fit or open_fit, not NoneType"):
        function([fit, None], *asked)
