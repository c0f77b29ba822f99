"""The page's arithmetic is the package's: the same draws give the same answers in a browser."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import xarray as xr
from browsers import chromium
from handmade_fits import frontier_draws, handmade_fit, law_draws

from bayes_scaling import interval, optimum, plan
from bayes_scaling.errors import InputError
from bayes_scaling.planning.discrepancy import KEPT
from bayes_scaling.quantities import (
    format_factor,
    format_flops,
    format_plain,
    format_quantity,
    format_share,
    parse_quantity,
)
from bayes_scaling.report.draws import embedded_draws

SCRIPTS = ("quantities.js", "laws.js", "planner.js")

SURFACES = """(part) => {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const columns = (of) => Object.fromEntries(
        Object.entries(of).map(([name, text]) => [name, new Float64Array(bytes(text).buffer)]));
    const make = (draws) => part.law === "chinchilla"
        ? new LawSurface(draws, new Price(part.price))
        : new FrontierSurface(draws, new Price(part.price), part.typical_compute);
    const deviate = (draws) => draws.slope
        ? new DeviatingSurface(make(draws), draws, part.runs.flops[1]) : make(draws);
    window.law = make(columns(part.columns));
    window.line = deviate(columns(part.columns));
    window.scattered = deviate({...columns(part.columns), ...columns(part.scattered)});
}"""

Evaluate = Callable[..., Any]


@pytest.fixture(scope="module")
def evaluate() -> Iterator[Evaluate]:
    """Evaluates in a page that has the planner's scripts."""
    with chromium() as browser:
        page = browser.new_page()
        for name in SCRIPTS:
            page.add_script_tag(content=files("bayes_scaling.report").joinpath(name).read_text("utf-8"))
        yield page.evaluate


def test_numbers_are_written_as_the_package_writes_them(evaluate: Evaluate):
    rng = np.random.default_rng(1)
    numbers = [
        *(10 ** rng.uniform(-8, 26, size=300)),
        # Halves in the last digit, and numbers that are rounded into the next power of ten.
        *(1125.0, 1135.0, 2.5, 0.125, 999.5, 999.4999, 9995e8, 999999, 1e15, 0.001, 0.0009995, 0.0),
        *(-3.14159e9, 12345.0, 99995.0, math.inf),
    ]
    for name, write in (
        ("formatQuantity", format_quantity),
        ("formatFlops", format_flops),
        ("formatPlain", format_plain),
        ("formatShare", format_share),
        ("formatFactor", format_factor),
    ):
        texts = [str(float(number)) for number in numbers]
        there = evaluate(
            f"(texts) => texts.map((text) => {name}(Number(text.replace('inf', 'Infinity'))))", texts
        )
        assert there == [write(float(number)) for number in numbers]


@pytest.mark.parametrize(
    "text",
    ["70B", " 1.4T ", "5.76e23", "1,000,000", "2k", ".5", "70 m", "1,5", "1e400", "0x1f", "", "1E18", "3P"],
)
def test_numbers_are_read_as_the_package_reads_them(evaluate: Evaluate, text: str):
    try:
        expected = parse_quantity(text)
    except InputError:
        expected = None
    found = evaluate(
        "(text) => { const value = parseQuantity(text); return isNaN(value) ? null : value; }", text
    )
    assert found == expected


def drifting(fit: xr.DataTree) -> xr.DataTree:
    """Runs whose k falls with the size, as where embeddings are counted and cost nothing."""
    constant = fit["constant_data"].dataset
    params = np.geomspace(1e8, 1e10, 30)
    tokens = 20 * params
    k = 6 * np.exp(-0.4 / (1 + (params / 1e9) ** -1.5))
    runs = xr.Dataset(
        {"params": ("run", params), "tokens": ("run", tokens), "flops": ("run", k * params * tokens)}
    )
    tree = fit.copy()
    tree["constant_data"] = xr.DataTree(runs.assign(flops_per_param_token=constant["flops_per_param_token"]))
    return tree


def parabola(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values for name, values in draws.items() if name not in ("alpha", "beta")}


def scattered(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**draws, "params_scatter": 0.1, "loss_scatter": 0.01, "kappa_scatter": 0.2}


LAW = law_draws(150)
FRONTIER = {**frontier_draws(LAW), "E": np.full(150, 0.5), "kappa_slope": np.full(150, -0.03)}
FITS = {
    "law": handmade_fit(LAW),
    "law, k drifting": drifting(handmade_fit(LAW)),
    "skewed": handmade_fit(FRONTIER, law="isoflop-skewed"),
    "skewed, scattered, k drifting": drifting(handmade_fit(scattered(FRONTIER), law="isoflop-skewed")),
    "parabola, scattered": handmade_fit(scattered(parabola(FRONTIER)), law="isoflop-parabola"),
}

NO_LIMITS = {"minParams": 0, "maxParams": None, "maxTokens": None, "served": 0}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("compute", [3e18, 5.76e23])
def test_the_optimum_is_that_of_the_package(evaluate: Evaluate, name: str, compute: float):
    evaluate(SURFACES, embedded_draws(FITS[name], None, 4000))
    found = evaluate("(compute) => optimum(line, compute, 0.9)", compute)
    expected = interval(optimum(FITS[name], compute).isel(compute=0), 0.9)
    for quantity, values in found.items():
        for statistic, value in values.items():
            assert value == pytest.approx(float(expected[quantity].sel(statistic=statistic)), rel=1e-10)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"max_params": 30e9},
        {"min_params": 200e9, "max_tokens": 1e12},
        {"served_tokens": 2e12},
        {"max_params": 40e9, "served_tokens": 5e12},
    ],
    ids=lambda limits: " ".join(limits) or "none",
)
def test_the_plan_is_that_of_the_package(evaluate: Evaluate, name: str, limits: dict[str, float]):
    evaluate(SURFACES, embedded_draws(FITS[name], None, 4000))
    names = {"min_params": "minParams", "max_params": "maxParams", "max_tokens": "maxTokens"}
    asked = NO_LIMITS | {names.get(key, "served"): value for key, value in limits.items()}
    found = evaluate(
        """(limits) => {
            const whole = Object.fromEntries(Object.entries(limits).map(([k, v]) => [k, v ?? Infinity]));
            return plan(scattered, whole, 5.76e23, 0.9);
        }""",
        asked,
    )
    decision = plan(FITS[name], 5.76e23, **limits)
    for key in ("params", "tokens", "compute", "oversized"):
        assert found[key] == pytest.approx(float(decision[f"recommended_{key}"]), rel=2e-5), key
    # Regrets of draws whose best plan this is are nothing but rounding.
    expected = float(decision["recommended_expected_regret"])
    assert found["expected_regret"] == pytest.approx(expected, rel=1e-5, abs=1e-9)
    for key, draws in (
        ("regret", decision["recommended_regret"]),
        ("loss", decision["recommended_loss"]),
        ("params_opt", decision["params_opt"]),
    ):
        summary = interval(draws, 0.9)
        for statistic, value in found[key].items():
            there = float(summary.sel(statistic=statistic))
            assert value == pytest.approx(there, rel=1e-4, abs=1e-7), (key, statistic)


def test_where_no_size_keeps_all_limits_there_is_no_plan(evaluate: Evaluate):
    evaluate(SURFACES, embedded_draws(FITS["law"], None, 4000))
    limits = "{minParams: 0, maxParams: 1e9, maxTokens: 1e12, served: 0}"
    assert evaluate(f"() => plan(scattered, {limits}, 5.76e23, 0.9)") is None
    with pytest.raises(InputError, match="contradict"):
        plan(FITS["law"], 5.76e23, max_params=1e9, max_tokens=1e12)


def test_more_draws_than_there_is_room_for_are_thinned_evenly():
    part = embedded_draws(handmade_fit(law_draws(1000)), None, 100)
    assert (part["draws"], part["of"]) == (100, 1000)
    assert len(part["columns"]["E"]) == 4 * math.ceil(800 / 3)
    assert part["scattered"] == {}


def test_beyond_the_runs_the_surface_leaves_its_law_as_it_is_said_to(evaluate: Evaluate):
    """By slopes of the loss and of the size, and never so steeply that compute stops helping."""
    fit, largest = FITS["law"], 1e21
    count = 150
    rng = np.random.default_rng(3)
    slope, eps = rng.normal(0.0, 0.02, count), rng.normal(0.0, 0.2, count)
    # Where all that may be lost of what the law gains per decade is.
    decades = np.linspace(0, 6, 601)
    gain = -np.diff(np.log(optimum(fit, largest * 10**decades)["loss_opt"].isel(chain=0)), axis=-1) / 0.01
    eaten = (1 - KEPT) * gain < slope[:, None]
    bend = np.where(eaten.any(axis=1), decades[eaten.argmax(axis=1)], np.inf)
    assert 0 < np.isfinite(bend).sum() < count
    part = embedded_draws(fit, None, 4000)
    assert part["runs"]["flops"][1] == largest
    part["columns"] |= {"slope": as_text(slope), "params_slope": as_text(eps), "bend": as_text(bend)}
    evaluate(SURFACES, part)
    for compute in (1e20, largest, 3e21, 1e24):
        decades = max(np.log10(compute / largest), 0.0)
        law = optimum(fit, [compute, largest]).isel(chain=0)
        size, own, start = (
            law["params_opt"].to_numpy()[:, 0],
            law["loss_opt"].to_numpy()[:, 0],
            law["loss_opt"].to_numpy()[:, 1],
        )
        at = largest * 10 ** np.minimum(bend, decades)
        turn = np.diag(optimum(fit, at)["loss_opt"].isel(chain=0))
        gained = np.log(start / own) - np.log(start / turn) if decades else np.zeros(count)
        deviation = slope * np.minimum(bend, decades) + (1 - KEPT) * gained * (decades > bend)
        each = "(ask) => Array.from({length: 150}, (_, i) => %s)"
        found = evaluate(each % "line.size(i, ask)", compute)
        np.testing.assert_allclose(found, size * np.exp(eps * decades), rtol=1e-9)
        found = evaluate(each % "line.leastLoss(i, ask)", compute)
        np.testing.assert_allclose(found, own * np.exp(deviation), rtol=1e-9)
        # The best size at a compute wastes nothing, and its loss takes just that compute, as cubics have it.
        assert np.abs(evaluate(each % "line.regret(i, line.size(i, ask), ask)", compute)).max() < 1e-7
        found = evaluate(each % "line.leastCompute(i, line.leastLoss(i, ask))", compute)
        # Whole numbers come without a point, as long as they are.
        np.testing.assert_allclose(np.array(found, dtype=float), compute, rtol=1e-7)
        # So far off the best size as by the law, and with it the loss above the frontier.
        found = evaluate(each % "line.loss(i, 2 * line.size(i, ask), ask) / line.leastLoss(i, ask)", compute)
        plain = evaluate(each % "law.loss(i, 2 * law.size(i, ask), ask) / law.leastLoss(i, ask)", compute)
        np.testing.assert_allclose(found, plain, rtol=1e-9)


def as_text(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()
